"""What an arrival sets going, by whichever route it is recorded: singly, with its shipment, through its withdrawal, sent back.

A tube that came damaged or that nobody can read is held with its receipt; what the arrival says of everything that travelled
with it, or of a tube that was carried by hand, the package of shipments answers (`travelled_with`, `travelled_alone`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.states import HoldKind
from biobank.foundation.from_above import FromAbove

INSPECTION = "arrival_inspection"
"""Why a tube is held that came damaged or unreadable."""

travelled_alone: FromAbove[Callable[[Session, Snapshot, Event, str | None], list[tuple[HoldKind, str]]]] = FromAbove("shipping")
"""The holds, with their reasons, that the arrival of a tube places on it which came in no shipment, at a site."""

travelled_with: FromAbove[Callable[[Session, Act, str, Sequence[Event], datetime], list[Appended]]] = FromAbove("shipping")
"""Judge the arrival of tubes of one shipment at a time, and hold what travelled where something stands against it."""


def inspection_hold(event: Event) -> HoldKind | None:
    """Return the hold that what was seen of a tube on its arrival places on it: unreadable before damaged. Pure.

    What nobody looked at holds nothing: the arrival says that nothing was said.
    """
    if not type(event).arrives:
        return None
    if getattr(event, "label_legible") is False:  # noqa: B009 - every event that arrives has it
        return HoldKind.IDENTITY
    return HoldKind.QUALITY if getattr(event, "container_intact") is False else None  # noqa: B009
