"""The end of a withdrawal: what came back, what became of it, and that nothing more is expected."""

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.permissions import Permission
from biobank.custody.chronology import require_existed
from biobank.custody.exposure import cold_at
from biobank.custody.recording import Move
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refused, raise_first
from biobank.quality.adverse import Happened
from biobank.shipping.arrival_findings import findings_alone
from biobank.shipping.journey_logs import Journey, logged_members, logged_on, longest_gap, read_record
from biobank.shipping.travel_limits import limits_by_hand
from biobank.vault import put_document
from biobank.withdrawals.adverse import NothingGiven, keep
from biobank.withdrawals.case import Case, moment_of, open_case, record_on_case, record_on_tubes, set_state
from biobank.withdrawals.events import Closed, OutcomeRecorded, Returned, TakenBack
from biobank.withdrawals.givings_since import require_since_giving
from biobank.withdrawals.journeys import left_the_bank
from biobank.withdrawals.models import withdrawal_outcome as outcome_table
from biobank.withdrawals.releases import end_releases
from biobank.withdrawals.return_rules import returning_refusals
from biobank.withdrawals.scans import read_tube
from biobank.withdrawals.schemas import OutcomeRequest, ReturnRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.step_rules import outcome_refusals, return_refusals
from biobank.withdrawals.strays import hold_specimens, stop_stray
from biobank.withdrawals.workflow import Step, WithdrawalState, after, ending_of, settled, step_refusal

OF_A_GIVING = ("as_expected", "no_effect")
ADVERSE_RESULTS = ("adverse_event", "serious_adverse_event")


class TubesOutstanding(Conflict):
    """A withdrawal ends when every tube of it was given, returned or destroyed."""

    code = "tubes_outstanding"
    title = "Tubes outstanding"


class SomethingGiven(Conflict):
    """Cells of this withdrawal were given; the outcome is what came of that."""

    code = "something_was_given"
    title = "Something was given"


class NoJourneyRecord(Conflict):
    """What left the bank is released to it again only on the temperature record of its journey."""

    code = "no_journey_record"
    title = "No temperature record"


def take_back(session: Session, act: Act, code: str, request: ReturnRequest) -> WithdrawalAnswer | Refused:
    """Take a frozen tube back into the bank, on quality's signed decision; without the temperature record of its journey it is
    not released again, and one that shows it too warm holds it.
    """
    tube = read_tube(session, act, request.tube)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    if tube not in case.tubes:
        return stop_stray(session, act, Step.RETURN, case, tube, others.get(tube))
    raise_first(return_refusals(act.actor, case, tube))
    raise_first(returning_refusals(act.actor, case, tube, request.quality, act.at))
    # The decision takes the tube to a site: it must be the decider's to make there too.
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    if request.logger_sha256 is None and request.quality == "released_to_bank":
        raise NoJourneyRecord(
            f"{tube} has no temperature record of its journey, so it is not released to the bank again. Attach the record, or "
            "decide that it stays in quarantine or is rejected.",
            subject=tube,
        )
    at = cold_at(act, request.occurred_at, request.paper)
    way = Journey(tube, left_the_bank(session, [tube])[tube], at)
    logged = logged_on(read_record(session, act, request), way, longest_gap(act))
    if logged is not None and logged.unread and request.quality == "released_to_bank":
        part = max(logged.unread, key=lambda one: one.seconds)
        raise NoJourneyRecord(
            f"The record of {tube} says nothing of its way from {rfc3339(part.since)} to {rfc3339(part.until)}"
            f"{' and of other times' if len(logged.unread) > 1 else ''}, so it is not released to the bank again. Attach "
            "the whole record, or decide that it stays in quarantine or is rejected.",
            subject=tube,
            unread=[str(one) for one in logged.unread],
        )
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = Returned(
        withdrawal=code,
        site=request.site,
        reason=request.reason,
        quality=request.quality,
        logger_sha256=request.logger_sha256,
        signature=str(signature.id),
        **logged_members(logged),
    )
    end_releases(session, [tube], at=act.at, because="returned")
    appended = record_on_tubes(session, act, case, [Move(case.tubes[tube], event, site=request.site)], request)
    for finding in findings_alone(limits_by_hand(session, [case.tubes[tube]], request.site), event, frozen=True):
        appended += hold_specimens(session, act, [tube], finding.kind, request, reason=finding.reason, site=request.site)
    state = after(Step.RETURN, case.state, case.moved_on(appended, returned=[tube]).items)
    returned = record_on_case(session, act, case, TakenBack(specimen=tube, state=state), request, site=request.site)
    set_state(session, case, state)
    return answer_of(session, act, read_again(session, act, case), [*appended, returned])


def record_outcome(session: Session, act: Act, code: str, request: OutcomeRequest) -> WithdrawalAnswer:
    """Record what the clinic saw, and close the withdrawal unless more is expected.

    An adverse event is recorded as one: with a deviation, and a hold on what may share its cause.
    """
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(outcome_refusals(act.actor, case))
    _require_of_what_was_given(case, request.result)
    words = None
    if request.words is not None:
        words = put_document(session, act.keystore, case.donor, {"outcome": request.words})
    observed = moment_of(act, request, request.observed_at)
    if request.result in (*OF_A_GIVING, *ADVERSE_RESULTS):
        require_since_giving(session, case, observed)
    else:
        require_existed(session, request.observed_at, [(StreamKind.WITHDRAWAL, code)], to_the_minute=True)
    event = OutcomeRecorded(result=request.result, observed_at=rfc3339(observed), words=None if words is None else words.hex())
    recorded = record_on_case(session, act, case, event, request)
    session.execute(
        insert(outcome_table).values(
            withdrawal_code=code,
            result=request.result,
            words_commit=words,
            observed_at=observed,
            recorded_by=act.actor.code,
            event_hash=recorded.leaf_hash,
        )
    )
    appended, state = [recorded], case.state
    if request.result in ADVERSE_RESULTS:
        happened = Happened(
            kind="reaction" if case.given else "event",
            seriousness="serious" if request.result == "serious_adverse_event" else "not_serious",
            in_lot=None,
            seen_at=observed,
            words=request.words,
            topic=request.result,
        )
        appended += keep(session, act, case, request, happened)
    if request.close and case.state is not WithdrawalState.CLOSED:
        _require_settled(case)
        appended.append(record_on_case(session, act, case, Closed(), request))
        state = after(Step.CLOSE, case.state)
        set_state(session, case, state)
    return answer_of(session, act, read_again(session, act, case), appended)


def _require_of_what_was_given(case: Case, result: str) -> None:
    """Raise unless the result fits: what cells did is said of cells that were given, and that none were of none."""
    if result in OF_A_GIVING and not case.given:
        raise NothingGiven(f"Nothing of {case.code} was given. Record that it was not administered.", subject=case.code)
    if result == "not_administered" and case.given:
        raise SomethingGiven(f"{', '.join(sorted(case.given))} was given. Record what came of it.", subject=case.code)


def _require_settled(case: Case) -> None:
    refusal = step_refusal(Step.CLOSE, case.code, case.state)
    if refusal is not None:
        raise refusal
    for item in case.items:
        if not settled(item):
            raise TubesOutstanding(
                f"{item.specimen} is {item.state.value.replace('_', ' ')}: {ending_of(item)}, before {case.code} ends. "
                "An outcome can be recorded without ending it.",
                subject=item.specimen,
            )
