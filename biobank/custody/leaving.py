"""By which act a specimen leaves where it is: what is reserved by its issue, and what is kept for treatment reaches a clinic so.

Shipments, hand-overs and places in another building ask the same rule. What is on its way already, and what a clinic took and no
bank has accepted yet, is not kept by it.
"""

from typing import Final

from biobank.custody.legality import Snapshot
from biobank.custody.states import State
from biobank.foundation.errors import Conflict

CLINIC: Final = "clinic"
"""The kind of site where patients are treated."""

_ON_ITS_WAY: Final = frozenset({State.ISSUED, State.IN_TRANSIT})
_NOT_KEPT_YET: Final = frozenset({None, State.COLLECTED})


class LeavesByItsIssue(Conflict):
    """What is reserved, or goes to a clinic for treatment, leaves by the issue of a withdrawal and by nothing else."""

    code = "leaves_by_its_issue"
    title = "It leaves only by its issue"


def leaving_refusal(specimen: Snapshot, to_kind: str | None) -> LeavesByItsIssue | None:
    """Return why a specimen may not be taken away from where it is, or None. Pure.

    `to_kind`: the kind of the site it comes to, None while nobody says which (a courier takes it).
    """
    if specimen.state in _ON_ITS_WAY:
        return None
    reserved = specimen.projection.reserved_for
    members = {"where_now": specimen.where_now, "subject": specimen.code}
    if reserved is not None:
        by = "quality takes it back first" if specimen.state in (State.DELIVERED, State.RECEIVED) else "it is issued"
        return LeavesByItsIssue(
            f"{specimen.code} is reserved for {reserved} and does not leave here before {by} (page of {reserved}).",
            withdrawal=reserved,
            **members,
        )
    if to_kind != CLINIC or specimen.purpose != "therapeutic" or specimen.state in _NOT_KEPT_YET:
        return None
    return LeavesByItsIssue(
        f"{specimen.code} is kept for treatment and comes to a clinic only when it was issued to its donor there. "
        "Somebody who treats them asks for it first.",
        **members,
    )
