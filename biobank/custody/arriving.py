"""What an arrival or a look at a tube sets going, by whichever route it is recorded.

A tube that is damaged or that nobody can read is held with what says so: its arrival, an inspection, a correction of either. What
the arrival says of everything that travelled with it, or of a tube that was carried by hand, the package of shipments answers
(`travelled_with`, `travelled_alone`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.events import Amended, Inspected, Received, Reversed
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.states import TERMINAL, HoldKind, State
from biobank.foundation.from_above import FromAbove

if TYPE_CHECKING:
    from biobank.custody.recording import Circumstances

INSPECTION = "inspection_failed"
"""Why a tube is held that somebody saw damaged, unreadable or with other contents than expected."""

FOUND_ON_ARRIVAL = frozenset(
    {
        "seal_broken",
        "seal_not_checked",
        "arrived_too_warm",
        "arrived_too_cold",
        "arrived_after_the_hold_time",
        "temperature_record_incomplete",
        "no_temperature_record",
        "temperature_not_read",
        "arrived_without_being_sent",
        "arrived_elsewhere",
        "travelled_with_an_unlabelled_tube",
    }
)
"""Why something is held because of how it came (`shipping/arrival_findings.py`)."""

SEEN = ("container_intact", "label_legible", "contents_as_expected")
"""What is said of a tube by whoever looks at it; "no" to one of them is a failed inspection."""

_NOT_THERE = TERMINAL | {State.IN_TRANSIT, State.MISSING}

travelled_alone: FromAbove[Callable[[Session, Snapshot, Event, str | None], list[tuple[HoldKind, str]]]] = FromAbove("shipping")
"""The holds, with their reasons, that the arrival of a tube places on it which came in no shipment, at a site."""


@dataclass(frozen=True)
class Arrival:
    """Tubes of one shipment that arrive in one act, by code with what was recorded of each, at the time that counts.

    `given`: the circumstances of the act; `seals_follow`: the act itself records what was seen of the seals; `corrected`: nothing
    arrives now, what was said of an earlier arrival is corrected.
    """

    tubes: Sequence[tuple[str, Event]]
    at: datetime
    given: "Circumstances"
    seals_follow: bool
    corrected: bool = False


possible_on_arrival: FromAbove[Callable[[Session, Snapshot, int, str | None, datetime], None]] = FromAbove("shipping")
"""Raise why a temperature, m°C, can hardly be that of a tube on its arrival, in its shipment or by hand, at a site at a time."""


travelled_with: FromAbove[Callable[[Session, Act, str, Arrival], list[Appended]]] = FromAbove("shipping")
"""Judge the arrival of tubes of one shipment, and hold what travelled where something stands against it."""


def require_possible(session: Session, before: Snapshot, event: Event, site: str | None, at: datetime) -> None:
    """Raise why the temperature of an arrival can hardly be right, unless it was read again and is so."""
    if isinstance(event, Received) and event.temperature_mc is not None and not event.confirmed:
        possible_on_arrival.get()(session, before, event.temperature_mc, site, at)


def has_arrived(event: Event, before: Snapshot, after: Snapshot) -> bool:
    """Say whether a specimen came off the road by an event, by whatever name: brought into the cold, taken back by quality."""
    off_the_road = before.state is State.IN_TRANSIT and after.state not in _NOT_THERE
    return type(event).arrives or (off_the_road and not isinstance(event, Reversed))


def inspection_hold(event: Event) -> HoldKind | None:
    """Return the hold that what was seen of a tube places on it: unreadable before everything else. Pure.

    What nobody looked at holds nothing: the arrival says that nothing was said. A correction towards "no" holds as the first
    answer would have; one towards "yes" lifts nothing.
    """
    said = _said(event)
    if said.get("label_legible") is False:
        return HoldKind.IDENTITY
    return HoldKind.QUALITY if any(said.get(name) is False for name in SEEN) else None


def _said(event: Event) -> dict[str, Any]:
    if isinstance(event, Amended):
        return {event.field: event.value}
    if type(event).arrives or isinstance(event, Inspected):
        return {name: getattr(event, name, None) for name in SEEN}
    return {}
