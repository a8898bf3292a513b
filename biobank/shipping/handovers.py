"""Hand-overs, two-sided: the giver offers, the receiver accepts with their own login; a courier by recorded evidence.

What an acceptance needs is what the offer was about: each specimen in the state it was offered in, still with the giver, the
offer still standing. Remarks, inspections and holds since then do not matter; a change of state or custodian does. All or
nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.events import HandoverAccepted, HandoverDeclined, HandoverExpired, HandoverOffered
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, Move, acknowledge, record, require_expected
from biobank.custody.snapshots import get_all_visible, load
from biobank.custody.states import Condition, CustodianKind, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import MalformedRequest, raise_first
from biobank.shipping.handover_queries import get_handover, handover, item, public_of
from biobank.shipping.handover_rules import (
    EvidenceRequired,
    accept_refusals,
    decline_refusals,
    offer_refusals,
    read_receiver,
    require_unchanged,
    several_custodians,
)
from biobank.shipping.onward import require_onward
from biobank.shipping.schemas import AcceptRequest, DeclineRequest, HandoverAnswer, HandoverRequest

P = Permission.HANDOVER_TAKE


def offer(session: Session, act: Act, request: HandoverRequest) -> HandoverAnswer:
    """Offer specimens to a receiver; custody stays where it is."""
    codes = [line.specimen for line in request.specimens]
    if len(set(codes)) != len(codes):
        raise MalformedRequest("A specimen stands twice in this request. Send each specimen once.")
    overdue = _overdue_of(session, codes, act)
    _lock_with(session, overdue, codes)
    for specimen, line in zip(get_all_visible(session, act.actor, codes), request.specimens, strict=True):
        require_expected(specimen, line.expected_seq)
    _end_overdue(session, act, overdue)
    specimens = get_all_visible(session, act.actor, codes, lock=True, holds=True)
    receiver = read_receiver(session, request.to_kind, request.to_id)
    for specimen in specimens:
        raise_first(offer_refusals(act.actor, specimen, receiver))
    require_onward(session, act, specimens, request.occurred_at, receiver)
    several = several_custodians(specimens)
    if several is not None:
        raise several
    giver = specimens[0].projection.custodian_kind, specimens[0].projection.custodian_id
    name, expires_at = uuid4(), act.at + timedelta(minutes=request.expires_in_minutes)
    event = HandoverOffered(
        handover=str(name), to_kind=CustodianKind(request.to_kind), to_id=request.to_id, expires_at=rfc3339(expires_at)
    )
    appended = record(session, act, [Move(s, event) for s in specimens], request)
    # An offer that another event ended (the tube was stored, say) no longer stands, though its hand-over is not over yet.
    session.execute(update(item).where(item.c.specimen_code.in_(codes), item.c.open).values(open=False))
    session.execute(
        insert(handover).values(
            id=name,
            from_kind=giver[0],
            from_id=giver[1],
            to_kind=request.to_kind,
            to_id=request.to_id,
            offered_at=act.at,
            offered_by=act.actor.code,
            expires_at=expires_at,
        )
    )
    session.execute(
        insert(item),
        [
            {
                "handover_id": name,
                "specimen_code": s.code,
                "state_seq": s.state_seq,
                "offered_event": done.leaf_hash,
            }
            for s, done in zip(specimens, appended, strict=False)
        ],
    )
    return _answer(session, act, name, appended)


def accept(session: Session, act: Act, handover_id: UUID, request: AcceptRequest) -> HandoverAnswer:
    """Take over everything that was offered. Custody passes in this moment."""
    row, items = get_handover(session, act.actor, handover_id, lock=True)
    raise_first(accept_refusals(act.actor, row, act.at))
    if row.to_kind == CustodianKind.COURIER.value and request.evidence is None:
        raise EvidenceRequired(
            f"{row.to_id} holds the specimens only once it accepted them: give the reference of its acceptance.",
            handover=str(row.id),
        )
    specimens = load(session, [line.specimen_code for line in items], lock=True, holds=True)
    for line in items:
        require_unchanged(row, line, specimens[line.specimen_code])
    receiver = read_receiver(session, row.to_kind, row.to_id)
    require_onward(session, act, list(specimens.values()), request.occurred_at, receiver)
    event = HandoverAccepted(handover=str(row.id), to_kind=CustodianKind(row.to_kind), to_id=row.to_id, evidence=request.evidence)
    since = rfc3339(request.occurred_at or act.at)
    moves = [
        Move(
            specimens[i.specimen_code],
            event.model_copy(update={"out_since": since}) if starts_clock(specimens[i.specimen_code]) else event,
            site=_site_for(act.actor, specimens[i.specimen_code]),
            relies_on=(bytes(i.offered_event),),
        )
        for i in items
    ]
    appended = record(session, act, moves, request)
    _end(session, act, row.id, accepted_at=act.at, accepted_by=act.actor.code, evidence=request.evidence)
    return _answer(session, act, row.id, appended)


def starts_clock(specimen: Snapshot) -> bool:
    """Say whether a hand-over starts its clock: it is in no place and with no courier, and nothing has started it before."""
    placed = specimen.state in (State.STORED, State.IN_TRANSIT)
    return specimen.projection.condition == Condition.FROZEN.value and specimen.projection.out_since is None and not placed


def decline(session: Session, act: Act, handover_id: UUID, request: DeclineRequest) -> HandoverAnswer:
    """Say no as the receiver, or take the offer back as the giver. Custody stays where it is."""
    row, items = get_handover(session, act.actor, handover_id, lock=True)
    raise_first(decline_refusals(act.actor, row))
    event = HandoverDeclined(handover=str(row.id), reason=request.reason)
    moves = [
        Move(s, event, site=_site_for(act.actor, s), relies_on=(bytes(line.offered_event),))
        for s, line in _standing(session, row, items)
    ]
    appended = record(session, act, moves, request)
    _end(session, act, row.id, declined_at=act.at, declined_by=act.actor.code, decline_reason=request.reason)
    return _answer(session, act, row.id, appended)


@timer(every=timedelta(seconds=30))
def expire_handovers(session: Session, act: Act) -> int:
    """End every offer whose time has passed, and return how many. A timer's work."""
    due = _due(act).limit(200)
    return _end_overdue(session, act, session.execute(locked(due, handover, skip_locked=True)).all())


def _overdue_of(session: Session, codes: Sequence[str], act: Act) -> Sequence[Any]:
    """Lock the hand-overs of these specimens whose time has passed and whose timer has not come round yet."""
    of_these = select(item.c.handover_id).where(item.c.specimen_code.in_(codes), item.c.open)
    return session.execute(locked(_due(act).where(handover.c.id.in_(of_these)), handover)).all()


def _due(act: Act) -> Select[Any]:
    return select(handover).where(handover.c.ended_at.is_(None), handover.c.expires_at <= act.at).order_by(handover.c.id)


def _lock_with(session: Session, rows: Sequence[Any], codes: Sequence[str] = ()) -> Sequence[Any]:
    """Lock every specimen of the hand-overs `rows`, and `codes`, at once, in the usual lock order; return the items."""
    lines = session.execute(select(item).where(item.c.handover_id.in_([row.id for row in rows]))).all()
    load(session, [*(line.specimen_code for line in lines), *codes], lock=True)
    return lines


def _end_overdue(session: Session, act: Act, rows: Sequence[Any]) -> int:
    """End locked hand-overs whose time has passed, in the bank's own name."""
    system = Act.system(act.bank, path=act.path)
    lines = _lock_with(session, rows)
    for row in rows:
        standing = _standing(session, row, [line for line in lines if line.handover_id == row.id])
        event = HandoverExpired(handover=str(row.id))
        record(session, system, [Move(s, event, relies_on=(bytes(line.offered_event),)) for s, line in standing], NOW)
        _end(session, act, row.id, expired_at=act.at)
    return len(rows)


def _standing(session: Session, row: Any, items: Sequence[Any]) -> list[tuple[Snapshot, Any]]:
    """Lock the specimens and return those whose offer in this hand-over nothing has ended yet."""
    specimens = load(session, [line.specimen_code for line in items], lock=True)
    return [
        (specimens[line.specimen_code], line)
        for line in items
        if line.open
        and (specimens[line.specimen_code].projection.offered_kind, specimens[line.specimen_code].projection.offered_id)
        == (row.to_kind, row.to_id)
    ]


def _end(session: Session, act: Act, handover_id: UUID, **how: Any) -> None:
    session.execute(update(handover).where(handover.c.id == handover_id).values(ended_at=act.at, **how))
    session.execute(update(item).where(item.c.handover_id == handover_id, item.c.open).values(open=False))


def _site_for(actor: Actor, specimen: Snapshot) -> str | None:
    """The site an answer is recorded at: the specimen's own where the actor works there, else one where they do."""
    return next((s for s in specimen.sites if s is not None and actor.may(P, at=s)), None)


def _answer(session: Session, act: Act, handover_id: UUID, appended: Sequence[Appended]) -> HandoverAnswer:
    (public,) = public_of(session, session.execute(select(handover).where(handover.c.id == handover_id)).all())
    return HandoverAnswer(**public.model_dump(), receipt=acknowledge(act, appended) if appended else None)
