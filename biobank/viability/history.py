"""What the custody log says of a specimen's past: delay before processing, freezing, storage, excursions. Pure.

Nothing here was typed into a form for the estimate's sake: every hour is the difference of two events. Temperatures are those
of the places the log names (the class of a container or shipment); time in no such place is counted as uncontrolled while
frozen and as warm while fresh, because nobody recorded that it was not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from biobank.custody.event import rules
from biobank.custody.states import State
from biobank.specimens.materials import NITROGEN

Entry = Mapping[str, Any]
"""A parsed entry of the log (`custody/entry.py`) with its `leaf_hash`."""

HOUR = 3600.0
DAY = 86_400.0
PLACED = frozenset({"specimen.stored", "specimen.moved", "specimen.safeguarded"})
COLD = "fridge"
OF_ANCESTORS = (
    "specimen.collected",
    "specimen.imported",
    "specimen.received",
    "specimen.stored",
    "specimen.moved",
    "specimen.safeguarded",
    "specimen.checked_out",
    "specimen.dispatched",
    "specimen.refused",
    "specimen.delivered",
    "specimen.process_started",
    "specimen.frozen",
    "specimen.reversed",
)
"""Kinds of an ancestor's events that say how it was kept before processing."""


@dataclass(frozen=True)
class Stay:
    """Time in one place: a container, a shipment, or neither."""

    since: datetime
    until: datetime
    container: str | None = None
    shipment: str | None = None

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True)
class Places:
    """Temperatures of the places in question.

    `classes`: temperature class by container or shipment; `warm`: instants at which a container, or what it stands in, was
    read warmer than the validated limit.
    """

    classes: Mapping[str, str | None] = field(default_factory=dict)
    warm: Mapping[str, Collection[datetime]] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """What the rules and the model read. Hours and days are fractions; None means that the log does not say."""

    condition: str = "fresh"
    warm_hours: float | None = None
    cold_hours: float | None = None
    frozen_at: datetime | None = None
    thawed_at: datetime | None = None
    freezes: int = 0
    procedure_version: str | None = None
    programme: str = ""
    cryoprotectant: str = ""
    nitrogen_days: float = 0.0
    minus_80_days: float = 0.0
    too_warm: str | None = None
    uncontrolled_minutes: float = 0.0
    excursion: str | None = None

    @property
    def storage(self) -> str:
        """`nitrogen`, or `minus_80` once it stood there for more than a week: then other evidence is needed."""
        return "minus_80" if self.minus_80_days > 7 else "nitrogen"

    @property
    def years(self) -> float:
        """Years of frozen storage, at whichever of the two."""
        return (self.nitrogen_days + self.minus_80_days) / 365.25

    def late_hours(self, free: float) -> float:
        """Hours at room temperature beyond the first `free`."""
        return max(0.0, (self.warm_hours or 0.0) - free)


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that still stand: what was reversed, and the reversals, are left out."""
    kept = list(entries)
    undone = {entry["body"]["reverses"] for entry in kept if entry["kind"] == "specimen.reversed"}
    return [entry for entry in kept if entry["leaf_hash"] not in undone and entry["kind"] != "specimen.reversed"]


def stays_of(entries: Sequence[Entry], until: datetime) -> list[Stay]:
    """Return where a specimen was from its first event to `until`, in order of time."""
    changes: list[tuple[datetime, str | None, str | None]] = []
    for entry in entries:
        kind, at = entry["kind"], _at(entry)
        if kind in PLACED:
            changes.append((at, entry["body"]["container"], None))
        elif kind == "specimen.dispatched":
            changes.append((at, None, entry["body"]["shipment"]))
        elif (leads_to := rules.by_kind[kind].to_state) is not None and leads_to is not State.STORED:
            changes.append((at, None, None))
    changes.sort(key=lambda change: change[0])
    ends = [*changes, (max([until, *[at for at, _, _ in changes]]), None, None)]
    return [
        Stay(since, min(then, until), box, shipment) for (since, box, shipment), (then, _, _) in pairwise(ends) if since < until
    ]


def places_named(streams: Iterable[Sequence[Entry]]) -> tuple[set[str], set[str]]:
    """Return the containers and the shipments that these streams name."""
    containers, shipments = set(), set()
    for entries in streams:
        for entry in entries:
            if entry["kind"] in PLACED:
                containers.add(entry["body"]["container"])
            elif entry["kind"] == "specimen.dispatched":
                shipments.add(entry["body"]["shipment"])
    return containers, shipments


def history_of(
    own: Sequence[Entry], ancestors: Sequence[Sequence[Entry]], places: Places, at: datetime, limit_mc: int
) -> History:
    """Read the history of a specimen as of `at` from its own stream and those of everything it was made from."""
    own = standing(own)
    roots = [standing(entries) for entries in ancestors] or [own]
    frozen = next((entry for entry in own if entry["kind"] == "specimen.frozen"), None)
    frozen_at = None if frozen is None else _at(frozen)
    thawed_at = next((_at(entry) for entry in own if entry["kind"] == "specimen.thawed"), None)
    fresh = [delay for entries in roots if (delay := _delay(entries, places, min(frozen_at or at, at))) is not None]
    starting = own[0]["body"] if own else {}
    condition = "thawed" if thawed_at else "frozen" if frozen_at else str(starting.get("condition", "fresh"))
    return History(
        condition=condition,
        warm_hours=max((warm for warm, _ in fresh), default=None),
        cold_hours=max((cold for _, cold in fresh), default=None),
        frozen_at=frozen_at,
        thawed_at=thawed_at,
        freezes=int(starting.get("freeze_count", 0)) + sum(entry["kind"] == "specimen.frozen" for entry in own),
        **({} if frozen is None else {n: frozen["body"].get(n) for n in ("procedure_version", "programme", "cryoprotectant")}),
        **({} if frozen_at is None else _frozen_time(own, places, frozen_at, min(thawed_at or at, at), limit_mc)),
    )


def _delay(entries: Sequence[Entry], places: Places, until: datetime) -> tuple[float, float] | None:
    """Return hours (warm, cold) from leaving the body to processing; None for a stream that does not begin in the body."""
    if not entries or entries[0]["kind"] != "specimen.collected":
        return None
    begun = datetime.fromisoformat(entries[0]["body"]["started_at"])
    ended = min([until, *[_at(entry) for entry in entries if entry["kind"] == "specimen.process_started"]])
    cold = sum(
        (min(stay.until, ended) - stay.since).total_seconds()
        for stay in stays_of(entries, ended)
        if places.classes.get(stay.container or stay.shipment or "") == COLD
    )
    whole = max(0.0, (ended - begun).total_seconds())
    return (whole - cold) / HOUR, cold / HOUR


def _frozen_time(own: Sequence[Entry], places: Places, since: datetime, until: datetime, limit_mc: int) -> dict[str, Any]:
    """Return what happened between freezing and thawing (or now), as members of `History`."""
    found: dict[str, Any] = {"nitrogen_days": 0.0, "minus_80_days": 0.0, "uncontrolled_minutes": 0.0}
    warm: list[str] = [
        _warm_event(entry, limit_mc) for entry in own if since <= _at(entry) <= until and _warm_event(entry, limit_mc)
    ]
    for stay in stays_of(own, until):
        begun = max(stay.since, since)
        seconds = (stay.until - begun).total_seconds()
        if seconds <= 0:
            continue
        place = stay.container or stay.shipment
        kept = None if place is None else places.classes.get(place)
        if kept is None:
            found["uncontrolled_minutes"] += seconds / 60
        elif kept in NITROGEN:
            found["nitrogen_days"] += seconds / DAY
            warm += [f"a reading in {place}" for at in places.warm.get(place or "", ()) if begun <= at <= stay.until][:1]
        elif kept == "minus_80":
            found["minus_80_days"] += seconds / DAY
        else:
            found["too_warm"] = kept
    return found | {"excursion": warm[0] if warm else None}


def _warm_event(entry: Entry, limit_mc: int) -> str:
    """Return in words how an event says that the specimen got too warm, or nothing."""
    body = entry["body"]
    if entry["kind"] == "specimen.hold_placed" and body["hold_kind"] == "temperature":
        return "a temperature hold"
    arrived = body.get("temperature_mc")
    if entry["kind"] in {"specimen.received", "specimen.refused"} and arrived is not None and arrived > limit_mc:
        return "its temperature on arrival"
    return ""


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["occurred_at"])
