"""Who may give, who may take, and what an offer must still look like when it is accepted."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import Site, User, UserRole
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.custody.legality import Snapshot
from biobank.custody.states import CustodianKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound, NotPermitted
from biobank.shipping.schemas import AcceptRequest, HandoverRequest

site_table = table_of(Site)
user_table = table_of(User)
role_table = table_of(UserRole)

P = Permission.HANDOVER_TAKE


class NotTheCustodian(NotPermitted):
    """Only the one who holds a specimen can give it away."""

    code = "not_the_custodian"
    title = "Somebody else holds it"


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


def giver_of(actor: Actor, specimens: Sequence[Snapshot]) -> tuple[str, str]:
    """Return the one custodian of all `specimens`, on whose behalf the actor gives. Raises NotTheCustodian, SeveralCustodians."""
    custodians = {(s.projection["custodian_kind"], s.projection["custodian_id"]) for s in specimens}
    for specimen in specimens:
        kind, name = specimen.projection["custodian_kind"], specimen.projection["custodian_id"]
        if not gives(actor, kind, name):
            raise NotTheCustodian(
                f"{specimen.code} is in the custody of {name or 'nobody'}, so you cannot hand it over. "
                "They offer it to you, or to whom it is for.",
                where_now=specimen.where_now,
                subject=specimen.code,
                custodian_kind=kind,
            )
    if len(custodians) > 1:
        raise SeveralCustodians("These specimens are not all with the same custodian. Make one hand-over for each.")
    return custodians.pop()


def gives(actor: Actor, kind: str, name: str | None) -> bool:
    """Say whether the actor may give what this custodian holds: their own, or what their site holds."""
    if kind == CustodianKind.USER.value:
        return name == actor.code
    return kind == CustodianKind.SITE.value and actor.may(P, at=name)


def require_receiver(session: Session, request: HandoverRequest, giver: tuple[str, str], specimens: Sequence[Snapshot]) -> None:
    """Raise unless the receiver exists and could hold every specimen: one of its sites is where the receiver takes things over.

    Raises NotFound, ReceiverCannotTake. A courier is known by its code only.
    """
    if (request.to_kind, request.to_id) == giver:
        raise ReceiverCannotTake(f"{request.to_id} holds it already.", subject=specimens[0].code)
    if request.to_kind == CustodianKind.COURIER.value:
        return
    takers: set[str] | None
    if request.to_kind == CustodianKind.SITE.value:
        known = session.execute(select(site_table.c.active).where(site_table.c.code == request.to_id)).scalar()
        takers = {request.to_id}
    else:
        known = session.execute(select(user_table.c.active).where(user_table.c.code == request.to_id)).scalar()
        takers = _sites_of(session, request.to_id)
    if not known:
        raise NotFound(f"There is no active {request.to_kind} {request.to_id}.", subject=request.to_id)
    for specimen in specimens:
        if takers is not None and not takers & set(specimen.sites):
            raise ReceiverCannotTake(
                f"{request.to_id} takes nothing over where {specimen.code} is. Send it there as a shipment, or choose "
                "somebody who works here.",
                where_now=specimen.where_now,
                subject=specimen.code,
            )


def _sites_of(session: Session, user: str) -> set[str] | None:
    """The sites at which a user may take hand-overs; None means every site."""
    able = [role.value for role in Role if P in ROLE_PERMISSIONS[role]]
    sites = session.execute(
        select(role_table.c.site_code).where(role_table.c.user_code == user, role_table.c.role.in_(able))
    ).scalars().all()  # fmt: skip
    return None if None in sites else {str(site) for site in sites}


def require_taker(actor: Actor, row: Any, request: AcceptRequest | None) -> None:
    """Raise unless the actor may answer this offer for its receiver. `request` is None when declining."""
    if row.to_kind == CustodianKind.COURIER.value:
        if actor.code != row.offered_by and not gives(actor, row.from_kind, row.from_id):
            raise NotTheReceiver(f"Whoever gives it to {row.to_id} records its acceptance: {row.from_id}.", handover=str(row.id))
        if request is not None and request.evidence is None:
            raise EvidenceRequired(
                f"{row.to_id} holds the specimens only once it accepted them: send its reference in `evidence`.",
                handover=str(row.id),
            )
        return
    if row.to_kind == CustodianKind.USER.value and actor.code != row.to_id:
        raise NotTheReceiver(f"This was offered to {row.to_id}; they accept it with their own login.", handover=str(row.id))
    if row.to_kind == CustodianKind.SITE.value and not actor.may(P, at=row.to_id):
        raise NotTheReceiver(f"This was offered to {row.to_id}; somebody there accepts it.", handover=str(row.id))
    if actor.code == row.offered_by:
        raise NotTheReceiver("You offered this yourself; somebody else there accepts it.", handover=str(row.id))


def require_open(row: Any) -> None:
    """Raise HandoverEnded once a hand-over has ended."""
    if row.ended_at is not None:
        how = "accepted" if row.accepted_at else "declined" if row.declined_at else "expired"
        raise HandoverEnded(f"This hand-over was {how} at {rfc3339(row.ended_at)}.", handover=str(row.id), how=how)


def require_unchanged(row: Any, line: Any, specimen: Snapshot) -> None:
    """Raise OfferSuperseded unless the specimen still is what was offered, with its giver, and the offer stands."""
    now = specimen.projection
    held = (now["custodian_kind"], now["custodian_id"]) == (row.from_kind, row.from_id)
    offered = line.open and (now["offered_kind"], now["offered_id"]) == (row.to_kind, row.to_id)
    if not (held and offered and specimen.state_seq == line.state_seq):
        raise OfferSuperseded(
            f"{specimen.code} is {now['state'].replace('_', ' ')} with {now['custodian_id'] or 'nobody'} now; that is not how it "
            "was offered. Nothing was handed over: decline this offer and make a new one.",
            where_now=specimen.where_now,
            subject=specimen.code,
            handover=str(row.id),
        )
