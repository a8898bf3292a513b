"""The log against itself and, from it, against the tables: every entry from the oldest on, its hash, the tree, what it made.

The tree is computed from the entries' bytes alone; the compact range so far is where the next slice begins.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.models import custody, hold
from biobank.reconciliation.comparing import Differs, Slice
from biobank.reconciliation.following import lost
from biobank.reconciliation.written import gone, newest
from biobank.transparency.models import event, leaf, tree_head
from biobank.transparency.tree import CompactRange, hash_leaf


def compare_log(session: Session, after: str, limit: int) -> Slice:
    """Hash the next entries, compare them with the log's leaves and tree heads, and see that what they made is still there."""
    tree = CompactRange.from_bytes(bytes.fromhex(after)) if after else CompactRange()
    begin = tree.size
    statement = (
        select(leaf.c.log_index, leaf.c.leaf_hash, event)
        .select_from(leaf.outerjoin(event, event.c.leaf_hash == leaf.c.leaf_hash))
        .where(leaf.c.log_index >= begin, leaf.c.log_index < begin + limit)
        .order_by(leaf.c.log_index)
    )
    rows = session.execute(statement).all()
    if not rows:
        return Slice()
    within = (tree_head.c.size > begin, tree_head.c.size <= begin + len(rows))
    heads = {row.size: row.root for row in session.execute(select(tree_head.c.size, tree_head.c.root).where(*within))}
    found = Slice(looked_at=len(rows), events=len(rows))
    entries: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry, told = _entry_of(row, tree.size)
        if entry is not None:
            entries[bytes(row[1]).hex()] = entry
        if told:
            found.differing[f"entry-{tree.size}"] = told
        tree.append(bytes(row[1]) if row.entry is None else hash_leaf(bytes(row.entry)))
        root = heads.get(tree.size)
        if root is not None and bytes(root) != tree.root():
            told = [Differs("root_of_the_tree", bytes(root).hex(), tree.root().hex())]
            found.differing[f"tree-{tree.size}"] = told
    found.differing |= _gone(session, entries.values())
    found.differing |= lost(session, entries.values())
    found.differing |= gone(session, {leaf: newest(entry) for leaf, entry in entries.items()})
    found.last = tree.to_bytes().hex()
    return found


def _entry_of(row: Any, index: int) -> tuple[dict[str, Any] | None, list[Differs]]:
    if row.log_index != index:
        return None, [Differs("place_in_the_log", row.log_index, index)]
    if row.entry is None:
        return None, [Differs("entry", None, "recorded")]
    if hash_leaf(bytes(row.entry)) != bytes(row[1]):
        return None, [Differs("hash_of_the_entry", hash_leaf(bytes(row.entry)).hex(), bytes(row[1]).hex())]
    entry = parse_entry(bytes(row.entry))
    stands = {"stream": row.stream_kind, "id": row.stream_id, "seq": row.seq, "kind": row.kind, "by": row.recorded_by}
    return entry, [Differs(name, value, entry[name]) for name, value in stands.items() if value != entry[name]]


def _gone(session: Session, entries: Collection[dict[str, Any]]) -> dict[str, list[Differs]]:
    """Return the holds and specimens that these entries made and that no table has, or has otherwise."""
    placed = {e["body"]["hold"] for e in entries if e["kind"].endswith(".hold_placed")}
    lifted = {e["body"]["hold"] for e in entries if e["kind"].endswith(".hold_lifted")}
    made = {e["id"] for e in entries if e["stream"] == "specimen" and e["seq"] == 1}
    statement = select(hold.c.id, hold.c.lifted_at).where(hold.c.id.in_([UUID(one) for one in placed | lifted]))
    holds = {str(row.id): row.lifted_at is not None for row in session.execute(statement)}
    there = set(session.execute(select(custody.c.code).where(custody.c.code.in_(made))).scalars())
    wrong = {one: [Differs("hold", None, "placed")] for one in placed - holds.keys()}
    wrong |= {one: [Differs("lifted", False, True)] for one in lifted if not holds.get(one, True)}
    return wrong | {code: [Differs("specimen", None, "received")] for code in made - there}
