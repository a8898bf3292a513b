"""Who may give, who may take, and what an offer must still look like when it is accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import site as site_table
from biobank.auth.models import user as user_table
from biobank.auth.models import user_role
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.custody.events import HandoverOffered
from biobank.custody.leaving import CLINIC, LeavesByItsIssue, leaving_refusal
from biobank.custody.legality import Snapshot
from biobank.custody.recording import refusals_of_recording
from biobank.custody.states import CustodianKind, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, NotPermitted, Refusal
from biobank.registers.queries import is_in_use

P = Permission.HANDOVER_TAKE


class SeveralCustodians(Conflict):
    """One offer has one giver."""

    code = "several_custodians"
    title = "Not all in one pair of hands"


class AlreadyOffered(Conflict):
    """An offer of this specimen stands already."""

    code = "already_offered"
    title = "Already offered"


class ReceiverCannotTake(Conflict):
    """The receiver could not hold the specimen: unknown to it, inactive, or the giver itself."""

    code = "receiver_cannot_take"
    title = "Receiver cannot take it"


class NotTheReceiver(NotPermitted):
    """The offer was made to somebody else."""

    code = "not_the_receiver"
    title = "Offered to somebody else"


class HandoverEnded(Conflict):
    """It was accepted, declined or expired before."""

    code = "handover_ended"
    title = "Hand-over is over"


class HandoverTooLate(Conflict):
    """The time to accept has passed; the giver still holds everything."""

    code = "handover_expired"
    title = "Too late to accept"


class OfferSuperseded(Conflict):
    """A specimen changed its state or its custodian since it was offered."""

    code = "offer_superseded"
    title = "Changed since it was offered"


class EvidenceRequired(Conflict):
    """A courier organisation accepts by recorded evidence only."""

    code = "courier_evidence_required"
    title = "Courier's acceptance missing"


def gives(actor: Actor, kind: str, name: str | None) -> bool:
    """Say whether the actor may give what this custodian holds: their own, or what their site holds."""
    if kind == CustodianKind.USER.value:
        return name == actor.code
    return kind == CustodianKind.SITE.value and actor.may(P, at=name)


@dataclass(frozen=True)
class Receiver:
    """Who is to take something over. `sites`: where they take things over, and the `kinds` of those; None means anywhere."""

    kind: str
    id: str
    known: bool
    sites: frozenset[str] | None
    kinds: frozenset[str] = frozenset()

    @property
    def refusal(self) -> NotFound | None:
        """Why nothing can be offered to them at all, or None."""
        if self.known:
            return None
        where = " in the registers" if self.kind == CustodianKind.COURIER.value else ""
        return NotFound(f"There is no active {self.kind} {self.id}{where}.", subject=self.id)


def read_receiver(session: Session, kind: str, name: str) -> Receiver:
    """Read what is known of a receiver. A courier is one of the registers', not recalled and in use."""
    if kind == CustodianKind.COURIER.value:
        return Receiver(kind, name, is_in_use(session, "courier", name), None)
    if kind == CustodianKind.SITE.value:
        row = session.execute(select(site_table.c.active, site_table.c.kind).where(site_table.c.code == name)).first()
        known = row is not None and bool(row.active)
        return Receiver(kind, name, known, frozenset({name}), frozenset() if row is None else frozenset({row.kind}))
    active = session.execute(select(user_table.c.active).where(user_table.c.code == name)).scalar()
    return Receiver(kind, name, bool(active), *_sites_of(session, name))


def takes_onward(receiver: Receiver, specimen: Snapshot) -> bool:
    """Say whether the receiver takes the tube away from where it is. Pure."""
    if receiver.kind == CustodianKind.COURIER.value:
        return True
    return receiver.sites is not None and specimen.projection.site_code not in receiver.sites


def taking_away_refusal(specimen: Snapshot, receiver: Receiver) -> LeavesByItsIssue | None:
    """Return why the receiver may not take the tube away from where it is, or None: where it stays, nothing stands against it.

    Somebody who works at clinics only takes it to a clinic. Pure.
    """
    if not takes_onward(receiver, specimen):
        return None
    return leaving_refusal(specimen, CLINIC if receiver.kinds == {CLINIC} else None)


def offer_refusals(actor: Actor, specimen: Snapshot, receiver: Receiver | None, *, overdue: bool = False) -> list[Refusal]:
    """Return every reason why the actor may not offer the specimen to the receiver, in the order an offer raises them. Pure.

    `receiver`: None while nobody is named; `overdue`: the offer that stands is past its time, so a new one ends it.
    """
    away = None if receiver is None or receiver.refusal is not None else taking_away_refusal(specimen, receiver)
    own = (
        _receiver_refusal(specimen, receiver),
        away,
        None if overdue else _offered_refusal(specimen),
    )
    return [*refusals_of_recording(actor, HandoverOffered, specimen), *(one for one in own if one is not None)]


def _receiver_refusal(specimen: Snapshot, receiver: Receiver | None) -> Refusal | None:
    if receiver is None or receiver.refusal is not None:
        return None if receiver is None else receiver.refusal
    if (receiver.kind, receiver.id) == (specimen.projection.custodian_kind, specimen.projection.custodian_id):
        return ReceiverCannotTake(f"{receiver.id} holds it already.", subject=specimen.code)
    if receiver.kind == CustodianKind.COURIER and specimen.state is State.STORED:
        return ReceiverCannotTake(
            f"{specimen.code} is in its place: no courier has it there. Take it out first, then hand it over.",
            where_now=specimen.where_now,
            subject=specimen.code,
        )
    if receiver.sites is None or receiver.sites & set(specimen.sites):
        return None
    return ReceiverCannotTake(
        f"{receiver.id} takes nothing over where {specimen.code} is. Send it there as a shipment, or choose "
        "somebody who works here.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _offered_refusal(specimen: Snapshot) -> AlreadyOffered | None:
    if specimen.projection.offered_kind is None:
        return None
    return AlreadyOffered(
        f"{specimen.code} is offered to {specimen.projection.offered_id} already. Wait until that hand-over ends, "
        "or take it back.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def several_custodians(specimens: Sequence[Snapshot]) -> SeveralCustodians | None:
    """Return why specimens cannot be in one offer, or None when one custodian holds them all."""
    if len({(s.projection.custodian_kind, s.projection.custodian_id) for s in specimens}) <= 1:
        return None
    return SeveralCustodians("These specimens are not all with the same custodian. Make one hand-over for each.")


def _sites_of(session: Session, user: str) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The sites at which a user may take hand-overs, and their kinds; None means every site."""
    able = [role.value for role in Role if P in ROLE_PERMISSIONS[role]]
    rows = session.execute(
        select(user_role.c.site_code, site_table.c.kind)
        .outerjoin(site_table, site_table.c.code == user_role.c.site_code)
        .where(user_role.c.user_code == user, user_role.c.role.in_(able))
    ).all()
    sites = frozenset(row.site_code for row in rows)
    return (None if None in sites else sites), frozenset(row.kind for row in rows)


def accept_refusals(actor: Actor, row: Any, at: datetime) -> list[Refusal]:
    """Return every reason why the actor may not take over what is offered. Pure. A courier's receipt is asked for afterwards."""
    found: list[Refusal | None] = [taker_refusal(actor, row), _ended_refusal(row)]
    if row.expires_at <= at:
        said = f"This offer ended at {rfc3339(row.expires_at)}; {row.from_id} still holds everything. Ask for a new offer."
        found.append(HandoverTooLate(said, handover=str(row.id)))
    return [refusal for refusal in found if refusal is not None]


def decline_refusals(actor: Actor, row: Any) -> list[Refusal]:
    """Return every reason why the actor may neither say no to the offer nor take it back. Pure."""
    found = [None if _is_giver(actor, row) else taker_refusal(actor, row), _ended_refusal(row)]
    return [refusal for refusal in found if refusal is not None]


def _is_giver(actor: Actor, row: Any) -> bool:
    return actor.code == row.offered_by or gives(actor, row.from_kind, row.from_id)


def taker_refusal(actor: Actor, row: Any) -> Refusal | None:
    """Return why the actor may not answer this offer for its receiver, or None; for a courier its giver does."""
    said = None
    if row.to_kind == CustodianKind.COURIER.value:
        if not _is_giver(actor, row):
            said = f"Whoever gives it to {row.to_id} records its acceptance: {row.from_id}."
    elif row.to_kind == CustodianKind.USER.value and actor.code != row.to_id:
        said = f"This was offered to {row.to_id}; they accept it with their own login."
    elif row.to_kind == CustodianKind.SITE.value and not actor.may(P, at=row.to_id):
        said = f"This was offered to {row.to_id}; somebody there accepts it."
    elif actor.code == row.offered_by:
        said = "You offered this yourself; somebody else there accepts it."
    return None if said is None else NotTheReceiver(said, handover=str(row.id))


def _ended_refusal(row: Any) -> Refusal | None:
    if row.ended_at is None:
        return None
    how = "accepted" if row.accepted_at else "declined" if row.declined_at else "expired"
    return HandoverEnded(f"This hand-over was {how} at {rfc3339(row.ended_at)}.", handover=str(row.id), how=how)


def require_unchanged(row: Any, line: Any, specimen: Snapshot) -> None:
    """Raise OfferSuperseded unless the specimen still is what was offered, with its giver, and the offer stands."""
    now = specimen.projection
    held = (now.custodian_kind, now.custodian_id) == (row.from_kind, row.from_id)
    offered = line.open and (now.offered_kind, now.offered_id) == (row.to_kind, row.to_id)
    if not (held and offered and specimen.state_seq == line.state_seq):
        raise OfferSuperseded(
            f"{specimen.code} is {now.state.replace('_', ' ')} with {now.custodian_id or 'nobody'} now; that is not how it "
            "was offered. Nothing was handed over: decline this offer and make a new one.",
            where_now=specimen.where_now,
            subject=specimen.code,
            handover=str(row.id),
        )
