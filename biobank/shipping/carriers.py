"""Who carries a shipment and in what: couriers and shippers stand in the registers, and how long a shipper is cold as well."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.registers.fitness import Finding
from biobank.registers.queries import row_of
from biobank.registers.using import Use, require_fit


class NotAShipper(Conflict):
    """What was scanned as a shipper is entered as another thing."""

    code = "not_a_shipper"
    title = "Not a shipper"


class ShipperNotCharged(Conflict):
    """A dry shipper leaves with the nitrogen that its qualification asks for, or it is not cold for as long as it says."""

    code = "shipper_not_charged"
    title = "The shipper is not charged"


class ColderThanItsShipper(Conflict):
    """The end of the hold time lies later than the shipper stays cold by its qualification."""

    code = "longer_than_the_shipper_holds"
    title = "The shipper is not cold for so long"


@dataclass(frozen=True)
class Carrier:
    """What is known of who carries something: what to warn of, and until when its shipper is cold (None: nobody says)."""

    warned: list[Finding]
    cold_until: datetime | None


def require_courier(session: Session, act: Act, courier: str, *, site: str, at: datetime) -> list[Finding]:
    """Return what to warn of about a courier. Raises NotInRegister, NotFitForUse."""
    return require_fit(session, act, Use(site=site, used_at=at, people=(), named={"courier": courier}))


def require_carrier(session: Session, act: Act, request: Any, left: datetime) -> Carrier:
    """Look up the courier and the shipper of a shipment (a ShipmentRequest) in the registers of where it leaves.

    Raises NotInRegister, NotFitForUse, NotAShipper, ShipperNotCharged, ColderThanItsShipper.
    """
    codes = [] if request.shipper is None else [request.shipper]
    use = Use(site=request.from_site, used_at=left, people=(), codes=codes, named={"courier": request.courier})
    warned = require_fit(session, act, use)
    if request.shipper is None:
        return Carrier(warned, request.cold_until)
    shipper = row_of(session, request.shipper)
    refusal = shipper_refusal(shipper, request.charge_g, request.cold_until, left)
    if refusal is not None:
        raise refusal
    return Carrier(warned, request.cold_until or _held_until(shipper, left))


def _held_until(shipper: "Row[Any]", left: datetime) -> datetime | None:
    return None if shipper.holds_h is None else left + timedelta(hours=shipper.holds_h)


def shipper_refusal(shipper: Any, charge_g: int | None, cold_until: datetime | None, left: datetime) -> Refusal | None:
    """Return why a shipper may not leave so charged and with this end of its hold time, or None. `shipper`: its entry. Pure."""
    if shipper.kind != "shipper":
        return NotAShipper(
            f"{shipper.key} ({shipper.name}) is entered as {shipper.kind.replace('_', ' ')}. Scan the code on the shipper, or "
            "leave it out.",
            subject=shipper.key,
        )
    if shipper.least_charge_g is not None and (charge_g is None or charge_g < shipper.least_charge_g):
        given = "No weight was given" if charge_g is None else f"{charge_g} g are in it"
        return ShipperNotCharged(
            f"{shipper.name} leaves with at least {shipper.least_charge_g} g of nitrogen. {given}. Fill it, weigh it and say "
            "what it holds.",
            subject=shipper.key,
        )
    held = _held_until(shipper, left)
    if held is not None and cold_until is not None and cold_until > held:
        return ColderThanItsShipper(
            f"{shipper.name} stays cold for {shipper.holds_h} hours, until {rfc3339(held)}. Leave the time empty, or say an "
            "earlier one.",
            subject=shipper.key,
        )
    return None
