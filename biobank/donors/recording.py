"""Events on a donor's stream: the one way from a use case of this package to the ledger."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.models import hold
from biobank.custody.recording import NOW, Circumstances, acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import HoldKind, HoldScope, StreamKind
from biobank.transparency.models import event as _event

_last = (
    select(_event.c.occurred_at)
    .where(_event.c.stream_kind == StreamKind.DONOR.value, _event.c.stream_id == bindparam("donor"))
    .order_by(_event.c.seq.desc())
    .limit(1)
)


def last_event_at(session: Session, donor_code: str) -> datetime | None:
    """Return when the donor's last event occurred."""
    at: datetime | None = session.execute(_last, {"donor": donor_code}).scalar()
    return at


def record_on_donor(
    session: Session,
    act: Act,
    donor_code: str,
    events: Sequence[Event],
    given: Circumstances,
    *,
    site: str | None,
    relies_on: tuple[bytes, ...] = (),
) -> list[Appended]:
    """Append `events` to the donor's stream under one head; the caller has checked that the actor may.

    Free text of `given` goes into the vault under the donor's key. Raises ImplausibleTime, StaleSequence.
    """
    head = head_of(
        session, act, given, subject=donor_code, site=site, last=last_event_at(session, donor_code), relies_on=relies_on
    )
    facts = [Fact(StreamKind.DONOR, donor_code, event, head, donor_code=donor_code) for event in events]
    return append(session, facts)


def hold_donor(
    session: Session, act: Act, donor_code: str, kind: HoldKind, *, reason: str, site: str | None
) -> tuple[UUID, Appended] | None:
    """Place a hold on everything of a donor, unless one of this kind is active; then return None."""
    active = session.execute(
        select(hold.c.id).where(
            hold.c.scope_kind == HoldScope.DONOR.value,
            hold.c.scope_id == donor_code,
            hold.c.kind == kind.value,
            hold.c.lifted_at.is_(None),
        )
    ).first()
    if active is not None:
        return None
    head = head_of(session, act, NOW, subject=donor_code, site=site, last=last_event_at(session, donor_code))
    return holds.place(
        session, kind=kind, scope_kind=HoldScope.DONOR, scope_id=donor_code, reason=reason, head=head, donor_code=donor_code
    )


def recorded(act: Act, donor_code: str, appended: Sequence[Appended]) -> dict[str, Any]:
    """Return the members of `schemas.Recorded`."""
    return {"donor": donor_code, "events": [receipt_of(a) for a in appended], "receipt": acknowledge(act, appended)}
