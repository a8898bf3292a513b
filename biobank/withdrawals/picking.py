"""From the tank to the handing over: pick with two people, thaw where the route says so, issue.

A wrong tube or a wrong place at the pick is evidence: the refusal is kept whatever happens next, and says where to put the tube.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.custodians import in_other_hands
from biobank.custody.entry import parse_entry
from biobank.custody.events import CheckedOut
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Circumstances, Move
from biobank.custody.states import CustodianKind, State, StreamKind
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict, MalformedRequest, Refusal, Refused, raise_first
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.shipping.carriers import require_courier
from biobank.specimens.events import Thawed
from biobank.transparency.models import event as _event
from biobank.withdrawals.case import (
    Case,
    open_case,
    pick_table,
    record_on_case,
    record_on_tubes,
    set_state,
)
from biobank.withdrawals.events import Issued, PickConfirmed, Picked, SentOut
from biobank.withdrawals.given_then import Handled, judged_by_hands, tell_quality
from biobank.withdrawals.label_text import read_labels, text_differs, tube_read
from biobank.withdrawals.pick_list import read_pick_list
from biobank.withdrawals.scans import read_scan, read_tube
from biobank.withdrawals.schemas import IssueRequest, PickRequest, PlaceChecked, PlaceScan, ThawRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.step_errors import WrongSpecimen
from biobank.withdrawals.step_rules import (
    QUARANTINE,
    begin_refusals,
    confirm_refusals,
    consents_of,
    issue_refusals,
    pick_refusals,
    thaw_refusals,
)
from biobank.withdrawals.strays import stop_stray, stray_tube
from biobank.withdrawals.telling import READY, tell
from biobank.withdrawals.workflow import Step, after, next_steps


class WrongPlace(Conflict):
    """The tube was not where the record says it is."""

    code = "wrong_place"
    title = "Not where it should be"


class PlaceNotScanned(Conflict):
    """A stored tube is picked by scanning its place too."""

    code = "place_scan_required"
    title = "Scan the place too"


class CourierEvidenceMissing(Conflict):
    """A courier holds something only once it accepted it."""

    code = "courier_evidence_required"
    title = "Courier's acceptance missing"


def first_of(refusals: Sequence[Refusal]) -> Refused | None:
    """Raise the first of a step's refusals; return it when it is evidence (a wrong tube in the hand), None when there is none."""
    if not refusals:
        return None
    if isinstance(refusals[0], WrongSpecimen):
        return Refused(refusals[0])
    raise refusals[0]


def pick(session: Session, act: Act, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    """Take a tube out of its place, or confirm as the second person, who is shown nothing and only scans, or reads."""
    if request.tube is None:
        case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
        found = _tube_by_label(session, act, case, request)
        if isinstance(found, Refused):
            return found
        tube = found
    else:
        tube = read_tube(session, act, request.tube)
        case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
        if tube not in case.tubes:
            return stray_tube(act, Step.PICK, case, tube, others.get(tube))
    rule = confirm_refusals if request.confirm else pick_refusals
    judged = judged_by_hands(session, act, case, request, [tube], lambda one, grounds: rule(act.actor, one, grounds, tube))
    refused = first_of(judged.against)
    if refused is not None:
        return refused
    record = _confirm if request.confirm else _take_out
    return record(session, act, judged, tube, request)


def told_afterwards(
    session: Session, act: Act, judged: Handled, request: Circumstances, tubes: Collection[str], done: str
) -> list[Appended]:
    """Tell quality of what was done on paper before something came that stands against it now; live, nothing came after."""
    return tell_quality(session, act, judged.case, tubes, request.occurred_at or act.at, judged.came_after, done)


def answered(session: Session, act: Act, judged: Handled, now: Case, appended: Sequence[Appended]) -> WithdrawalAnswer:
    """Answer for what hands did with tubes: what was done on paper before something came is on a way that stands still now."""
    return answer_of(session, act, read_again(session, act, now) if judged.came_after else now, appended)


def _tube_by_label(session: Session, act: Act, case: Case, request: PickRequest) -> str | Refused:
    """Return the tube that stands at the scanned place, or was taken out, and says what was read. Anything else is evidence.

    Raises PlaceNotScanned, LabelTextTooLittle, and why the actor may not begin.
    """
    assert request.label is not None, "a pick has a scan or what was read"
    raise_first(begin_refusals(act.actor, Step.PICK, case))
    if request.confirm:
        waiting = [one for one in case.tubes if case.item(one).picked and not case.item(one).confirmed]
        boxes = {case.picks[one]["container_code"] for one in waiting} - {None}
    else:
        if request.place is None:
            raise PlaceNotScanned("Scan the place of the tube: its position, or its box where it has no position.")
        place = read_scan(session, act, request.place, Prefix.POSITION, Prefix.CONTAINER)
        standing = {code: tube.projection for code, tube in case.tubes.items() if not case.item(code).picked}
        waiting = [code for code, one in standing.items() if place == (one.position_code or one.container_code)]
        boxes = {standing[one].container_code for one in waiting} - {None}
    found = tube_read(request.label, read_labels(session, boxes, case.tubes, case.donor), waiting)
    return found if found is not None else Refused(text_differs(case.code, waiting, QUARANTINE))


def check_place(session: Session, act: Act, code: str, request: PlaceScan) -> PlaceChecked | Refused:
    """One scan on the way to a tube, from the outside in: the rack, the box, the slot. A wrong one is evidence.

    Nothing moved yet, so nothing is recorded when it is right; the pick itself asks for the place again.
    """
    case, _ = open_case(session, act, code)
    raise_first(begin_refusals(act.actor, Step.PICK, case))
    levels = read_pick_list(session, act.actor, case).line(request.tube).levels
    level = next((one for one in levels if one.kind == request.level), None)
    if level is None:
        raise MalformedRequest(f"{request.tube} has no {request.level} to scan. Open the pick list again.", subject=request.tube)
    scanned = read_scan(session, act, request.scan, Prefix.POSITION, Prefix.CONTAINER)
    if scanned == level.code:
        return PlaceChecked(level=level.kind, code=level.code)
    return Refused(
        WrongPlace(
            f"{scanned} is not the {level.kind} to open. Open {level.name}, {level.code}. Nothing was taken.",
            where_now=f"Close what you opened. Then look for {level.name}.",
            subject=request.tube,
            withdrawal=code,
            scanned_place=scanned,
        )
    )


def _take_out(session: Session, act: Act, judged: Handled, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    case = judged.case
    tube = case.tubes[code]
    appended = []
    if tube.state is State.STORED:
        if request.place is None:
            raise PlaceNotScanned(
                f"Scan the place of {code} too: its position, or its box where it has no position.",
                where_now=tube.where_now,
                subject=code,
            )
        place = read_scan(session, act, request.place, Prefix.POSITION, Prefix.CONTAINER)
        expected = tube.projection.position_code or tube.projection.container_code
        if place != expected:
            return Refused(
                WrongPlace(
                    f"By the record {code} is in {expected}, not in {place}. Stop: check the tube and the place, and tell "
                    "quality if the record is wrong.",
                    where_now=QUARANTINE,
                    subject=code,
                    withdrawal=case.code,
                    scanned_place=place,
                )
            )
        appended = record_on_tubes(session, act, case, [Move(tube, CheckedOut(purpose="withdrawal"))], request)
    container, position = tube.projection.container_code, tube.projection.position_code
    event = Picked(specimen=code, container=container, position=position, by_label=request.tube is None)
    picked = record_on_case(session, act, case, event, request, site=tube.projection.site_code)
    row: dict[str, Any] = {
        "container_code": container,
        "position_code": position,
        "picked_by": act.actor.code,
        "picked_at": act.at,
        "picked_event": picked.leaf_hash,
        "confirmed_by": None,
        "confirmed_at": None,
    }
    session.execute(
        upsert(pick_table)
        .values(withdrawal_code=case.code, specimen_code=code, **row)
        .on_conflict_do_update(index_elements=["withdrawal_code", "specimen_code"], set_=row)
    )
    state = after(Step.PICK, case.state)
    set_state(session, case, state)
    told = told_afterwards(session, act, judged, request, [code], "picked")
    whole = [*appended, picked, *told]
    return answered(session, act, judged, case.moved_on(whole, state=state, picked={code: row}), whole)


def _confirm(session: Session, act: Act, judged: Handled, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    case = judged.case
    row = case.picks[code]
    picked = bytes(row["picked_event"]).hex()
    event = PickConfirmed(specimen=code, picked_by=row["picked_by"], picked=picked, by_label=request.tube is None)
    confirmed = record_on_case(
        session,
        act,
        case,
        event,
        request,
        site=case.tubes[code].projection.site_code,
        relies_on=(bytes(row["picked_event"]),),
    )
    session.execute(
        update(pick_table)
        .where(pick_table.c.withdrawal_code == case.code, pick_table.c.specimen_code == code)
        .values(confirmed_by=act.actor.code, confirmed_at=act.at)
    )
    now = case.moved_on([confirmed], picked={code: {**row, "confirmed_by": act.actor.code, "confirmed_at": act.at}})
    tell_when_ready(session, act, now, confirmed)
    told = told_afterwards(session, act, judged, request, [code], "picked")
    return answered(session, act, judged, now, [confirmed, *told])


def confirmations(session: Session, case: Case, tubes: Collection[str]) -> tuple[bytes, ...]:
    """Return the second scans by which these tubes go on, oldest first: what comes after the pick by two is dated after both."""
    own = select(_event.c.leaf_hash, _event.c.entry).where(
        _event.c.stream_kind == StreamKind.WITHDRAWAL.value,
        _event.c.stream_id == case.code,
        _event.c.kind == PickConfirmed.model_fields["kind"].default,
    )
    first = {bytes(case.picks[tube]["picked_event"]).hex() for tube in tubes}
    rows = session.execute(own.order_by(_event.c.seq))
    return tuple(bytes(row.leaf_hash) for row in rows if parse_entry(bytes(row.entry))["body"]["picked"] in first)


def _arrival(session: Session, tube: Snapshot) -> tuple[bytes, ...]:
    """Return the receipt at the clinic, for what is thawed at the chair: by no stated time is that done on the way."""
    if tube.state is not State.DELIVERED:
        return ()
    of_it = (_event.c.stream_kind == StreamKind.SPECIMEN.value, _event.c.stream_id == tube.code, _event.c.seq == tube.state_seq)
    return tuple(bytes(leaf) for leaf in session.execute(select(_event.c.leaf_hash).where(*of_it)).scalars())


def tell_when_ready(session: Session, act: Act, case: Case, by: Appended) -> None:
    """Tell whoever waits once nothing is left to do before the issue."""
    if next_steps(case.state, case.route, case.items) == [Step.ISSUE]:
        tell(session, act, case.row, case.tubes, READY, by.leaf_hash)


def thaw(session: Session, act: Act, code: str, request: ThawRequest) -> WithdrawalAnswer | Refused:
    """Thaw a tube of the withdrawal: at the bench on the route that says so, or at the chair after it arrived.

    There is no way back from here, so everything is checked once more. The tube must have been picked by two people.
    """
    tube = read_tube(session, act, request.tube)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    if tube not in case.tubes:
        return stop_stray(session, act, Step.THAW, case, tube, others.get(tube))
    judged = judged_by_hands(session, act, case, request, [tube], lambda one, of: thaw_refusals(act.actor, one, of, tube))
    refused = first_of(judged.against)
    if refused is not None:
        return refused
    case, grounds = judged.case, judged.grounds
    consents, _ = consents_of(case, grounds, [tube])
    require_fit(session, act, use_of_thaw(case, request, tube, act.at))
    event = Thawed(method=request.method, bath_temperature_mc=request.bath_temperature_mc, duration_s=request.duration_s)
    rests_on = (case.approval, *confirmations(session, case, [tube]), *_arrival(session, case.tubes[tube]), *consents)
    move = Move(case.tubes[tube], event, relies_on=rests_on)
    appended = record_on_tubes(session, act, case, [move], request, lagging=grounds.lagging)
    told = told_afterwards(session, act, judged, request, [tube], "thawed")
    return answered(session, act, judged, case.moved_on(appended), [*appended, *told])


def use_of_thaw(case: Case, request: ThawRequest, tube: str, at: datetime) -> Use:
    """Return what a thaw names of the registers: how it is thawed."""
    site = case.tubes[tube].projection.site_code or case.clinic
    return Use(site=site, used_at=request.occurred_at or at, people=(), named={"thawing_method": request.method})


def issue(session: Session, act: Act, code: str, request: IssueRequest) -> WithdrawalAnswer:
    """Let every tube of the withdrawal go. Who holds a tube keeps custody until the receiver accepts; a courier accepts by
    evidence.
    """
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    judged = judged_by_hands(session, act, case, request, case.tubes, lambda one, of: issue_refusals(act.actor, one, of))
    first_of(judged.against)
    case, grounds = judged.case, judged.grounds
    if request.courier is not None and request.evidence is None:
        raise CourierEvidenceMissing(
            f"{request.courier} holds the tubes only once it took them over: type the number of its receipt.", subject=code
        )
    site = next(iter(case.tubes.values())).projection.site_code
    if request.courier is not None:
        warned = require_courier(session, act, request.courier, site=str(site), at=request.occurred_at or act.at)
        keep_warnings(session, act, warned, request, used_in=code, site=str(site))
    if request.courier is not None:
        # What a person holds, nobody else gives to a courier.
        raise_first([found for tube in case.tubes.values() if (found := in_other_hands(act.actor, tube)) is not None])
    relies_on = (case.approval, *confirmations(session, case, case.tubes), *consents_of(case, grounds)[0])
    moves = [Move(tube, _issued(act, code, request, tube), relies_on=relies_on) for _, tube in sorted(case.tubes.items())]
    appended = record_on_tubes(session, act, case, moves, request, lagging=grounds.lagging)
    left = SentOut(specimens=tuple(sorted(case.tubes)))
    sent = record_on_case(session, act, case, left, request, site=site, relies_on=relies_on)
    state = after(Step.ISSUE, case.state)
    set_state(session, case, state)
    told = told_afterwards(session, act, judged, request, case.tubes, "issued")
    return answered(session, act, judged, case.moved_on([*appended, sent], state=state), [*appended, sent, *told])


def _issued(act: Act, code: str, request: IssueRequest, tube: Snapshot) -> Issued:
    """The issue of one tube: nobody's hands change by it, but a courier's, or those of whoever takes it from its site."""
    held = tube.projection.custodian_id if tube.projection.custodian_kind == CustodianKind.USER.value else None
    return Issued(
        withdrawal=code,
        custodian_kind="user" if request.courier is None else "courier",
        custodian_id=request.courier or held or act.actor.code,
        evidence=request.evidence,
    )
