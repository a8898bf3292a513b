"""From readings to the times in which a place was outside its limits. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True)
class Standing:
    """A reading that counts. `outside`: in what it lies outside the limits, or None."""

    at: datetime
    measure: str
    value: int
    outside: str | None


@dataclass(frozen=True)
class Span:
    """From the first to the last reading outside; `ended`: the first afterwards in which every measure was within again.

    `measure`, `outside`, `peak` are of what was outside first: its warmest or coldest value, or its lowest level.
    """

    began: datetime
    last: datetime
    ended: datetime | None
    measure: str
    outside: str
    peak: int


def spans_of(readings: Iterable[Standing]) -> list[Span]:
    """Return the spans of readings in order of their time; before the first, everything was within limits.

    A span goes on while any measure is outside. It proves what the readings prove: between the last one outside and the first one
    within nobody looked, and what came in then is not said to have been affected.
    """
    done: list[Span] = []
    now: Span | None = None
    outside: set[str] = set()
    for one in readings:
        if one.outside is not None:
            outside.add(one.measure)
            now = Span(one.at, one.at, None, one.measure, one.outside, one.value) if now is None else _longer(now, one)
        elif now is not None:
            outside.discard(one.measure)
            if not outside:
                done.append(replace(now, ended=one.at))
                now = None
    return done if now is None else [*done, now]


def _longer(span: Span, one: Standing) -> Span:
    if one.measure != span.measure:
        return replace(span, last=one.at)
    worse = min if span.measure == "level_ppm" or span.outside == "too_cold" else max
    return replace(span, last=one.at, peak=worse(span.peak, one.value))
