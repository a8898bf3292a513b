"""How the PRP or PRF in a tube was prepared: what the first entries of the containers say that it comes from."""

from typing import Any

from sqlalchemy import LargeBinary, Text, column, text
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.specimens.harvest_queries import told_at_first
from biobank.specimens.preparations import PREPARED, PreparationPublic, preparation_in

_FIRST = text(
    """
    WITH RECURSIVE line (code) AS (
        SELECT CAST(:code AS text)
        UNION SELECT p.parent_code FROM line JOIN specimen_parent p ON p.child_code = line.code
    )
    SELECT e.stream_id, e.leaf_hash, e.entry FROM line
    JOIN event e ON e.stream_kind = 'specimen' AND e.stream_id = line.code AND (e.seq = 1 OR e.kind = 'specimen.amended')
    WHERE NOT EXISTS (SELECT FROM specimen_parent up WHERE up.child_code = line.code)
    ORDER BY e.stream_id, e.seq
    """
).columns(column("stream_id", Text), column("leaf_hash", LargeBinary), column("entry", LargeBinary))


def preparations_of(session: Session, code: str, material: str) -> list[PreparationPublic]:
    """Return the preparation of each container that a specimen comes from, by code; none of what is not PRP or PRF."""
    if material not in PREPARED:
        return []
    of: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in session.execute(_FIRST, {"code": code}):
        of.setdefault(row.stream_id, []).append((row.leaf_hash.hex(), parse_entry(bytes(row.entry))))
    return [preparation_in(one, told_at_first(entries)) for one, entries in of.items()]
