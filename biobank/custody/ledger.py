"""The one writer. `append` alone writes events and custody, for one event or five thousand.

Guarantees of `append`, when it returns:

- every event stands in its stream with the next sequence number, its final bytes, the leaf hash of its predecessor and a
  `pending` row for the sealer, in the caller's transaction;
- the custody row of every specimen is the projection after its last event; the database compares them at COMMIT;
- nothing was written over: the custody row (or stream head) was still at the sequence the caller saw.

It is one statement for specimens and one for other streams, however many events, because round trips are what costs; its text
is in `statement.py`, which the scan path sends without a session.
Callers that lock first do so in the order of `locks.ORDER`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Text, TextClause, bindparam, func, literal, select, text, tuple_
from sqlmodel import Session

from biobank.acts.personal_signature import held
from biobank.custody.chronology import require_order
from biobank.custody.event import signers_of
from biobank.custody.statement import Appended, End, Fact, Stream, compose, compose_all, follow
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, StaleSequence
from biobank.transparency.models import stream_head as _head

__all__ = ["Appended", "Fact", "append"]


class UnknownColleague(Conflict):
    """`performed_by` names somebody who has no login here, so nobody could ever confirm."""

    code = "unknown_colleague"
    title = "No such colleague"


_NAME_HANDS: TextClause = text(
    """
    WITH named AS (
        INSERT INTO named_performer (leaf_hash, user_code)
        SELECT decode(x.leaf, 'hex'), u.code
        FROM json_to_recordset(CAST(:named AS json)) AS x(leaf text, code text) JOIN app_user u ON u.code = x.code
        RETURNING 1
    )
    SELECT count(*) FROM named
    """
)

_lock_heads = (
    select(_head.c.stream_kind, _head.c.stream_id, _head.c.seq, _head.c.head_hash)
    .where(tuple_(_head.c.stream_kind, _head.c.stream_id).in_(bindparam("streams", expanding=True)))
    .order_by(_head.c.stream_kind, _head.c.stream_id)
    .with_for_update()
)

_begin_stream = select(
    func.pg_advisory_xact_lock(func.hashtextextended(literal("first event of ") + bindparam("name", type_=Text), 0))
)


def append(session: Session, facts: Sequence[Fact]) -> list[Appended]:
    """Append `facts` in order and return where they stand.

    Legality is the caller's question (`custody.recording`); this function owns bytes, sequence and projection. Several
    facts may concern one stream: each builds on the one before.

    Raises UnknownColleague, what `chronology.require_order` says of a stated time, and
    StaleSequence when a stream moved on since the caller read it; then nothing was written,
    provided the caller appended to one specimen only or holds the locks of all.
    """
    require_order(session, facts)
    facts = [_signed(session, fact) for fact in facts]
    if len(facts) == 1 and facts[0].before is not None and facts[0].before.seq:
        one = compose(facts[0])
        if not session.connection().exec_driver_sql(one.text, one.parameters).scalar_one():
            raise _moved_on(facts[0].stream_id)
        answers = [one.appended]
    else:
        specimens, others = _Batch(), _Batch()
        ends = _locked_ends(session, facts)
        answers = [
            specimens.add(fact, End.of(fact.before))
            if fact.stream is StreamKind.SPECIMEN
            else others.add(fact, ends.get((fact.stream.value, fact.stream_id), End()))
            for fact in facts
        ]
        for batch in (others, specimens):
            batch.write(session)
    _keep_named_hands(session, facts, answers)
    return answers


def _signed(session: Session, fact: Fact) -> Fact:
    """Give an entry the signatures that its event names; the last says at which site its signer stood."""
    signatures = held(session, fact.event.signature_ids())
    if not signatures:
        return fact
    *first, last = signatures
    own: tuple[str | None, ...] = fact.before.sites if fact.before is not None else ()
    named = getattr(fact.event, "site", None)
    places = (named, fact.head.site) if fact.stream is StreamKind.USER else (fact.head.site, *own, named)
    last = last.standing(signers_of(type(fact.event)), places)
    return replace(fact, head=replace(fact.head, signatures=(*first, last)))


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
            "Nobody here has the badge of the one who is said to have done it. Scan your colleague's badge, or leave it out."
        )


class _Batch:
    """Events of one statement, and where each stream they touch ends after them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.streams: dict[tuple[str, str], Stream] = {}

    def add(self, fact: Fact, before: End) -> Appended:
        """Add an event on top of what this batch already holds of its stream, or of where the stream ended before."""
        name = (fact.stream.value, fact.stream_id)
        stream = self.streams.get(name)
        if stream is None:
            stream = Stream(fact.stream, fact.stream_id, fact.donor_code, before.seq, before)
        appended, event, end = follow(fact, stream.end)
        self.streams[name] = replace(stream, end=end)
        self.events.append(event)
        return appended

    def write(self, session: Session) -> None:
        """Send it; raise StaleSequence when a stream moved on."""
        if not self.events:
            return
        text, parameters = compose_all(self.events, list(self.streams.values()))
        if session.connection().exec_driver_sql(text, parameters).scalar_one() != len(self.events):
            raise _moved_on(next(iter(self.streams.values())).id)


def _locked_ends(session: Session, facts: Sequence[Fact]) -> dict[tuple[str, str], End]:
    """Lock the heads of all streams among `facts` that are no specimens', in one order for every writer; new ones are absent.

    A stream of the bank itself has its name before its first event, so two may bring that one at a time: the second waits for
    the first one's transaction, and builds on it.
    """
    streams = sorted({(fact.stream.value, fact.stream_id) for fact in facts if fact.stream is not StreamKind.SPECIMEN})
    if not streams:
        return {}
    ends = _ends(session, streams)
    begun = [stream for stream in streams if stream[0] == StreamKind.SYSTEM.value and stream not in ends]
    for _, name in begun:
        session.execute(_begin_stream, {"name": name})
    return ends | _ends(session, begun) if begun else ends


def _ends(session: Session, streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], End]:
    rows = session.execute(_lock_heads, {"streams": streams})
    return {(row.stream_kind, row.stream_id): End(row.seq, bytes(row.head_hash)) for row in rows}


def _moved_on(name: str) -> StaleSequence:
    return StaleSequence(
        f"The record of {name} moved on since you read it. Look at its present state and decide again.", subject=name
    )
