"""From readings to the times in which a place was outside its limits. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True)
class Standing:
    """A reading that counts.

    `outside`: in what it lies outside the limits, or None; `source`: the sensor, None: people and files; `by_limit`: nothing was
    read at that time: a limit was set then, outside which what was read last lies.
    """

    at: datetime
    measure: str
    value: int
    outside: str | None
    source: str | None = None
    by_limit: bool = False


@dataclass(frozen=True)
class Span:
    """From the first to the last reading outside; `ended`: the first afterwards in which every measure was within again.

    `measure`, `outside`, `peak` are of what was outside first: its warmest or coldest value, or its lowest level. `by_limit`: it
    began when a limit was set (see `Standing`).
    """

    began: datetime
    last: datetime
    ended: datetime | None
    measure: str
    outside: str
    peak: int
    by_limit: bool = False


def spans_of(readings: Iterable[Standing]) -> list[Span]:
    """Return the spans of readings in order of their time; before the first, everything was within limits.

    A span goes on while any measure is outside by any source: one probe of a tank does not speak for another. What people read
    within speaks for all, and any sensor for what people read. It proves what the readings prove: between the last one outside
    and the first one within nobody looked, and what came in then is not said to have been affected.
    """
    done: list[Span] = []
    now: Span | None = None
    outside: set[tuple[str, str | None]] = set()
    for one in readings:
        if one.outside is not None:
            outside.add((one.measure, one.source))
            now = _begun(one, one.outside) if now is None else _longer(now, one)
        elif now is not None:
            outside = {other for other in outside if not _speaks_for(one, *other)}
            if not outside:
                done.append(replace(now, ended=one.at))
                now = None
    return done if now is None else [*done, now]


def _begun(one: Standing, outside: str) -> Span:
    return Span(one.at, one.at, None, one.measure, outside, one.value, one.by_limit)


def _speaks_for(one: Standing, measure: str, source: str | None) -> bool:
    """Say whether a reading within settles what `source` read of a measure."""
    return one.measure == measure and (one.source is None or source is None or source == one.source)


def _longer(span: Span, one: Standing) -> Span:
    if one.measure != span.measure:
        return replace(span, last=one.at)
    worse = min if span.measure == "level_ppm" or span.outside == "too_cold" else max
    return replace(span, last=one.at, peak=worse(span.peak, one.value))
