"""The end of a journey: compare what arrived with the manifest, send back what was not accepted, close what is settled.

A withdrawal's issued tubes do not become `received` here: at the clinic they arrive through their withdrawal
(`POST /withdrawals/{code}/receive`), which checks more. Their shipment closes all the same, once none of it is underway.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody import holds as custody_holds
from biobank.custody.arriving import Arrival, inspection_hold
from biobank.custody.events import Received
from biobank.custody.exposure import cold_at
from biobank.custody.ledger import Appended
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.custody.recording import NOW, Circumstances, Move, acknowledge, head_of, record
from biobank.custody.reversal import former_journey_refusals
from biobank.custody.snapshots import load
from biobank.custody.states import HoldScope, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import SPECIMENS, MalformedCode, parse_code
from biobank.foundation.errors import Conflict, MalformedRequest, Refusal, raise_first
from biobank.shipping.arrival_findings import (
    LATE,
    SEAL,
    SEAL_UNSEEN,
    UNRECORDED,
    UNSENT,
    UNTOLD,
    Seen,
    Sent,
    degrees_of,
    findings_of,
    possible_temperature,
)
from biobank.shipping.arrival_holds import hold_shipment, hold_unseen, record_on_shipment
from biobank.shipping.boxes import compare_boxes, scope_of
from biobank.shipping.events import Closed, Compared, SentBack, ShippedBack
from biobank.shipping.journey_logs import Journey, logged_members, logged_on, longest_gap, read_record
from biobank.shipping.schemas import (
    ArrivedBox,
    ArrivedTube,
    ManifestLine,
    ShipmentAnswer,
    ShipmentArrival,
    ShipmentReceiveRequest,
    ShipmentRefuseRequest,
)
from biobank.shipping.seals import boxes_unseen, own_seal_unseen
from biobank.shipping.shipment_queries import detail_of, get_shipment, item, manifest_of, row_of, shipment
from biobank.shipping.temperature_records import has_no_record, nobody_read_it
from biobank.shipping.travel_limits import limits_of_shipment
from biobank.specimens.resolving import tube_named
from biobank.specimens.scanned_labels import note_outdated
from biobank.storage.queries import quarantine_at


class ShipmentClosed(Conflict):
    """Everything of it arrived, came back or has a record of its own."""

    code = "shipment_closed"
    title = "Shipment is closed"


class ArrivesWithItsWithdrawal(Conflict):
    """A tube that was issued for a person is received through that withdrawal."""

    code = "arrives_with_its_withdrawal"
    title = "Receive it for its withdrawal"


class NotUnderway(Conflict):
    """The specimen did not leave with this shipment, or is not underway any more."""

    code = "not_underway"
    title = "Not underway with this shipment"


def arrival_refusals(actor: Actor, one: Any) -> list[Refusal]:
    """Return every reason why the actor may not compare what arrived with the manifest. `one`: a row or its shape. Pure."""
    return [*_not_recorded_by(actor, one.to_site), *_closed(one)]


def return_refusals(actor: Actor, one: Any, underway: int) -> list[Refusal]:
    """Return every reason why the actor may not say that some of it came back: only the sender's people can. Pure."""
    found = [*_not_recorded_by(actor, one.from_site), *_closed(one)]
    return found if underway else [*found, NotUnderway(f"Nothing of {one.code} is underway any more.", subject=one.code)]


def _not_recorded_by(actor: Actor, site: str) -> list[Refusal]:
    refusal = actor.refusal(Permission.SHIPMENT_RECORD, at=site)
    return [] if refusal is None else [refusal]


def _closed(one: Any) -> list[Refusal]:
    if one.closed_at is None:
        return []
    said = (
        f"{one.code} was closed at {rfc3339(one.closed_at)}: nothing of it is underway. A tube that turns up now is found: "
        "record that, or tell quality."
    )
    return [ShipmentClosed(said, where_now=TO_QUARANTINE, subject=one.code)]


@former_journey_refusals.give
def refusals_of_former_journey(session: Session, tube: Snapshot) -> list[Refusal]:
    """Return why a tube cannot be on its way once more: its shipment is closed, so nobody waits for it there any more."""
    code = tube.projection.shipment_code
    closed_at = None if code is None or tube.state is not State.IN_TRANSIT else row_of(session, code).closed_at
    if closed_at is None:
        return []
    said = (
        f"{code} was closed at {rfc3339(closed_at)}, so {tube.code} cannot be on its way in it again. If it did not arrive, "
        "report it missing."
    )
    return [ShipmentClosed(said, where_now=TO_QUARANTINE, subject=tube.code)]


def receive(session: Session, act: Act, code: str, request: ShipmentReceiveRequest) -> ShipmentArrival:
    """Receive what was scanned and is on the manifest; name what is missing and what should not be there."""
    row = get_shipment(session, act.actor, code, lock=True)
    raise_first(arrival_refusals(act.actor, row))
    require_possible(session, act, row, request.temperature_mc, confirmed=request.confirmed)
    arrived, unknown = _read(session, act, request.scanned)
    manifest = {line.specimen: line for line in _locked_manifest(session, code, also=arrived)}
    found = {name: tube for name, tube in arrived.items() if name in manifest and manifest[name].underway}
    _require_no_issued(found, manifest)
    specimens = load(session, found, lock=True, holds=True)
    moves = [
        Move(
            specimens[name],
            Received(
                site=row.to_site,
                container_intact=tube.container_intact,
                label_legible=tube.label_legible,
                manifest_matches=True,
                temperature_mc=request.temperature_mc,
                confirmed=request.confirmed,
            ),
            site=row.to_site,
        )
        for name, tube in sorted(found.items())
    ]
    appended = record(session, act, moves, request, seals_follow=True)
    at = cold_at(act, request.occurred_at, request.paper)
    seen = Seen(
        at=at,
        logged=logged_on(read_record(session, act, request), Journey(code, row.dispatched_at, at, row.logger), longest_gap(act)),
        temperature_mc=request.temperature_mc,
        nameless=unknown + sum(tube.label_legible is False for tube in arrived.values()),
        unknown=unknown,
        seal=request.seal,
        seal_intact=request.seal_intact,
        logger_sha256=request.logger_sha256,
    )
    extra = sorted(name for name in arrived if name not in manifest)
    appended += _hold_extra(session, act, extra, row.to_site, request)
    event, compared = compare(session, act, row, sorted(found), seen, extra=extra, given=request)
    appended += compared
    broken, unchecked, looked = look_at_boxes(session, act, row, request.boxes, sorted(found), request)
    appended += looked
    appended += _close_if_settled(session, act, code, row.to_site, request)
    return ShipmentArrival(
        **detail_of(session, code).model_dump(),
        receipt=acknowledge(act, appended),
        received=sorted(found),
        missing=list(event.missing),
        extra=extra,
        unknown=unknown,
        held=sorted(move.specimen.code for move in moves if inspection_hold(move.event) is not None),
        broken_boxes=broken,
        unchecked_boxes=unchecked,
        unread=list(event.unread),
        findings=list(event.findings),
        quarantine=quarantine_at(session, row.to_site),
    )


def _hold_extra(session: Session, act: Act, extra: Sequence[str], site: str, given: Circumstances) -> list[Appended]:
    """Hold what lay in a shipment without being sent: its record says that it is elsewhere, so one of the two is not true."""
    placed = []
    for code, tube in sorted(load(session, extra, lock=True, holds=True).items()):
        if any(one.scope_id == code and one.kind == UNSENT.kind.value for one in tube.holds):
            continue
        head = head_of(session, act, given, subject=None, site=site, last=tube.last_occurred_at)
        _id, done = custody_holds.place(
            session,
            kind=UNSENT.kind,
            scope_kind=HoldScope.SPECIMEN,
            scope_id=code,
            reason=UNSENT.reason,
            head=head,
            specimen=tube,
        )
        placed.append(done)
    return placed


def require_possible(session: Session, act: Act, row: Any, temperature_mc: int | None, *, confirmed: bool) -> None:
    """Raise ImplausibleReading for a temperature of a shipment (its row) that can hardly be right and was not read twice."""
    if temperature_mc is not None and not confirmed:
        possible_temperature(_sent(session, row).limits, temperature_mc, act.at)


def compare(
    session: Session,
    act: Act,
    row: Any,
    received: Sequence[str],
    seen: Seen,
    *,
    extra: Sequence[str] = (),
    given: Circumstances,
) -> tuple[Compared, list[Appended]]:
    """Write down what arrived of a shipment beside its manifest, and hold what travelled where something stands against it.

    `row`: its locked row; `received`: its tubes of which the receipt is recorded already. Answers what was written, too.
    """
    unseen = bool(received) and own_seal_unseen(session, row)
    untold = bool(received) and nobody_read_it(session, row)
    sent = replace(_sent(session, row), unrecorded=has_no_record(session, row), seal_unseen=unseen, untold=untold)
    findings = findings_of(sent, seen)
    appended = hold_shipment(session, act, row, findings, given, anew=bool(received))
    event = Compared(
        received=tuple(received),
        missing=tuple(line.specimen for line in manifest_of(session, row.code) if line.underway),
        extra=tuple(extra),
        unknown=seen.unknown,
        seal_intact=seen.seal_intact,
        temperature_mc=seen.temperature_mc,
        logger_sha256=seen.logger_sha256,
        seal=seen.seal,
        **logged_members(seen.logged),
        findings=tuple(finding.reason for finding in findings),
    )
    return event, [*appended, record_on_shipment(session, act, row.code, event, row.to_site, given)]


def look_at_boxes(
    session: Session, act: Act, row: Any, arrived: Sequence[ArrivedBox], received: Sequence[str], given: Circumstances = NOW
) -> tuple[list[str], list[str], list[Appended]]:
    """Write down how the boxes of a shipment (its locked row) arrived, and hold what lies in one whose seal is not as it left, or
    was not looked at although tubes of it were `received`.

    Answers the boxes that did not arrive as they were sealed, and those whose seal nobody looked at. Raises NoSuchBox.
    """
    compared = compare_boxes(session, row.code, arrived)
    unseen = boxes_unseen(session, row, arrived, received)
    appended = [record_on_shipment(session, act, row.code, one, row.to_site, given) for one in compared]
    broken = [one.box for one in compared if one.broken]
    for box in broken:
        appended += hold_shipment(session, act, row, [SEAL], given, scope_of(row.code, box), anew=bool(received))
    return broken, unseen, [*appended, *hold_unseen(session, act, row, unseen, given, anew=bool(received))]


def _sent(session: Session, row: Any) -> Sent:
    """How a shipment (its row) travelled."""
    return Sent(limits_of_shipment(session, row), row.seal, row.cold_until)


def judge_arrival(session: Session, act: Act, code: str, arrival: Arrival) -> list[Appended]:
    """Hold what travelled in a shipment where the arrival of some of it says so, whoever recorded it and by whichever call.

    What is received singly was taken out of something sealed: where nobody has looked at that seal, it is held now.
    """
    row = row_of(session, code)
    singly = not arrival.seals_follow
    sent = _sent(session, row)
    if singly:
        sent = replace(sent, seal_unseen=own_seal_unseen(session, row), untold=nobody_read_it(session, row))
    degrees: list[int | None] = [*sorted({one for _, event in arrival.tubes for one in degrees_of(event)})]
    nameless = sum(getattr(event, "label_legible", None) is False for _, event in arrival.tubes)
    # What was sent back, or comes back by quality's decision, is said to be so (`refuse`, the return of a withdrawal).
    elsewhere = any(
        getattr(one, "site", row.to_site) != row.to_site
        for _, one in arrival.tubes
        if isinstance(one, Received) or type(one).cold_first
    )
    seen = [Seen(arrival.at, temperature_mc=one, nameless=nameless, elsewhere=elsewhere) for one in degrees or [None]]
    found = {finding: None for one in seen for finding in findings_of(sent, one)}
    boxes = boxes_unseen(session, row, received=[tube for tube, _ in arrival.tubes]) if singly else []
    anew = not arrival.corrected
    held = hold_shipment(session, act, row, list(found), arrival.given, anew=anew)
    return [*held, *hold_unseen(session, act, row, boxes, arrival.given, anew=anew)]


def refuse(session: Session, act: Act, code: str, request: ShipmentRefuseRequest) -> ShipmentAnswer:
    """Record that specimens were not accepted and are back in the sender's hands. Only the sender's people can say so."""
    row = get_shipment(session, act.actor, code, lock=True)
    underway = [line.specimen for line in _locked_manifest(session, code) if line.underway]
    raise_first(return_refusals(act.actor, row, len(underway)))
    require_possible(session, act, row, request.temperature_mc, confirmed=request.confirmed)
    wanted = underway if request.specimens is None else sorted(set(request.specimens))
    for name in wanted:
        if name not in underway:
            raise NotUnderway(f"{name} is not underway with {code}.", where_now=TO_QUARANTINE, subject=name)
    event = ShippedBack(
        shipment=code,
        site=row.from_site,
        reason=request.reason,
        container_intact=request.container_intact,
        label_legible=request.label_legible,
        temperature_mc=request.temperature_mc,
    )
    specimens = load(session, wanted, lock=True, holds=True)
    moves = [Move(specimens[name], event, site=row.from_site) for name in wanted]
    appended = record(session, act, moves, request, seals_follow=True)
    at = cold_at(act, request.occurred_at, request.paper)
    logged = logged_on(read_record(session, act, request), Journey(code, row.dispatched_at, at, row.logger), longest_gap(act))
    seen = Seen(
        at,
        temperature_mc=request.temperature_mc,
        logged=logged,
        logger_sha256=request.logger_sha256,
    )
    # Nobody is asked here how the seals were: what was not looked at before is held.
    sent = replace(
        _sent(session, row),
        unrecorded=has_no_record(session, row),
        seal_unseen=own_seal_unseen(session, row),
        untold=nobody_read_it(session, row),
    )
    appended += hold_shipment(session, act, row, findings_of(sent, seen), request)
    appended += hold_unseen(session, act, row, boxes_unseen(session, row, received=wanted), request)
    back = SentBack(specimens=tuple(wanted), reason=request.reason, logger_sha256=request.logger_sha256, **logged_members(logged))
    appended.append(record_on_shipment(session, act, code, back, row.from_site, request))
    appended += _close_if_settled(session, act, code, row.from_site, request)
    return ShipmentAnswer(**detail_of(session, code).model_dump(), receipt=acknowledge(act, appended))


@timer(every=timedelta(minutes=1))
def close_settled_shipments(session: Session, act: Act) -> int:
    """Close every shipment of which nothing is underway, and return how many. A timer's work.

    Tubes also arrive one by one (`specimen.received`), through their withdrawal, or are reported missing; then nobody calls
    the shipment's own receipt.
    """
    out = exists(
        select(1)
        .select_from(item.join(custody, custody.c.code == item.c.specimen_code))
        .where(
            item.c.shipment_code == shipment.c.code,
            custody.c.shipment_code == shipment.c.code,
            custody.c.state == State.IN_TRANSIT.value,
        )
    )
    settled = select(shipment.c.code, shipment.c.to_site).where(shipment.c.closed_at.is_(None), ~out)
    rows = session.execute(locked(settled.order_by(shipment.c.code).limit(200), shipment, skip_locked=True)).all()
    return sum(1 for row in rows if _close_if_settled(session, act, row.code, row.to_site, NOW))


def _read(session: Session, act: Act, scanned: Sequence[ArrivedTube]) -> tuple[dict[str, ArrivedTube], int]:
    """Return the scans by specimen code, and how many were none of ours: such text may be anything, a name included.

    A tube under an outdated label is as one without a label: it holds what travelled with it.
    """
    settings, unknown = act.bank.settings, 0
    note_outdated(session, act, [tube.specimen for tube in scanned])
    arrived: dict[str, ArrivedTube] = {}
    for tube in scanned:
        try:
            name = tube_named(session, tube.specimen, settings)
        except (MalformedCode, Conflict):
            unknown += 1
            continue
        if parse_code(name).prefix not in SPECIMENS:
            unknown += 1
        elif name in arrived:
            raise MalformedRequest(f"{name} stands twice in this request. Send each tube once.", subject=name)
        else:
            arrived[name] = tube
    return arrived, unknown


def _locked_manifest(session: Session, code: str, also: Collection[str] = ()) -> list[ManifestLine]:
    """Lock every specimen of the shipment, and what was found beside them, then read where each stands."""
    names = session.execute(select(item.c.specimen_code).where(item.c.shipment_code == code)).scalars().all()
    load(session, [*names, *also], lock=True)
    return manifest_of(session, code)


def _require_no_issued(found: dict[str, ArrivedTube], manifest: dict[str, ManifestLine]) -> None:
    for name in sorted(found):
        withdrawal = manifest[name].issued_for
        if withdrawal is not None:
            raise ArrivesWithItsWithdrawal(
                f"{name} was issued for {withdrawal}: receive it on the page of that withdrawal.",
                subject=name,
                withdrawal=withdrawal,
            )


def _close_if_settled(session: Session, act: Act, code: str, site: str, given: Circumstances) -> list[Appended]:
    lines = _locked_manifest(session, code)
    if any(line.underway for line in lines):
        return []
    lost = {State.MISSING.value, State.LOST.value}
    row = row_of(session, code)
    # Its tubes may have arrived one by one, or come back: then nobody was asked for the logger or the seals.
    never = (
        (UNRECORDED, has_no_record(session, row)),
        (SEAL_UNSEEN, own_seal_unseen(session, row)),
        (UNTOLD, nobody_read_it(session, row)),
        # What was given up for lost on the way may turn up yet: by then its cold had ended.
        (LATE, row.cold_until is not None and act.at > row.cold_until and any(line.state in lost for line in lines)),
    )
    held = hold_shipment(session, act, row, [finding for finding, found in never if found], given)
    held += hold_unseen(session, act, row, boxes_unseen(session, row), given)
    closed = Closed(unaccounted=tuple(line.specimen for line in lines if line.state in lost))
    done = record_on_shipment(session, act, code, closed, site, given)
    session.execute(update(shipment).where(shipment.c.code == code).values(closed_at=act.at, closed_event=done.leaf_hash))
    return [*held, done]
