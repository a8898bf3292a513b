"""The statement of one event on one specimen, and of several such at once. Pure: `ledger.append` and the hot path send them.

Either compares the sequence of the custody row, and writes custody, event, pending and the kept answer, or nothing. The
projection is the whole one, so that what stands is what was judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, LiteralString, cast

import orjson

from biobank.custody.entry import Head, build_entry
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.projection import PROJECTED, Projection
from biobank.custody.states import StreamKind


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


COLUMN_TYPES = {
    "amount": "bigint",
    "freeze_count": "int",
    "exposure_s": "int",
    "administered_under": "uuid",
    "marked": "boolean",
}
_ONE = """
    WITH written AS (
        UPDATE custody SET {columns} WHERE code = %(code)s AND seq = %(expected)s
        RETURNING code
    ), e AS (
        INSERT INTO event (stream_kind, stream_id, seq, kind, entry, prev_hash, state, state_before, occurred_at,
                           recorded_at, recorded_by, site_code, donor_code)
        SELECT 'specimen', code, %(seq)s, %(event_kind)s, %(entry)s, %(prev_hash)s, %(event_state)s, %(state_before)s,
               %(occurred_at)s, %(recorded_at)s, %(recorded_by)s, %(event_site)s, %(event_donor)s
        FROM written
        RETURNING leaf_hash, recorded_at
    ), queued AS (
        INSERT INTO pending (leaf_hash, recorded_at) SELECT leaf_hash, recorded_at FROM e
        RETURNING 1
    ){kept}
    SELECT count(*) FROM queued"""

_KEPT = """, kept AS (
        INSERT INTO idempotency (actor_code, key, request_hash, status, answer, at)
        SELECT %(kept_actor_code)s, %(kept_key)s, %(kept_request_hash)s, %(kept_status)s, %(kept_answer)s, %(kept_at)s
        FROM queued
    )"""


@cache
def _one(columns: tuple[str, ...], kept: bool) -> LiteralString:
    """The statement for one event whose effect writes `columns`. The others keep what they have: the sequence says so."""
    assignments = ", ".join(f"{name} = %({name})s" for name in ("seq", "head_hash", "last_occurred_at", "state_seq", *columns))
    text: Any = _ONE.format(columns=assignments, kept=_KEPT if kept else "")
    return cast(LiteralString, text)


@dataclass(frozen=True)
class Composed:
    """One event ready to be appended: the driver's statement, which returns 1, or 0 when the specimen had moved on."""

    appended: Appended
    text: LiteralString
    parameters: dict[str, Any]


def compose(fact: Fact, idempotency: Callable[[list[Appended]], dict[str, Any]] | None = None) -> Composed:
    """Return the statement that appends `fact` to a specimen that has a record already (`fact.before`). Pure."""
    before = fact.before
    assert before is not None
    seq, head = before.seq + 1, fact.head
    payload, effect = fact.event.payload(), type(fact.event).whole_effect()
    after = before.projection.after(effect, payload, head.members())
    entry, leaf = build_entry("specimen", fact.stream_id, seq, before.head_hash, fact.event, payload, head)
    appended = appended_of(fact, seq, leaf, after)
    last = before.last_occurred_at
    parameters: dict[str, Any] = {
        "code": fact.stream_id,
        "expected": before.seq,
        "seq": seq,
        "head_hash": leaf,
        "last_occurred_at": head.occurred_at if last is None else max(last, head.occurred_at),
        "state_seq": seq if "state" in effect else before.state_seq,
        "event_kind": appended.kind,
        "entry": entry,
        "prev_hash": before.head_hash,
        "event_state": after.state,
        "state_before": before.projection.state,
        "occurred_at": head.occurred_at,
        "recorded_at": head.recorded_at,
        "recorded_by": head.by,
        "event_site": head.site,
        "event_donor": fact.donor_code,
    }
    for name in effect:
        parameters[name] = getattr(after, name)
    if idempotency is not None:
        for name, value in idempotency([appended]).items():
            parameters[f"kept_{name}"] = value
    return Composed(appended, _one(tuple(effect), idempotency is not None), parameters)


_EACH = """
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(rows)s::json) AS x({record})
    ), written AS (
        UPDATE custody SET {columns} FROM asked x WHERE custody.code = x.code AND custody.seq = x.expected
        RETURNING custody.code
    ), e AS (
        INSERT INTO event (stream_kind, stream_id, seq, kind, entry, prev_hash, state, state_before, occurred_at,
                           recorded_at, recorded_by, site_code, donor_code)
        SELECT 'specimen', x.code, x.seq, x.event_kind, x.entry, x.prev_hash, x.event_state, x.state_before, x.occurred_at,
               x.recorded_at, x.recorded_by, x.event_site, x.event_donor
        FROM written JOIN asked x USING (code)
        RETURNING leaf_hash, recorded_at
    ), queued AS (
        INSERT INTO pending (leaf_hash, recorded_at) SELECT leaf_hash, recorded_at FROM e
    ), kept AS (
        INSERT INTO idempotency (actor_code, key, request_hash, status, answer, at)
        SELECT x.kept_actor_code, x.kept_key, x.kept_request_hash, x.kept_status, x.kept_answer, x.kept_at
        FROM written JOIN asked x USING (code)
    )
    SELECT code FROM written"""

_RECORD = """code text, expected int, seq int, head_hash bytea, last_occurred_at timestamptz, state_seq int,
    event_kind text, entry bytea, prev_hash bytea, event_state text, state_before text, occurred_at timestamptz,
    recorded_at timestamptz, recorded_by text, event_site text, event_donor text, kept_actor_code text, kept_key text,
    kept_request_hash bytea, kept_status smallint, kept_answer text, kept_at timestamptz"""


@cache
def _each(columns: tuple[str, ...]) -> LiteralString:
    record = ", ".join([_RECORD, *(f"{name} {COLUMN_TYPES.get(name, 'text')}" for name in columns)])
    assignments = ", ".join(f"{name} = x.{name}" for name in ("seq", "head_hash", "last_occurred_at", "state_seq", *columns))
    text: Any = _EACH.format(record=record, columns=assignments)
    return cast(LiteralString, text)


def compose_each(several: Sequence[Composed]) -> tuple[LiteralString, dict[str, Any]]:
    """Return one statement for `several` appends that know nothing of each other, each with its kept answer. Pure.

    Each is written, whole, or not at all; the statement returns the codes of those that were. Only the first of two that
    concern the same specimen is taken along. Rows are in code order, which is the order of locks.
    """
    first: dict[str, Composed] = {}
    for one in several:
        first.setdefault(one.appended.stream_id, one)
    columns = tuple(name for name in PROJECTED if any(name in one.parameters for one in first.values()))
    rows = [one.parameters | {name: getattr(one.appended.after, name) for name in columns} for _, one in sorted(first.items())]
    return _each(columns), {"rows": orjson.dumps(rows, default=bytea).decode()}


def appended_of(fact: Fact, seq: int, leaf: bytes, projection: Projection | None) -> Appended:
    """Say where a fact will stand."""
    kind: str = type(fact.event).model_fields["kind"].default
    return Appended(fact.stream.value, fact.stream_id, seq, kind, leaf, fact.head.recorded_at, projection)


def bytea(data: bytes) -> str:
    """Write bytes as PostgreSQL reads them in JSON."""
    return "\\x" + data.hex()
