"""What a reading says: inside or outside the limits, and whether it can be right at all. Pure.

The bounds of what can be right are ours, not from a source. They act on nothing: beyond them a person is asked first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from biobank.foundation.errors import Conflict
from biobank.storage.limits import PlaceLimits

Measure = Literal["temperature_mc", "level_ppm"]
Outside = Literal["too_warm", "too_cold", "level_too_low", "warming_too_fast", "level_falling_too_fast"]
Doubt = Literal["another_unit", "impossible_value", "impossible_jump"]
SensorDoubt = Literal[Doubt, "would_free"]
"""Why a sensor's value waits for a person: doubtful, or it would take specimens out of an excursion."""

PACE_OVER: Final = {"temperature_mc": timedelta(minutes=1), "level_ppm": timedelta(minutes=15)}
"""A change is judged over at least this long: what an instrument trembles in a minute is no fall of the level."""
PACE_WITHIN: Final = timedelta(hours=2)
"""Readings further apart say nothing about a pace."""
_COLDEST_MC, _WARMEST_MC = -200_000, 60_000
_JUMP = {"temperature_mc": 30_000, "level_ppm": -300_000}
_JUMP_PER_MIN = {"temperature_mc": 10_000, "level_ppm": -50_000}


class NoLevelHere(Conflict):
    """A level is of a nitrogen tank, and what stands in one has that of the tank."""

    code = "no_level_here"
    title = "It has no level"


def require_level(code: str, limits: PlaceLimits) -> None:
    """Raise NoLevelHere for a place that is judged by no level: whatever is read there would be said to be right."""
    if limits.lowest_level_ppm is None:
        raise NoLevelHere(f"{code} is no nitrogen tank and stands in none, so it has no level.", subject=code)


@dataclass(frozen=True)
class Read:
    """A value and when it was read."""

    value: int
    at: datetime


@dataclass(frozen=True)
class Before:
    """What was read of the same measure before: last, and for the pace at least `PACE_OVER` earlier."""

    last: Read | None = None
    for_pace: Read | None = None


def outside_of(measure: Measure, now: Read, before: Before, limits: PlaceLimits) -> Outside | None:
    """Return in what a reading lies outside the limits, the gravest first; None when it lies within."""
    pace = _pace(now, before.for_pace)
    if measure == "temperature_mc":
        if limits.highest_mc is not None and now.value > limits.highest_mc:
            return "too_warm"
        if limits.lowest_mc is not None and now.value < limits.lowest_mc:
            return "too_cold"
        if limits.rise_mc_per_min is not None and pace is not None and pace > limits.rise_mc_per_min:
            return "warming_too_fast"
        return None
    if limits.lowest_level_ppm is not None and now.value < limits.lowest_level_ppm:
        return "level_too_low"
    if limits.fall_ppm_per_h is not None and pace is not None and -pace * 60 > limits.fall_ppm_per_h:
        return "level_falling_too_fast"
    return None


def doubt_of(measure: Measure, now: Read, before: Before, limits: PlaceLimits) -> Doubt | None:
    """Return why a reading can hardly be right, or None."""
    if measure == "temperature_mc" and not _COLDEST_MC <= now.value <= _WARMEST_MC:
        return "impossible_value"
    times = 1000 if measure == "temperature_mc" else 10_000
    if now.value != 0 and _within(measure, now.value * times, limits) and not _within(measure, now.value, limits):
        return "another_unit"
    if before.last is not None and now.at - before.last.at <= PACE_WITHIN:
        change, pace = now.value - before.last.value, _pace(now, before.last)
        jumps, faster = _JUMP[measure], _JUMP_PER_MIN[measure]
        if pace is not None and change / jumps > 1 and pace / faster > 1:
            return "impossible_jump"
    return None


def _pace(now: Read, before: Read | None) -> float | None:
    """The change a minute; None when there is nothing to compare with."""
    if before is None or not timedelta() < now.at - before.at <= PACE_WITHIN:
        return None
    return (now.value - before.value) / max(1.0, (now.at - before.at) / timedelta(minutes=1))


def _within(measure: Measure, value: int, limits: PlaceLimits) -> bool:
    if measure == "temperature_mc":
        coldest = _COLDEST_MC if limits.lowest_mc is None else limits.lowest_mc
        return limits.highest_mc is not None and coldest <= value <= limits.highest_mc
    return limits.lowest_level_ppm is not None and limits.lowest_level_ppm <= value <= 1_000_000
