"""What packages below ask of labels: those that show a name from before, and those that were printed for a bench session."""

from collections.abc import Collection

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.benches.queries import labels_of
from biobank.labels.files import prints
from biobank.labels.reconciling import reconciliation
from biobank.quality.reattributing import supersede_labels
from biobank.storage.naming import outdated_labels, renamed_around

MOST = 500


@labels_of.give
def labels_of_session(session: Session, code: str) -> list[tuple[int, bool]]:
    """Return the batches that were printed for a bench session, and whether two people said what became of each."""
    said = select(reconciliation.c.batch)
    rows = session.execute(
        select(prints.c.batch, prints.c.batch.in_(said)).where(prints.c.bench_session == code).distinct().order_by(prints.c.batch)
    )
    return [(batch, reconciled) for batch, reconciled in rows]


@supersede_labels.give
def _supersede(session: Session, act: Act, codes: Collection[str]) -> int:
    standing = prints.c.code.in_(sorted(codes)) & prints.c.superseded_at.is_(None)
    rows = session.execute(update(prints).where(standing).values(superseded_at=act.at).returning(prints.c.serial)).all()
    return len(rows)


@outdated_labels.give
def labels_with_old_names(session: Session, code: str) -> list[str]:
    """Return at most MOST codes of a container, of what is in it and of slots, whose label was printed before a name changed."""
    since = renamed_around(session, code)
    printed = select(prints.c.code, prints.c.printed_at).where(prints.c.code.in_(since), prints.c.superseded_at.is_(None))
    return sorted({row.code for row in session.execute(printed) if row.printed_at < since[row.code]})[:MOST]
