"""Wire shapes of what is seen and done in a culture: medium, looks, vessels that are discarded."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.quality.schemas import Recorded, Token
from biobank.specimens.culture_events import Finding, WhyDiscarded
from biobank.specimens.shapes import Amount, EquipmentCode, ReagentLot, Seq

Vessels = Annotated[int, Field(ge=1, le=10_000)]


class RecordCulture(Circumstances):
    """New medium, or a look. A finding and the number of vessels are said, never assumed."""

    what: Literal["medium_changed", "looked_at"]
    expected_seq: Seq | None = None
    vessels: Vessels = Field(description="In how many of its vessels.")
    incubator: EquipmentCode | None = Field(default=None, description="Where they stand.")
    medium_lots: Annotated[list[ReagentLot], Field(max_length=20)] = Field(default_factory=list)
    confluence_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    finding: Finding | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.what == "medium_changed") != bool(self.medium_lots):
            raise ValueError("say the lots of the new medium with a change of medium, and leave them out of a look")
        if (self.what == "looked_at") != (self.finding is not None):
            raise ValueError("a look says what was found; a change of medium finds nothing")
        if self.what == "medium_changed" and self.confluence_percent is not None:
            raise ValueError("how much of the surface is covered is seen by a look")
        return self


class DiscardVessels(Circumstances):
    """Some vessels of a culture are destroyed; the rest goes on. The second person sends the same with `pending_act`."""

    expected_seq: Seq | None = None
    vessels: Vessels
    amount: Amount = Field(description="How much was in them, as far as it is known, in the specimen's unit.")
    reason: WhyDiscarded
    signature: Token = None
    pending_act: UUID | None = None


class CultureRecordPublic(BaseModel):
    """One change of medium, look, or discard of vessels."""

    what: str
    vessels: int
    medium_lots: list[str]
    incubator: str | None
    confluence_percent: int | None
    finding: str | None
    at: datetime
    by: str


class CulturePublic(BaseModel):
    """A culture: its vessels, and all that was seen and done, newest first."""

    specimen: str
    begun_with: int | None
    vessels: int | None
    items: list[CultureRecordPublic]


class CultureRecorded(Recorded):
    """What was recorded of a culture; `held`: the lots that a contamination holds with it."""

    status: Literal["done"] = "done"
    culture: CulturePublic
    held: list[str] = Field(default_factory=list)
    deviation: str | None = None
