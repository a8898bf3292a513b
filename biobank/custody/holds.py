"""Holds: placing them. Anyone who may record may place one; lifting takes quality's signature (`quality/holds.py`)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlmodel import Session

from biobank.custody.entry import Head
from biobank.custody.event import Event
from biobank.custody.events import HOLD_EVENTS
from biobank.custody.hold_coverage import named_by
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot, blocks_of
from biobank.custody.models import hold
from biobank.custody.states import HoldKind, HoldScope, StreamKind
from biobank.foundation.errors import Conflict
from biobank.foundation.from_above import FromAbove

IN_DOUBT: Final = "handled_with_one_in_doubt"
"""Why everything of a bench session is held: one of what was handled in it may be another's."""

DOUBTED: Final = frozenset({HoldScope.SPECIMEN, HoldScope.LOT, HoldScope.HARVEST, HoldScope.SHIPMENT})
"""A doubt about one of these is one about what lay beside it at a bench. One about a person, a place or an excursion is not: a
session has one donor, whose own hold covers it whole."""

sessions_in_doubt: FromAbove[Callable[[Session, Collection[str]], list[tuple[str, str]]]] = FromAbove("benches")
"""The bench sessions, each with its donor, in which these were handled last, and that no identity hold is on yet."""


class HoldAlreadyLifted(Conflict):
    """Nothing is left to lift."""

    code = "hold_already_lifted"
    title = "Hold already lifted"


def hold_event(kind: HoldKind, scope_kind: HoldScope, scope_id: str, reason: str) -> Event:
    """Build the event that places a hold; its id is made here."""
    _stream, placed, _lifted = HOLD_EVENTS[scope_kind]
    event: Event = placed(
        hold=str(uuid4()),
        hold_kind=kind,
        scope_kind=scope_kind,
        scope_id=scope_id,
        blocks=blocks_of(kind),
        reason=reason,
    )
    return event


def specimen_hold_fact(specimen: Snapshot, kind: HoldKind, head: Head, *, reason: str) -> Fact:
    """Return the fact that places a hold on one specimen, to be appended with the event that causes it."""
    event = hold_event(kind, HoldScope.SPECIMEN, specimen.code, reason)
    return Fact(StreamKind.SPECIMEN, specimen.code, event, head, specimen if specimen.seq else None, specimen.donor_code)


def keep_placed(session: Session, facts: Sequence[Fact], appended: Sequence[Appended]) -> list[UUID]:
    """Write the hold rows of every hold-placing fact among `facts`; return their ids.

    One whose identity is in doubt also holds what was handled at the same workstation since its last line clearance.
    """
    rows = _rows_of(facts, appended)
    if rows:
        session.execute(insert(hold), rows)
    companions = _companions(session, rows, facts)
    if companions:
        session.execute(insert(hold), _rows_of(companions, append(session, companions)))
    return [row["id"] for row in rows]


def _companions(session: Session, rows: Sequence[dict[str, Any]], facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts that hold the bench sessions of what these holds doubt, each session once."""
    heads = {fact.event.payload().get("hold"): fact.head for fact in facts}
    found: dict[str, Fact] = {}
    for row in rows:
        if row["kind"] != HoldKind.IDENTITY.value or row["scope_kind"] not in DOUBTED:
            continue
        for code, donor in sessions_in_doubt.get()(session, named_by(session, row["scope_kind"], row["scope_id"])):
            event = hold_event(HoldKind.IDENTITY, HoldScope.BENCH_SESSION, code, IN_DOUBT)
            found.setdefault(code, Fact(StreamKind.SYSTEM, code, event, heads[str(row["id"])], donor_code=donor))
    return list(found.values())


def _rows_of(facts: Sequence[Fact], appended: Sequence[Appended]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for fact, done in zip(facts, appended, strict=True):
        if done.kind.endswith(".hold_placed"):
            body = fact.event.payload()
            rows.append(
                {
                    "id": UUID(body["hold"]),
                    "kind": body["hold_kind"],
                    "scope_kind": body["scope_kind"],
                    "scope_id": body["scope_id"],
                    "blocks": list(body["blocks"]),
                    "reason": body["reason"],
                    # A stated time may only widen what it covers: said to be later, it still holds from when it was recorded.
                    "placed_at": min(fact.head.occurred_at, fact.head.recorded_at),
                    "placed_by": fact.head.by,
                    "placed_event": done.leaf_hash,
                }
            )
    return rows


def placed_since(session: Session, scope: HoldScope, code: str, reason: str, since: datetime) -> bool:
    """Say whether a hold for this reason was placed on the thing itself at `since` or later, lifted or not."""
    of_it = (hold.c.scope_kind == scope.value, hold.c.scope_id == code, hold.c.reason == reason)
    return session.execute(select(hold.c.id).where(*of_it, hold.c.placed_at >= since).limit(1)).first() is not None


def stands(session: Session, scope: HoldScope, code: str, kind: HoldKind, reason: str) -> bool:
    """Say whether a hold of this kind and for this reason is in force on the thing itself: a second would say nothing more."""
    of_it = (hold.c.scope_kind == scope.value, hold.c.scope_id == code, hold.c.kind == kind.value, hold.c.reason == reason)
    return session.execute(select(hold.c.id).where(*of_it, hold.c.lifted_at.is_(None)).limit(1)).first() is not None


def in_force_on(session: Session, scope: HoldScope, code: str) -> list[tuple[HoldKind, str]]:
    """Return the kind and the reason of each hold in force on the thing itself, each once."""
    of_it = (hold.c.scope_kind == scope.value, hold.c.scope_id == code, hold.c.lifted_at.is_(None))
    rows = session.execute(select(hold.c.kind, hold.c.reason).where(*of_it).distinct().order_by(hold.c.kind, hold.c.reason))
    return [(HoldKind(row.kind), row.reason) for row in rows]


def place(
    session: Session,
    *,
    kind: HoldKind,
    scope_kind: HoldScope,
    scope_id: str,
    reason: str,
    head: Head,
    specimen: Snapshot | None = None,
    donor_code: str | None = None,
    container: str | None = None,
    stream_id: str | None = None,
) -> tuple[UUID, Appended]:
    """Place one hold and return its id and its event.

    For a specimen scope pass the locked `specimen`. For a harvest scope pass its donor and for an
    excursion its `container`: the event stands on the stream of that; for a box of a shipment say the `stream_id`.
    """
    stream, _placed, _lifted = HOLD_EVENTS[scope_kind]
    stream_id = stream_id or container or ((donor_code or scope_id) if scope_kind is HoldScope.HARVEST else scope_id)
    fact = Fact(
        stream,
        stream_id,
        hold_event(kind, scope_kind, scope_id, reason),
        head,
        specimen,
        specimen.donor_code if specimen is not None else donor_code,
    )
    appended = append(session, [fact])
    (hold_id,) = keep_placed(session, [fact], appended)
    return hold_id, appended[0]


@dataclass(frozen=True)
class Lifting:
    """Which hold is lifted, the event that placed it, why, under whose signature, and what it is on."""

    hold: UUID
    placed: bytes
    reason: str
    signature: str
    subject: str


def lift(
    session: Session,
    lifting: Lifting,
    scope_kind: HoldScope,
    stream_id: str,
    head: Head,
    *,
    specimen: Snapshot | None = None,
    donor_code: str | None = None,
) -> Appended:
    """Append the event that lifts a hold and write that it is lifted. Raises HoldAlreadyLifted when it was not in force.

    It held until the lifting was recorded: a stated time never takes back what a hold covered.
    """
    stream, _placed, lifted = HOLD_EVENTS[scope_kind]
    event = lifted(hold=str(lifting.hold), placed=lifting.placed.hex(), reason=lifting.reason, signature=lifting.signature)
    (appended,) = append(session, [Fact(stream, stream_id, event, head, specimen, donor_code)])
    done = session.execute(
        update(hold)
        .where(hold.c.id == lifting.hold, hold.c.lifted_at.is_(None))
        .values(lifted_at=max(head.occurred_at, head.recorded_at), lifted_by=head.by, lifted_event=appended.leaf_hash)
        .returning(hold.c.id)
    ).first()
    if done is None:
        raise HoldAlreadyLifted("Someone else lifted this hold a moment ago.", subject=lifting.subject)
    return appended
