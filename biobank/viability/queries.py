"""Questions about viability. Each takes the actor; what the actor may not know of is not found."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import get_all_visible, get_visible
from biobank.specimens.assays import measured_of
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.schemas import Measured
from biobank.viability import cells, claims, refusals, rules
from biobank.viability.criteria import Criterion, applying, criteria_over_time
from biobank.viability.dose import dose_of_set, dose_of_vial
from biobank.viability.estimates import Answer, answers, dose_public
from biobank.viability.history_queries import Streams
from biobank.viability.parameters import current
from biobank.viability.refusals import NoEstimate
from biobank.viability.rules import Question
from biobank.viability.schemas import (
    Acceptance,
    CellsPublic,
    DosePublic,
    Estimated,
    EstimatePublic,
    MeasuredCount,
    Said,
    SetDose,
    ViabilityPublic,
)


def describe(
    session: Session, actor: Actor, code: str, *, assay: str | None = None, as_known_at: datetime | None = None
) -> ViabilityPublic:
    """Answer GET /specimens/{code}/viability: what was measured and, apart, what may be expected."""
    return viability_of(session, get_visible(session, actor, code), assay=assay, as_known_at=as_known_at)


def viability_of(
    session: Session,
    specimen: Snapshot,
    *,
    assay: str | None = None,
    as_known_at: datetime | None = None,
    told: Streams | None = None,
) -> ViabilityPublic:
    """Say what was measured of a specimen and, apart, what may be expected of it. `told`: what the log says of it, if read."""
    parameters = current()
    measured = [one for one in measured_of(session, specimen.code) if as_known_at is None or one.recorded_at <= as_known_at]
    pair = (specimen.home_site_code or "", specimen.material)
    demanded = criteria_over_time(session, {pair}).get(pair, []) if measured else []
    streams = None if told is None else {specimen.code: told}
    found = answers(session, [specimen], assay=assay, as_known_at=as_known_at, told=streams)
    return ViabilityPublic(
        specimen=specimen.code,
        measured=[count_of(one, applying(demanded, one.recorded_at), parameters.count_cv) for one in measured],
        estimated=_estimated(found[specimen.code]),
    )


def count_of(one: Measured, criterion: Criterion | None, cv: float) -> MeasuredCount:
    """Return a count with what it says of the whole vial and of what quality demands."""
    whole = None
    if one.volume_nl is not None and one.suspension_ul is not None and one.dilution_milli is not None:
        found = cells.living_in(one.live, one.dilution_milli, one.volume_nl, one.suspension_ul, cv)
        whole = CellsPublic(cells=found.cells, lower=found.lower, upper=found.upper)
    return MeasuredCount(
        **one.model_dump(),
        cells_per_vial=whole,
        acceptance=None if criterion is None else acceptance_of(one.live, one.live + one.dead, criterion),
    )


def acceptance_of(live: int, counted: int, criterion: Criterion) -> Acceptance:
    """Judge a count by a criterion."""
    shown = claims.shows_at_least(live, counted, criterion.minimum_bp, criterion.confidence_bp)
    return Acceptance(
        minimum_bp=criterion.minimum_bp,
        confidence_bp=criterion.confidence_bp,
        shown_bp=claims.shown_bp(live, counted, criterion.confidence_bp),
        verdict="shown" if shown else "not_shown",
    )


def estimate(
    session: Session,
    actor: Actor,
    code: str,
    *,
    question: Question | None = None,
    assay: str | None = None,
    fit: UUID | None = None,
    as_known_at: datetime | None = None,
) -> EstimatePublic:
    """Answer GET /specimens/{code}/viability/estimate; raise the reason when there is none.

    `fit` and `as_known_at` as an earlier answer quoted them give that answer again.
    """
    specimen = get_visible(session, actor, code)
    if question is not None:
        refusal = rules.question_refusal(code, question) or _wrong_question(specimen, question)
        if refusal is not None:
            raise refusal
    answer = answers(session, [specimen], assay=assay, fit=fit, as_known_at=as_known_at)[code]
    if isinstance(answer, NoEstimate):
        raise answer
    return answer[0]


def _wrong_question(specimen: Snapshot, question: Question) -> NoEstimate | None:
    asked, made = rules.ANSWERED[question], MATERIALS[MaterialName(specimen.material)].estimand
    if made is None or asked is made:
        return None
    return refusals.NotAnsweredHere(
        f"Of {specimen.code} the bank estimates {made.value.replace('_', ' ')}, which is not {asked.value.replace('_', ' ')}.",
        subject=specimen.code,
    )


def _estimated(answer: Answer) -> Estimated:
    if isinstance(answer, NoEstimate):
        return Estimated(estimate=None, refused=said(answer))
    return Estimated(estimate=answer[0], refused=None)


def said(refusal: NoEstimate) -> Said:
    """Return a refusal in words."""
    return Said(code=refusal.code, title=refusal.title, detail=refusal.detail)


def expected_dose(
    session: Session,
    specimens: Sequence[Snapshot],
    as_known_at: datetime | None = None,
    *,
    together: Collection[str] | None = None,
) -> tuple[SetDose, dict[str, DosePublic], dict[str, EstimatePublic]]:
    """Return the living cells to be expected of a set, and by vial its dose and its estimate where there is one.

    `as_known_at`: the same instant gives the same answer again (default now);
    `together`: which of them are the set (default all).
    """
    found = answers(session, specimens, as_known_at=as_known_at)
    estimates = {code: one[0] for code, one in found.items() if not isinstance(one, NoEstimate)}
    vials = {code: one[1] for code, one in found.items() if not isinstance(one, NoEstimate) and one[1] is not None}
    asked = set(found) if together is None else set(together)
    counted = [vial for code, vial in vials.items() if code in asked]
    dose = dose_of_set(counted, current().count_cv)
    whole = SetDose(
        vials=len(counted),
        dose=None if dose is None else dose_public(dose),
        refused={code: said(one) for code, one in found.items() if code in asked and isinstance(one, NoEstimate)},
    )
    return whole, {code: dose_public(dose_of_vial(vial, current().count_cv)) for code, vial in vials.items()}, estimates


def dose_of_specimens(session: Session, actor: Actor, codes: Sequence[str]) -> SetDose:
    """Answer GET /viability/dose."""
    return expected_dose(session, get_all_visible(session, actor, list(dict.fromkeys(codes))))[0]
