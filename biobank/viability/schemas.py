"""Wire shapes of viability. What was measured and what is expected are separate members and never share one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from biobank.custody.recording import Circumstances
from biobank.foundation.paging import Listed
from biobank.specimens.materials import MaterialName
from biobank.specimens.schemas import Measured
from biobank.specimens.shapes import Recorded, SiteCode

Token = Annotated[str | None, Field(max_length=200, description="From POST /signatures.")]


class Acceptance(BaseModel):
    """What quality demands, and whether this count shows it: a one-sided claim, exact binomial."""

    minimum_bp: int
    confidence_bp: int
    shown_bp: int = Field(description="The largest share that the count shows with this confidence.")
    verdict: Literal["shown", "not_shown"]


class CellsPublic(BaseModel):
    """Living cells in the vial, from the count, with the 95 % interval: counting and pipetting together."""

    cells: int
    lower: int
    upper: int


class MeasuredCount(Measured):
    """One count, what it says of the whole vial, and whether it shows what quality demands."""

    cells_per_vial: CellsPublic | None = Field(description="Null without both volumes.")
    acceptance: Acceptance | None = Field(description="Null where quality demands nothing.")


class BandPublic(BaseModel):
    """A central interval in basis points, rounded outwards."""

    percent: int
    lower_bp: int
    upper_bp: int


class DosePublic(BaseModel):
    """Living cells to be expected, with the 90 % interval. Not a therapeutic dose. Cells lost in washing are not in it."""

    expected: int
    lower: int
    upper: int


class EstimateInputs(BaseModel):
    """What the estimate was made from, as the custody log says it."""

    storage: Literal["fresh", "nitrogen", "minus_80"]
    procedure_version: str | None
    frozen_at: datetime | None
    stored_days: float
    warm_hours_before_processing: float
    cold_hours_before_processing: float


class ParametersPublic(BaseModel):
    """The parameter file that spoke."""

    version: str
    sha256: str


class EstimatePublic(BaseModel):
    """What thawing may be expected to show. An expectation with its interval; not a measurement, and not potency."""

    specimen: str
    question: Literal["membrane_integrity", "follicle_outgrowth"]
    assay: str = Field(description="In terms of which assay.")
    evidence: Literal["own_data", "own_data_only", "literature_updated", "literature", "literature_weak"]
    own_thaws: int
    own_donors: int
    median_bp: int | None = Field(description="Null where only an interval is known.")
    expected_bp: int | None
    next_vial: list[BandPublic] = Field(description="For the next vial: what users may rely on.")
    mean: list[BandPublic] = Field(description="For the mean of such vials; narrower, and not what one vial shows.")
    dose: DosePublic | None = Field(description="Null where the amount is not counted in cells.")
    inputs: EstimateInputs
    parameters: ParametersPublic
    fit: UUID | None = Field(description="The fit it was read from; null for fresh follicles.")
    as_known_at: datetime = Field(description="Ask with this again and get the same answer.")
    quantiles: list[int] = Field(description="Of the next vial, ppm, at levels 1/40 … 39/40; empty where only an interval is.")


class Said(BaseModel):
    """A refusal in words."""

    code: str
    title: str
    detail: str


class Estimated(BaseModel):
    """The estimate, or why there is none: exactly one of the two."""

    estimate: EstimatePublic | None
    refused: Said | None


class ViabilityPublic(BaseModel):
    """A specimen's viability: what was measured, oldest first, and, apart from it, what may be expected."""

    specimen: str
    measured: list[MeasuredCount]
    estimated: Estimated


class SetDose(BaseModel):
    """Living cells to be expected of several vials together; those without an estimate are named and not in the sum."""

    vials: int = Field(description="How many are in the sum.")
    dose: DosePublic | None
    refused: dict[str, Said] = Field(description="By specimen, why it is not in the sum.")


class FitSummary(BaseModel):
    """A fit and what it was made from."""

    id: UUID
    material: str
    procedure_version: str = Field(description="`*`: the prior, before any own thaw.")
    assay: str
    storage: str
    thaws: int
    donors: int
    longest_days: float
    through: int
    parameters_sha256: str
    inputs_sha256: str
    seed: str
    made_with: str
    made_at: datetime


class FitList(Listed[FitSummary]):
    """Fits, newest first."""


class ParametersDetail(ParametersPublic):
    """The parameter file itself."""

    content: str


class CoveragePublic(BaseModel):
    """How many thaws the central interval of `percent` held."""

    percent: int
    held: int
    of: int


class StratumCalibration(BaseModel):
    """How good the forecasts of one stratum were."""

    material: str
    procedure_version: str
    assay: str
    storage: str
    thaws: int
    coverage: list[CoveragePublic] = Field(description="Over the newest 30 thaws.")
    whole: list[CoveragePublic] = Field(description="Over all thaws.")
    pit: list[int] = Field(description="How many thaws fell in each tenth of their forecast.")
    rolling: dict[int, list[int]] = Field(description="By percent: how many of each window of 30 were held.")
    alarm: bool


class CalibrationPublic(BaseModel):
    """Every stratum that was ever counted, and the counts that no forecast was judged by."""

    strata: list[StratumCalibration]
    alarms: int
    excluded: dict[str, int] = Field(description="Counts that were left out, by reason.")


class SetCriterion(Circumstances):
    """What a count of a material must show at a site."""

    site: SiteCode
    material: MaterialName
    minimum_bp: Annotated[int, Field(ge=1, le=9999, description="At least so many of 10,000 live.")]
    confidence_bp: Annotated[int, Field(ge=5000, le=9999)] = 9500
    signature: Token = None


class CriterionPublic(BaseModel):
    """A criterion that stands."""

    site: str
    material: str
    minimum_bp: int
    confidence_bp: int
    decided_by: str
    decided_at: datetime


class CriterionRecorded(Recorded):
    """A criterion was set."""

    criterion: CriterionPublic


class CriterionList(BaseModel):
    """Criteria that stand, by site and material."""

    items: list[CriterionPublic]


class SignReport(Circumstances):
    """Quality signs what was counted in a lot after thawing."""

    signature: Token = None


class ReportPublic(BaseModel):
    """A signed report."""

    id: UUID
    lot: str
    content: dict[str, Any]
    content_sha256: str
    signed_by: str
    signed_at: datetime
    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) of the event.")


class ReportRecorded(Recorded):
    """A report was signed."""

    report: ReportPublic


class ReportList(BaseModel):
    """Reports of a lot, newest first."""

    items: list[ReportPublic]
