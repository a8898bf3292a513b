"""What a format of the custody log is: a name, a media type, and how the selected events become bytes.

Two ways to write one. `copied`: PostgreSQL writes the bytes and Python only passes them on, so a million events leave in
seconds. `encoded`: typed rows from a server-side cursor go through an encoder. Both need constant memory.

Printed names stand only in files that are made for reading (`encoded`), and only those that the reader may be told: they never
go through the database as text.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from biobank.custody.sentences import what_happened

Connection = psycopg.Connection[Any]
CHUNK = 64 * 1024
FETCHED = 5000
"""Rows of one trip to the database."""

FROM = sql.SQL("FROM event e JOIN leaf l ON l.leaf_hash = e.leaf_hash")
ORDER = sql.SQL("ORDER BY e.recorded_at, e.stream_kind, e.stream_id, e.seq")


class Counter:
    """How many events have been written so far."""

    rows: int = 0


Names = Mapping[str, str]
"""Badge → printed name, of those whose names the reader may be told."""
Write = Callable[[Connection, sql.Composed, Counter, Names], Iterator[bytes]]
"""Writes the events of a WHERE clause in chunks and counts them as they pass."""


@dataclass(frozen=True)
class Format:
    """A way to write the log down. `name` is the word in the address, and the file's ending where `ending` is not another."""

    name: str
    label: str
    media_type: str
    write: Write
    ending: str | None = None
    named: bool = False
    """Whether printed names stand in it."""

    @property
    def file_ending(self) -> str:
        """What the name of a file of it ends in."""
        return self.ending or self.name


class EventRow(NamedTuple):
    """One event as an encoder gets it. Instants are UTC; hashes are hex; `entry` is the text that was hashed."""

    log_index: int
    stream: str
    id: str
    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str
    site: str | None
    donor: str | None
    state_before: str | None
    state: str | None
    prev_hash: str | None
    leaf_hash: str
    entry: str


_ROWS = sql.SQL(
    "SELECT l.log_index, e.stream_kind AS stream, e.stream_id AS id, e.seq, e.kind, e.occurred_at, e.recorded_at, "
    "e.recorded_by, e.site_code AS site, e.donor_code AS donor, e.state_before, e.state, "
    "encode(e.prev_hash, 'hex') AS prev_hash, encode(e.leaf_hash, 'hex') AS leaf_hash, "
    "convert_from(e.entry, 'UTF8') AS entry {source} WHERE {where} {order}"
)


def copied(statement: Callable[[sql.Composed], sql.Composed], *, header_lines: int = 0) -> Write:
    """Return the way of a format of lines that PostgreSQL writes by COPY: one line per event after `header_lines`."""

    def write(connection: Connection, where: sql.Composed, counter: Counter, _names: Names) -> Iterator[bytes]:
        lines, waiting = 0, bytearray()
        with connection.cursor() as cursor, cursor.copy(statement(where)) as copy:
            for part in copy:
                waiting += part
                if len(waiting) >= CHUNK:
                    lines += waiting.count(b"\n")
                    counter.rows = max(0, lines - header_lines)
                    yield bytes(waiting)
                    waiting.clear()
        counter.rows = max(0, lines + waiting.count(b"\n") - header_lines)
        if waiting:
            yield bytes(waiting)

    return write


def encoded(encoder: Callable[[Iterator[EventRow], Names], Iterator[bytes]]) -> Write:
    """Return the way of a format that needs the rows: `encoder` turns them into the bytes of the file."""

    def write(connection: Connection, where: sql.Composed, counter: Counter, names: Names) -> Iterator[bytes]:
        with connection.transaction(), connection.cursor("export", row_factory=class_row(EventRow)) as cursor:
            cursor.itersize = FETCHED
            cursor.execute(_ROWS.format(source=FROM, where=where, order=ORDER))

            def counted() -> Iterator[EventRow]:
                for row in cursor:
                    counter.rows += 1
                    yield row

            yield from encoder(counted(), names)

    return write


READ_BY_PEOPLE = (*EventRow._fields[:5], "what_happened", *EventRow._fields[5:8], "name", *EventRow._fields[8:])
"""The columns of a file for people: the row's own, with the sentence after `kind` and the printed name after `recorded_by`."""


def for_people(row: EventRow, names: Names) -> tuple[Any, ...]:
    """Return the cells of an event under READ_BY_PEOPLE."""
    return (*row[:5], what_happened(row.kind), *row[5:8], names.get(row.recorded_by), *row[8:])
