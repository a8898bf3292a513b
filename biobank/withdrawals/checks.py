"""May this tube go back to its donor? One pure rule, asked at the request, the approval, the issue, the thaw and the bedside.

Order of the answer: whose it is, what it was kept for, its custody (state, reservation, holds, the log's lag), the law, the
verdict of quality, its term, what is left of it, its condition for the route. Pages list every no, an act raises the first.
"""

from datetime import datetime

from biobank.custody.event import Event
from biobank.custody.legality import Snapshot, refusals_of
from biobank.custody.states import Condition, Quality
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.quality.events import RegulatoryBasis
from biobank.quality.legal_bases import basis_refusals
from biobank.quality.lot_tests import use_refusals_of_tests
from biobank.quality.reserves import RELEASED
from biobank.withdrawals.findings import NOTHING_FOUND, Findings
from biobank.withdrawals.workflow import Route


class AnotherPersonsCells(Conflict):
    """Cells go back to the person they came from and to nobody else."""

    code = "another_persons_cells"
    title = "Another person's cells"


class NotForTreatment(Conflict):
    """It was kept for testing or as a retained sample."""

    code = "not_for_treatment"
    title = "Not kept for treatment"


class AnotherMaterial(Conflict):
    """It is of another material than was asked for."""

    code = "another_material"
    title = "Another material"


class ResearchOnly(Conflict):
    """Its regulatory basis excludes treatment."""

    code = "research_only"
    title = "For research only"


class NotReleased(Conflict):
    """Quality has not released it, or rejected it."""

    code = "not_released"
    title = "Not released"


class Expired(Conflict):
    """Its term is over."""

    code = "expired"
    title = "Expired"


class NothingLeft(Conflict):
    """The tube is empty by the record."""

    code = "nothing_left"
    title = "Nothing left"


class WrongConditionForRoute(Conflict):
    """Its condition does not fit the route."""

    code = "wrong_condition_for_route"
    title = "Wrong condition for this route"


class InspectionFailed(Conflict):
    """Somebody looked at it and it was not as it should be; quality has not decided since."""

    code = "inspection_failed"
    title = "Found damaged"


class CountBelowCriterion(Conflict):
    """Its latest count does not show what quality demands of the material."""

    code = "count_below_criterion"
    title = "Too few alive"


_WRONG = {
    "container_intact": "its container broken",
    "label_legible": "its label not legible",
    "contents_as_expected": "contents other than expected",
}


class CameBackUndecided(Conflict):
    """It left the bank for a patient once and came back without quality's decision."""

    code = "came_back_undecided"
    title = "Came back without a decision"


def use_refusals(
    event: type[Event],
    specimen: Snapshot,
    *,
    donor: str,
    at: datetime,
    route: Route | None = None,
    conditions: frozenset[Condition] | None = None,
    material: str | None = None,
    withdrawal: str | None = None,
    lagging: bool = False,
    findings: Findings = NOTHING_FOUND,
) -> list[Refusal]:
    """Return every reason why `specimen` may not be used for `donor` by way of `event`; empty when it may.

    `at`: the instant of the act; `conditions`: physical conditions that `route` allows at this step; `withdrawal`: on whose
    behalf; `findings`: what the record tells of it beside its custody row.
    """
    found = (
        _owner_refusal(specimen, donor),
        _purpose_refusal(specimen),
        _material_refusal(specimen, material),
        *refusals_of(event, specimen, withdrawal=withdrawal, lagging=lagging),
        *_law_refusals(specimen, at),
        *_quality_refusals(specimen, at),
        *use_refusals_of_tests(specimen, findings.tests),
        *_finding_refusals(specimen, findings),
        _condition_refusal(specimen, route, conditions),
    )
    return [refusal for refusal in found if refusal is not None]


def _owner_refusal(specimen: Snapshot, donor: str) -> Refusal | None:
    if specimen.donor_code == donor:
        return None
    return AnotherPersonsCells(
        f"{specimen.code} does not come from {donor}. Cells go back to their own donor only.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _purpose_refusal(specimen: Snapshot) -> Refusal | None:
    if specimen.purpose == "therapeutic":
        return None
    return NotForTreatment(
        f"{specimen.code} was kept for {specimen.purpose}, not for treatment. Choose another.", subject=specimen.code
    )


def _material_refusal(specimen: Snapshot, material: str | None) -> Refusal | None:
    if material is None or specimen.material == material:
        return None
    return AnotherMaterial(
        f"{specimen.code} is {specimen.material}; {material} was asked for. Choose another.", subject=specimen.code
    )


def _law_refusals(specimen: Snapshot, at: datetime) -> list[Refusal]:
    if specimen.regulatory_basis == RegulatoryBasis.RESEARCH_ONLY:
        return [
            ResearchOnly(f"{specimen.code} may be used for research only.", where_now=specimen.where_now, subject=specimen.code)
        ]
    return basis_refusals(specimen.regulatory_basis, specimen, at)


def _finding_refusals(specimen: Snapshot, findings: Findings) -> list[Refusal]:
    code, where = specimen.code, specimen.where_now
    found: list[Refusal] = []
    if findings.came_back:
        found.append(
            CameBackUndecided(
                f"{code} left for a patient and came back without quality's decision. Record its return with the journey's "
                "temperature record (POST /withdrawals/…/return), or discard it.",
                where_now=where,
                subject=code,
            )
        )
    if findings.wrong:
        what = " and ".join(_WRONG[name] for name in findings.wrong)
        found.append(
            InspectionFailed(
                f"Somebody looked at {code} and found {what}. Keep it apart; quality decides (POST …/decision).",
                where_now=where,
                subject=code,
                wrong=list(findings.wrong),
            )
        )
    count = findings.count
    if count is not None and not _released_in_knowledge(specimen, findings):
        found.append(
            CountBelowCriterion(
                f"The latest count of {code} ({count.live} alive of {count.counted}) does not show the "
                f"{count.minimum_bp / 100:g} % that quality demands. "
                "Quality may release it conditionally (POST …/decision), or choose another.",
                where_now=where,
                subject=code,
            )
        )
    return found


def _released_in_knowledge(specimen: Snapshot, findings: Findings) -> bool:
    """Say whether quality released it conditionally after the count was there to be read."""
    decided, count = findings.decided_at, findings.count
    conditional = specimen.projection.quality == Quality.RELEASED_CONDITIONALLY
    return conditional and count is not None and decided is not None and decided >= count.recorded_at


def _quality_refusals(specimen: Snapshot, at: datetime) -> list[Refusal]:
    code, where = specimen.code, specimen.where_now
    quality = specimen.projection.quality
    found: list[Refusal] = []
    if quality not in RELEASED:
        found.append(
            NotReleased(
                f"{code} is {quality.replace('_', ' ')}, not released. Quality decides (POST …/decision).",
                where_now=where,
                subject=code,
                quality=quality,
            )
        )
    if specimen.expires_at is not None and specimen.expires_at <= at:
        found.append(Expired(f"{code} expired on {rfc3339(specimen.expires_at)}. Choose another.", where_now=where, subject=code))
    if specimen.projection.amount <= 0:
        found.append(NothingLeft(f"By the record nothing is left in {code}. Choose another.", where_now=where, subject=code))
    return found


def _condition_refusal(specimen: Snapshot, route: Route | None, conditions: frozenset[Condition] | None) -> Refusal | None:
    condition = Condition(specimen.projection.condition)
    if route is None or conditions is None or condition in conditions:
        return None
    wanted = " or ".join(sorted(c.value.replace("_", " ") for c in conditions))
    return WrongConditionForRoute(
        f"{specimen.code} is {condition.value.replace('_', ' ')}; on the route '{route.value}' it must be {wanted} now.",
        where_now=specimen.where_now,
        subject=specimen.code,
        condition=condition.value,
        route=route.value,
    )
