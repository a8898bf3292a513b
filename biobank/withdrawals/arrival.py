"""Arrival at the clinic: tubes are received and looked at. What arrives damaged or unreadable is held with it."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.exposure import cold_at
from biobank.custody.recording import Move
from biobank.foundation.errors import Refused, raise_first
from biobank.shipping.arrival_findings import Seen, possible_temperature
from biobank.shipping.arrivals import compare, look_at_boxes, require_possible
from biobank.shipping.boxes import boxes_of, require_boxes
from biobank.shipping.journey_logs import Journey, logged_members, logged_on, longest_gap, read_record
from biobank.shipping.shipment_queries import row_of
from biobank.shipping.travel_limits import limits_by_hand
from biobank.withdrawals.case import open_case, record_on_case, record_on_tubes, set_state
from biobank.withdrawals.events import Arrived, Delivered
from biobank.withdrawals.journeys import left_the_bank
from biobank.withdrawals.scans import read_tube
from biobank.withdrawals.schemas import ReceiveRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.step_rules import receipt_refusals
from biobank.withdrawals.strays import stop_stray
from biobank.withdrawals.workflow import Step, after


def receive(session: Session, act: Act, code: str, request: ReceiveRequest) -> WithdrawalAnswer | Refused:
    """Accept tubes at the clinic and look at them. What arrives damaged or unreadable is held with it."""
    tubes = list(dict.fromkeys(read_tube(session, act, scan) for scan in request.tubes))
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=tubes)
    for tube in tubes:
        if tube not in case.tubes:
            return stop_stray(session, act, Step.RECEIVE, case, tube, others.get(tube))
    for tube in sorted(tubes):
        raise_first(receipt_refusals(act.actor, case, tube))
    at = cold_at(act, request.occurred_at, request.paper)
    shipments = sorted({own for tube in tubes if (own := case.tubes[tube].projection.shipment_code) is not None})
    rows = {shipment: row_of(session, shipment) for shipment in shipments}
    require_boxes(session, shipments, [one.box for one in request.boxes])
    for row in rows.values():
        require_possible(session, act, row, request.temperature_mc, confirmed=request.confirmed)
    if not rows and request.temperature_mc is not None and not request.confirmed:
        limits = limits_by_hand(session, [case.tubes[tube] for tube in tubes], case.clinic)
        possible_temperature(limits, request.temperature_mc, act.at)
    record = read_record(session, act, request)
    longest = longest_gap(act)
    ways = {shipment: Journey(shipment, row.dispatched_at, at, row.logger) for shipment, row in rows.items()}
    logged = {shipment: logged_on(record, way, longest) for shipment, way in ways.items()}
    by_hand = [tube for tube in sorted(tubes) if case.tubes[tube].projection.shipment_code is None]
    left = left_the_bank(session, by_hand)
    logged |= {tube: logged_on(record, Journey(tube, left[tube], at), longest) for tube in by_hand}
    event = Delivered(
        withdrawal=code,
        site=case.clinic,
        container_intact=request.container_intact,
        label_legible=request.label_legible,
        temperature_mc=request.temperature_mc,
        logger_sha256=request.logger_sha256,
    )
    moves = [
        Move(
            case.tubes[tube],
            event.model_copy(update=logged_members(logged[case.tubes[tube].projection.shipment_code or tube])),
            site=case.clinic,
        )
        for tube in sorted(tubes)
    ]
    appended = record_on_tubes(session, act, case, moves, request, seals_follow=True)
    arrived = record_on_case(session, act, case, Arrived(specimens=tuple(sorted(tubes)), site=case.clinic), request)
    state = after(Step.RECEIVE, case.state)
    set_state(session, case, state)
    for shipment, row in rows.items():
        of_it = sorted(tube for tube in tubes if case.tubes[tube].projection.shipment_code == shipment)
        seen = Seen(
            at=at,
            logged=logged[shipment],
            temperature_mc=request.temperature_mc,
            nameless=0 if request.label_legible else len(of_it),
            seal=request.seal,
            seal_intact=request.seal_intact,
            logger_sha256=request.logger_sha256,
        )
        appended += compare(session, act, row, of_it, seen, given=request)[1]
        known = {one.box for one in boxes_of(session, shipment)}
        appended += look_at_boxes(session, act, row, [one for one in request.boxes if one.box in known], of_it, request)[2]
    return answer_of(session, act, read_again(session, act, case), [*appended, arrived])
