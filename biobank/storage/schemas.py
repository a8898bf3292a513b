"""Wire shapes of storage."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.custody.schemas import EventReceipt
from biobank.custody.states import Condition
from biobank.foundation.listed import Handling
from biobank.foundation.names import AsSeen
from biobank.foundation.paging import Listed
from biobank.foundation.scanned_text import Scanned

Code = Annotated[str, Field(min_length=2, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
Place = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9-]+$", description="`B7` or a PS- code.")]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$"), AsSeen]
ContainerKind = Literal["room", "tank", "freezer", "rack", "cane", "box", "shelf"]
Purpose = Literal["storage", "quarantine", "evacuation"]
TemperatureClass = Literal["ln2_vapour", "ln2_liquid", "minus_150", "minus_80", "minus_20", "fridge", "incubator", "ambient"]


SAID = "What is wrong with it here. A quarantine or evacuation place takes it all the same."


class ContainerCreate(BaseModel):
    """A new room, tank, rack, cane or box. `rows` and `cols` make positions."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    kind: ContainerKind
    name: Name
    parent: Code | None = None
    purpose: Purpose = "storage"
    temperature_class: TemperatureClass | None = None
    rows: Annotated[int, Field(ge=1, le=100)] | None = None
    cols: Annotated[int, Field(ge=1, le=100)] | None = None
    isolated: bool = False


class ContainerPublic(BaseModel):
    """A container with its capacity and what is in it (itself and everything below)."""

    code: str
    site: str
    parent: str | None
    kind: str
    name: str
    purpose: str
    temperature_class: str | None
    highest_mc: int | None
    rows: int | None
    cols: int | None
    isolated: bool
    active: bool
    safe: bool = Field(default=False, description="It, or what it stands in, is a quarantine or evacuation place: it takes all.")
    lifted_at: AwareDatetime | None = Field(default=None, description="Out of its place since, with everything in it.")
    path: list[str] = Field(default_factory=list, description="Names from the site down to this container.")
    positions: int = 0
    occupied: int = 0


class ContainerList(Listed[ContainerPublic]):
    """Containers."""


class SlotPublic(BaseModel):
    """One cell of a box map."""

    position: str
    label: str
    row: int
    col: int
    specimen: str | None
    state: str | None = None
    material: str | None = None
    reserved_for: str | None = None
    held: bool = False
    blocked: str | None = Field(default=None, description="Why nothing may be put here.")
    kept_for: str | None = Field(default=None, description="The donor whose tubes alone may be put here.")


class ContainerMap(BaseModel):
    """A box as it looks from above; `loose` are tubes in it whose slot is unknown."""

    container: ContainerPublic
    slots: list[SlotPublic]
    loose: list[str]
    free: int
    at: AwareDatetime | None = Field(default=None, description="As it looked then; null: now.")
    as_known_at: AwareDatetime | None = None


SlotUnknown = Annotated[
    bool, Field(description="The tube is in the container and nobody knows in which position. Nothing is chosen for it.")
]
Given = TypeVar("Given", bound="StoreRequest | Placement")


def _slot_or_none(request: Given) -> Given:
    if request.slot_unknown and request.position is not None:
        raise ValueError("say either in which position it is, or that the position is not known")
    return request


class StoreRequest(Circumstances):
    """Where a specimen goes: a position, or a container that chooses the next free one."""

    container: Code | None = None
    position: Place | None = None
    slot_unknown: SlotUnknown = False
    expected_seq: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    exposure_s: Annotated[int, Field(ge=0, le=86_400)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        return _slot_or_none(self)


class Placement(BaseModel):
    """One tube of a batch; without `position` the container chooses."""

    model_config = ConfigDict(extra="forbid")

    specimen: Code
    position: Place | None = None
    slot_unknown: SlotUnknown = False
    expected_seq: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        return _slot_or_none(self)


class PlacementsRequest(Circumstances):
    """Tubes to slots of one container, all or nothing. Swaps are two placements in one request."""

    placements: Annotated[list[Placement], Field(min_length=1, max_length=2000)]


class PlacementAnywhere(BaseModel):
    """One tube and the slot (PS- code) it was put into; without `position` the bank chooses the box and the slot."""

    model_config = ConfigDict(extra="forbid")

    specimen: Code
    position: Annotated[str, Field(pattern=r"^PS-[0-9A-Z]{7}$")] | None = None
    expected_seq: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class WhereItFitsRequest(Circumstances):
    """Tubes for the places of one site, each where it fits best (`GET /placing-suggestions`), all or nothing."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    placements: Annotated[list[PlacementAnywhere], Field(min_length=1, max_length=500)]


class PlacementPublic(BaseModel):
    """Where a specimen stands after it."""

    specimen: str
    container: str
    position: str | None
    label: str | None
    state: str
    seq: int
    event: EventReceipt
    warnings: list[str] = Field(default_factory=list, description=SAID)


class PlacementsAnswer(BaseModel):
    """Where each specimen stands, and our signature."""

    items: list[PlacementPublic]
    receipt: str


class EvacuateRequest(Circumstances):
    """Everything in hand, into this quarantine or evacuation place. Unknown codes become unidentified items."""

    scanned: Annotated[list[Scanned], Field(min_length=1, max_length=2000)]
    reason: Handling = "cold_first"
    condition: Condition | None = Field(
        default=None, description="Of what nobody can name. Left out: as the place suggests, and the log says so."
    )


class EvacuatedTube(BaseModel):
    """What became of one scanned code."""

    scanned: str
    specimen: str
    unidentified: bool
    position: str | None
    label: str | None
    warnings: list[str] = Field(default_factory=list, description=SAID)


class EvacuatedContainer(BaseModel):
    """A scanned box, rack or tank, and how many tubes came with it. Of a room or tank what stands in it came, not itself."""

    scanned: str
    container: str
    moved: list[str] = Field(description="The containers that stand here now.")
    tubes: int
    warnings: list[str] = Field(default_factory=list, description=SAID)


class NotTaken(BaseModel):
    """A scan that is a code of ours and stands on no tube, box or rack that can be brought here."""

    scanned: str
    warning: str


class EvacuateAnswer(BaseModel):
    """What was put where."""

    items: list[EvacuatedTube]
    not_taken: list[NotTaken] = Field(default_factory=list, description="Scans that brought nothing, and why.")
    containers: list[EvacuatedContainer] = Field(default_factory=list)
    receipt: str | None = Field(description="Our signature; null when nothing was brought.")


class MoveRequest(Circumstances):
    """The container's new parent."""

    to: Code


class MoveAnswer(BaseModel):
    """A moved container and how many tubes went along."""

    container: str
    parent: str
    tubes: int
    warnings: list[str] = Field(default_factory=list, description=SAID)
    receipt: str


class RenameRequest(Circumstances):
    """The container's new name."""

    name: Name


class RenameAnswer(BaseModel):
    """A container's old and new name, and whose printed labels show the old one now."""

    container: str
    was: str
    name: str
    labels: list[str] = Field(
        description="Codes of places whose printed label shows the old name: print them again. 500 at most."
    )
    receipt: str


class LiftRequest(Circumstances):
    """Nothing but when, by whom and why."""


class LiftAnswer(BaseModel):
    """A rack or box that is out, or back (`lifted_at` null), and how many tubes are in it."""

    container: str
    lifted_at: AwareDatetime | None
    tubes: int
    still_out: list[str] = Field(default_factory=list, description="Put back, it: what was lifted out of it and is not back.")
    receipt: str


class SlotsRequest(Circumstances):
    """Slots of a container, by label or PS- code, and what becomes of them."""

    positions: Annotated[list[Place], Field(min_length=1, max_length=200)]
    mark: Literal["blocked", "kept", "open"]
    reason: Literal["damaged", "iced_up", "spill", "out_of_use", "other"] | None = Field(
        default=None, description="Why they are blocked."
    )
    kept_for: Annotated[str, Field(pattern=r"^DN-[0-9A-Z]{7}$")] | None = Field(
        default=None, description="The donor whose tubes alone may be put there."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.mark == "blocked") != (self.reason is not None):
            raise ValueError("a blocked slot has a reason, and no other has")
        if (self.mark == "kept") != (self.kept_for is not None):
            raise ValueError("a slot that is kept names the donor, and no other does")
        return self


class SlotsMarked(BaseModel):
    """What was marked."""

    container: str
    positions: list[str]
    mark: str
    receipt: str


class CountRequest(Circumstances):
    """What was scanned in a container."""

    container: Code
    scanned: Annotated[list[Scanned], Field(max_length=2000)]


class CountBlind(Circumstances):
    """What was scanned in a place, by somebody who is not told what is expected."""

    scanned: Annotated[list[Scanned], Field(max_length=20_000)]


class ResolveCount(Circumstances):
    """Why what two people counted differs from the record."""

    reason: Handling
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class CountTaken(BaseModel):
    """How many codes were scanned, how the count stands now, and our signature. Nothing of what is expected."""

    container: str
    scanned: int | None
    status: Literal["agreed", "to_recount", "to_resolve", "resolved"]
    receipt: str


class CountAnswer(BaseModel):
    """What should be there and is not, is there and should be elsewhere, or is unknown."""

    container: str
    expected: int
    found: int
    missing: list[str]
    misplaced: list[str]
    extra: list[str]
    receipt: str
