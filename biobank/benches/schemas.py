"""Wire shapes of bench sessions."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from biobank.benches.events import What
from biobank.foundation.codes import MalformedCode, parse_code
from biobank.foundation.paging import Listed


def _checked(text: str) -> str:
    try:
        return parse_code(text).text
    except MalformedCode:
        raise ValueError("has a wrong check character") from None


WorkstationCode = Annotated[str, Field(pattern=r"^EQ-[0-9A-Z]{7}$"), AfterValidator(_checked)]
SessionCode = Annotated[str, Field(pattern=r"^BS-[0-9A-Z]{7}$")]
SpecimenCode = Annotated[str, Field(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
DonorCode = Annotated[str, Field(pattern=r"^DN-[0-9A-Z]{7}$")]
Token = Annotated[str | None, Field(max_length=200, description="From POST /signatures, where the site asks for two people.")]
State = Literal["open", "timed_out", "closed"]


class _Cleared(BaseModel):
    """A line clearance happens now and by whoever looks: it takes no other time and no other hands."""

    model_config = ConfigDict(extra="forbid")

    workstation: WorkstationCode = Field(description="The workstation's label, scanned at the clearance.")
    cleared: bool = Field(description="You have looked, and nothing of another person is there.")
    signature: Token = None
    pending_act: UUID | None = Field(default=None, description="Sent by the second person, where the site asks for one.")


class OpenBench(_Cleared):
    """A workstation is clear and is opened for one person's material: of a donor, or of the first tube that is scanned."""

    donor: DonorCode | None = None
    specimen: SpecimenCode | None = None

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if (self.donor is None) == (self.specimen is None):
            raise ValueError("name the donor or scan the first tube, one of the two")
        return self


class CloseBench(_Cleared):
    """The workstation is clear again, and every label that was printed for it is accounted for."""


class ScanAtBench(BaseModel):
    """Tubes that are handled at a workstation."""

    model_config = ConfigDict(extra="forbid")

    specimens: Annotated[list[SpecimenCode], Field(min_length=1, max_length=500)]
    what: What = "other"


class BenchSessionSummary(BaseModel):
    """A session. `timed_out_at`: when it was put on record as not closed in its time."""

    code: str
    workstation: str
    name: str
    site: str
    donor: str
    state: State
    opened_at: datetime
    opened_by: str
    opened_second: str | None
    timed_out_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    closed_second: str | None
    handled: int


class BenchSessionList(Listed[BenchSessionSummary]):
    """Sessions, newest first."""


class HandledPublic(BaseModel):
    """A specimen that was handled in a session."""

    specimen: str
    what: What
    used_in: str | None
    at: datetime
    by: str


class BenchStop(BaseModel):
    """Another person's material that was stopped at the workstation while the session was open."""

    at: datetime
    by: str
    sentence: str


class BenchBatch(BaseModel):
    """Labels that were printed for the session."""

    batch: int
    reconciled: bool


class BenchHold(BaseModel):
    """A hold on everything that was handled in the session."""

    id: UUID
    kind: str
    reason: str
    placed_at: datetime
    placed_by: str
    lifted_at: datetime | None


class BenchSessionPublic(BenchSessionSummary):
    """A session with everything of it: what was handled, stopped, printed and is held. `held`: what its holds cover now."""

    items: list[HandledPublic]
    stops: list[BenchStop]
    labels: list[BenchBatch]
    holds: list[BenchHold]
    held: list[str]


class BenchSessionAnswer(BenchSessionSummary):
    """A session that was just opened or closed, or at which something was handled, and our signature."""

    status: Literal["done"] = "done"
    receipt: str


class WorkstationPublic(BaseModel):
    """A workstation, and the session that is open at it."""

    workstation: str
    name: str
    site: str | None
    open: BenchSessionSummary | None
    two_people: bool = Field(description="Whether its site asks for a second person at every line clearance.")
    last_cleared_at: datetime | None
