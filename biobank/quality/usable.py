"""Could this unit go to its donor as it is? One pure question for every withdrawal and for what counts as remaining.

Order of the answer: what it was kept for, the law, the verdict of quality, its term, what is left of it, the tests of its lot,
what was found of it.
"""

from datetime import datetime

from biobank.custody.legality import Snapshot
from biobank.custody.states import LIVE, Condition, HoldAct, Quality, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.quality.events import RegulatoryBasis
from biobank.quality.findings import Findings
from biobank.quality.legal_bases import basis_refusals
from biobank.quality.lot_tests import use_refusals_of_tests
from biobank.specimens.materials import material_of

RELEASED = frozenset({Quality.RELEASED_TO_BANK, Quality.RELEASED_CONDITIONALLY})


class NotForTreatment(Conflict):
    """It was kept for testing or as a retained sample."""

    code = "not_for_treatment"
    title = "Not kept for treatment"


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


class NoCriterion(Conflict):
    """It was counted, and nothing said before what the count must show: it passed nothing, and quality did not decide since."""

    code = "no_criterion_for_count"
    title = "Nothing was demanded of the count"


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


def unfit_refusals(specimen: Snapshot, findings: Findings, at: datetime) -> list[Refusal]:
    """Return every reason why the unit may be given to nobody, its donor included; empty when there is none. Pure."""
    purpose = _purpose_refusal(specimen)
    return [
        *([] if purpose is None else [purpose]),
        *_law_refusals(specimen, at),
        *_quality_refusals(specimen, at),
        *use_refusals_of_tests(specimen, findings.tests),
        *_finding_refusals(specimen, findings),
    ]


def is_usable(specimen: Snapshot, findings: Findings, at: datetime) -> bool:
    """Say whether a unit could go to its donor as it is now, wherever it is and whatever it is reserved for. Pure."""
    return (
        specimen.state in LIVE - {State.MISSING}
        and specimen.projection.condition != Condition.THAWED
        and not any(HoldAct.ISSUE.value in hold.blocks or HoldAct.ADMINISTER.value in hold.blocks for hold in specimen.holds)
        and not unfit_refusals(specimen, findings, at)
    )


def _purpose_refusal(specimen: Snapshot) -> Refusal | None:
    if specimen.purpose == "therapeutic":
        return None
    return NotForTreatment(
        f"{specimen.code} was kept for {specimen.purpose}, not for treatment. Choose another.", subject=specimen.code
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
                "temperature record, or discard it.",
                where_now=where,
                subject=code,
            )
        )
    if findings.wrong:
        what = " and ".join(_WRONG[name] for name in findings.wrong)
        found.append(
            InspectionFailed(
                f"Somebody looked at {code} and found {what}. Keep it apart; quality decides about it.",
                where_now=where,
                subject=code,
                wrong=list(findings.wrong),
            )
        )
    if _unjudged(findings):
        found.append(nothing_demanded(specimen))
    count = findings.count
    if count is not None and not count.shown and not _released_in_knowledge(specimen, findings):
        found.append(
            CountBelowCriterion(
                f"The latest count of {code} ({count.live} alive of {count.counted}) does not show the "
                f"{count.minimum_bp / 100:g} % that quality demands. "
                "Quality may release it conditionally, or choose another.",
                where_now=where,
                subject=code,
            )
        )
    return found


def nothing_demanded(specimen: Snapshot) -> NoCriterion:
    """The refusal of a unit whose latest count was asked to show nothing. Pure."""
    title = material_of(specimen.material).title.lower()
    return NoCriterion(
        f"{specimen.code} was counted, and quality had not said what a count of {title} must show at its site. Quality sets "
        "that and it is counted once more, or decides about it as it was counted.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _unjudged(findings: Findings) -> bool:
    """Say whether its latest count was asked to show nothing, and quality decided nothing about it since."""
    if findings.measured is None or findings.count is not None:
        return False
    return findings.decided_at is None or findings.decided_at < findings.measured.recorded_at


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
                f"{code} is {quality.replace('_', ' ')}, not released. Quality decides about it first.",
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
