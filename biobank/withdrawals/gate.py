"""Who may take which step of a withdrawal, and where: the clinic's steps at the clinic, the bank's where the tubes are kept.

One table answers for the act and for its button. A step about every tube takes the right at every tube; one about a single tube
takes it at one of them here, and its use case asks again at the tube that was scanned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Place
from biobank.foundation.errors import NotPermitted
from biobank.withdrawals.case import Case
from biobank.withdrawals.workflow import Step


def _clinic(case: Case) -> list[tuple[str, Place]]:
    return [(case.code, case.clinic)]


def _every_keeper(case: Case) -> list[tuple[str, Place]]:
    """Who asked for the cells does not also decide that they leave: the bank that keeps them does."""
    return [(code, tube.keeper) for code, tube in sorted(case.tubes.items())] or [(case.code, None)]


def _every_tube(case: Case) -> list[tuple[str, Place]]:
    places = [(code, [tube.keeper, tube.projection.site_code]) for code, tube in sorted(case.tubes.items())]
    return list(places) or [(case.code, None)]


def _one_tube(case: Case) -> list[tuple[str, Place]]:
    return [(case.code, [site for tube in case.tubes.values() for site in tube.sites])]


P = Permission


@dataclass(frozen=True)
class Right:
    """A permission, and at which places of a case all of it must be held."""

    permission: Permission
    places: Callable[[Case], list[tuple[str, Place]]]


RIGHTS: Mapping[Step, tuple[Right, ...]] = {
    Step.APPROVE: (Right(P.WITHDRAWAL_APPROVE, _every_keeper),),
    Step.REJECT: (Right(P.WITHDRAWAL_APPROVE, _every_keeper),),
    Step.CANCEL: (Right(P.WITHDRAWAL_REQUEST, _clinic), Right(P.WITHDRAWAL_APPROVE, _every_keeper)),
    Step.REPLACE: (Right(P.WITHDRAWAL_REQUEST, _clinic),),
    Step.PICK: (Right(P.WITHDRAWAL_PICK, _one_tube),),
    Step.THAW: (Right(P.CUSTODY_RECORD, _one_tube),),
    Step.LABEL: (Right(P.CUSTODY_RECORD, _one_tube),),
    Step.EXPAND: (Right(P.PROCESSING_RECORD, _every_tube),),
    Step.ISSUE: (Right(P.WITHDRAWAL_ISSUE, _every_tube),),
    Step.RECEIVE: (Right(P.WITHDRAWAL_RECEIVE, _clinic),),
    Step.CHECK: (Right(P.WITHDRAWAL_ADMINISTER, _clinic),),
    Step.ADMINISTER: (Right(P.WITHDRAWAL_ADMINISTER, _clinic),),
    Step.OUTCOME: (Right(P.WITHDRAWAL_ADMINISTER, _clinic),),
    Step.RETURN: (Right(P.QUALITY_DECIDE, _one_tube),),
}
"""Each of a step's rights is enough by itself: a request is called off by the clinic that made it, or by quality."""


def step_permission_refusal(actor: Actor, step: Step, case: Case) -> NotPermitted | None:
    """Return why the actor may not take the step, or None. Pure."""
    first: NotPermitted | None = None
    for right in RIGHTS[step]:
        refusals = (actor.refusal(right.permission, at=at, subject=subject) for subject, at in right.places(case))
        refusal = next((one for one in refusals if one is not None), None)
        if refusal is None:
            return None
        first = first or refusal
    return first
