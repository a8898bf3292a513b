"""How long a material may be out of the cold and is fit for use, and what follows in the record when it was longer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from biobank.custody import holds as custody_holds
from biobank.custody.effects import seconds_between
from biobank.custody.entry import Head
from biobank.custody.event import Event
from biobank.custody.events import Amended
from biobank.custody.legality import Snapshot
from biobank.custody.states import TERMINAL, Condition, HoldKind, HoldScope, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.from_above import FromAbove


@dataclass(frozen=True)
class Limits:
    """What a material in one condition is allowed: seconds of fitness for use, seconds out of the cold; None: no limit.

    `contact_s`: with the cryoprotectant before cooling; `to_tank_s`: from the end of freezing into the tank.
    """

    use_by_s: int | None = None
    warm_amber_s: int | None = None
    warm_red_s: int | None = None
    contact_s: int | None = None
    to_tank_s: int | None = None
    highest_passage: int | None = None


material_limits: FromAbove[Callable[[Session, str, str, frozenset[str]], Limits]] = FromAbove("specimens")
"""The strictest limits of a material in a condition among those of the sites, and of the registry."""

WARM_TIME_BUDGET = "warm_time_budget"
"""Why a specimen is held that was out of the cold for longer than its red time."""
FROZEN_TOO_OLD = "frozen_after_use_by"
"""Why a specimen is held that was too old for use when it was frozen."""


def clock_began(said: Mapping[str, Any], occurred_at: str) -> str:
    """Return when the clock that an entry starts began: when the material left the body, when it was frozen at the bank that was
    taken over, else when it happened. `said`: the body of the entry. Pure.
    """
    return str(said.get("started_at") or said.get("banked_at") or occurred_at)


def with_clock(event: Event, specimen: Snapshot, head: Head, limits: Callable[..., Limits]) -> Event:
    """Start the clock of fitness for use that the condition after this event has, unless the event says an earlier end."""
    if "use_by" not in type(event).model_fields:
        return event
    condition = specimen.projection.after(type(event).whole_effect(), event.payload(), head.members()).condition
    seconds = limits(specimen.material, condition).use_by_s
    if seconds is None:
        return event
    started = clock_began(event.payload(), rfc3339(head.occurred_at))
    ends = rfc3339(datetime.fromisoformat(started) + timedelta(seconds=seconds))
    said = getattr(event, "use_by")  # noqa: B009 - only some have it
    return event.model_copy(update={"use_by": ends if said is None else min(said, ends)})


def _frozen_too_old(before: Snapshot, after: Snapshot, head: Head) -> bool:
    """Say whether what was too old for use was frozen: that keeps it, and makes it no younger, though the clock ends there."""
    froze = before.projection.condition != Condition.FROZEN and after.projection.condition == Condition.FROZEN
    # What stood in its row, and what the same act said of it since.
    ended = before.expires_at is not None and before.expires_at <= head.known_until
    ended = ended or (before.projection.use_by or "9999") <= rfc3339(head.known_until)
    return froze and ended


CONTACT = "cryoprotectant_contact_too_long"
"""Why a specimen is held that lay in its cryoprotectant for longer than its site allows before it was cooled."""
TO_THE_TANK = "too_long_to_the_tank"
"""Why a specimen is held that came into the tank later after freezing than its site allows."""

MISSING_FOR_A_TIME = "missing_for_a_time"
"""Why a frozen specimen is held that was missing: nobody knows whether it was in the cold meanwhile."""
_NOWHERE = (State.MISSING, State.LOST)


def too_long(
    before: Snapshot, after: Snapshot, event: Event, head: Head, limits: Callable[..., Limits]
) -> list[tuple[HoldKind, str]]:
    """Return the holds, with their reasons, of what took longer than its site allows, or nobody knows how long: freezing and
    storing are never refused.

    A contact time that is corrected upwards later holds as the first word would have.
    """
    found = []
    if before.state in _NOWHERE and after.state not in {*TERMINAL, *_NOWHERE} and after.projection.condition == Condition.FROZEN:
        found.append((HoldKind.TEMPERATURE, MISSING_FOR_A_TIME))
    if _frozen_too_old(before, after, head):
        found.append((HoldKind.QUALITY, FROZEN_TOO_OLD))
    said = event.value if isinstance(event, Amended) and event.field == "cryoprotectant_contact_s" else None
    contact = getattr(event, "cryoprotectant_contact_s", said)
    if contact is not None:
        most = limits(before.material, Condition.FROZEN.value).contact_s
        if most is not None and int(contact) > most:
            found.append((HoldKind.QUALITY, CONTACT))
    was, now = before.projection, after.projection
    if (
        was.condition == Condition.FROZEN
        and was.out_since is not None
        and was.out_since == was.banked_at
        and now.out_since is None
    ):
        most = limits(before.material, Condition.FROZEN.value).to_tank_s
        if most is not None and seconds_between(was.out_since, rfc3339(head.known_until)) > most:
            found.append((HoldKind.TEMPERATURE, TO_THE_TANK))
    return found


def crosses_red(before: Snapshot, after: Snapshot, limits: Callable[..., Limits]) -> bool:
    """Say whether the time out of the cold grew with this event and is over the budget now, whatever it was before."""
    was, now = before.projection.exposure_s, after.projection.exposure_s
    if now == was:
        return False
    red = limits(before.material, Condition.FROZEN.value).warm_red_s
    return red is not None and now > red


def held_while_out(session: Session, specimen: Snapshot) -> bool:
    """Say whether it is held for its budget, or the timer held it already for the time that now ends."""
    of, since = (session, HoldScope.SPECIMEN, specimen.code), specimen.projection.out_since
    if custody_holds.stands(*of, HoldKind.TEMPERATURE, WARM_TIME_BUDGET):
        return True
    return since is not None and custody_holds.placed_since(*of, WARM_TIME_BUDGET, datetime.fromisoformat(since))
