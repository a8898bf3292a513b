"""May this event happen to this specimen now? One pure function, read by the ledger, the buttons and the tests.

Order of the answers: the state of the specimen, its condition, a reservation, the holds, the lag of the log. A page lists them
all; an act raises the first, so that the sentence names the nearest cause.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from biobank.custody.event import Event
from biobank.custody.projection import Projection
from biobank.custody.states import HOLD_BLOCKS, TERMINAL, Condition, HoldAct, HoldKind, State
from biobank.foundation.errors import Conflict, IllegalTransition, Refusal

TO_QUARANTINE = "Put the tube in the nearest quarantine place now; storing there is always accepted."
BACK_TO_ITS_PLACE = "Put the tube back where it came from, or in the nearest quarantine place."


class OnHold(Conflict):
    """A hold blocks this act; only quality lifts it."""

    code = "on_hold"
    title = "On hold"


class ReservedElsewhere(Conflict):
    """The specimen is reserved for another withdrawal."""

    code = "reserved_elsewhere"
    title = "Reserved for another withdrawal"


class LogLagging(Refusal):
    """The log has not been sealed within the promised delay; acts towards use wait, observations and safety moves do not."""

    status = 503
    code = "log_lagging"
    title = "The custody log is behind"


def _stands_warm(projection: Projection) -> bool:
    """Say whether what is frozen stands where it is not kept cold: lifted, warm, or nobody knows how cold. Pure."""
    stored = projection.state == State.STORED.value
    return stored and projection.condition == Condition.FROZEN.value and projection.out_since is not None


def what_now(projection: Projection, material: str) -> str:
    """Say where a tube in hand goes now: by its condition, because what keeps a frozen vial spoils a thawed one. Pure."""
    place = projection.position_code or projection.container_code
    condition = projection.condition
    if material == "unidentified" and place is None:
        return f"Nobody knows what it is: keep it as cold as you found it. {TO_QUARANTINE}"
    if condition == Condition.THAWED:
        until = "" if projection.use_by is None else f" It is too old for use from {projection.use_by}."
        return f"It is thawed: never back into a freezer or nitrogen. Put it in a cool quarantine place (fridge).{until}"
    if condition == Condition.IN_CULTURE:
        return f"It is alive in culture: back into {place or 'an incubator'}, or an incubator of quarantine."
    if place is not None and _stands_warm(projection):
        return (
            f"Nothing keeps it cold in {place} by the record. Put it into nitrogen or a -80 °C freezer of quarantine, or back "
            "there once that is cold."
        )
    if place is not None and condition == Condition.FRESH:
        return f"It is fresh, not frozen: back in {place} unless that is a freezer or nitrogen, else in a cool quarantine place."
    if place is not None:
        return f"Put the tube back in {place}, or in the nearest quarantine place."
    if condition == Condition.FRESH and projection.state:
        return f"It is fresh, not frozen: never into a freezer or nitrogen. {TO_QUARANTINE}"
    if condition in (Condition.FROZEN, Condition.FREEZING):
        return "It is frozen: never into a fridge. Put it into nitrogen or a -80 °C freezer of quarantine now."
    return TO_QUARANTINE


@dataclass(frozen=True)
class ActiveHold:
    """A hold that covers a specimen, by whatever scope."""

    id: str
    kind: str
    scope_kind: str
    scope_id: str
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """Everything about one specimen that rules read: its projection, what it is, and the holds when they were loaded."""

    code: str
    donor_code: str | None
    seq: int
    head_hash: bytes | None
    projection: Projection
    last_occurred_at: datetime | None = None
    state_seq: int = 0
    material: str = ""
    unit: str = ""
    purpose: str = "therapeutic"
    passage: int | None = None
    lot_code: str | None = None
    harvest_code: str | None = None
    regulatory_basis: str = "undetermined"
    home_site_code: str | None = None
    clinic_site_code: str | None = None
    kept_under: str | None = None
    """Under whose law its keeper works; None: nobody has said."""
    cared_under: str | None = None
    """Under whose law the clinic of its donor works."""
    expires_at: datetime | None = None
    kept_apart: bool = False
    holds: tuple[ActiveHold, ...] = field(default=())

    @property
    def state(self) -> State | None:
        """The state, or None before the first event."""
        text = self.projection.state
        return State(text) if text else None

    @property
    def sites(self) -> tuple[str | None, ...]:
        """The sites whose people may know of the specimen: where it is, where it is kept, where its donor is cared for."""
        return (self.projection.site_code, self.home_site_code, self.clinic_site_code)

    @property
    def keeper(self) -> str | None:
        """The site whose quality decides about the specimen: where it is kept, else where it is."""
        return self.home_site_code or self.projection.site_code

    @property
    def where_now(self) -> str:
        """What to do with the tube in hand after a stop."""
        return what_now(self.projection, self.material)


def refusals_of(
    event: type[Event],
    specimen: Snapshot,
    *,
    withdrawal: str | None = None,
    lagging: bool = False,
    ignore_holds: Collection[str] = (),
) -> list[Refusal]:
    """Return every reason why `event` may not happen to `specimen` now, the nearest first; empty when it may.

    `withdrawal`: the withdrawal on whose behalf the act happens (a reservation blocks only others); `lagging`: the log is
    behind its promised delay; `ignore_holds`: ids of holds that the act itself is about (lifting, resolving).
    """
    if event.cold_first and specimen.state is not None and specimen.state not in TERMINAL:
        return []
    found = (
        _state_refusal(event, specimen),
        _reservation_refusal(event, specimen, withdrawal),
        _hold_refusal(event, specimen, ignore_holds),
        _lag_refusal(event, specimen, lagging),
    )
    return [refusal for refusal in found if refusal is not None]


def refusal_of(
    event: type[Event],
    specimen: Snapshot,
    *,
    withdrawal: str | None = None,
    lagging: bool = False,
    ignore_holds: Collection[str] = (),
) -> Refusal | None:
    """Return the first of `refusals_of`, or None when the event may happen."""
    found = refusals_of(event, specimen, withdrawal=withdrawal, lagging=lagging, ignore_holds=ignore_holds)
    return found[0] if found else None


def verb_of(event: type[Event]) -> str:
    """The event's kind in plain words: `specimen.checked_out` → "checked out"."""
    return event.verb or str(event.model_fields["kind"].default).partition(".")[2].replace("_", " ")


def _state_refusal(event: type[Event], specimen: Snapshot) -> Refusal | None:
    members: dict[str, Any] = {"subject": specimen.code, "state": specimen.projection.state, "seq": specimen.seq}
    if event.starts:
        if specimen.state is None:
            return None
        return IllegalTransition(f"{specimen.code} already has a record and cannot start another.", **members)
    if specimen.state is None:
        return IllegalTransition(f"{specimen.code} has no record yet.", **members)
    if specimen.state in TERMINAL and event.annotates:
        return None
    if specimen.state not in event.from_states:
        legal = " or ".join(sorted(s.value.replace("_", " ") for s in event.from_states)) or "no state"
        return IllegalTransition(
            f"{specimen.code} is {specimen.state.value.replace('_', ' ')}; it can be {verb_of(event)} only when {legal}.",
            where_now=specimen.where_now,
            **members,
        )
    condition = specimen.projection.condition
    if event.from_conditions is not None and condition not in event.from_conditions:
        legal = " or ".join(sorted(c.value.replace("_", " ") for c in event.from_conditions))
        return IllegalTransition(
            f"{specimen.code} is {condition.replace('_', ' ')}; it can be {verb_of(event)} only when {legal}.",
            where_now=specimen.where_now,
            **members,
        )
    return None


def _reservation_refusal(event: type[Event], specimen: Snapshot, withdrawal: str | None) -> Refusal | None:
    return None if event.act is None and not event.unreserved else reservation_refusal(specimen, withdrawal)


def reservation_refusal(specimen: Snapshot, withdrawal: str | None = None) -> Refusal | None:
    """Return why a reservation keeps the specimen from any other act than those of `withdrawal`, or None. Pure."""
    reserved = specimen.projection.reserved_for
    if reserved is None or reserved == withdrawal:
        return None
    return ReservedElsewhere(
        f"{specimen.code} is reserved for withdrawal {reserved}. Cancel that one first, or choose another specimen.",
        where_now=specimen.where_now,
        subject=specimen.code,
        withdrawal=reserved,
    )


def _hold_refusal(event: type[Event], specimen: Snapshot, ignore: Collection[str]) -> Refusal | None:
    return None if event.act is None else hold_refusal(event.act, verb_of(event), specimen, ignore)


def hold_refusal(act: HoldAct, verb: str, specimen: Snapshot, ignore: Collection[str] = ()) -> Refusal | None:
    """Return the hold that keeps the specimen from an act, or None. `verb`: a past participle for the sentence. Pure."""
    blocking = [h for h in specimen.holds if act.value in h.blocks and h.id not in ignore]
    if not blocking:
        return None
    first = blocking[0]
    return OnHold(
        f"{specimen.code} is on {first.kind.replace('_', ' ')} hold ({first.scope_kind} {first.scope_id}) "
        f"and cannot be {verb}. Quality can lift the hold.",
        where_now=specimen.where_now,
        subject=specimen.code,
        holds=[h.id for h in blocking],
    )


def _lag_refusal(event: type[Event], specimen: Snapshot, lagging: bool) -> Refusal | None:
    if not (event.toward_use and lagging):
        return None
    return LogLagging(
        "The custody log has not been sealed within its promised time, so nothing goes to a patient until it has. "
        "Tell the administrator; observations and safety moves still work.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def blocks_of(kind: HoldKind) -> tuple[str, ...]:
    """The acts a kind of hold blocks, as stored."""
    return tuple(sorted(act.value for act in HOLD_BLOCKS[kind]))
