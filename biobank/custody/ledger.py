"""The one writer. `append` alone writes events and custody, for one event or five thousand.

Guarantees of `append`, when it returns:

- every event stands in its stream with the next sequence number, its final bytes, the leaf hash of its predecessor and a
  `pending` row for the sealer, in the caller's transaction;
- the custody row of every specimen is the projection after its last event; the database compares them at COMMIT;
- nothing was written over: the custody row (or stream head) was still at the sequence the caller saw.

It is one statement for specimens and one for other streams, however many events, because round trips are what costs. The
commonest append, one event on one specimen, has a narrower statement of its own (`scan_path/statement.py`), which the
scan path sends without a session.
Lock order for callers that lock first: donor, withdrawal, specimens by code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from sqlalchemy import TextClause, bindparam, select, text
from sqlmodel import Session

from biobank.custody.entry import build_entry
from biobank.custody.projection import PROJECTED, Projection
from biobank.custody.scan_path.statement import COLUMN_TYPES, Appended, Fact, appended_of, bytea, compose
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, StaleSequence
from biobank.transparency.models import StreamHead

__all__ = ["Appended", "Fact", "append"]

_head = table_of(StreamHead)


class UnknownColleague(Conflict):
    """`performed_by` names somebody who has no login here, so nobody could ever confirm."""

    code = "unknown_colleague"
    title = "No such colleague"


_EVENTS = """
    ev AS (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS x(
            stream_kind text, stream_id text, seq int, kind text, entry bytea, prev_hash bytea, state text,
            state_before text, occurred_at timestamptz, recorded_at timestamptz, recorded_by text, site_code text,
            donor_code text)
    )"""

_INSERTS = """
    e AS (
        INSERT INTO event (stream_kind, stream_id, seq, kind, entry, prev_hash, state, state_before, occurred_at,
                           recorded_at, recorded_by, site_code, donor_code)
        SELECT stream_kind, stream_id, seq, kind, entry, prev_hash, state, state_before, occurred_at,
               recorded_at, recorded_by, site_code, donor_code
        FROM ev WHERE (SELECT count(*) FROM written) = :rows_expected
        ORDER BY stream_kind, stream_id, seq
        RETURNING stream_kind, stream_id, seq, leaf_hash, recorded_at
    ), queued AS (
        INSERT INTO pending (leaf_hash, recorded_at)
        SELECT leaf_hash, recorded_at FROM e ORDER BY stream_kind, stream_id, seq
        RETURNING 1
    ), kept AS (
        INSERT INTO idempotency (actor_code, key, request_hash, status, answer, at)
        SELECT x.actor_code, x.key, x.request_hash, x.status, x.answer, x.at
        FROM json_to_record(CAST(:idempotency AS json)) AS x(
            actor_code text, key text, request_hash bytea, status smallint, answer text, at timestamptz)
        WHERE x.key IS NOT NULL AND EXISTS (SELECT 1 FROM queued)
        RETURNING 1
    )
    SELECT count(*) FROM queued"""

_HEAD_TYPES = "code text, donor_code text, expected int, seq int, head_hash bytea, last_occurred_at timestamptz, state_seq int"
_RECORD = ", ".join([_HEAD_TYPES, *(f"{name} {COLUMN_TYPES.get(name, 'text')}" for name in PROJECTED)])
_WRITTEN = ["seq", "head_hash", "last_occurred_at", "state_seq", *PROJECTED]

_APPEND: TextClause = text(
    f"""
    WITH {_EVENTS}, cu AS (
        SELECT * FROM json_to_recordset(CAST(:custody AS json)) AS x({_RECORD})
    ), updated AS (
        UPDATE custody SET {", ".join(f"{c} = cu.{c}" for c in _WRITTEN)}
        FROM cu WHERE cu.expected > 0 AND custody.code = cu.code AND custody.seq = cu.expected
        RETURNING custody.code
    ), started AS (
        INSERT INTO custody (code, donor_code, {", ".join(_WRITTEN)})
        SELECT code, donor_code, {", ".join(_WRITTEN)} FROM cu WHERE expected = 0
        RETURNING code
    ), written AS (
        SELECT code FROM updated UNION ALL SELECT code FROM started
    ), {_INSERTS}
    """  # noqa: S608 - the names interpolated are our own constants
)

_APPEND_OTHER: TextClause = text(
    f"""
    WITH {_EVENTS}, hd AS (
        SELECT * FROM json_to_recordset(CAST(:heads AS json)) AS x(
            stream_kind text, stream_id text, expected int, seq int, head_hash bytea)
    ), written AS (
        INSERT INTO stream_head (stream_kind, stream_id, seq, head_hash)
        SELECT stream_kind, stream_id, seq, head_hash FROM hd
        ON CONFLICT (stream_kind, stream_id) DO UPDATE SET seq = EXCLUDED.seq, head_hash = EXCLUDED.head_hash
        WHERE stream_head.seq = (SELECT h.expected FROM hd h
                                 WHERE h.stream_kind = EXCLUDED.stream_kind AND h.stream_id = EXCLUDED.stream_id)
        RETURNING 1
    ), {_INSERTS}
    """  # noqa: S608 - the names interpolated are our own constants
)

_NAME_HANDS: TextClause = text(
    """
    WITH named AS (
        INSERT INTO hands (leaf_hash, user_code)
        SELECT decode(x.leaf, 'hex'), u.code
        FROM json_to_recordset(CAST(:named AS json)) AS x(leaf text, code text) JOIN app_user u ON u.code = x.code
        RETURNING 1
    )
    SELECT count(*) FROM named
    """
)

_lock_head = (
    select(_head.c.seq, _head.c.head_hash)
    .where(_head.c.stream_kind == bindparam("kind"), _head.c.stream_id == bindparam("id"))
    .with_for_update()
)

NO_IDEMPOTENCY: dict[str, Any] = {"key": None}


def append(
    session: Session,
    facts: Sequence[Fact],
    *,
    idempotency: Callable[[list[Appended]], dict[str, Any]] | None = None,
) -> list[Appended]:
    """Append `facts` in order and return where they stand.

    Legality is the caller's question (`custody.recording`); this function owns bytes, sequence and projection. Several
    facts may concern one stream: each builds on the one before. `idempotency` turns what was appended into an answer row
    that is kept in the same statement.

    Raises UnknownColleague, and StaleSequence when a stream moved on since the caller read it; then nothing was written,
    provided the caller appended to one specimen only or holds the locks of all.
    """
    if len(facts) == 1 and facts[0].before is not None:
        one = compose(facts[0], idempotency)
        if not session.connection().exec_driver_sql(one.text, one.parameters).scalar_one():
            raise _moved_on(facts[0].stream_id)
        _keep_named_hands(session, facts, [one.appended])
        return [one.appended]
    specimens = _Batch()
    others = _Batch()
    answers: list[Appended] = []
    for fact in facts:
        if fact.stream is StreamKind.SPECIMEN:
            answers.append(specimens.add_specimen_event(fact))
        else:
            answers.append(others.add_other_event(session, fact))
    kept = NO_IDEMPOTENCY if idempotency is None else idempotency(answers)
    if others.rows:
        written = _run(session, _APPEND_OTHER, others, "heads", NO_IDEMPOTENCY if specimens.rows else kept)
        _require_written(written, others)
    if specimens.rows:
        _require_written(_run(session, _APPEND, specimens, "custody", kept), specimens)
    _keep_named_hands(session, facts, answers)
    return answers


def _keep_named_hands(session: Session, facts: Sequence[Fact], answers: Sequence[Appended]) -> None:
    """List every colleague whom an entry names without their own credentials, until they answer.

    `performer_confirmations.py` has their answers.
    """
    named = [
        {"leaf": a.leaf_hash.hex(), "code": h.user}
        for fact, a in zip(facts, answers, strict=True)
        for h in fact.head.performed
        if not h.confirmed
    ]
    if named and session.execute(_NAME_HANDS, {"named": orjson.dumps(named).decode()}).scalar_one() != len(named):
        raise UnknownColleague(
            "`performed_by` names a badge that no login of this bank has. Scan your colleague's badge, or leave it out."
        )


class _Batch:
    """Events of one statement, and the final row of each stream they touch."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.rows: dict[str, dict[str, Any]] = {}

    def add_specimen_event(self, fact: Fact) -> Appended:
        """Add an event of a specimen, on top of what this batch already holds of it."""
        row = self.rows.get(fact.stream_id)
        before = fact.before
        if row is None:
            projection = Projection() if before is None else before.projection
            seq = 0 if before is None else before.seq
            prev = None if before is None else before.head_hash
            state_seq = 0 if before is None else before.state_seq
            last = None if before is None else before.last_occurred_at
            row = {"code": fact.stream_id, "donor_code": fact.donor_code, "expected": seq}
        else:
            projection, seq, prev = row["_projection"], row["seq"], row["_head"]
            state_seq, last = row["state_seq"], row["_last"]
        payload = fact.event.payload()
        effect = type(fact.event).whole_effect()
        after = projection.after(effect, payload, fact.head.members())
        seq += 1
        entry, leaf = build_entry("specimen", fact.stream_id, seq, prev, fact.event, payload, fact.head)
        occurred = fact.head.occurred_at if last is None else max(last, fact.head.occurred_at)
        row |= after.columns() | {
            "seq": seq,
            "head_hash": bytea(leaf),
            "last_occurred_at": rfc3339(occurred),
            "state_seq": seq if "state" in effect else state_seq,
            "_projection": after,
            "_head": leaf,
            "_last": occurred,
        }
        self.rows[fact.stream_id] = row
        self._add(fact, seq, prev, entry, after.state, projection.state if prev is not None else None)
        return appended_of(fact, seq, leaf, after)

    def add_other_event(self, session: Session, fact: Fact) -> Appended:
        """Add an event of another stream; its head is locked when the batch first meets it."""
        name = f"{fact.stream.value}/{fact.stream_id}"
        row = self.rows.get(name)
        if row is None:
            found = session.execute(_lock_head, {"kind": fact.stream.value, "id": fact.stream_id}).first()
            seq, prev = (0, None) if found is None else (found.seq, bytes(found.head_hash))
            row = {"stream_kind": fact.stream.value, "stream_id": fact.stream_id, "expected": seq}
        else:
            seq, prev = row["seq"], row["_head"]
        seq += 1
        payload = fact.event.payload()
        entry, leaf = build_entry(fact.stream.value, fact.stream_id, seq, prev, fact.event, payload, fact.head)
        row |= {"seq": seq, "head_hash": bytea(leaf), "_head": leaf}
        self.rows[name] = row
        self._add(fact, seq, prev, entry, "", None if prev is None else "")
        return appended_of(fact, seq, leaf, None)

    def _add(self, fact: Fact, seq: int, prev: bytes | None, entry: bytes, state: str, state_before: str | None) -> None:
        self.events.append(
            {
                "stream_kind": fact.stream.value,
                "stream_id": fact.stream_id,
                "seq": seq,
                "kind": type(fact.event).model_fields["kind"].default,
                "entry": bytea(entry),
                "prev_hash": None if prev is None else bytea(prev),
                "state": state,
                "state_before": state_before or "",
                "occurred_at": rfc3339(fact.head.occurred_at),
                "recorded_at": rfc3339(fact.head.recorded_at),
                "recorded_by": fact.head.by,
                "site_code": fact.head.site,
                "donor_code": fact.donor_code,
            }
        )


def _run(session: Session, statement: TextClause, batch: _Batch, rows_name: str, idempotency: dict[str, Any]) -> int:
    public = [{k: v for k, v in row.items() if not k.startswith("_")} for row in batch.rows.values()]
    kept = idempotency | {"request_hash": bytea(idempotency["request_hash"])} if idempotency["key"] else idempotency
    return int(
        session.execute(
            statement,
            {
                "events": orjson.dumps(batch.events).decode(),
                rows_name: orjson.dumps(public).decode(),
                "rows_expected": len(public),
                "idempotency": orjson.dumps(kept).decode(),
            },
        ).scalar_one()
    )


def _require_written(written: int, batch: _Batch) -> None:
    if written != len(batch.events):
        first = next(iter(batch.rows.values()))
        raise _moved_on(first.get("code") or first["stream_id"])


def _moved_on(name: str) -> StaleSequence:
    return StaleSequence(
        f"The record of {name} moved on since you read it. Look at its present state and decide again.", subject=name
    )
