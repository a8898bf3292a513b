"""From readings to the times in which a place was outside its limits. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self


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
class Worst:
    """The value furthest outside of a measure in one way: m°C, or millionths of full."""

    measure: str
    outside: str
    peak: int

    def with_(self, other: "Worst") -> "Worst":
        """Return the one of both, which are outside in the same way, that is further out."""
        lower = self.measure == "level_ppm" or self.outside == "too_cold"
        return (min if lower else max)(self, other, key=lambda one: one.peak)


GRAVITY: Final = ("too_warm", "too_cold", "level_too_low", "warming_too_fast", "level_falling_too_fast")


@dataclass(frozen=True)
class Span:
    """From the first to the last reading outside; `ended`: the first afterwards in which every measure was within again.

    `worst`: of each measure, in each way in which it was outside, the reading furthest out, in the order in which they began.
    `by_limit`: it began when a limit was set (see `Standing`).
    """

    began: datetime
    last: datetime
    ended: datetime | None
    worst: tuple[Worst, ...]
    by_limit: bool = False

    @classmethod
    def of(cls, row: Any) -> Self:
        """The span of an excursion that is known already (its row)."""
        return cls(row.began_at, row.last_at, row.ended_at, tuple(Worst(**one) for one in row.worst), row.by_limit)

    @property
    def gravest(self) -> Worst:
        """What is named where there is room for one: warmth before cold, both before a level, all before a pace."""
        return min(self.worst, key=lambda one: GRAVITY.index(one.outside))


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
            began = now or Span(one.at, one.at, None, (), one.by_limit)
            now = _longer(began, Worst(one.measure, one.outside, one.value), one.at)
        elif now is not None:
            outside = {other for other in outside if not _speaks_for(one, *other)}
            if not outside:
                done.append(replace(now, ended=one.at))
                now = None
    return done if now is None else [*done, now]


def _speaks_for(one: Standing, measure: str, source: str | None) -> bool:
    """Say whether a reading within settles what `source` read of a measure."""
    return one.measure == measure and (one.source is None or source is None or source == one.source)


def _longer(span: Span, one: Worst, at: datetime) -> Span:
    worst = {(known.measure, known.outside): known for known in span.worst}
    way = (one.measure, one.outside)
    worst[way] = worst[way].with_(one) if way in worst else one
    return replace(span, last=at, worst=tuple(worst.values()))
