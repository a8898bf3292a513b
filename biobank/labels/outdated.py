"""Printed labels of places that show a name from before: a label says its place's own name and those of what it stands in."""

from sqlalchemy import text
from sqlmodel import Session

from biobank.storage.naming import outdated_labels

MOST = 500

_OUTDATED = text(
    """
    WITH RECURSIVE above AS (
        SELECT code, parent_code, renamed_at, 0 AS depth FROM storage_container WHERE code = :code
        UNION ALL
        SELECT c.code, c.parent_code, c.renamed_at, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.parent_code WHERE above.depth < 32
    ), below AS (
        SELECT CAST(:code AS text) AS code, (SELECT max(renamed_at) FROM above) AS since
        UNION ALL
        SELECT c.code, greatest(below.since, c.renamed_at) FROM below JOIN storage_container c ON c.parent_code = below.code
    ), thing AS (
        SELECT code, since FROM below WHERE since IS NOT NULL
        UNION ALL
        SELECT p.code, below.since FROM below JOIN storage_position p ON p.container_code = below.code
        WHERE below.since IS NOT NULL
    )
    SELECT DISTINCT thing.code FROM thing JOIN label_print l ON l.code = thing.code
    WHERE l.superseded_at IS NULL AND l.printed_at < thing.since ORDER BY thing.code LIMIT :most
    """
)


@outdated_labels.give
def labels_with_old_names(session: Session, code: str) -> list[str]:
    """Return at most MOST codes of a container, of what is in it and of slots, whose label was printed before a name changed."""
    return list(session.execute(_OUTDATED, {"code": code, "most": MOST}).scalars())
