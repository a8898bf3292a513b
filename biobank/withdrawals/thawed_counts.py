"""Cells that travel thawed leave on a count that was made after the thaw and passed what quality had demanded before."""

from collections.abc import Collection

from biobank.custody.legality import Snapshot
from biobank.custody.states import TERMINAL, Condition
from biobank.foundation.errors import Conflict, Refusal
from biobank.quality.findings import Findings
from biobank.quality.usable import nothing_demanded
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.withdrawals.case import Case
from biobank.withdrawals.workflow import Route


class NotCounted(Conflict):
    """It travels thawed, and nobody counted its living cells since it was thawed."""

    code = "count_after_thaw_missing"
    title = "Not counted after thawing"


class ThawedAlready(Conflict):
    """Cells were thawed for it: they are issued, or two people end them, before it is called off."""

    code = "thawed_already"
    title = "Thawed already"


def thawed_refusals(case: Case) -> list[Refusal]:
    """Return why a withdrawal is not called off, one for each tube that was thawed for it and is still there. Pure."""
    return [
        ThawedAlready(
            f"{item.specimen} was thawed for {case.code} and never goes back into the tank. Issue it; or discard it first: two "
            "people sign, one of them of quality.",
            where_now=case.tubes[item.specimen].where_now,
            subject=item.specimen,
        )
        for item in case.items
        if item.condition is Condition.THAWED and item.state not in TERMINAL
    ]


def uncounted(case: Case, codes: Collection[str]) -> list[Refusal]:
    """What of `codes` is shipped thawed was counted since, by what quality demanded before; that it passed, the use of each tube
    answers.
    """
    if case.route is not Route.THAW_AND_SHIP:
        return []
    found = (_count_refusal(case.tubes[code], case.findings[code], case.approvers) for code in sorted(codes))
    return [one for one in found if one is not None]


def _count_refusal(tube: Snapshot, found: Findings, approvers: frozenset[str]) -> Refusal | None:
    material = MATERIALS[MaterialName(tube.material)]
    if not material.assays:
        return None
    if not found.counted_since_thaw:
        return NotCounted(
            f"{tube.code} travels thawed, and its living cells were not counted since it was thawed. Count them first.",
            where_now=tube.where_now,
            subject=tube.code,
        )
    if not approvers.isdisjoint({found.measured.recorded_by, found.measured.operator}):
        return NotCounted(
            f"{tube.code} was counted by whoever approved its withdrawal. Somebody else counts it once more.",
            where_now=tube.where_now,
            subject=tube.code,
        )
    if found.count is None:
        return nothing_demanded(tube)
    return None
