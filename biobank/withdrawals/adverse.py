"""An adverse reaction or event with a withdrawal, as the clinic records it; `quality/adverse.py` says what follows."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Appended
from biobank.custody.recording import Circumstances
from biobank.foundation.errors import Conflict, raise_first
from biobank.quality import adverse
from biobank.withdrawals.case import Case, moment_of, open_case
from biobank.withdrawals.givings_since import require_since_giving
from biobank.withdrawals.schemas import AdverseRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.step_rules import outcome_refusals


class NothingGiven(Conflict):
    """A reaction is a person's to something that was given; what went wrong otherwise is an event."""

    code = "nothing_given"
    title = "Nothing was given"


def record_adverse(session: Session, act: Act, code: str, request: AdverseRequest) -> WithdrawalAnswer:
    """Record what was seen: whoever may record the outcome may. Raises NothingGiven for a reaction to nothing."""
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(outcome_refusals(act.actor, case))
    if request.kind == "reaction" and not case.given:
        raise NothingGiven(f"Nothing of {code} was given yet. Record an event instead.", subject=code)
    seen_at = moment_of(act, request, request.seen_at)
    if request.kind == "reaction":
        require_since_giving(session, case, seen_at)
    happened = adverse.Happened(
        kind=request.kind,
        seriousness=request.seriousness,
        in_lot=request.in_lot,
        seen_at=seen_at,
        words=request.words,
        topic=f"adverse_{request.kind}",
    )
    kept = keep(session, act, case, request, happened)
    return answer_of(session, act, read_again(session, act, case), kept)


def keep(session: Session, act: Act, case: Case, given: Circumstances, happened: adverse.Happened) -> list[Appended]:
    """Record what happened with what of the case was given, or before anything was, with all its tubes."""
    units = [tube for code, tube in case.tubes.items() if not case.given or code in case.given]
    where = {"withdrawal": case.code, "donor": case.donor, "site": case.clinic}
    return adverse.open_adverse(session, act, given, happened, units=units, beside=case.tubes.values(), **where)[1]
