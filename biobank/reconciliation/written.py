"""Rows that name the event which made them, compared with what it says: one declaration a table, both ways.

From the rows: what a row repeats of its event is what the event says, and the event is of the right kind. From the log: whatever
such an event made is still there. A declaration stands in `tables.py`, or beside its package where that lies above this one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Integer, Table, Uuid, literal, select, tuple_
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.event import parse_payload, rules
from biobank.reconciliation.comparing import Differs, Part, Slice, plain, slice_of
from biobank.reconciliation.moved import Moves
from biobank.transparency.models import event

Entry = Mapping[str, Any]
Member = str | Callable[[Entry, Any], Any]
"""Where an entry says what a column repeats ("by", "body.site"); or what the column must hold, by the entry and what it holds."""

ANY: Final[tuple[str, ...]] = ()
"""An event of whatever kind."""


@dataclass(frozen=True)
class Said:
    """An event that a row names by its leaf hash in `column`, and what the row repeats of it.

    `others`: kinds that may stand there instead, with what those say. `marks`: a column that is filled when the event happened,
    and empty before.
    """

    column: str
    kinds: tuple[str, ...]
    members: Mapping[str, Member]
    others: Mapping[str, Mapping[str, Member]] = field(default_factory=dict)
    marks: str | None = None


@dataclass(frozen=True)
class Written:
    """A table of such rows. `site`: the column that says where it is.

    `by_key`: the row is written over by the next event of its kind about the same; the columns that name it. `may_go`: rows go
    when a person is forgotten. `moves`: its donors change with a row of `donor_move`.
    """

    table: Table
    events: tuple[Said, ...]
    site: str | None = None
    by_key: tuple[str, ...] = ()
    may_go: bool = False
    moves: bool = True

    @property
    def name(self) -> str:
        """The part of the comparison: the table's name."""
        return str(self.table.name)


WRITTEN: Final[dict[str, Written]] = {}
"""Every declared table by its name. Whole once `registries.declarations` is imported."""


def is_written(*declared: Written) -> None:
    """Declare tables whose rows name the events that made them."""
    for one in declared:
        assert one.name not in WRITTEN, f"{one.name} is declared twice"
        WRITTEN[one.name] = one


def part_of(written: Written) -> Part:
    """Return what compares the next rows of a table with the events that they name."""
    key = list(written.table.primary_key.columns)

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = session.execute(select(written.table).where(tuple_(*key).in_([_values(key, code) for code in codes])))
        return {_code(key, row._mapping): plain_row(row._mapping) for row in found}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        named = {row[said.column] for row in stored.values() for said in written.events}
        entries = _entries(session, {bytes.fromhex(one) for one in named if one is not None})
        moves = Moves.read(session)
        return {code: _logged(written, row, entries, moves) for code, row in stored.items()}, len(entries)

    def compare(session: Session, after: str, limit: int) -> Slice:
        statement = select(*key).order_by(*key).limit(limit)
        if after:
            bound = [literal(value, column.type) for column, value in zip(key, _values(key, after), strict=True)]
            statement = statement.where(tuple_(*key) > tuple_(*bound))
        codes = [_code(key, row._mapping) for row in session.execute(statement)]
        return slice_of(session, codes, rows, logged, site=written.site, named=lambda code: " ".join(json.loads(code)))

    return compare


def plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row with every value as an entry writes it."""
    return {str(name): plain(value) for name, value in row.items()}


def _code(key: Sequence["Column[Any]"], row: Mapping[Any, Any]) -> str:
    return json.dumps([str(plain(row[column.name])) for column in key])


def _values(key: Sequence["Column[Any]"], code: str) -> list[Any]:
    return [_typed(column, value) for column, value in zip(key, json.loads(code), strict=True)]


def _typed(column: "Column[Any]", value: str) -> Any:
    if isinstance(column.type, Uuid):
        return UUID(value)
    if isinstance(column.type, Integer):
        return int(value)
    return bytes.fromhex(value) if column.type.python_type is bytes else value


def _entries(session: Session, hashes: set[bytes]) -> dict[str, dict[str, Any]]:
    """Return entries by their leaf hash, hex, with the payload as its kind's newest version has it."""
    found = session.execute(select(event.c.leaf_hash, event.c.entry).where(event.c.leaf_hash.in_(hashes))) if hashes else ()
    return {bytes(row.leaf_hash).hex(): newest(parse_entry(bytes(row.entry))) for row in found}


def newest(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with its payload as the newest version of its kind has it."""
    if entry["kv"] == rules.by_kind[entry["kind"]].version:
        return entry
    return entry | {"body": parse_payload(entry["kind"], entry["kv"], entry["body"]).payload()}


def _logged(written: Written, row: Mapping[str, Any], entries: Mapping[str, Entry], moves: Moves) -> dict[str, Any]:
    """Return what the events that a row names say of it; an event that is not what it should be is none."""
    expected: dict[str, Any] = {}
    for said in written.events:
        entry = entries.get(row[said.column] or "")
        if entry is not None and said.kinds and entry["kind"] not in (*said.kinds, *said.others):
            entry = None
        if entry is None:
            expected[said.column] = None
        else:
            for column, member in said.others.get(entry["kind"], said.members).items():
                value = member_of(entry, member, row[column])
                expected[column] = moves.led(value, row[column]) if written.moves and _is_donors(column) else value
        if said.marks is not None and (row[said.marks] is None) != (entry is None):
            expected[said.marks] = None if entry is None else entry["occurred_at"]
    return expected


def _is_donors(column: str) -> bool:
    return column in ("donor_code", "recipient_code")


def member_of(entry: Entry, member: Member, stored: Any) -> Any:
    """Return what an entry says in a member; of a function, what it makes of the entry and of what is stored."""
    if callable(member):
        return member(entry, stored)
    return entry["body"].get(member.removeprefix("body.")) if member.startswith("body.") else entry[member]


def gone(session: Session, entries: Mapping[str, Entry]) -> dict[str, list[Differs]]:
    """Return what these entries, by their leaf hashes, made and no row names any more, or names an older one instead."""
    wrong: dict[str, list[Differs]] = {}
    for written in WRITTEN.values():
        for said in written.events:
            made = {leaf: entry for leaf, entry in entries.items() if entry["kind"] in said.kinds}
            if made and not written.may_go:
                for leaf in _unnamed(session, written, said, made):
                    entry = made[leaf]
                    wrong[f"{entry['id']}-{entry['seq']}"] = [Differs(f"row_of_{written.name}", None, entry["kind"])]
    return wrong


def _unnamed(session: Session, written: Written, said: Said, made: Mapping[str, Entry]) -> list[str]:
    column = written.table.c[said.column]
    if not written.by_key:
        there = session.execute(select(column).where(column.in_([bytes.fromhex(leaf) for leaf in made]))).scalars()
        return sorted(made.keys() - {bytes(one).hex() for one in there})
    key = [written.table.c[name] for name in written.by_key]
    names = {leaf: tuple(member_of(entry, said.members[name], None) for name in written.by_key) for leaf, entry in made.items()}
    statement = select(*key, event.c.seq).join(event, event.c.leaf_hash == column).where(tuple_(*key).in_(list(names.values())))
    last = {tuple(row[:-1]): row.seq for row in session.execute(statement)}
    return sorted(leaf for leaf, name in names.items() if last.get(name, 0) < made[leaf]["seq"])
