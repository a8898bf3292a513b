"""What an arrival says about everything that travelled: each finding is one hold on the shipment or the tube. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from biobank.custody.arriving import FOUND_ON_ARRIVAL
from biobank.custody.event import Event
from biobank.custody.states import HoldKind
from biobank.monitoring.judging import Before, Read, doubt_of
from biobank.monitoring.readings import ImplausibleReading
from biobank.shipping.journey_logs import Logged
from biobank.shipping.seals import was_looked_at
from biobank.storage.limits import PlaceLimits


@dataclass(frozen=True)
class Finding:
    """What is wrong, as the coded reason of a hold, and what kind of hold that is."""

    reason: str
    kind: HoldKind

    def __post_init__(self) -> None:
        """Whoever recorded an arrival does not lift what it holds: that rule knows the reasons by name."""
        assert self.reason in FOUND_ON_ARRIVAL, self.reason


SEAL = Finding("seal_broken", HoldKind.QUALITY)
SEAL_UNSEEN = Finding("seal_not_checked", HoldKind.QUALITY)
WARM = Finding("arrived_too_warm", HoldKind.TEMPERATURE)
COLD = Finding("arrived_too_cold", HoldKind.TEMPERATURE)
LATE = Finding("arrived_after_the_hold_time", HoldKind.TEMPERATURE)
UNREAD = Finding("temperature_record_incomplete", HoldKind.TEMPERATURE)
UNRECORDED = Finding("no_temperature_record", HoldKind.TEMPERATURE)
UNTOLD = Finding("temperature_not_read", HoldKind.TEMPERATURE)
UNSENT = Finding("arrived_without_being_sent", HoldKind.IDENTITY)
ELSEWHERE = Finding("arrived_elsewhere", HoldKind.QUALITY)
NAMELESS = Finding("travelled_with_an_unlabelled_tube", HoldKind.IDENTITY)


@dataclass(frozen=True)
class Seen:
    """What was seen when tubes of a shipment arrived, at the time that counts. What nobody looked at is None; `logged`: by the
    logger on the way.

    `nameless`: how many tubes in it have no label that can be read or no code of ours: each of them may be any other;
    `unknown`: those of them that are no code of ours; `elsewhere`: it came to another site than it was sent to, and nobody said
    that it was sent back.
    """

    at: datetime
    temperature_mc: int | None = None
    logged: Logged | None = None
    nameless: int = 0
    unknown: int = 0
    seal: str | None = None
    seal_intact: bool | None = None
    logger_sha256: str | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class Sent:
    """How something travelled: within which temperatures, under which seal, and until when its shipper was cold.

    `unrecorded`: a logger travelled with it, and no file of that has been read yet; `seal_unseen`: nobody has looked at its seal;
    `untold`: frozen material travelled, and nobody has read how cold it came.
    """

    limits: PlaceLimits
    seal: str | None = None
    cold_until: datetime | None = None
    unrecorded: bool = False
    seal_unseen: bool = False
    untold: bool = False


def possible_temperature(limits: PlaceLimits, temperature_mc: int, at: datetime) -> None:
    """Raise ImplausibleReading for a temperature that can hardly be right: a slip holds as much as the truth. Pure."""
    if doubt_of("temperature_mc", Read(temperature_mc, at), Before(), limits) is not None:
        raise ImplausibleReading(
            f"{temperature_mc / 1000:g} °C can hardly be right for what was sent. Read it again. If it is so, confirm it."
        )


def degrees_of(event: Event) -> list[int]:
    """Return every temperature that the record of an arrival states, m°C. Pure."""
    names = ("temperature_mc", "logged_lowest_mc", "logged_highest_mc")
    return [degrees for name in names if (degrees := getattr(event, name, None)) is not None]


def findings_alone(limits: PlaceLimits, event: Event, *, frozen: bool) -> list[Finding]:
    """Return what the temperatures of its way say of a tube that came in no shipment: carried by hand, or taken back. Pure.

    `frozen`: then somebody says how cold it came, as of a shipment: by hand, or by the file of its logger.
    """
    degrees = degrees_of(event)
    found = [*_of_degrees(limits, degrees), *([UNTOLD] if frozen and not degrees else [])]
    return [*found, UNREAD] if getattr(event, "unread_s", None) else found


def _of_degrees(limits: PlaceLimits, degrees: Sequence[int]) -> list[Finding]:
    warm = limits.highest_mc is not None and any(one > limits.highest_mc for one in degrees)
    cold = limits.lowest_mc is not None and any(one < limits.lowest_mc for one in degrees)
    return [*([WARM] if warm else []), *([COLD] if cold else [])]


def findings_of(sent: Sent, seen: Seen) -> list[Finding]:
    """Return what stands against everything that travelled together on its arrival."""
    logged = [] if seen.logged is None else [seen.logged.lowest_mc, seen.logged.highest_mc]
    degrees = [one for one in (seen.temperature_mc, *logged) if one is not None]
    other_seal = seen.seal is not None and sent.seal is not None and seen.seal != sent.seal
    said = (
        (SEAL, seen.seal_intact is False or other_seal),
        (SEAL_UNSEEN, sent.seal_unseen and not was_looked_at(seen)),
        *((finding, True) for finding in _of_degrees(sent.limits, degrees)),
        (LATE, sent.cold_until is not None and seen.at > sent.cold_until),
        (UNREAD, seen.logged is not None and bool(seen.logged.unread)),
        (UNRECORDED, sent.unrecorded and seen.logged is None),
        (UNTOLD, sent.untold and not degrees),
        (NAMELESS, seen.nameless > 0),
        (ELSEWHERE, seen.elsewhere),
    )
    return [finding for finding, found in said if found]
