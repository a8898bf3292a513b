"""Rows that follow several events of one stream: the events are replayed, and what they leave is compared with the table.

A declaration says of each kind what it does to the rows of its stream. From the rows: each is what the replay leaves of it, and
there is none that no event made. From the log: what the replay leaves is there. Declarations stand in `followed.py`, or beside
their package where that lies above this one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, select
from sqlmodel import Session

from biobank.reconciliation.comparing import Differs, Part, Slice, entries_of_streams, slice_of
from biobank.reconciliation.written import Entry, Member, member_of, newest, plain_row

Rows = dict[tuple[str, ...], dict[str, Any]]
"""Rows of one stream: by what names each within it, its columns as an entry writes them."""
Effect = Callable[[Rows, Entry], None]
"""What an entry does to the rows of its stream."""


@dataclass(frozen=True)
class Follows:
    """A table that follows streams. `of`: the column that names the stream, None where all of it follows the one `prefix`.

    `prefix`: what the stream's name has before it. `key`: what names a row within its stream. `columns`: what is compared.
    `where`: which rows there are for the comparison (of marks on slots: the marked ones). `unsaid`: a row of which no entry
    speaks is not judged. `read_as`: a column that an entry says in another form. `part`, `streams`: of a query in place of a
    table, its name and the column that lists the streams. `share`: one slice looks at this part of the rows of another.
    """

    table: FromClause
    stream: str
    effects: Mapping[str, Effect]
    columns: tuple[str, ...]
    of: str | None = None
    prefix: str = ""
    key: tuple[str, ...] = ()
    where: "ColumnElement[bool] | None" = None
    unsaid: bool = False
    read_as: Mapping[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)
    site: str | None = None
    part: str = ""
    streams: "ColumnElement[Any] | None" = None
    share: int = 1

    @property
    def name(self) -> str:
        """The part of the comparison: the table's name, unless it has one of its own."""
        return self.part or str(self.table.description)


FOLLOWED: Final[dict[str, Follows]] = {}
"""Every declared part by its name. Whole once `registries.declarations` is imported."""
ROW: Final = "row"


def follows(*declared: Follows) -> None:
    """Declare tables whose rows follow streams of events."""
    for one in declared:
        assert one.name not in FOLLOWED, f"{one.name} is declared twice"
        FOLLOWED[one.name] = one


def sets(members: Mapping[str, Member], key: Sequence[Member] = ()) -> Effect:
    """Return the effect of a kind that makes the row named by `key`, or writes these columns of it."""

    def effect(rows: Rows, entry: Entry) -> None:
        name = tuple(str(member_of(entry, one, None)) for one in key)
        rows.setdefault(name, {}).update({column: member_of(entry, member, None) for column, member in members.items()})

    return effect


def changes(members: Mapping[str, Member]) -> Effect:
    """Return the effect of a kind that writes columns of the stream's one row, where there is one."""

    def effect(rows: Rows, entry: Entry) -> None:
        for row in rows.values():
            row.update({column: member_of(entry, member, None) for column, member in members.items()})

    return effect


def always(value: Any) -> Member:
    """Return the member that is `value` whatever the entry says."""
    return lambda _entry, _stored: value


class _Told(dict[str, Any]):
    """What is stored of one stream, flat: of each row, under its name, its columns and that it is there. The rest is None."""

    names: tuple[tuple[str, ...], ...] = ()

    def __missing__(self, _name: str) -> None:
        return None


def _flat(rows: Rows) -> _Told:
    told = _Told({_word(name, column): value for name, row in rows.items() for column, value in ({ROW: "there"} | row).items()})
    told.names = tuple(rows)
    return told


def _word(name: tuple[str, ...], column: str) -> str:
    return " ".join((*name, column))


def part_of(one: Follows) -> Part:
    """Return what compares the rows of the next streams with their events."""

    def compare(session: Session, after: str, limit: int) -> Slice:
        most = limit // one.share or 1
        found = _compared(session, one, _next(session, one, after, most))
        found.asked = most
        return found

    return compare


def _next(session: Session, one: Follows, after: str, limit: int) -> list[str]:
    if one.of is None:
        return [] if after else [one.prefix]
    column = one.table.c[one.of] if one.streams is None else one.streams
    statement = select(column).distinct().where(column > after.removeprefix(one.prefix)).order_by(column).limit(limit)
    if one.where is not None:
        statement = statement.where(one.where)
    return [f"{one.prefix}{code}" for code in session.execute(statement).scalars()]


def _compared(session: Session, one: Follows, streams: Sequence[str]) -> Slice:
    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = _stored(session, one, codes)
        return {code: _flat(found.get(code, {})) for code in codes}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = dict(entries_of_streams(session, one.stream, sorted(stored), one.effects))
        expected = {code: _expected(one, told, entries.get(code, [])) for code, told in stored.items()}  # type: ignore[arg-type]
        return expected, sum(map(len, entries.values()))

    return slice_of(session, streams, rows, logged, site=one.site)


def _stored(session: Session, one: Follows, codes: Sequence[str]) -> dict[str, Rows]:
    table = one.table
    read = [table.c[name] for name in {*one.key, *one.columns, *one.read_as, *([one.of] if one.of else ())}]
    statement = select(*read)
    if one.of is not None:
        statement = statement.where(table.c[one.of].in_([code.removeprefix(one.prefix) for code in codes]))
    if one.where is not None:
        statement = statement.where(one.where)
    found: dict[str, Rows] = {}
    for stored in session.execute(statement):
        row = plain_row(stored._mapping)
        code = one.prefix + (row[one.of] if one.of else "")
        for column, (name, shown) in one.read_as.items():
            row[name] = shown(row.pop(column))
        compared = {column: row[column] for column in (*one.columns, *(name for name, _ in one.read_as.values()))}
        found.setdefault(code, {})[tuple(str(row[name]) for name in one.key)] = compared
    return found


def replayed(one: Follows, entries: Iterable[Entry]) -> Rows:
    """Return the rows that these entries of one stream leave."""
    rows: Rows = {}
    for entry in entries:
        one.effects[entry["kind"]](rows, newest(dict(entry)))
    return rows


def _expected(one: Follows, told: _Told, entries: Sequence[Entry]) -> dict[str, Any]:
    rows = replayed(one, entries)
    expected: dict[str, Any] = {}
    for name in told.names:
        if name not in rows and not one.unsaid:
            expected[_word(name, ROW)] = None
    for name, row in rows.items():
        expected[_word(name, ROW)] = "there"
        if name in told.names:
            expected |= {_word(name, column): value for column, value in row.items()}
    return expected


def lost(session: Session, entries: Iterable[Entry]) -> dict[str, list[Differs]]:
    """Return the streams of these entries whose rows are not there any more, each with what is missing."""
    entries = list(entries)
    wrong: dict[str, list[Differs]] = {}
    for one in FOLLOWED.values():
        streams = sorted({entry["id"] for entry in entries if entry["stream"] == one.stream and entry["kind"] in one.effects})
        for stream, told in _compared(session, one, streams).differing.items():
            missing = [
                Differs(f"{one.name} {differs.what}".replace(" ", "_"), None, "there")
                for differs in told
                if differs.stored is None and differs.what.split(" ")[-1] == ROW
            ]
            if missing:
                wrong.setdefault(stream, []).extend(missing)
    return wrong
