"""Cells that are grown before they go back: the tubes of a withdrawal go into a new run, and what comes out is asked for anew.

Request, approval, two picks and the thaw at the bench are those of every withdrawal. The run takes the place of the issue:
nothing leaves. What it makes is a lot of its own, with its own tests, release and approval; it inherits none.
"""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import Move
from biobank.foundation.errors import Refusal, Refused, raise_first
from biobank.specimens.making import record_making
from biobank.specimens.processes import PROCESSES
from biobank.specimens.run_rules import THERAPEUTIC
from biobank.withdrawals.case import Case, open_case, record_on_case, record_on_tubes, set_state
from biobank.withdrawals.events import Expanded, Unreserved
from biobank.withdrawals.schemas import ExpandedAnswer, ExpandRequest
from biobank.withdrawals.service import answer_members, read_again
from biobank.withdrawals.step_errors import NotAnExpansion
from biobank.withdrawals.step_rules import consents_of, expand_refusals, read_grounds
from biobank.withdrawals.strays import stop_stray
from biobank.withdrawals.workflow import Step, after


def expand(session: Session, act: Act, code: str, request: ExpandRequest) -> ExpandedAnswer | Refused:
    """Record the run that the tubes of the withdrawal went into. All of them go in, and all that comes out is for treatment.

    Raises the first of `expand_refusals`, NotAnExpansion, and what `record_making` raises. What of a tube did not go in is free
    of the withdrawal: it is thawed, and goes before a witness.
    """
    named = [one.specimen for one in request.inputs]
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=named)
    for tube in named:
        if tube not in case.tubes:
            return stop_stray(session, act, Step.EXPAND, case, tube, others.get(tube))
    grounds = read_grounds(session, act.bank, [case.donor], act.at, of=request.occurred_at, decided=True)[case.donor]
    raise_first(expand_refusals(act.actor, case, grounds))
    raise_first(run_refusals(case, request))
    run = record_making(session, act, request, withdrawal=code)
    assert run.lot is not None, "a culture is a lot"
    relies_on = (case.approval, *consents_of(case, grounds)[0])
    event = Expanded(specimens=tuple(sorted(case.tubes)), processing=str(run.processing), lot=run.lot)
    state = after(Step.EXPAND, case.state)
    expanded = record_on_case(session, act, case, event, request, site=request.site, relies_on=relies_on)
    set_state(session, case, state)
    freed = Unreserved(withdrawal=code, reason="withdrawal_expanded")
    rest = [tube for tube in read_again(session, act, case).tubes.values() if tube.projection.reserved_for == code]
    moves = [Move(tube, freed, relies_on=(expanded.leaf_hash,)) for tube in rest]
    whole = [expanded, *(record_on_tubes(session, act, case, moves, request) if moves else [])]
    return ExpandedAnswer(**answer_members(session, act, read_again(session, act, case), whole), run=run)


def run_refusals(case: Case, request: ExpandRequest) -> list[Refusal]:
    """Return why this run is not what was approved: it makes something else, leaves a tube out, or is not for treatment. Pure."""
    found: list[Refusal] = []
    process = PROCESSES[request.process]
    if not process.culture:
        found.append(NotAnExpansion(f"{process.title} grows nothing. Record a first culture or a passage.", subject=case.code))
    left_out = sorted(case.tubes.keys() - {one.specimen for one in request.inputs})
    if left_out:
        said = ", ".join(left_out)
        found.append(NotAnExpansion(f"Every tube of {case.code} goes into the run, and {said} is not named.", subject=case.code))
    if any(one.purpose != THERAPEUTIC for one in request.outputs):
        found.append(
            NotAnExpansion(
                f"What {case.code} was approved for is grown to be given back. Take samples for tests of it afterwards.",
                subject=case.code,
            )
        )
    return found
