"""How the PRP or PRF in a tube was prepared: what the first entries of the containers say that it comes from."""

from typing import Any

from sqlalchemy import Text, column, or_, select, text
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.specimens.harvest_queries import told_at_first
from biobank.specimens.preparations import PREPARED, PreparationPublic, preparation_in
from biobank.transparency.models import event

_ROOTS = (
    text(
        """
        WITH RECURSIVE line (code) AS (
            SELECT CAST(:code AS text)
            UNION SELECT p.parent_code FROM line JOIN specimen_parent p ON p.child_code = line.code
        )
        SELECT code FROM line WHERE NOT EXISTS (SELECT FROM specimen_parent up WHERE up.child_code = line.code)
        """
    )
    .columns(column("code", Text))
    .subquery("root")
)
_FIRST = (
    select(event.c.stream_id, event.c.leaf_hash, event.c.entry)
    .join(_ROOTS, _ROOTS.c.code == event.c.stream_id)
    .where(event.c.stream_kind == "specimen", or_(event.c.seq == 1, event.c.kind == "specimen.amended"))
    .order_by(event.c.stream_id, event.c.seq)
)


def preparations_of(session: Session, code: str, material: str) -> list[PreparationPublic]:
    """Return the preparation of each container that a specimen comes from, by code; none of what is not PRP or PRF."""
    if material not in PREPARED:
        return []
    of: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in session.execute(_FIRST, {"code": code}):
        of.setdefault(row.stream_id, []).append((row.leaf_hash.hex(), parse_entry(bytes(row.entry))))
    return [preparation_in(one, told_at_first(entries)) for one, entries in of.items()]
