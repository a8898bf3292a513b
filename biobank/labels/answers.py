"""Printed labels of places that show a name from before: a label says its place's own name and those of what it stands in."""

from sqlalchemy import select
from sqlmodel import Session

from biobank.labels.files import prints
from biobank.storage.naming import outdated_labels, renamed_around

MOST = 500


@outdated_labels.give
def labels_with_old_names(session: Session, code: str) -> list[str]:
    """Return at most MOST codes of a container, of what is in it and of slots, whose label was printed before a name changed."""
    since = renamed_around(session, code)
    printed = select(prints.c.code, prints.c.printed_at).where(prints.c.code.in_(since), prints.c.superseded_at.is_(None))
    return sorted({row.code for row in session.execute(printed) if row.printed_at < since[row.code]})[:MOST]
