"""Allocating codes: one sequence for every prefix, permuted so that neighbours look different (`biobank/foundation/codes.py`)."""

from sqlalchemy import bindparam, text
from sqlmodel import Session

from biobank.foundation.codes import format_code

_NEXT = text("SELECT nextval('code_number') FROM generate_series(1, :n)").bindparams(bindparam("n"))


def new_codes(session: Session, prefix: str, n: int, *, year: int | None = None) -> list[str]:
    """Return `n` codes that nothing else has. A rolled-back transaction leaves gaps; codes are never reused.

    `year` is two digits, for the prefixes that carry one.
    """
    return [format_code(prefix, year, number) for number in session.execute(_NEXT, {"n": n}).scalars()]


def new_code(session: Session, prefix: str, *, year: int | None = None) -> str:
    """Return one code that nothing else has."""
    return new_codes(session, prefix, 1, year=year)[0]
