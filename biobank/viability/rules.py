"""May a number be given? One pure function, asked by every estimate and, for its past alone, by the fit. The first no wins."""

from dataclasses import dataclass
from enum import StrEnum

from biobank.custody.states import Condition
from biobank.specimens.materials import MATERIALS, Estimand, MaterialName
from biobank.specimens.preparations import GROWTH_FACTORS, PREPARED
from biobank.viability import refusals
from biobank.viability.history import History
from biobank.viability.parameters import Limits, Parameters
from biobank.viability.refusals import NoEstimate


class Question(StrEnum):
    """What somebody may want to know. The bank answers the first two."""

    MEMBRANE_INTEGRITY = "membrane_integrity"
    FOLLICLE_OUTGROWTH = "follicle_outgrowth"
    POTENCY = "potency"
    DOSE_RESPONSE = "dose_response"
    CLINICAL_OUTCOME = "clinical_outcome"


ANSWERED = {
    Question.MEMBRANE_INTEGRITY: Estimand.CELL_MEMBRANE_INTEGRITY,
    Question.FOLLICLE_OUTGROWTH: Estimand.FOLLICLE_OUTGROWTH,
}


@dataclass(frozen=True)
class Own:
    """What the bank counted itself in this stratum."""

    thaws: int = 0
    donors: int = 0
    longest_years: float = 0.0

    def enough(self, limits: Limits) -> bool:
        """Say whether it may stand alone."""
        return self.thaws >= limits.own_thaws and self.donors >= limits.own_donors


def question_refusal(code: str, question: Question) -> NoEstimate | None:
    """Return why a question is never answered, or None."""
    if question in ANSWERED:
        return None
    asked = question.value.replace("_", " ")
    return refusals.NotAnsweredHere(
        f"The bank estimates membrane integrity and outgrowth after thawing. It says nothing about {asked} of {code}: no count "
        "it makes supports that.",
        subject=code,
    )


def evidence_refusal(code: str, material: str, assay: str, parameters: Parameters) -> NoEstimate | None:
    """Return why neither this material nor this assay has evidence, or None."""
    if material not in parameters.materials:
        title = MATERIALS[MaterialName(material)].title.lower()
        content = f" {GROWTH_FACTORS}" if material in PREPARED else ""
        return refusals.MaterialUnknown(
            f"{code} is {title}; no thaw of that was ever read or counted here.{content}", subject=code
        )
    known = assays_for(material, parameters)
    if assay not in known:
        return refusals.AssayUnknown(
            f"The evidence for {material.replace('_', ' ')} is in terms of {', '.join(known)}; it does not say what "
            f"{assay} would read.",
            subject=code,
        )
    return None


def assays_for(material: str, parameters: Parameters) -> tuple[str, ...]:
    """Return the assays in whose terms the evidence for a material stands, the usual one first."""
    follicles = MATERIALS[MaterialName(material)].estimand is Estimand.FOLLICLE_OUTGROWTH
    return parameters.follicle_assays if follicles else parameters.cell_assays


def usual_assay(material: str, parameters: Parameters) -> str:
    """Return the assay in whose terms an estimate is given when none is asked for; empty for what is not counted."""
    return assays_for(material, parameters)[0] if MATERIALS[MaterialName(material)].assays else ""


def history_refusal(code: str, history: History, limits: Limits) -> NoEstimate | None:
    """Return why the past of a frozen specimen rules out the model, or None."""
    if history.frozen_at is None or history.warm_hours is None:
        return refusals.RecordMissing(
            f"The log does not say how {code} was kept and frozen before it came here, so nothing is known to compare it with.",
            subject=code,
        )
    if history.freezes > 1:
        return refusals.FrozenTwice(f"{code} went through {history.freezes} freezes; no source counted that.", subject=code)
    named = f"{history.programme} {history.procedure_version or ''} {history.cryoprotectant}".lower()
    if limits.vitrification in named:
        return refusals.Vitrified(f"{code} was vitrified; the evidence is about slow cooling.", subject=code)
    if not history.procedure_version:
        return refusals.ProcedureUnknown(f"The log does not name the procedure by which {code} was frozen.", subject=code)
    return _storage_refusal(code, history, limits)


def _storage_refusal(code: str, history: History, limits: Limits) -> NoEstimate | None:
    if history.too_warm is not None:
        return refusals.StoredTooWarm(
            f"{code} stood frozen in a place of class {history.too_warm.replace('_', ' ')}. "
            "Nothing is known to live through that.",
            subject=code,
        )
    if history.uncontrolled_minutes > limits.uncontrolled_minutes:
        return refusals.StorageUncontrolled(
            f"{code} was frozen and in no place of known temperature for {round(history.uncontrolled_minutes)} minutes; more "
            f"than {limits.uncontrolled_minutes:.0f} are not covered by any count.",
            subject=code,
        )
    if history.minus_80_days > limits.minus_80_days:
        return refusals.Minus80TooLong(
            f"{code} was at −80 °C for {history.minus_80_days:.0f} days; cells lose there from the first months on.", subject=code
        )
    if history.excursion is not None:
        return refusals.TemperatureExcursion(
            f"{code} was warmer than {limits.highest_mc / 1000:.0f} °C by {history.excursion}. What that did to it can only be "
            "counted.",
            subject=code,
        )
    if history.warm_hours is not None and history.warm_hours > limits.warm_hours_before_processing:
        return refusals.DelayTooLong(
            f"{history.warm_hours:.0f} hours at room temperature passed before {code} was processed; the sources end at "
            f"{limits.warm_hours_before_processing:.0f}.",
            subject=code,
        )
    return None


def refusal_before_fit(code: str, material: str, assay: str, history: History, parameters: Parameters) -> NoEstimate | None:
    """Return why there is no estimate, as far as that needs no fit, or None."""
    refusal = evidence_refusal(code, material, assay, parameters)
    if refusal is not None:
        return refusal
    if history.condition == Condition.THAWED:
        return refusals.AlreadyThawed(f"{code} was thawed. Count it: what was measured stands beside this.", subject=code)
    follicles = MATERIALS[MaterialName(material)].estimand is Estimand.FOLLICLE_OUTGROWTH
    if history.condition != Condition.FROZEN:
        if follicles and history.condition == Condition.FRESH:
            return None
        return refusals.NotFrozen(f"{code} was not frozen; the estimate is of what a thawed vial will show.", subject=code)
    return history_refusal(code, history, parameters.limits)


def own_data_refusal(code: str, material: str, history: History, own: Own, parameters: Parameters) -> NoEstimate | None:
    """Return why the bank's own counts are too few, or do not reach as far as this specimen's storage, or None."""
    limits = parameters.limits
    prior = parameters.prior_of(material, history.storage)
    need = f"{limits.own_thaws} thaws from {limits.own_donors} donors are needed, {own.thaws} from {own.donors} were counted."
    if prior.strength == "own_data_only" and not own.enough(limits):
        if history.storage == "minus_80":
            return refusals.Minus80WithoutOwnData(f"{code} was at −80 °C. Of that only own counts tell: {need}", subject=code)
        return refusals.FolliclesWithoutOwnData(f"For frozen follicles only own thaws tell: {need}", subject=code)
    reach = limits.extrapolation * max(prior.longest_years, own.longest_years)
    if history.years > reach:
        return refusals.BeyondEvidence(
            f"{code} has been stored for {history.years:.1f} years; the evidence reaches to {reach:.1f}.", subject=code
        )
    return None
