"""Another tube instead of one that cannot be used any more: every guard runs again, from the request on.

An approval is of exactly these tubes. So the withdrawal is called off, which frees its tubes (the failed one may be destroyed),
and a new one is asked for with the rest and the other tube: it is looked at whole, signed, picked and confirmed anew.
"""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import Circumstances
from biobank.foundation.errors import Conflict, raise_first
from biobank.withdrawals.case import open_case
from biobank.withdrawals.scans import read_tube
from biobank.withdrawals.schemas import ReplaceRequest, WithdrawalAnswer, WithdrawalRequest
from biobank.withdrawals.service import call_off, request_withdrawal
from biobank.withdrawals.step_rules import read_grounds, replace_refusals


class NotAReplacement(Conflict):
    """One of the withdrawal's tubes is replaced, by one that is not its own yet."""

    code = "not_a_replacement"
    title = "Not a replacement"


def replace_tube(session: Session, act: Act, code: str, request: ReplaceRequest) -> WithdrawalAnswer:
    """Ask for another tube instead of one; the answer is the new withdrawal. Raises what a request raises, NotAReplacement."""
    tube, by = read_tube(session, act, request.tube), read_tube(session, act, request.by)
    # Both are locked with the rest, so that the request that follows takes no lock out of order.
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube, by])
    grounds = read_grounds(session, act.bank, [case.donor], act.at, of=request.occurred_at, decided=True)[case.donor]
    raise_first(replace_refusals(act.actor, case, grounds))
    if tube not in case.tubes or by in case.tubes:
        raise NotAReplacement(
            f"Name a tube of {code} and one that is not its own yet: {tube} by {by} is no replacement.", subject=code
        )
    ended = call_off(session, act, case, request, request.reason, freed_because="tube_replaced")
    asked = WithdrawalRequest(
        donor=case.donor,
        material=case.row["material"],
        route=case.route,
        specimens=sorted({*case.tubes, by} - {tube}),
        minimum_amount=case.row["amount_asked"],
        needed_at=case.row["needed_at"],
        **{name: getattr(request, name) for name in Circumstances.model_fields},
    )
    return request_withdrawal(session, act, asked, instead_of=case, before=ended)
