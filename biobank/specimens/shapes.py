"""Types of fields that several requests of this package share: codes and coded words."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from biobank.custody.schemas import EventReceipt
from biobank.foundation.codes import MalformedCode, parse_code
from biobank.specimens.materials import MaterialName, Unit


def _checked(text: str) -> str:
    try:
        return parse_code(text).text
    except MalformedCode:
        raise ValueError("has a wrong check character") from None


SpecimenCode = Annotated[str, Field(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$", examples=["AD26-KH0KJQL"])]
LabelCode = Annotated[str, Field(pattern=r"^(HF|AD)[0-9]{2}-[0-9A-Z]{7}$"), AfterValidator(_checked)]
DonorCode = Annotated[str, Field(pattern=r"^DN-[0-9A-Z]{7}$", examples=["DN-SQF5SS9"])]
KitCode = Annotated[str, Field(pattern=r"^KT-[0-9A-Z]{7}$")]
LotCode = Annotated[str, Field(pattern=r"^LT-[0-9A-Z]{7}$")]
EquipmentCode = Annotated[str, Field(pattern=r"^EQ-[0-9A-Z]{7}$"), AfterValidator(_checked)]
ReagentLot = Annotated[str, Field(pattern=r"^RG-[0-9A-Z]{7}$"), AfterValidator(_checked)]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$", examples=["LAB"])]
Term = Annotated[str, Field(pattern=r"^[a-z0-9_]{2,40}$", description="A coded word, e.g. `abdomen`.")]
Named = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+/()-]*$")]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1)]
Amount = Annotated[int, Field(ge=1, le=10**13, description="In the unit stated beside it.")]


class Strict(BaseModel):
    """A part of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class SpecimenMade(BaseModel):
    """A specimen that this call brought into being or changed, as it stands now: what the next call needs."""

    code: str
    material: MaterialName
    unit: Unit
    amount: int
    passage: int | None
    purpose: str
    state: str
    condition: str
    seq: int = Field(description="Send it as `expected_seq` with the next act.")
    lot: str | None
    harvest: str | None


class Recorded(BaseModel):
    """What every recording call answers: the events that stand, and our signature under them."""

    events: list[EventReceipt]
    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) naming every event above.")
