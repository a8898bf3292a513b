"""Whose a specimen is by its custody row: the donor's of the specimen, which the database compares.

It changes when two of quality found that it is another's; the events that say so are appended before.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import update
from sqlmodel import Session

from biobank.custody.models import custody

OWNED: Final = "SELECT code FROM custody WHERE donor_code IN ({codes})"
"""SQL: the specimens of the donors whom the SQL `codes` gives."""


def change_owner(session: Session, codes: Collection[str], donor: str) -> None:
    """Let these specimens be another donor's. The caller has locked their rows."""
    session.execute(update(custody).where(custody.c.code.in_(sorted(codes))).values(donor_code=donor))
