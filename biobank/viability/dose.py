"""Living cells to be expected of one vial, and of a set of vials. Pure.

Cells frozen × living share. What is uncertain:

- the vial's share: the forecast's own quantiles;
- the level of the process, which all vials of a set share: quantile by quantile, so that a set is never more certain than
  its process;
- the count before freezing: a relative error (CV) that all vials of one lot share, for they were filled from one count.

Cells lost in thawing and washing are not in it: no source gives them. It is a number of cells that exclude a dye, not a
therapeutic dose, and nothing about what they do.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from biobank.viability.forecast import PPM, Forecast

MIDDLES: Final = slice(0, 39, 2)
"""The middles of twenty equal parts within `forecast.LEVELS`."""
_NORMAL: Final = NormalDist()
_SIGMAS: Final = tuple(_NORMAL.inv_cdf((k + 0.5) / 20) for k in range(20))
TAIL: Final = 0.05
_HALVINGS: Final = 50


@dataclass(frozen=True)
class Vial:
    """A vial of which a forecast was made: cells put in, the lot that was counted as one."""

    code: str
    cells: int
    lot: str | None
    forecast: Forecast


@dataclass(frozen=True)
class Dose:
    """Living cells with the 90 % interval, rounded outwards."""

    expected: int
    lower: int
    upper: int


def dose_of_vial(vial: Vial, count_cv: float) -> Dose:
    """Return the living cells to be expected of one vial: twenty parts of the share by twenty of the count's error."""
    shares = [share / PPM for share in vial.forecast.unit[MIDDLES]]
    factors = [math.exp(count_cv * z) for z in _SIGMAS]
    amounts = sorted(vial.cells * share * factor for share in shares for factor in factors)
    lower, upper = amounts[int(TAIL * len(amounts))], amounts[math.ceil((1 - TAIL) * len(amounts)) - 1]
    return _dose(vial.cells * vial.forecast.expected / PPM, lower, upper)


def dose_of_set(vials: Sequence[Vial], count_cv: float) -> Dose | None:
    """Return the living cells to be expected of several vials together; None of none.

    Given the level of the process (twenty parts of its distribution) the sum is taken as normal: independent vials around
    the level, one error per lot. The interval is read off the mixture.
    """
    if len(vials) <= 1:
        return dose_of_vial(vials[0], count_cv) if vials else None
    parts = [_given_level(vials, part, count_cv) for part in range(len(_SIGMAS))]
    expected = sum(vial.cells * vial.forecast.expected / PPM for vial in vials)
    return _dose(expected, _quantile(parts, TAIL), _quantile(parts, 1 - TAIL))


def _given_level(vials: Sequence[Vial], part: int, count_cv: float) -> tuple[float, float]:
    """Return mean and standard deviation of the sum when the process stands at one part of its distribution."""
    by_lot: dict[str, float] = defaultdict(float)
    between = 0.0
    for vial in vials:
        share = vial.forecast.mean[2 * part] / PPM
        by_lot[vial.lot or vial.code] += vial.cells * share
        between += vial.cells**2 * share * (1 - share) * vial.forecast.spread
    counting = sum((count_cv * amount) ** 2 for amount in by_lot.values())
    return sum(by_lot.values()), math.sqrt(between + counting)


def _quantile(parts: Sequence[tuple[float, float]], level: float) -> float:
    """Return a quantile of an equal mixture of normals, by bisection."""
    low = min(mean - 6 * deviation for mean, deviation in parts)
    high = max(mean + 6 * deviation for mean, deviation in parts)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = sum(_below(middle, mean, deviation) for mean, deviation in parts) / len(parts)
        low, high = (middle, high) if below < level else (low, middle)
    return max(0.0, 0.5 * (low + high))


def _below(x: float, mean: float, deviation: float) -> float:
    if deviation == 0:
        return float(x >= mean)
    return 0.5 * math.erfc((mean - x) / (deviation * math.sqrt(2)))


def _dose(expected: float, lower: float, upper: float) -> Dose:
    return Dose(round(expected), math.floor(lower), math.ceil(upper))
