"""Who may know of a donor, and the donor's row under its lock.

A donor is visible to people with `donor:read` at the donor's clinic, and at every site that keeps or holds a specimen of
the donor: a laboratory knows the codes of those whose cells it keeps, and no names.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, any_, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Scope
from biobank.custody.locks import locked
from biobank.donors.models import donor, donor_move
from biobank.foundation.errors import Conflict, GoesOnElsewhere, NotFound
from biobank.foundation.from_above import FromAbove

MERGED: Final = "SELECT code, merged_into FROM donor WHERE merged_into IS NOT NULL"
"""SQL: the codes of records that were merged, and into which."""

keeps_cells_of: FromAbove[Callable[[ColumnElement[str], Scope], ColumnElement[bool]]] = FromAbove("specimens")
"""The condition that a site of the scope keeps or holds a specimen of the donor with this code."""


class DonorMerged(GoesOnElsewhere):
    """The record turned out to be a second one of a person, who goes on under the first."""

    code = "donor_merged"
    title = "One person, two codes"


class DonorErased(Conflict):
    """The person was forgotten; nothing more is recorded about them."""

    code = "donor_erased"
    title = "Donor erased"


def visible(actor: Actor) -> ColumnElement[bool]:
    """Return the condition under which the actor may know of a row of `donor`."""
    scope = actor.scope(Permission.DONOR_READ)
    return or_(scope.of(donor.c.clinic_site_code), keeps_cells_of.get()(donor.c.code, scope))


def unknown_donor(code: str) -> NotFound:
    """The refusal for a code the caller may not know of."""
    return NotFound(f"There is no donor {code} that you may see. Check the code.", subject=code)


def get_visible_donor(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return the row of one donor the actor may know of; raise NotFound otherwise (also when it exists).

    `lock` takes the row, as every act that depends on consent, identity or status must: it comes first in the lock order.
    """
    statement = select(donor).where(donor.c.code == code, visible(actor))
    if lock:
        statement = locked(statement, donor)
    row = session.execute(statement).first()
    if row is not None and row.merged_into is None:
        return row
    now = current_code(session, code)
    if now != code and session.execute(select(donor.c.code).where(donor.c.code == now, visible(actor))).first() is not None:
        raise DonorMerged(f"{code} and {now} are one person, whose record goes on as {now}. Use that code.", before=code, now=now)
    raise unknown_donor(code)


def current_code(session: Session, code: str) -> str:
    """Return the code under which a person goes on: their own, or of the record that theirs was merged into."""
    into: str | None = session.execute(select(donor.c.merged_into).where(donor.c.code == code)).scalar()
    return into or code


def every_code(session: Session, codes: Iterable[str]) -> set[str]:
    """Return these donors' codes with those of the records that were merged into theirs."""
    own = set(codes)
    return own | set(session.execute(select(donor.c.code).where(donor.c.merged_into.in_(sorted(own)))).scalars())


def now_or_before(column: ColumnElement[Any], codes: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that `column` is one of these donors, or a code under which anything of theirs stood before, merged
    or another person's.
    """
    own = sorted(set(codes))
    before = select(donor_move.c.from_donor).where(donor_move.c.to_donor.in_(own)).scalar_subquery()
    return or_(column.in_(own), column == any_(func.array(before)))


def kept_apart_among(session: Session, codes: Iterable[str]) -> frozenset[str]:
    """Return those of the donors whose material is kept apart for infection."""
    return frozenset(session.execute(select(donor.c.code).where(donor.c.code.in_(sorted(codes)), donor.c.kept_apart)).scalars())


def lock_donor(session: Session, code: str) -> "Row[Any]":
    """Lock the donor's row for a use case of another package and return it; raise NotFound when there is none."""
    row = session.execute(locked(select(donor).where(donor.c.code == code), donor)).first()
    if row is None:
        raise unknown_donor(code)
    return row


def require_not_erased(row: Any) -> None:
    """Raise DonorErased when the donor of `row` was erased."""
    if row.status == "erased":
        raise DonorErased(f"{row.code} was erased: the bank no longer knows who this was.", subject=row.code)
