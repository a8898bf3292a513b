"""May this request be approved? One pure function: the review lists all its answers, the approval raises the first.

Order of the answers: who may decide, the step, whose request it is, the donor and the consents, the tubes by code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from biobank.auth.actor import Actor
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.withdrawals.case import Case, usage_refusals
from biobank.withdrawals.consents import treatment_consents
from biobank.withdrawals.events import Reserved
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.workflow import BEFORE_ISSUE, Step, step_refusal


class OwnRequest(NotPermitted):
    """Whoever asks does not also decide."""

    code = "own_request"
    title = "Your own request"


@dataclass(frozen=True)
class Grounds:
    """What an approval rests on beside the case. `consents`: the donor's treatment consents as `consents_given` reads them;
    `lagging`: the log is behind its promise.
    """

    at: datetime
    donor_status: str
    consents: Sequence[Any]
    lagging: bool


def approval_refusals(actor: Actor, case: Case, grounds: Grounds) -> list[Refusal]:
    """Return every reason why the actor may not approve the request now, in the order the approval raises them. Pure."""
    first = (step_permission_refusal(actor, Step.APPROVE, case), step_refusal(Step.APPROVE, case.code, case.state))
    own = case.row["requested_by"] == actor.code
    return [
        *(refusal for refusal in first if refusal is not None),
        *([OwnRequest(f"You asked for {case.code} yourself; someone else must approve it.", subject=case.code)] if own else []),
        *consents_of(case, grounds)[1],
        *usage_refusals(case, case.tubes, Reserved, BEFORE_ISSUE[case.route], at=grounds.at, lagging=grounds.lagging),
    ]


def consents_of(case: Case, grounds: Grounds) -> tuple[list[bytes], list[Refusal]]:
    """Return the consents that cover giving the case's tubes back, and every reason why not. Pure."""
    return treatment_consents(case.donor, grounds.donor_status, grounds.consents, case.row["material"], case.tubes, grounds.at)
