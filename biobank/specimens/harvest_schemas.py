"""Wire shapes of kits and harvests."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances, Instant
from biobank.foundation.paging import Listed
from biobank.specimens.materials import MaterialName, Unit
from biobank.specimens.preparations import PreparationPublic, Prepared
from biobank.specimens.shapes import (
    Amount,
    DonorCode,
    KitCode,
    LabelCode,
    ReagentLot,
    Recorded,
    SiteCode,
    SpecimenMade,
    Strict,
    Term,
)
from biobank.specimens.taking import HarvestMethod, Side

LONGEST_KIT = 100
"""Labels in one kit."""

Count = Annotated[int, Field(ge=0, le=1_000_000)]


class PrepareKit(Circumstances):
    """A kit to be: where it will be used, how many labels of each kind it carries, its media and the day it expires."""

    site: SiteCode = Field(description="Where it will be used; it is refused elsewhere.")
    home_site: SiteCode = Field(description="The bank that prepares it.")
    hair_labels: Annotated[int, Field(ge=0, le=LONGEST_KIT)] = 0
    adipose_labels: Annotated[int, Field(ge=0, le=LONGEST_KIT)] = 0
    media_lots: Annotated[list[ReagentLot], Field(max_length=20)] = Field(default_factory=list)
    expires_at: Instant

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if not 1 <= self.hair_labels + self.adipose_labels <= LONGEST_KIT:
            raise ValueError(f"a kit carries 1 to {LONGEST_KIT} labels")
        return self


class KitLabelPublic(BaseModel):
    """A pre-printed label and what became of it."""

    specimen: str
    status: Literal["waiting", "used", "void"]


class KitPublic(BaseModel):
    """A kit, its labels, and the donor it is bound to."""

    kit: str
    site: str
    home_site: str
    media_lots: list[str]
    expires_at: datetime
    prepared_at: datetime
    prepared_by: str
    status: Literal["waiting", "bound", "used", "expired"]
    donor: str | None = Field(description="Bound by an identification or used in a harvest; null before.")
    labels: list[KitLabelPublic]


class KitRecorded(Recorded):
    """A prepared kit."""

    kit: KitPublic


class KitList(Listed[KitPublic]):
    """Kits, newest first."""


class ContainerCollected(Strict):
    """One labelled container and what went into it."""

    specimen: LabelCode | None = Field(
        default=None, description="The code on its label. Required with a kit, refused without one."
    )
    material: MaterialName
    unit: Unit
    amount: Amount
    method: HarvestMethod | None = Field(default=None, description="How this container was filled. Left out: as the visit's.")
    anatomical_site: Term | None = Field(default=None, description="Where it was taken from. Left out: as the visit's.")
    side: Side | None = None
    started_at: Instant | None = Field(default=None, description="When its material left the body. Left out: as the visit's.")
    follicular_units: Count | None = Field(default=None, description="Follicles only: groups as they grow.")
    follicles: Count | None = Field(default=None, description="Follicles only: single follicles, whole and transected.")
    transected: Count | None = Field(default=None, description="Follicles only: how many of them were cut.")
    markers_tested: bool = Field(
        default=False, description="What the clinic says. It lifts no statement: confirmed results do (`/donors/{code}/markers`)."
    )
    expires_at: Instant | None = None


class RecordHarvest(Circumstances):
    """A harvest, recorded when its containers are closed.

    One visit may give hair, fat and blood: each container says how and from where it was filled, or the visit does for all.
    """

    donor: DonorCode
    site: SiteCode = Field(description="Where it happened.")
    home_site: SiteCode = Field(description="The bank that will keep it.")
    kit: KitCode | None = Field(default=None, description="Without one, the codes are made now and the harvest gets a KT- code.")
    identification: UUID | None = Field(default=None, description="Default: the one that bound the kit.")
    method: HarvestMethod | None = Field(default=None, description="Of every container that names none.")
    anatomical_site: Term | None = Field(default=None, description="Of every container that names none.")
    transport_medium: ReagentLot | None = Field(default=None, description="The medium it travels in, from the registers.")
    started_at: Instant | None = Field(default=None, description="When the first material left the body; default `occurred_at`.")
    containers: Annotated[list[ContainerCollected], Field(min_length=1, max_length=LONGEST_KIT)]
    preparations: Annotated[list[Prepared], Field(max_length=2)] = Field(
        default_factory=list, description="How the PRP and the PRF among them were prepared, one for each; required of both."
    )
    unused: Annotated[list[LabelCode], Field(max_length=LONGEST_KIT)] = Field(
        default_factory=list, description="Labels of the kit that are not on a container: destroyed now."
    )

    @model_validator(mode="after")
    def _taken_somehow(self) -> Self:
        for name in ("method", "anatomical_site"):
            if getattr(self, name) is None and any(getattr(container, name) is None for container in self.containers):
                raise ValueError("say of every container how and from which place it was taken, or say both once for the visit")
        return self


class ContainerTaken(BaseModel):
    """One container of a harvest as its record says it, corrections included."""

    specimen: str
    material: str
    unit: str
    amount: int
    method: str
    anatomical_site: str
    side: str | None
    started_at: datetime = Field(description="When its material left the body.")
    preparation: PreparationPublic | None = Field(description="Of PRP and PRF.")


class HarvestSummary(BaseModel):
    """One collection."""

    harvest: str
    donor: str
    site: str
    home_site: str
    kit: str | None
    identification: UUID | None
    method: str | None = Field(description="Of all its containers; null when they differ.")
    anatomical_site: str | None = Field(description="Of all its containers; null when they differ.")
    transport_medium: str | None
    started_at: datetime
    recorded_at: datetime
    recorded_by: str


class HarvestPublic(HarvestSummary):
    """One collection with the specimens it gave."""

    specimens: list[str]
    containers: list[ContainerTaken]


class HarvestRecorded(Recorded):
    """A recorded harvest and the specimens it created."""

    harvest: str
    donor: str
    identification: UUID | None
    specimens: list[SpecimenMade]
    warnings: list[str] = Field(description="What was used although something stands against it.")


class HarvestList(Listed[HarvestSummary]):
    """Harvests, newest first."""
