"""Wire shapes of hand-overs and shipments."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from biobank.custody.recording import Circumstances, Instant
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import Handling
from biobank.foundation.paging import Listed
from biobank.foundation.scanned_text import Scanned
from biobank.monitoring.loggers import Dates
from biobank.shipping.events import LISTED, REFERENCE
from biobank.storage.schemas import TemperatureClass

SpecimenCode = Annotated[str, Field(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
CourierCode = Annotated[str, Field(pattern=r"^[A-Z0-9_-]{2,40}$", description="The courier organisation's code.")]
Reference = Annotated[str, Field(pattern=REFERENCE)]
BoxNumber = Annotated[str, Field(pattern=r"^[A-Z0-9-]{1,12}$", description="Number of the box, as it is written on it: `2`.")]
ShipperCode = Annotated[str, Field(pattern=r"^EQ-[0-9A-Z]{7}$", description="The shipper's code, from the register.")]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1, description="Sequence of the last event you saw. 428 when absent, 409 when old.")]
Temperature = Annotated[int, Field(ge=-273_150, le=100_000, description="m°C")]
Zone = Annotated[str, Field(min_length=1, max_length=60)]

DEFAULT_MINUTES = 30
DAY_MINUTES = 24 * 60
MOST_BOXES = 50


class SpecimenAsSeen(BaseModel):
    """A specimen, and how far the sender of the request had read its record."""

    model_config = ConfigDict(extra="forbid")

    specimen: SpecimenCode
    expected_seq: Seq | None = None


class HandoverRequest(Circumstances):
    """Offer specimens you hold to a person, a site or a courier. You keep custody until they accept."""

    specimens: list[SpecimenAsSeen] = Field(min_length=1, max_length=LISTED)
    to_kind: Literal["user", "site", "courier"]
    to_id: Annotated[str, Field(pattern=r"^[A-Z0-9_-]{2,40}$", description="Badge, site or courier code.")]
    expires_in_minutes: int = Field(default=DEFAULT_MINUTES, ge=1, le=DAY_MINUTES)


class AcceptRequest(Circumstances):
    """Take over. `evidence` is for a courier: the reference under which its acceptance is recorded."""

    evidence: Reference | None = None


class DeclineRequest(Circumstances):
    """Refuse an offer made to you, or take your own back."""

    reason: Handling


class HandoverPublic(BaseModel):
    """An offer of custody and how it ended."""

    id: str
    status: Literal["offered", "accepted", "declined", "expired"]
    specimens: list[str]
    from_kind: str
    from_id: str
    to_kind: str
    to_id: str
    offered_at: AwareDatetime
    offered_by: str
    expires_at: AwareDatetime
    accepted_at: AwareDatetime | None
    accepted_by: str | None
    evidence: str | None
    declined_at: AwareDatetime | None
    declined_by: str | None
    decline_reason: str | None
    expired_at: AwareDatetime | None


class HandoverAnswer(HandoverPublic):
    """The hand-over after the act, with our signature under what was recorded (null when no specimen's record changed)."""

    receipt: str | None


class HandoverList(Listed[HandoverPublic]):
    """Hand-overs, newest first."""


class PackedBox(BaseModel):
    """A box of a shipment, under a seal of its own."""

    model_config = ConfigDict(extra="forbid")

    box: BoxNumber
    seal: Reference = Field(description="Number of the seal on it; compared on arrival.")
    specimens: list[SpecimenCode] = Field(min_length=1, max_length=LISTED, description="What lies in it, of what is sent.")


class ArrivedBox(BaseModel):
    """A box as it was found on arrival."""

    model_config = ConfigDict(extra="forbid")

    box: BoxNumber
    seal: Reference | None = Field(default=None, description="Number of the seal on it; another than was sent is a broken one.")
    seal_intact: bool | None = Field(
        default=None, description="Look at every seal: what lies under one of which nobody says anything is held."
    )


class BoxPublic(BaseModel):
    """A box of a shipment, the seal it left under, and what was put into it."""

    box: str
    seal: str
    specimens: list[str]


class ShipmentRequest(Circumstances):
    """Specimens leave one site for another with a courier."""

    from_site: SiteCode
    to_site: SiteCode
    specimens: list[SpecimenAsSeen] = Field(min_length=1, max_length=LISTED)
    courier: CourierCode
    evidence: Reference | None = Field(
        default=None, description="Reference of the courier's recorded acceptance; needed unless the courier holds all of it."
    )
    temperature_class: TemperatureClass | None = None
    boxes: list[PackedBox] = Field(default_factory=list, max_length=MOST_BOXES, description="Boxes with seals of their own.")
    shipper: ShipperCode | None = Field(
        default=None, description="Scan the code on the shipper: its qualification and how long it is cold stand in the register."
    )
    logger: Reference | None = Field(default=None, description="Number of the temperature logger inside.")
    seal: Reference | None = Field(default=None, description="Number of the seal on it; compared on arrival.")
    waybill: Reference | None = Field(default=None, description="The courier's waybill.")
    qualification: Reference | None = Field(default=None, description="Certificate of the dry shipper's qualification.")
    charge_g: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(default=None, description="Nitrogen charged, grams.")
    cold_until: Instant | None = Field(
        default=None,
        description="End of the shipper's hold time; held if it arrives later. Empty: as long as the register says it is cold.",
    )
    expected_by: Instant | None = Field(default=None, description="When it is due; overdue it is a task at both ends.")


class ArrivedTube(BaseModel):
    """A tube taken out of the shipper and looked at."""

    model_config = ConfigDict(extra="forbid")

    specimen: Scanned
    container_intact: bool | None = Field(default=None, description="Left open: nobody said.")
    label_legible: bool | None = Field(default=None, description="Left open: nobody said.")


class ShipmentReceiveRequest(Circumstances):
    """What was found inside, compared with the manifest. May be sent again for what is found later."""

    scanned: list[ArrivedTube] = Field(max_length=LISTED)
    seal_intact: bool | None = Field(
        default=None, description="If it left under a seal and nobody says anything of that, all that travelled is held."
    )
    seal: Reference | None = Field(default=None, description="Number of the seal on it; another than was sent is a broken one.")
    temperature_mc: Temperature | None = None
    confirmed: bool = Field(default=False, description="The temperature was read again, and it is so.")
    boxes: list[ArrivedBox] = Field(default_factory=list, max_length=MOST_BOXES, description="Boxes that were looked at.")
    logger_sha256: FileHash | None = Field(
        default=None, description="SHA-256 that POST /attachments answered for the logger's file; it is read and judged."
    )
    zone: Zone | None = Field(default=None, description="Of the times in that file, where it names none: Europe/Vienna.")
    dates: Dates | None = Field(default=None, description="How 03/04 is to be read in it, where it leaves it open.")


class ShipmentRefuseRequest(Circumstances):
    """The shipment, or some of it, was not accepted and is back in the sender's hands."""

    reason: Handling
    specimens: list[SpecimenCode] | None = Field(
        default=None, min_length=1, max_length=LISTED, description="Left out: all that is still underway."
    )
    container_intact: bool | None = Field(default=None, description="Left open: nobody said.")
    label_legible: bool | None = Field(default=None, description="Left open: nobody said.")
    temperature_mc: Temperature | None = None
    confirmed: bool = Field(default=False, description="The temperature was read again, and it is so.")
    logger_sha256: FileHash | None = Field(
        default=None, description="SHA-256 that POST /attachments answered for the logger's file; it is read and judged."
    )
    zone: Zone | None = Field(default=None, description="Of the times in that file, where it names none: Europe/Vienna.")
    dates: Dates | None = Field(default=None, description="How 03/04 is to be read in it, where it leaves it open.")


class ManifestLine(BaseModel):
    """One specimen of a shipment. `underway`: it left with this shipment and nobody has it yet."""

    specimen: str
    state: str
    underway: bool
    box: str | None = Field(description="The box of the shipment that it was put into.")
    issued_for: str | None = Field(description="The withdrawal it was issued for when it left; it arrives through that one.")


class ShipmentPublic(BaseModel):
    """A shipment, without its manifest. `status`: where nothing is underway any more, each tube says itself what became of it.

    `elsewhere`: some of it came to another site than it was sent to.
    """

    code: str
    status: Literal["in_transit", "nothing_underway", "closed"]
    elsewhere: bool
    from_site: str
    to_site: str
    courier: str
    evidence: str | None
    temperature_class: str | None
    shipper: str | None
    logger: str | None
    seal: str | None
    waybill: str | None
    qualification: str | None
    charge_g: int | None
    cold_until: AwareDatetime | None
    expected_by: AwareDatetime | None
    dispatched_at: AwareDatetime
    dispatched_by: str
    closed_at: AwareDatetime | None
    specimens: int
    underway: int


class ShipmentDetail(ShipmentPublic):
    """A shipment with its manifest."""

    manifest: list[ManifestLine]
    boxes: list[BoxPublic]


class ShipmentAnswer(ShipmentDetail):
    """The shipment after the act, with our signature under what was recorded."""

    receipt: str


class ShipmentArrival(ShipmentAnswer):
    """The comparison with the manifest. `extra` and `unknown` were not received: put them in quarantine and tell quality."""

    received: list[str]
    missing: list[str]
    extra: list[str]
    unknown: int
    held: list[str]
    broken_boxes: list[str] = Field(description="Boxes whose seal was broken or another: each placed a hold on what is in it.")
    unchecked_boxes: list[str] = Field(description="Boxes whose seal nobody looked at: each placed a hold on what is in it.")
    unread: list[str] = Field(description="The longest parts of the way, each from/to, of which the logger's file says nothing.")
    findings: list[str] = Field(description="What stands against everything in it: each placed a hold on the whole shipment.")
    quarantine: list[str] = Field(description="Quarantine places of the site, for what is held, extra or unknown.")


class ShipmentList(Listed[ShipmentPublic]):
    """Shipments, newest first."""
