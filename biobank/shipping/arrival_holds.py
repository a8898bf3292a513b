"""Holds on a shipment, or on a box of it, for what its arrival says; and what is recorded on it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds as custody_holds
from biobank.custody.entry import Head
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.queries import last_event_at
from biobank.custody.recording import NOW, Circumstances, head_of
from biobank.custody.states import HoldScope, StreamKind
from biobank.shipping.arrival_findings import SEAL_UNSEEN, Finding
from biobank.shipping.boxes import scope_of
from biobank.shipping.events import ShipmentEvent


def hold_unseen(
    session: Session, act: Act, row: Any, boxes: Sequence[str], given: Circumstances, *, anew: bool = False
) -> list[Appended]:
    """Hold what lies in boxes whose seal nobody looked at."""
    scopes = [scope_of(row.code, box) for box in boxes]
    return [done for one in scopes for done in hold_shipment(session, act, row, [SEAL_UNSEEN], given, one, anew=anew)]


def hold_shipment(
    session: Session,
    act: Act,
    row: Any,
    findings: Sequence[Finding],
    given: Circumstances,
    scope_id: str | None = None,
    *,
    anew: bool = False,
) -> list[Appended]:
    """Hold everything that travelled, or what lay in one box (`scope_id`), once for each finding, however often it is compared.

    `anew`: tubes arrive with it. What quality lifted was judged upon those that had arrived before: it is placed again.
    Two receipts of one shipment wait for each other here: its tubes may be received one by one, at the same moment.
    """
    placed = []
    if findings:
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"holds of {row.code}", 0))))
    for finding in findings:
        of, reason = scope_id or row.code, finding.reason
        if (
            custody_holds.stands(session, HoldScope.SHIPMENT, of, finding.kind, reason)
            if anew
            else custody_holds.placed_since(session, HoldScope.SHIPMENT, of, reason, row.dispatched_at)
        ):
            continue
        _id, done = custody_holds.place(
            session,
            kind=finding.kind,
            scope_kind=HoldScope.SHIPMENT,
            scope_id=scope_id or row.code,
            stream_id=row.code,
            reason=finding.reason,
            head=head_on(session, act, row.code, row.to_site, given),
        )
        placed.append(done)
    return placed


def record_on_shipment(
    session: Session, act: Act, code: str, event: ShipmentEvent, site: str, given: Circumstances = NOW
) -> Appended:
    """Record an event on a shipment."""
    return append(session, [Fact(StreamKind.SHIPMENT, code, event, head_on(session, act, code, site, given))])[0]


def head_on(session: Session, act: Act, code: str, site: str, given: Circumstances) -> Head:
    """Return the head of what is recorded of a shipment at a site."""
    return head_of(session, act, given, subject=None, site=site, last=last_event_at(session, StreamKind.SHIPMENT, code))
