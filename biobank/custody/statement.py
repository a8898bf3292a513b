"""What appends events: custody row or stream head, event, pending row and kept answer in one statement, or nothing of it.

There is one text. The columns it writes are those of the tables, read from their models, so that a new column of `event` is
written by everyone or the insert fails for everyone. Three senders fill it in:

- `compose`: one event on one specimen, every value a parameter (`ledger.append`, and a scan that comes alone);
- `compose_each`: several such that know nothing of each other, each written or left out by itself (scans that share);
- `compose_all`: many events on many streams, all or none (`ledger.append`).

Each compares the sequence that the caller saw. Pure: nothing here talks to the database.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, LiteralString, cast

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import dialect

from biobank.acts.models import idempotency
from biobank.custody.entry import Head, build_entry
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody as custody_table
from biobank.custody.projection import PROJECTED, Projection
from biobank.custody.states import StreamKind
from biobank.foundation.many_rows import json_of
from biobank.transparency.models import event as event_table
from biobank.transparency.models import stream_head


@dataclass(frozen=True)
class Fact:
    """An event about to be appended. `before` is the specimen as the caller saw it; None on other streams."""

    stream: StreamKind
    stream_id: str
    event: Event
    head: Head
    before: Snapshot | None = None
    donor_code: str | None = None


@dataclass(frozen=True)
class Appended:
    """An event that stands in its stream."""

    stream: str
    stream_id: str
    seq: int
    kind: str
    leaf_hash: bytes
    recorded_at: datetime
    projection: Projection | None
    """What the specimen is after it; None on other streams."""

    @property
    def after(self) -> Projection:
        """The projection after an event of a specimen."""
        assert self.projection is not None, self.stream
        return self.projection


@dataclass(frozen=True, slots=True)
class End:
    """Where a stream ends: what its next event builds on. On other streams than specimens the projection stays as it is."""

    seq: int = 0
    head_hash: bytes | None = None
    projection: Projection = field(default_factory=Projection)
    last_occurred_at: datetime | None = None
    state_seq: int = 0

    @classmethod
    def of(cls, specimen: Snapshot | None) -> "End":
        """Where the stream of a specimen ends by its snapshot; None: it has no event yet."""
        if specimen is None:
            return cls()
        return cls(specimen.seq, specimen.head_hash, specimen.projection, specimen.last_occurred_at, specimen.state_seq)

    def custody(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return what the custody row becomes: sequence, hash, times and the projected `columns`."""
        return {
            "to_seq": self.seq,
            "to_head_hash": self.head_hash,
            "to_last_occurred_at": self.last_occurred_at,
            "to_state_seq": self.state_seq,
            **{f"to_{name}": getattr(self.projection, name) for name in columns},
        }


def follow(fact: Fact, end: End) -> tuple[Appended, dict[str, Any], End]:
    """Put a fact behind the `end` of its stream: where it will stand, its row of `event`, and the new end."""
    head, seq, kind = fact.head, end.seq + 1, type(fact.event).model_fields["kind"].default
    payload = fact.event.payload()
    projection, last, state_seq = end.projection, head.occurred_at, end.state_seq
    of_specimen = fact.stream is StreamKind.SPECIMEN
    if of_specimen:
        effect = type(fact.event).whole_effect()
        projection = projection.after(effect, payload, head.members())
        state_seq = seq if "state" in effect else state_seq
        last = last if end.last_occurred_at is None else max(end.last_occurred_at, last)
    entry, leaf = build_entry(fact.stream.value, fact.stream_id, seq, end.head_hash, fact.event, payload, head)
    row = {
        "stream_kind": fact.stream.value,
        "stream_id": fact.stream_id,
        "seq": seq,
        "kind": kind,
        "entry": entry,
        "prev_hash": end.head_hash,
        "state": projection.state,
        "state_before": end.projection.state,
        "occurred_at": head.occurred_at,
        "recorded_at": head.recorded_at,
        "recorded_by": head.by,
        "site_code": head.site,
        "donor_code": fact.donor_code,
    }
    appended = Appended(fact.stream.value, fact.stream_id, seq, kind, leaf, head.recorded_at, projection if of_specimen else None)
    return appended, row, End(seq, leaf, projection, last, state_seq)


def _types(table: Table) -> dict[str, str]:
    """The columns of a table that a statement writes, with their types in SQL: all but those the database computes."""
    spelt = dialect()  # type: ignore[no-untyped-call]
    return {c.name: c.type.compile(spelt) for c in table.columns if c.computed is None and c.identity is None}


_CUSTODY = _types(custody_table)
_EVENT = _types(event_table)
_HEAD = {name: kind for name, kind in _types(stream_head).items() if name != "state"}
_KEPT = _types(idempotency)
_END = ("seq", "head_hash", "last_occurred_at", "state_seq")
"""What every event changes in its custody row, beside what its effect projects."""
assert set(_CUSTODY) == {"code", "donor_code", *_END, *PROJECTED}

Value = Callable[[str], str]


def _names(columns: Mapping[str, str]) -> str:
    return ", ".join(columns)


def _values(columns: Mapping[str, str], value: Value, prefix: str = "") -> str:
    return ", ".join(value(prefix + name) for name in columns)


def _record(**columns: Mapping[str, str]) -> str:
    """The shape of a JSON row; keywords are what stands before the names."""
    prefixed = {"event": "", "custody": "to_", "kept": "kept_"}
    return ", ".join(f"{prefixed[of]}{name} {kind}" for of, those in columns.items() for name, kind in those.items())


def _becomes(columns: Sequence[str], value: Value) -> str:
    return ", ".join(f"{name} = {value('to_' + name)}" for name in (*_END, *columns))


def _statement(given: str, written: str, value: Value, source: str, kept: str, answer: str) -> LiteralString:
    """The text: `given` rows, what was `written` of custody or heads, then its events from `source`, and what is kept."""
    text: Any = f"""
    WITH {given}written AS ({written}), e AS (
        INSERT INTO event ({_names(_EVENT)})
        SELECT {_values(_EVENT, value)} FROM {source}
        RETURNING stream_kind, stream_id, seq, leaf_hash, recorded_at
    ), queued AS (
        INSERT INTO pending (leaf_hash, recorded_at)
        SELECT leaf_hash, recorded_at FROM e ORDER BY stream_kind, stream_id, seq
        RETURNING 1
    ){kept}
    SELECT {answer}"""
    return cast(LiteralString, text)


def _kept(value: Value, source: str) -> str:
    return f""", kept AS (
        INSERT INTO idempotency ({_names(_KEPT)}) SELECT {_values(_KEPT, value, "kept_")} FROM {source}
    )"""


def _parameter(name: str) -> str:
    return f"%({name})s"


def _of_row(name: str) -> str:
    return f"x.{name}"


@cache
def _one(columns: tuple[str, ...], keeps: bool) -> LiteralString:
    """The statement for one event whose effect writes `columns`. The others keep what they have: the sequence says so."""
    update = (
        f"UPDATE custody SET {_becomes(columns, _parameter)} WHERE code = %(stream_id)s AND seq = %(expected)s RETURNING code"
    )
    return _statement("", update, _parameter, "written", _kept(_parameter, "queued") if keeps else "", "count(*) FROM queued")


@cache
def _each(columns: tuple[str, ...]) -> LiteralString:
    custody = {name: _CUSTODY[name] for name in (*_END, *columns)}
    given = f"""asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(rows)s::json) AS x(expected int, {_record(event=_EVENT, custody=custody, kept=_KEPT)})
    ), """
    update = f"""UPDATE custody SET {_becomes(columns, _of_row)} FROM asked x
        WHERE custody.code = x.stream_id AND custody.seq = x.expected RETURNING custody.code AS stream_id"""
    source = "written JOIN asked x USING (stream_id)"
    return _statement(given, update, _of_row, source, _kept(_of_row, source), "stream_id FROM written")


def _all(given: str, written: str) -> LiteralString:
    """Many events; none is written unless every row was, of which `%(expected)s` were given."""
    events = f"ev AS (SELECT * FROM json_to_recordset(%(events)s::json) AS x({_record(event=_EVENT)})), "
    source = "ev x WHERE (SELECT count(*) FROM written) = %(expected)s ORDER BY x.stream_kind, x.stream_id, x.seq"
    return _statement(events + given, written, _of_row, source, "", "count(*) FROM queued")


def _all_specimens() -> LiteralString:
    custody, columns = {name: _CUSTODY[name] for name in (*_END, *PROJECTED)}, ", ".join((*_END, *PROJECTED))
    given = f"""asked AS (
        SELECT * FROM json_to_recordset(%(rows)s::json)
        AS x(code text, donor_code text, expected int, {_record(custody=custody)})
    ), updated AS (
        UPDATE custody SET {_becomes(PROJECTED, _of_row)} FROM asked x
        WHERE x.expected > 0 AND custody.code = x.code AND custody.seq = x.expected
        RETURNING custody.code
    ), started AS (
        INSERT INTO custody (code, donor_code, {columns})
        SELECT x.code, x.donor_code, {_values(custody, _of_row, "to_")} FROM asked x WHERE x.expected = 0
        RETURNING code
    ), """
    return _all(given, "SELECT code FROM updated UNION ALL SELECT code FROM started")


def _all_others() -> LiteralString:
    given = f"asked AS (SELECT * FROM json_to_recordset(%(rows)s::json) AS x(expected int, {_record(event=_HEAD)})), "
    written = f"""
        INSERT INTO stream_head ({_names(_HEAD)}) SELECT {_names(_HEAD)} FROM asked
        ON CONFLICT (stream_kind, stream_id) DO UPDATE SET seq = EXCLUDED.seq, head_hash = EXCLUDED.head_hash
        WHERE stream_head.seq = (
            SELECT x.expected FROM asked x WHERE x.stream_kind = EXCLUDED.stream_kind AND x.stream_id = EXCLUDED.stream_id)
        RETURNING 1
    """
    return _all(given, written)


_ALL = {True: _all_specimens(), False: _all_others()}


@dataclass(frozen=True)
class Composed:
    """One event ready to be appended: the driver's statement, which returns 1, or 0 when the specimen had moved on."""

    appended: Appended
    text: LiteralString
    parameters: dict[str, Any]


def compose(fact: Fact, kept: Callable[[Appended], dict[str, Any]] | None = None) -> Composed:
    """Return the statement that appends `fact` to a specimen that has a record already (`fact.before`). Pure.

    `kept` gives the answer that is kept under the caller's key, as a row of `idempotency`.
    """
    assert fact.before is not None
    columns = tuple(type(fact.event).whole_effect())
    appended, row, end = follow(fact, End.of(fact.before))
    parameters = row | end.custody(columns) | {"expected": fact.before.seq}
    if kept is not None:
        parameters |= {f"kept_{name}": value for name, value in kept(appended).items()}
    return Composed(appended, _one(columns, kept is not None), parameters)


def compose_each(several: Sequence[Composed]) -> tuple[LiteralString, dict[str, Any]]:
    """Return one statement for `several` appends that know nothing of each other, each with its kept answer. Pure.

    Each is written, whole, or not at all; the statement returns the codes of those that were. Only the first of two that
    concern the same specimen is taken along. Rows are in code order, which is the order of locks.
    """
    first: dict[str, Composed] = {}
    for one in several:
        first.setdefault(one.appended.stream_id, one)
    columns = tuple(name for name in PROJECTED if any(f"to_{name}" in one.parameters for one in first.values()))
    rows = [
        one.parameters | {f"to_{name}": getattr(one.appended.after, name) for name in columns} for _, one in sorted(first.items())
    ]
    return _each(columns), {"rows": json_of(rows)}


@dataclass(frozen=True)
class Stream:
    """One stream in a statement of many: where it ended as the caller saw it, and where it will end."""

    kind: StreamKind
    id: str
    donor_code: str | None
    expected: int
    end: End

    def row(self) -> dict[str, Any]:
        """The custody row or stream head it leaves."""
        if self.kind is StreamKind.SPECIMEN:
            head = {"code": self.id, "donor_code": self.donor_code, "expected": self.expected}
            return head | self.end.custody(PROJECTED)
        head = {"stream_kind": self.kind.value, "stream_id": self.id, "expected": self.expected}
        return head | {"seq": self.end.seq, "head_hash": self.end.head_hash}


def compose_all(events: Sequence[dict[str, Any]], streams: Sequence[Stream]) -> tuple[LiteralString, dict[str, Any]]:
    """Return the statement that appends all `events` to `streams`, specimens or others, or none; it returns their number."""
    specimens = streams[0].kind is StreamKind.SPECIMEN
    rows = json_of([stream.row() for stream in streams])
    return _ALL[specimens], {"events": json_of(events), "rows": rows, "expected": len(streams)}
