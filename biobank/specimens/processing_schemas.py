"""Wire shapes of processing runs, lots and their tests."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances, Instant
from biobank.foundation.kept_files import FileHash
from biobank.foundation.paging import Listed
from biobank.specimens.materials import MaterialName, Unit
from biobank.specimens.processes import ProcessName
from biobank.specimens.shapes import (
    Amount,
    EquipmentCode,
    Named,
    ReagentLot,
    Recorded,
    Seq,
    SiteCode,
    SpecimenCode,
    SpecimenMade,
    Strict,
)

MOST_INPUTS = 100
MOST_OUTPUTS = 500
"""Containers from one run."""
EXACT = 2**53 - 1
"""The largest integer an entry of the log carries."""

Purpose = Literal["therapeutic", "qc", "retained"]


class _Run(Circumstances):
    """What every run says: by which procedure, where, with what."""

    procedure_version: Named = Field(description="Number and version of the procedure, such as SOP-014 v3.")
    site: SiteCode
    workstation: EquipmentCode | None = Field(
        default=None, description="Where it was done: a workstation whose session is open for this person."
    )
    equipment: Annotated[list[EquipmentCode], Field(max_length=50)] = Field(default_factory=list)
    reagent_lots: Annotated[list[ReagentLot], Field(max_length=50)] = Field(default_factory=list)
    no_reagents: bool = Field(
        default=False,
        description="None was used. If nobody says so and no lot is named, what is left in the cells is unknown.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.no_reagents and self.reagent_lots:
            raise ValueError("name the reagent lots that were used, or say that no reagent was: one of the two")
        return self

    @property
    def devices(self) -> list[str]:
        """Equipment and workstation, each once: what the record of the run names."""
        return list(dict.fromkeys([*self.equipment, *([] if self.workstation is None else [self.workstation])]))


class RunInput(Strict):
    """A specimen that went in. `consumed`: nothing of it is left."""

    specimen: SpecimenCode
    expected_seq: Seq | None = None
    amount: Annotated[int, Field(ge=0, le=10**15)] | None = Field(
        default=None, description="How much went in, in the specimen's unit. Left out: all of it."
    )
    consumed: bool = True


class RunOutput(Strict):
    """`count` containers alike, of `amount` each."""

    material: MaterialName
    unit: Unit
    amount: Amount
    count: Annotated[int, Field(ge=1, le=MOST_OUTPUTS)] = 1
    purpose: Purpose = "therapeutic"
    passage: Annotated[int, Field(ge=0, le=50)] | None = None
    vessel_count: Annotated[int, Field(ge=1, le=10_000)] | None = None
    expires_at: Instant | None = None


class MakingRun(_Run):
    """A run that makes specimens: they are one lot, and all of one donor."""

    process: Literal[
        ProcessName.WASH,
        ProcessName.MICROFAT,
        ProcessName.SVF_ISOLATION,
        ProcessName.FOLLICLE_OUTGROWTH,
        ProcessName.EXPANSION,
        ProcessName.PASSAGE,
        ProcessName.ALIQUOTING,
        ProcessName.QC_SAMPLING,
        ProcessName.EXOSOME_ISOLATION,
    ]
    inputs: Annotated[list[RunInput], Field(min_length=1, max_length=MOST_INPUTS)]
    outputs: Annotated[list[RunOutput], Field(min_length=1, max_length=50)]
    loss: Annotated[int, Field(ge=0, le=10**15)] = Field(default=0, description="Lost in splitting, in the unit of the inputs.")

    @model_validator(mode="after")
    def _is_countable(self) -> Self:
        if sum(output.count for output in self.outputs) > MOST_OUTPUTS:
            raise ValueError(f"a run makes at most {MOST_OUTPUTS} containers")
        if sum(output.count * output.amount for output in self.outputs) > EXACT:
            raise ValueError("the outputs together are more than the log can count")
        if len({one.specimen for one in self.inputs}) != len(self.inputs):
            raise ValueError("a specimen stands twice among the inputs")
        if len({(output.material, output.unit) for output in self.outputs}) != 1:
            raise ValueError("the outputs of one run are one lot: of one material, in one unit")
        return self


class Treated(Strict):
    """A specimen that goes through a freezing or thawing run."""

    specimen: SpecimenCode
    expected_seq: Seq | None = None


class _Treatment(_Run):
    specimens: Annotated[list[Treated], Field(min_length=1, max_length=MOST_OUTPUTS)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({one.specimen for one in self.specimens}) != len(self.specimens):
            raise ValueError("a specimen stands twice")
        return self


class FreezingRun(_Treatment):
    """Specimens of one donor are frozen and from then on banked. No new specimens, no lot."""

    process: Literal["freezing"]
    programme: Named = Field(description="Name and version of the cooling programme.")
    cryoprotectant: Named
    cryoprotectant_contact_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        description="From adding the cryoprotectant to the start of cooling, seconds."
    )
    curve_sha256: FileHash | None = Field(default=None, description="Hash of the recorded cooling curve.")


class ThawingRun(_Treatment):
    """Specimens of one donor are thawed. They never go back to the tank for use."""

    process: Literal["thawing"]
    method: Named
    bath_temperature_mc: Annotated[int, Field(ge=0, le=60_000, description="Millidegrees Celsius.")] | None = None
    duration_s: Annotated[int, Field(ge=0, le=7200)] | None = None


class BalancePublic(BaseModel):
    """What went in and what came out. `ratio_milli`: made per used in thousandths; null when nothing was used up."""

    rule: str
    used: int
    used_unit: str
    made: int
    made_unit: str
    loss: int
    ratio_milli: int | None


class ProcessingRecorded(Recorded):
    """A recorded run: the specimens it created (or changed), and what is left of its inputs."""

    processing: UUID
    process: str
    lot: str | None
    donor: str
    balance: BalancePublic | None
    specimens: list[SpecimenMade]
    inputs: list[SpecimenMade]
    warnings: list[str] = Field(default_factory=list, description="What was used although something stood against it.")


class RunInputPublic(BaseModel):
    """A specimen of a run."""

    specimen: str
    amount: int | None
    consumed: bool


class ProcessingPublic(BaseModel):
    """A run."""

    processing: UUID
    process: str
    procedure_version: str
    donor: str
    lot: str | None
    site: str
    operator: str
    equipment: list[str]
    reagent_lots: list[str]
    bench_session: str | None = Field(description="The session of the workstation that it was bound to.")
    balance: BalancePublic | None
    parameters: dict[str, Any]
    inputs: list[RunInputPublic]
    warnings: list[str] = Field(default_factory=list, description="What was used although something stood against it.")
    started_at: datetime
    recorded_at: datetime
    recorded_by: str


class ProcessingList(Listed[ProcessingPublic]):
    """Runs, newest first."""


LotTestKind = Literal["sterility", "endotoxin", "mycoplasma", "viability", "identity"]
LotTestResult = Literal["pending", "passed", "failed"]


class Found(BaseModel):
    """What a test found, as its report says it. Which of these a kind of test has: `specimens/test_results.py`."""

    endotoxin_milli_eu_per_ml: Annotated[int, Field(ge=0, le=10**9)] | None = Field(
        default=None, description="Endotoxin, thousandths of an endotoxin unit a millilitre. Required when passed."
    )
    below_detection: bool = Field(default=False, description="The report says less than this: below what the test can find.")
    viable_bp: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="Living cells, hundredths of a percent. Required when passed."
    )
    organism: Annotated[str, Field(max_length=60, pattern=r"^[A-Z][A-Za-z0-9 .()-]{2,59}$")] | None = Field(
        default=None, description="What grew, where the report names it, such as Staphylococcus epidermidis."
    )


class RecordLotTest(Circumstances, Found):
    """A test of a lot. Send it `pending` when the sample goes out, and again with `completes` when the result is there."""

    test: LotTestKind
    sampled_at: Instant
    due_at: Instant | None = Field(default=None, description="When the result is due. Left out: as the method's entry says.")
    result: LotTestResult
    method: Named | None = Field(
        default=None, description="A test method of the registers. Left out with `completes`: as it was sent."
    )
    laboratory: Named | None = Field(
        default=None, description="A laboratory of the registers. Left out with `completes`: as it was sent."
    )
    report_sha256: FileHash | None = Field(default=None, description="Hash of the report. Required with a result.")
    completes: UUID | None = Field(default=None, description="The pending test this result belongs to.")


class LotTestPublic(Found):
    """A test as it stands: of a pending one that was completed, the result."""

    id: UUID
    test: str
    sampled_at: datetime
    due_at: datetime | None
    result: LotTestResult
    method: str
    laboratory: str
    report_sha256: str | None
    completes: UUID | None
    hold: UUID | None
    recorded_at: datetime
    recorded_by: str
    leaf_hash: str


class LotTestRecorded(Recorded):
    """A recorded test. A failed one placed a hold on the lot."""

    lot: str
    test: LotTestPublic
    hold: UUID | None


class LotSummary(BaseModel):
    """A lot."""

    lot: str
    donor: str
    material: str
    process: str
    procedure_version: str
    site: str
    started_at: datetime
    recorded_at: datetime
    recorded_by: str
    specimens: int


class LotPublic(LotSummary):
    """A lot with its specimens and tests."""

    codes: list[str]
    tests: list[LotTestPublic]


class LotList(Listed[LotSummary]):
    """Lots, newest first."""
