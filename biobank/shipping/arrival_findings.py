"""What an arrival says about everything that travelled: each finding is one hold on the shipment. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from biobank.custody.states import HoldKind
from biobank.shipping.journey_logs import Logged
from biobank.storage.limits import CLASSES, PlaceLimits
from biobank.storage.rules import CRYOGENIC


@dataclass(frozen=True)
class Finding:
    """What is wrong, as the coded reason of a hold, and what kind of hold that is."""

    reason: str
    kind: HoldKind


SEAL = Finding("seal_broken", HoldKind.QUALITY)
WARM = Finding("arrived_too_warm", HoldKind.TEMPERATURE)
COLD = Finding("arrived_too_cold", HoldKind.TEMPERATURE)
LATE = Finding("arrived_after_the_hold_time", HoldKind.TEMPERATURE)
NAMELESS = Finding("travelled_with_an_unlabelled_tube", HoldKind.IDENTITY)


@dataclass(frozen=True)
class Seen:
    """What was seen when tubes of a shipment arrived. What nobody looked at is None; `logged`: by the logger on the way.

    `nameless`: how many tubes in it have no label that can be read or no code of ours: each of them may be any other;
    `unknown`: those of them that are no code of ours.
    """

    at: datetime
    temperature_mc: int | None = None
    logged: Logged | None = None
    nameless: int = 0
    unknown: int = 0
    seal: str | None = None
    seal_intact: bool | None = None
    logger_sha256: str | None = None


def findings_of(shipment: Any, seen: Seen) -> list[Finding]:
    """Return what stands against everything in a shipment on its arrival. `shipment`: its row.

    Limits of temperature are those of the class it was sent as (`storage/limits.py`).
    """
    limits = CLASSES[shipment.temperature_class].limits if shipment.temperature_class is not None else PlaceLimits()
    degrees = [one for one in (seen.temperature_mc, *(seen.logged or ())) if one is not None]
    thaws = shipment.temperature_class not in CRYOGENIC  # What is frozen takes no harm from being colder.
    other_seal = seen.seal is not None and shipment.seal is not None and seen.seal != shipment.seal
    said = (
        (SEAL, seen.seal_intact is False or other_seal),
        (WARM, limits.highest_mc is not None and any(one > limits.highest_mc for one in degrees)),
        (COLD, thaws and limits.lowest_mc is not None and any(one < limits.lowest_mc for one in degrees)),
        (LATE, shipment.cold_until is not None and seen.at > shipment.cold_until),
        (NAMELESS, seen.nameless > 0),
    )
    return [finding for finding, found in said if found]
