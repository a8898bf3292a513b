"""Where something may be said to have been put at a time gone by: a place that existed then, a slot that was free."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, func, null, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.states import HOLDS_A_POSITION, StreamKind
from biobank.transparency.models import event as _event

_NAMED_IN: Final = ("container", "to_parent", "place")
_AHEAD: Final = timedelta(minutes=2)
"""By how much a stated time may lie after its record (`recording.py`)."""

_PUTS: Final = ("specimen.stored", "specimen.moved", "specimen.safeguarded", "specimen.reversed")
_HOLDING: Final = sorted(one.value for one in HOLDS_A_POSITION)


def places_named(event: Event) -> set[str]:
    """Return the codes of containers and slots that an event names as places. Pure."""
    return {code for name in _NAMED_IN if isinstance(code := getattr(event, name, None), str)}


def slot_named(event: Event) -> str | None:
    """Return the slot into which an event puts a specimen, if it names one. Pure."""
    return getattr(event, "position", None) if "position_code" in type(event).whole_effect() else None


def seen_in(session: Session, event: Event, code: str, at: datetime) -> tuple[str, datetime] | None:
    """Return the place in which an event of `at` says that a specimen was seen, and since when it may have been there.

    What was found was there, for all that is known, since it was reported missing.
    """
    place = getattr(event, type(event).sees or "", None)
    if place is None:
        return None
    of = _event.c
    of_it = (of.stream_kind == StreamKind.SPECIMEN.value, of.stream_id == code, of.kind == "specimen.missing")
    missed = select(func.max(of.occurred_at)).where(*of_it) if event.kind == "specimen.found" else None  # type: ignore[attr-defined]
    return place, at if missed is None else session.execute(missed).scalar() or at


def began_at(session: Session, places: Collection[str]) -> dict[str, datetime]:
    """Return since when there is a record of each container."""
    if not places:
        return {}
    of_them = (_event.c.stream_kind == StreamKind.CONTAINER.value, _event.c.stream_id.in_(sorted(places)), _event.c.seq == 1)
    return {
        row.stream_id: row.occurred_at
        for row in session.execute(select(_event.c.stream_id, _event.c.occurred_at).where(*of_them))
    }


def earliest(session: Session, specimen: Snapshot, event: Event, at: datetime) -> datetime:
    """Return the first time from `at` on at which the event can have been: not before the tube's own last one, nor before its
    place began and its slot was free.
    """
    began = began_at(session, places_named(event)).values()
    floors = [at, specimen.last_occurred_at, *began, slot_left_at(session, slot_named(event), specimen.code, at)]
    return max(one for one in floors if one is not None)


def slot_left_at(session: Session, slot: str | None, code: str, at: datetime) -> datetime | None:
    """Return when the last other specimen left a slot in which it stood at `at` or since; None: it was free for `code` then.

    Whoever still stands there is not asked about here: a slot that is taken now is refused as taken (`storage/placing.py`).
    """
    if slot is None:
        return None
    of, undone = _event.c, _event.c.kind == "specimen.reversed"
    moved_since = select(of.stream_id).where(
        of.stream_kind == StreamKind.SPECIMEN.value, of.recorded_at >= at - _AHEAD, of.stream_id != code
    )
    body = func.convert_from(of.entry, "UTF8").cast(JSONB)["body"]
    gone, restored = of.state.not_in(_HOLDING), body["restores"]["position_code"]
    its = case((gone, null()), (undone, restored.astext), else_=body["position"].astext)
    stays = (
        select(of.stream_id, of.seq, of.kind, of.occurred_at, its.label("slot"))
        .where(of.stream_kind == StreamKind.SPECIMEN.value, of.stream_id.in_(moved_since))
        .where(gone | of.kind.in_(_PUTS), gone | ~undone | body["restores"].has_key("position_code"))
        .cte("stays")
    ).c
    until, by_kind, then_in = (
        func.lead(one).over(partition_by=stays.stream_id, order_by=stays.seq)
        for one in (stays.occurred_at, stays.kind, stays.slot)
    )
    ended = select(stays.slot, until.label("until"), by_kind.label("by_kind"), then_in.label("then_in")).subquery().c
    by_mistake = (ended.by_kind == "specimen.reversed") & ended.then_in.is_distinct_from(ended.slot)  # and undone
    found: datetime | None = session.execute(
        select(func.max(ended.until)).where(ended.slot == slot, ended.until > at, ~by_mistake)
    ).scalar()
    return found
