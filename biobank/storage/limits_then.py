"""What a place might read at a time gone by: a reading is judged by where the container stood then, and by what was set by then.

A limit counts from when it was recorded, whatever time was stated with it: nobody sets one backwards.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, case, or_, select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.holds_then import Stay, places_around, places_since
from biobank.custody.states import StreamKind
from biobank.foundation.clock import now
from biobank.storage.cold_then import ever_around
from biobank.storage.limits import CLASSES, NAMES, PlaceLimits, class_judged_by, with_own_level
from biobank.storage.maps import site_of_root
from biobank.storage.models import storage_container
from biobank.storage.rules import up_to_its_cold
from biobank.transparency.models import event

_SET: Final = "container.limits_set"
_CLASS_SET: Final = "system.class_limits_set"
_INSTANT: Final = timedelta(microseconds=1)


def limits_of_place_then(session: Session, code: str, at: datetime) -> PlaceLimits:
    """Return the limits by which a container was judged at `at`; `limits.limits_of_place` answers for now."""
    whole = _rows(session, places_around.get()(session, code, at, now()))
    chain = up_to_its_cold(whole)
    site = site_of_root(session, whole[-1].code) or whole[-1].site_code
    found = with_own_level(chain, _class_limits(session, site, class_judged_by(whole), at))
    for row in chain:
        found = found.with_stricter(_own(session, row, at))
    return found


def limits_over(session: Session, code: str, first: datetime, last: datetime) -> Callable[[datetime], PlaceLimits]:
    """Return what answers `limits_of_place_then` for any time from `first` to `last`: read once for each change in between."""
    around = {place for place, _ in places_since.get()(session, [Stay(code, first, last)], now(), now())}
    since = [first, *_changes(session, around, first, last)]
    found = [limits_of_place_then(session, code, at) for at in since]
    return lambda at: found[max(0, bisect_right(since, at) - 1)]


def limits_set_between(
    session: Session, code: str, first: datetime, last: datetime
) -> list[tuple[datetime, PlaceLimits, PlaceLimits]]:
    """Return when limits were set from `first` to `last` (both included) that concern a container: when, and by what it was
    judged until then and since. One statement where nothing was set.
    """
    of = event.c
    known = (of.kind.in_((_SET, _CLASS_SET)), of.recorded_at.between(first, last))
    rows = session.execute(select(of.stream_kind, of.stream_id, of.recorded_at).where(*known)).all()
    around = ever_around(session, [code]) if rows else set()
    times = {row.recorded_at for row in rows if row.stream_kind == StreamKind.SYSTEM.value or row.stream_id in around}
    found = ((at, limits_of_place_then(session, code, at - _INSTANT), limits_of_place_then(session, code, at)) for at in times)
    return sorted((one for one in found if one[1] != one[2]), key=lambda one: one[0])


def _rows(session: Session, codes: Sequence[str]) -> list[Any]:
    rows = session.execute(select(storage_container).where(storage_container.c.code.in_(codes)))
    by_code = {row.code: row for row in rows}
    return [by_code[code] for code in codes]


def _changes(session: Session, around: Collection[str], first: datetime, last: datetime) -> list[datetime]:
    of = event.c
    at = case((of.kind == "container.moved", of.occurred_at), else_=of.recorded_at)
    its = and_(
        of.stream_kind == StreamKind.CONTAINER.value, of.stream_id.in_(sorted(around)), of.kind.in_(("container.moved", _SET))
    )
    of_classes = and_(of.stream_kind == StreamKind.SYSTEM.value, of.kind == _CLASS_SET)
    return list(session.scalars(select(at).where(or_(its, of_classes), at > first, at <= last).distinct().order_by(at)))


def _own(session: Session, row: Any, at: datetime) -> PlaceLimits:
    """What had been set for a container itself by then."""
    of = event.c
    entries = session.scalars(
        select(of.entry)
        .where(of.stream_kind == StreamKind.CONTAINER.value, of.stream_id == row.code)
        .where(of.kind == _SET, of.recorded_at <= at)
        .order_by(of.seq.desc())
        .limit(1)
    ).all()
    return _said(entries[0]) if entries else PlaceLimits()


def _class_limits(session: Session, site: str, name: str, at: datetime) -> PlaceLimits:
    """The registry's limits of a class, with what its site had set for it by then."""
    of = event.c
    entries = session.scalars(
        select(of.entry)
        .where(of.stream_kind == StreamKind.SYSTEM.value, of.stream_id == site, of.kind == _CLASS_SET, of.recorded_at <= at)
        .order_by(of.seq.desc())
    )
    set_last = next((entry for entry in entries if parse_entry(bytes(entry))["body"]["temperature_class"] == name), None)
    return CLASSES[name].limits if set_last is None else CLASSES[name].limits.with_stricter(_said(set_last))


def _said(entry: bytes) -> PlaceLimits:
    body = parse_entry(bytes(entry))["body"]
    return PlaceLimits(**{one: body.get(one) for one in NAMES})
