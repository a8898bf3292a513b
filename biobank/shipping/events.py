"""Events of shipments: on the shipment's own stream what was packed and what arrived, on each specimen its journey.

A shipment's stream is the manifest as evidence; a specimen's own stream alone says where the specimen is. A withdrawal's tubes
travel like any other, but arrive through their withdrawal (`specimen.delivered`).
"""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.effects import Effect, body, set_to
from biobank.custody.event import Event
from biobank.custody.events import BY_USER, CODE, INTO_THE_COLD, NO_OFFER, OUT, REASON
from biobank.custody.states import CustodianKind, State, StreamKind
from biobank.foundation.kept_files import FileHash

SHIPMENT = Field(pattern=r"^SH-[0-9A-Z]{7}$")
COURIER = Field(pattern=r"^[A-Z0-9_-]{2,40}$", description="The courier organisation's code.")
REFERENCE = r"^[A-Za-z0-9 ./:_-]{2,80}$"
BOX = Field(pattern=r"^[A-Z0-9-]{1,12}$", description="Number of the box, as it is written on it.")
LISTED = 500
"""The most specimens one shipment carries, and the most codes one of its events names."""


class Dispatched(Event):
    """It left with a courier, who accepted it on recorded evidence. The people of its destination may know of it from now on."""

    kind: Literal["specimen.dispatched"] = "specimen.dispatched"
    permission: ClassVar[Permission] = Permission.SHIPMENT_RECORD
    in_person: ClassVar[bool] = True
    from_courier: ClassVar[bool] = True
    call: ClassVar[str] = "/shipments"
    from_states: ClassVar[frozenset[State]] = frozenset({State.COLLECTED, State.RECEIVED, State.CHECKED_OUT, State.ISSUED})
    to_state: ClassVar[State] = State.IN_TRANSIT
    reserved_from: ClassVar[frozenset[State]] = frozenset({State.ISSUED})
    effect: ClassVar[Effect] = (
        NO_OFFER
        | INTO_THE_COLD
        | {
            "out_since": body("out_since"),
            "custodian_kind": set_to(CustodianKind.COURIER.value),
            "custodian_id": body("courier"),
            "shipment_code": body("shipment"),
            "site_code": body("to_site"),
        }
    )
    label: ClassVar[str] = "Ship"

    shipment: str = SHIPMENT
    courier: str = COURIER
    evidence: str | None = Field(default=None, pattern=REFERENCE, description="Reference of the courier's recorded acceptance.")
    from_site: str = CODE
    to_site: str = CODE
    out_since: str | None = Field(default=None, max_length=32, description="Sent in nothing that keeps it cold: since when.")


class ShippedBack(Event):
    """It was not accepted where it was sent and is back in the sender's hands."""

    kind: Literal["specimen.refused"] = "specimen.refused"
    permission: ClassVar[Permission] = Permission.SHIPMENT_RECORD
    call: ClassVar[str] = "/shipments/{shipment}/refuse"
    label: ClassVar[str] = "Take back what was not accepted"
    from_states: ClassVar[frozenset[State]] = frozenset({State.IN_TRANSIT})
    to_state: ClassVar[State] = State.RECEIVED
    arrives: ClassVar[bool] = True
    effect: ClassVar[Effect] = BY_USER | NO_OFFER | OUT | {"site_code": body("site"), "shipment_code": set_to(None)}

    shipment: str = SHIPMENT
    site: str = CODE
    reason: str = REASON
    container_intact: bool | None = None
    label_legible: bool | None = None
    temperature_mc: int | None = Field(default=None, ge=-273_150, le=100_000, description="Temperature on its return, m°C.")


class ShipmentEvent(Event):
    """Base of what stands on a shipment's stream."""

    stream: ClassVar[StreamKind] = StreamKind.SHIPMENT
    permission: ClassVar[Permission | None] = Permission.SHIPMENT_RECORD


class Created(ShipmentEvent):
    """A journey was arranged: from where, to where, by whom, in what."""

    kind: Literal["shipment.created"] = "shipment.created"
    version: ClassVar[int] = 2
    starts: ClassVar[bool] = True

    from_site: str = CODE
    to_site: str = CODE
    courier: str = COURIER
    temperature_class: str | None = Field(default=None, pattern=r"^[a-z0-9_]{2,20}$")
    shipper: str | None = Field(default=None, pattern=REFERENCE, description="Number of the shipper container.")
    logger: str | None = Field(default=None, pattern=REFERENCE, description="Number of the temperature logger inside.")
    seal: str | None = Field(default=None, pattern=REFERENCE, description="Number of the seal on it.")
    waybill: str | None = Field(default=None, pattern=REFERENCE)
    qualification: str | None = Field(default=None, pattern=REFERENCE, description="Of the dry shipper: its certificate.")
    charge_g: int | None = Field(default=None, ge=0, le=1_000_000, description="Nitrogen in the dry shipper, grams.")
    cold_until: str | None = Field(default=None, max_length=32, description="When the hold time of the shipper ends.")
    expected_by: str | None = Field(default=None, max_length=32, description="When it is due.")


class Packed(ShipmentEvent):
    """The manifest: what was put in and left."""

    kind: Literal["shipment.packed"] = "shipment.packed"

    specimens: tuple[str, ...] = Field(min_length=1, max_length=LISTED)


class Compared(ShipmentEvent):
    """What arrived was scanned and compared with the manifest."""

    kind: Literal["shipment.received"] = "shipment.received"
    version: ClassVar[int] = 4

    received: tuple[str, ...] = Field(max_length=LISTED)
    missing: tuple[str, ...] = Field(max_length=LISTED, description="On the manifest, expected still, and not scanned.")
    extra: tuple[str, ...] = Field(max_length=LISTED, description="Codes of ours that are not on the manifest.")
    unknown: int = Field(ge=0, le=LISTED, description="How many scans were no code of ours.")
    seal_intact: bool | None = None
    temperature_mc: int | None = Field(default=None, ge=-273_150, le=100_000, description="Inside on arrival, m°C.")
    logger_sha256: FileHash | None = Field(default=None, description="SHA-256 of the temperature record.")
    logged_lowest_mc: int | None = Field(default=None, description="The coldest that its logger read on the way, m°C.")
    logged_highest_mc: int | None = Field(default=None, description="The warmest, m°C.")
    unread_s: int | None = Field(default=None, ge=0, description="Seconds of the way of which its logger's file says nothing.")
    unread: tuple[str, ...] = Field(default=(), max_length=20, description="The longest parts of them, each from/to.")
    seal: str | None = Field(default=None, pattern=REFERENCE, description="Number of the seal that was found on it.")
    findings: tuple[str, ...] = Field(default=(), max_length=10, description="What stands against everything that was in it.")


class BoxSealed(ShipmentEvent):
    """A box was put in, with what lies in it, under a seal of its own."""

    kind: Literal["shipment.box_sealed"] = "shipment.box_sealed"

    box: str = BOX
    seal: str = Field(pattern=REFERENCE)
    specimens: tuple[str, ...] = Field(min_length=1, max_length=LISTED)


class BoxCompared(ShipmentEvent):
    """A box was looked at on arrival. `broken`: its seal was, or is another than it left under; what lies in it is held."""

    kind: Literal["shipment.box_compared"] = "shipment.box_compared"

    box: str = BOX
    seal: str | None = Field(default=None, pattern=REFERENCE, description="Number of the seal that was found on it.")
    seal_intact: bool | None = None
    broken: bool


class SentBack(ShipmentEvent):
    """It was not accepted; these specimens are back at the sender."""

    kind: Literal["shipment.refused"] = "shipment.refused"
    version: ClassVar[int] = 2

    specimens: tuple[str, ...] = Field(min_length=1, max_length=LISTED)
    reason: str = REASON
    logger_sha256: FileHash | None = Field(default=None, description="SHA-256 of the temperature record.")
    logged_lowest_mc: int | None = Field(default=None, description="The coldest that its logger read there and back, m°C.")
    logged_highest_mc: int | None = Field(default=None, description="The warmest, m°C.")
    unread_s: int | None = Field(default=None, ge=0, description="Seconds of the way of which its logger's file says nothing.")
    unread: tuple[str, ...] = Field(default=(), max_length=20, description="The longest parts of them, each from/to.")


class Closed(ShipmentEvent):
    """Nothing of it is underway any more. `unaccounted` never arrived: each has a record of its own that says so."""

    kind: Literal["shipment.closed"] = "shipment.closed"

    unaccounted: tuple[str, ...] = Field(default=(), max_length=LISTED)
