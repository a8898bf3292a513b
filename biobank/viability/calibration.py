"""How good were the forecasts? Counted where each thaw fell in the forecast that had not seen it. Pure.

A forecast is right when the places (`predictive.place_of_count`) are uniform: then half of them lie in the middle half, nine
in ten in the middle 90 %. Coverage is counted over the newest thirty thaws of a stratum; an interval that promises 90 % and
held fewer than 24 of 30 (under 80 %) raises the alarm: by chance alone that happens in 2.6 % of windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PPM: Final = 1_000_000
WINDOW: Final = 30
BANDS: Final = (50, 80, 90)
BINS: Final = 10
ALARM_BAND: Final = 90
ALARM_BELOW_PERCENT: Final = 80


@dataclass(frozen=True)
class Coverage:
    """How many of the newest `of` thaws the central interval of `percent` held."""

    percent: int
    held: int
    of: int


@dataclass(frozen=True)
class Calibration:
    """The record of one stratum's forecasts. `pit`: counts per tenth; `rolling`: held per window, oldest window first."""

    thaws: int
    coverage: list[Coverage]
    whole: list[Coverage]
    pit: list[int]
    rolling: dict[int, list[int]]
    alarm: bool


def held(place_ppm: int, percent: int) -> bool:
    """Say whether a place lies in the central interval of `percent`."""
    edge = (100 - percent) * PPM // 200
    return edge <= place_ppm <= PPM - edge


def calibration_of(places: Sequence[int]) -> Calibration:
    """Judge forecasts by where the thaws fell in them, oldest first, in parts per million."""
    newest = places[-WINDOW:]
    coverage = [_coverage(newest, percent) for percent in BANDS]
    return Calibration(
        thaws=len(places),
        coverage=coverage,
        whole=[_coverage(places, percent) for percent in BANDS],
        pit=[sum(min(place * BINS // PPM, BINS - 1) == part for place in places) for part in range(BINS)],
        rolling={percent: _rolling([held(place, percent) for place in places]) for percent in BANDS},
        alarm=len(newest) == WINDOW and is_alarming(newest),
    )


def is_alarming(newest: Sequence[int]) -> bool:
    """Say whether the 90 % interval held fewer than 80 % of a full window of thaws."""
    return sum(held(place, ALARM_BAND) for place in newest) * 100 < ALARM_BELOW_PERCENT * len(newest)


def _coverage(places: Sequence[int], percent: int) -> Coverage:
    return Coverage(percent, sum(held(place, percent) for place in places), len(places))


def _rolling(inside: Sequence[bool]) -> list[int]:
    """Return how many of each window of thirty were held; empty before the first full window."""
    return [sum(inside[end - WINDOW : end]) for end in range(WINDOW, len(inside) + 1)]
