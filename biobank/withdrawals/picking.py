"""From the tank to the handing over: pick with two people, thaw where the route says so, issue.

A wrong tube or a wrong place at the pick is evidence: the refusal is kept whatever happens next, and says where to put the tube.
"""

from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.events import CheckedOut
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Move
from biobank.custody.snapshots import may_know
from biobank.custody.states import Condition, State
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Conflict, MalformedRequest, NotPermitted, Refused
from biobank.specimens.events import Thawed
from biobank.withdrawals.case import (
    Case,
    open_case,
    pick_table,
    record_on_case,
    record_on_tubes,
    require_treatment_consent,
    require_usable,
    set_state,
)
from biobank.withdrawals.events import Issued, PickConfirmed, Picked, SentOut
from biobank.withdrawals.gate import require_step_permission
from biobank.withdrawals.pick_list import read_pick_list
from biobank.withdrawals.scans import read_scan, read_tube
from biobank.withdrawals.schemas import IssueRequest, PickRequest, PlaceChecked, PlaceScan, ThawRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of
from biobank.withdrawals.workflow import ROUTE_CONDITIONS, Route, Step, after

QUARANTINE = "Put the tube in the nearest quarantine place now; storing there is always accepted."


class WrongSpecimen(Conflict):
    """The tube in the hand is not one of this withdrawal's, or not the one that was picked."""

    code = "wrong_specimen"
    title = "Wrong tube"


class WrongPlace(Conflict):
    """The tube was not where the record says it is."""

    code = "wrong_place"
    title = "Not where it should be"


class PlaceNotScanned(Conflict):
    """A stored tube is picked by scanning its place too."""

    code = "place_scan_required"
    title = "Scan the place too"


class AlreadyPicked(Conflict):
    """It was picked for this withdrawal before."""

    code = "already_picked"
    title = "Already picked"


class SecondPersonNeeded(NotPermitted):
    """The one who took the tube out cannot be the one who confirms it."""

    code = "second_person_must_differ"
    title = "A second person is needed"


class NotPicked(Conflict):
    """A tube leaves only when two people have scanned it out of its place."""

    code = "pick_unconfirmed"
    title = "Not picked by two people"


class CourierEvidenceMissing(Conflict):
    """A courier holds something only once it accepted it."""

    code = "courier_evidence_required"
    title = "Courier's acceptance missing"


def where_of(act: Act, scanned: Snapshot | None) -> str:
    """Say where a tube in the hand goes, telling nothing about one the actor may not know of."""
    return scanned.where_now if scanned is not None and may_know(act.actor, scanned) else QUARANTINE


def wrong_tube(act: Act, case: Case, code: str, scanned: Snapshot | None) -> Refused:
    """The evidence of a wrong tube in the hand. It names what was scanned, never what was expected."""
    return Refused(
        WrongSpecimen(
            f"{code} is not the tube to take for {case.code}. Stop, put it away first, then scan again.",
            where_now=where_of(act, scanned),
            subject=code,
            withdrawal=case.code,
        )
    )


def pick(session: Session, act: Act, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    """Take a tube out of its place, or confirm as the second person, who is shown nothing and only scans."""
    tube = read_tube(session, act, request.tube)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    case.require_step(Step.PICK)
    require_step_permission(act, Step.PICK, case)
    if tube not in case.tubes:
        return wrong_tube(act, case, tube, others.get(tube))
    act.require(Permission.WITHDRAWAL_PICK, at=case.tubes[tube].sites, subject=tube)
    return _confirm(session, act, case, tube, request) if request.confirm else _take_out(session, act, case, tube, request)


def check_place(session: Session, act: Act, code: str, request: PlaceScan) -> PlaceChecked | Refused:
    """One scan on the way to a tube, from the outside in: the rack, the box, the slot. A wrong one is evidence.

    Nothing moved yet, so nothing is recorded when it is right; the pick itself asks for the place again.
    """
    case, _ = open_case(session, act, code)
    case.require_step(Step.PICK)
    require_step_permission(act, Step.PICK, case)
    levels = read_pick_list(session, act.actor, code).line(request.tube).levels
    level = next((one for one in levels if one.kind == request.level), None)
    if level is None:
        raise MalformedRequest(f"{request.tube} has no {request.level} to scan. Open the pick list again.", subject=request.tube)
    scanned = read_scan(act, request.scan, Prefix.POSITION, Prefix.CONTAINER)
    if scanned == level.code:
        return PlaceChecked(level=level.kind, code=level.code)
    return Refused(
        WrongPlace(
            f"{scanned} is not the {level.kind} to open; it is {level.name} ({level.code}). Nothing was taken.",
            where_now=f"Close what you opened. Then look for {level.name}.",
            subject=request.tube,
            withdrawal=code,
            scanned_place=scanned,
        )
    )


def _take_out(session: Session, act: Act, case: Case, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    tube = case.tubes[code]
    if case.item(code).picked:
        raise AlreadyPicked(
            f"{code} was picked already. The second person confirms it (`confirm: true`).",
            where_now=tube.where_now,
            subject=code,
        )
    appended = []
    if tube.state is State.STORED:
        if request.place is None:
            raise PlaceNotScanned(
                f"Scan the place of {code} too: its position, or its box where it has no position.",
                where_now=tube.where_now,
                subject=code,
            )
        place = read_scan(act, request.place, Prefix.POSITION, Prefix.CONTAINER)
        expected = tube.projection["position_code"] or tube.projection["container_code"]
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
    elif tube.state not in (State.CHECKED_OUT, State.IN_PROCESS):
        return wrong_tube(act, case, code, tube)
    container, position = tube.projection["container_code"], tube.projection["position_code"]
    event = Picked(specimen=code, container=container, position=position)
    picked = record_on_case(session, act, case, event, request, site=tube.projection["site_code"])
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
    set_state(session, case, after(Step.PICK, case.state))
    return answer_of(session, act, case.code, [*appended, picked])


def _confirm(session: Session, act: Act, case: Case, code: str, request: PickRequest) -> WithdrawalAnswer | Refused:
    item = case.item(code)
    if not item.picked or item.confirmed:
        return wrong_tube(act, case, code, case.tubes[code])
    row = case.picks[code]
    if row["picked_by"] == act.actor.code:
        raise SecondPersonNeeded(
            "You took this tube out yourself; a second person scans it, with their own login.",
            where_now=case.tubes[code].where_now,
            subject=code,
        )
    event = PickConfirmed(specimen=code, picked_by=row["picked_by"], picked=bytes(row["picked_event"]).hex())
    confirmed = record_on_case(
        session,
        act,
        case,
        event,
        request,
        site=case.tubes[code].projection["site_code"],
        relies_on=(bytes(row["picked_event"]),),
    )
    session.execute(
        update(pick_table)
        .where(pick_table.c.withdrawal_code == case.code, pick_table.c.specimen_code == code)
        .values(confirmed_by=act.actor.code, confirmed_at=act.at)
    )
    return answer_of(session, act, case.code, [confirmed])


def thaw(session: Session, act: Act, code: str, request: ThawRequest) -> WithdrawalAnswer | Refused:
    """Thaw a tube of the withdrawal: at the bench on the route that says so, or at the chair after it arrived.

    There is no way back from here, so everything is checked once more. The tube must have been picked by two people.
    """
    tube = read_tube(session, act, request.tube)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    case.require_step(Step.THAW)
    require_step_permission(act, Step.THAW, case)
    if tube not in case.tubes:
        return wrong_tube(act, case, tube, others.get(tube))
    snapshot = case.tubes[tube]
    if not case.item(tube).confirmed:
        raise NotPicked(f"{tube} was not picked by two people yet.", where_now=snapshot.where_now, subject=tube)
    at_bench = snapshot.state in (State.CHECKED_OUT, State.IN_PROCESS)
    if at_bench and case.route is not Route.THAW_AND_SHIP:
        raise Conflict(
            f"{code} travels on the route '{case.route.value}': {tube} is not thawed here.",
            where_now=snapshot.where_now,
            subject=tube,
        )
    consents = require_treatment_consent(session, act, case.donor, case.row["material"], [tube])
    require_usable(session, act, case, [tube], Thawed, frozenset({Condition.FROZEN}))
    event = Thawed(method=request.method, bath_temperature_mc=request.bath_temperature_mc, duration_s=request.duration_s)
    move = Move(snapshot, event, relies_on=(case.approval, *consents))
    appended = record_on_tubes(session, act, case, [move], request)
    return answer_of(session, act, code, appended)


def issue(session: Session, act: Act, code: str, request: IssueRequest) -> WithdrawalAnswer:
    """Let every tube of the withdrawal go. You keep custody until the receiver accepts; a courier accepts by evidence."""
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    require_step_permission(act, Step.ISSUE, case)
    case.require_step(Step.ISSUE)
    for item in case.items:
        if not item.confirmed:
            raise NotPicked(
                f"{item.specimen} was not picked by two people yet, so {code} cannot leave.",
                where_now=case.tubes[item.specimen].where_now,
                subject=item.specimen,
            )
    if request.courier is not None and request.evidence is None:
        raise CourierEvidenceMissing(
            f"{request.courier} holds the tubes only once it accepted them: send its reference in `evidence`.", subject=code
        )
    consents = require_treatment_consent(session, act, case.donor, case.row["material"], case.tubes)
    require_usable(session, act, case, case.tubes, Issued, ROUTE_CONDITIONS[case.route])
    event = Issued(
        withdrawal=code,
        custodian_kind="user" if request.courier is None else "courier",
        custodian_id=request.courier or act.actor.code,
        evidence=request.evidence,
    )
    relies_on = (case.approval, *consents)
    moves = [Move(tube, event, relies_on=relies_on) for _, tube in sorted(case.tubes.items())]
    appended = record_on_tubes(session, act, case, moves, request)
    site = next(iter(case.tubes.values())).projection["site_code"]
    sent = record_on_case(session, act, case, SentOut(specimens=tuple(sorted(case.tubes))), site=site, relies_on=relies_on)
    set_state(session, case, after(Step.ISSUE, case.state))
    return answer_of(session, act, code, [*appended, sent])
