"""Wire shapes of specimens: what one is and where it stands, lists, lineage, aliases, viability, unidentified items."""

from datetime import date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.custody.states import Condition
from biobank.donors.markers import Evaluation
from biobank.foundation.kept_files import FileHash
from biobank.foundation.paging import Listed
from biobank.specimens.materials import Assay
from biobank.specimens.preparations import PreparationPublic
from biobank.specimens.shapes import EquipmentCode, Recorded, Seq, SiteCode

AliasIssuer = Annotated[
    str, Field(pattern=r"^[a-z0-9_]{2,40}$", description="Who gave the identifier, as one word, such as clinic_east.")
]
AliasValue = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\x21-\x7e]+( [\x21-\x7e]+)*$")]


class HoldSummary(BaseModel):
    """An active hold that covers the specimen, its own or inherited."""

    id: UUID
    kind: str
    scope_kind: str
    scope_id: str
    blocks: list[str]


class Custodian(BaseModel):
    """Who holds it now."""

    kind: str
    id: str | None


class CustodyPublic(BaseModel):
    """Where it is, who holds it and in which state: the projection of its events, now or as of an earlier time."""

    state: str
    condition: str
    quality: str
    custodian: Custodian
    offered_to: Custodian | None
    site: str | None
    container: str | None
    position: str | None
    slot_unknown: bool = Field(default=False, description="It is in the container and nobody knows in which position.")
    shipment: str | None
    reserved_for: str | None
    amount: int
    freeze_count: int
    exposure_s: int = Field(description="Seconds out of the cold while frozen, up to its last event; computed by the bank.")
    exposure_unknown: bool = Field(
        default=False, description="It was missing, or found without a name: nobody knows for how much longer it was out."
    )
    out_since: str | None = Field(default=None, description="Since when it is in no cold place.")
    use_by: str | None = Field(default=None, description="When what it is now becomes too old for use.")
    banked_at: str | None
    marked: bool = Field(description="An act of this specimen was reversed after the fact by two people; marked for ever.")
    seq: int
    state_seq: int = Field(description="Sequence of the last event that set its state.")


class ExposurePublic(BaseModel):
    """How long it was out of the cold while frozen, computed from scans; what is running now counts.

    `budget`: within, amber or red, where its site set one; in red it is on hold towards use, and quality decides. `at_least`: it
    was missing for a time or found without a name, so nobody knows whether `total_s` is all, nor whether a budget was kept.
    """

    total_s: int
    at_least: bool = False
    running_since: str | None
    budget: Literal["within", "amber", "red", "not_known"] | None
    amber_s: int | None
    red_s: int | None


class AliasPublic(BaseModel):
    """A foreign identifier."""

    issuer: str
    value: str


class AmendmentPublic(BaseModel):
    """A correction of what an earlier event said."""

    corrects: str
    field: str
    value: str | int | bool | None
    reason: str
    by: str
    occurred_at: str
    leaf_hash: str


class LabelFacts(BaseModel):
    """What its label says, in the words of the registry. No name, no birth date, no state."""

    code: str
    material: str
    passage: int | None
    amount: str
    unit_number: int | None
    unit_count: int | None
    banked_on: date | None
    expires_on: date | None
    zone: str = Field(default="UTC", description="Time zone of the bank that keeps it: the days are of this zone.")
    storage: str
    recipient: str | None
    markers_evaluated: bool = Field(description="History, examination and every required marker, confirmed, for this harvest.")
    evaluation: Evaluation = Field(description="What the donor's results say of this container.")


class SpecimenSummary(BaseModel):
    """A line of a list."""

    code: str
    donor: str | None
    material: str
    unit: str
    amount: int
    passage: int | None
    purpose: str
    state: str
    condition: str
    quality: str
    site: str | None
    container: str | None
    position: str | None
    home_site: str | None
    lot: str | None
    harvest: str | None
    reserved_for: str | None
    banked_at: str | None
    expires_at: datetime | None
    created_at: datetime
    seq: int
    holds: list[str] = Field(description="Kinds of active holds that cover it, its own or inherited.")


class SpecimenList(Listed[SpecimenSummary]):
    """Specimens, newest first."""


class AsOf(BaseModel):
    """The two clocks of an as-of answer."""

    at: datetime | None = Field(description="The world's clock: what had happened by then.")
    as_known_at: datetime | None = Field(description="The bank's clock: what had been recorded by then.")


class SpecimenPublic(BaseModel):
    """One specimen: what it is, where it stands, what covers it, where it comes from."""

    code: str
    donor: str | None
    material: str
    title: str
    unit: str
    purpose: str
    passage: int | None
    vessel_count: int | None
    follicular_units: int | None
    follicles: int | None
    transected: int | None
    regulatory_basis: str
    markers_evaluated: bool
    harvest: str | None
    lot: str | None
    parents: list[str]
    home_site: str | None
    clinic_site: str | None
    collected_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    aliases: list[AliasPublic]
    custody: CustodyPublic
    exposure: ExposurePublic
    as_of: AsOf | None = Field(description="Null: `custody` is as it stands now.")
    holds: list[HoldSummary] = Field(description="In an as-of answer those of then.")
    amendments: list[AmendmentPublic]
    preparations: list[PreparationPublic] = Field(
        description="Of PRP and PRF: how each container that it comes from was prepared; of anything else none."
    )
    label: LabelFacts


class LineageNode(BaseModel):
    """A specimen of the graph. `generation` counts from the one asked for: −1 its parents, 1 what was made of it."""

    code: str
    material: str
    passage: int | None
    lot: str | None
    generation: int
    state: str | None = Field(description="Null when it is at a place whose specimens the caller may not see.")
    amount: int | None
    unit: str


class LineageEdge(BaseModel):
    """One was made from the other."""

    parent: str
    child: str
    process: str | None


class Lineage(BaseModel):
    """Everything it came from and everything that came from it."""

    specimen: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]


class AddAlias(Circumstances):
    """Another issuer's identifier for this specimen."""

    issuer: AliasIssuer
    value: AliasValue
    expected_seq: Seq | None = None


class AliasAdded(Recorded):
    """The identifier resolves from now on."""

    specimen: str
    issuer: str
    seq: int


class RegisterUnidentified(Circumstances):
    """An item nobody can name. Where it lies is said by storing it: that is never refused in a quarantine place."""

    site: SiteCode
    condition: Condition
    photo_sha256: FileHash | None = None
    place: Annotated[str, Field(pattern=r"^[A-Z0-9-]{3,40}$")] | None = Field(
        default=None, description="Code of where it was found."
    )


class UnidentifiedRegistered(Recorded):
    """The item has a code now. `where_now` says what to do with it."""

    specimen: str
    state: str
    seq: int
    where_now: str


class RecordViability(Circumstances):
    """A count of living and dead, as read."""

    expected_seq: Seq | None = None
    method: Assay
    live: Annotated[int, Field(ge=0, le=10**9, description="Living cells; for outgrowth: follicles that grew.")]
    dead: Annotated[int, Field(ge=0, le=10**9)]
    dilution_milli: (
        Annotated[int, Field(ge=1, le=10**9, description="Dilution factor in thousandths: 2-fold is 2000. Needed with a volume.")]
        | None
    ) = None
    volume_nl: (
        Annotated[int, Field(ge=1, le=10**9, description="Volume looked at, nL: a large Neubauer square holds 100.")] | None
    ) = None
    suspension_ul: (
        Annotated[int, Field(ge=1, le=10**9, description="Volume of the suspension in the vial, µL: gives cells per vial.")]
        | None
    ) = None
    minutes_after_thaw: Annotated[int, Field(ge=0, le=100_000)] | None = None
    instrument: EquipmentCode | None = None

    @model_validator(mode="after")
    def _cells_per_volume_need_the_dilution(self) -> Self:
        if self.volume_nl is not None and self.dilution_milli is None:
            raise ValueError("Say how far it was diluted: without it nobody knows the cells in a volume.")
        return self


class Measured(BaseModel):
    """One count with its percentage and the interval that the count supports."""

    assay: UUID
    method: str
    estimand: Literal["cell_membrane_integrity", "follicle_outgrowth"]
    live: int
    dead: int
    viability_bp: int = Field(description="Living per 10,000 counted.")
    wilson_95_lower_bp: int
    wilson_95_upper_bp: int
    dilution_milli: int | None
    volume_nl: int | None
    suspension_ul: int | None
    live_per_ml: int | None = Field(description="Null without the volume looked at.")
    minutes_after_thaw: int | None
    instrument: str | None
    operator: str
    measured_at: datetime
    recorded_at: datetime
    recorded_by: str
    leaf_hash: str = Field(description="The event that carries the count.")


class ViabilityRecorded(Recorded):
    """A recorded count."""

    specimen: str
    seq: int
    measured: Measured
