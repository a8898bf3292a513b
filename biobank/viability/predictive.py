"""From draws to what is stored and read: quantiles over a grid of conditions, and where a count fell. Pure; needs scipy.

A reader wants the forecast at the vial's own storage time and delay, without numpy. So the worker tabulates, on a grid of
years × late hours, the quantiles of

- `mean`: μ, the mean living share of such vials (what is not known of the process);
- `unit`: the living share of one more vial, Beta(μφ, (1 − μ)φ) mixed over the draws (what a user gets).

The density of one vial on the logit scale is smooth, so the trapezoid rule on a fixed logit grid integrates it to far better
than the draws' own noise; the mixture's distribution function is its running sum and its quantiles are read off it. Between
nodes the reader interpolates linearly; that keeps the order (more delay never raises), since every node keeps it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import betaln, gammaln

from biobank.viability.forecast import LEVELS, PPM
from biobank.viability.model import LOG_DISPERSION, Array, inverse_logit, linear

YEARS: Final = (0.0, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 22.5, 30.0)
LATE_HOURS: Final = (0.0, 12.0, 24.0, 48.0)

_LOGITS: Final = np.linspace(-9.0, 12.0, 421)
_LOG_P: Final = -np.logaddexp(0.0, -_LOGITS)
_LOG_Q: Final = -np.logaddexp(0.0, _LOGITS)


@dataclass(frozen=True)
class Node:
    """Quantiles at one condition in parts per million, by `LEVELS`; `expected` is the mean of μ."""

    unit: list[int]
    mean: list[int]
    expected: int


def node_at(draws: Array, years: float, late_hours: float) -> Node:
    """Return the quantiles for a vial stored `years` after `late_hours` at room temperature beyond 24."""
    mean = np.clip(inverse_logit(linear(draws, np.array([years]), np.array([late_hours])))[:, 0], 1e-9, 1 - 1e-9)
    dispersion = np.exp(draws[:, LOG_DISPERSION])
    return Node(
        unit=_ppm(unit_quantiles(mean, dispersion, np.array(LEVELS))),
        mean=_ppm(np.quantile(mean, LEVELS)),
        expected=round(float(mean.mean()) * PPM),
    )


def unit_quantiles(mean: Array, dispersion: Array, levels: Array) -> Array:
    """Return quantiles of the mixture of Beta(μφ, (1 − μ)φ) over paired draws."""
    a, b = mean * dispersion, (1 - mean) * dispersion
    whole = betaln(a, b)
    # Density of logit p: p^a (1 − p)^b / B(a, b). Beyond the grid one factor is 1 and the other an exponential.
    density = np.exp(a[:, None] * _LOG_P + b[:, None] * _LOG_Q - whole[:, None]).mean(axis=0)
    before = float(np.mean(np.exp(a * _LOGITS[0] - whole) / a))
    after = float(np.mean(np.exp(-b * _LOGITS[-1] - whole) / b))
    step = _LOGITS[1] - _LOGITS[0]
    running = before + np.concatenate([[0.0], np.cumsum(0.5 * step * (density[1:] + density[:-1]))])
    running /= running[-1] + after
    rising = np.concatenate([[True], np.diff(running) > 0])
    return np.asarray(inverse_logit(np.interp(levels, running[rising], _LOGITS[rising])))


def reading_of(draws: Array, longest_years: float) -> dict[str, Any]:
    """Return what is stored of a fit (`forecast.Table`), for storage up to `longest_years`."""
    years = years_up_to(longest_years)
    nodes = [[node_at(draws, one, late) for late in LATE_HOURS] for one in years]
    return {
        "years": years,
        "late_hours": list(LATE_HOURS),
        "unit": [[node.unit for node in row] for row in nodes],
        "mean": [[node.mean for node in row] for row in nodes],
        "expected": [[node.expected for node in row] for row in nodes],
        "spread": round(float(np.mean(1 / (1 + np.exp(draws[:, LOG_DISPERSION]))) * PPM)),
    }


def years_up_to(longest_years: float) -> list[float]:
    """Return the nodes of storage time that a table needs to reach `longest_years`."""
    kept = [years for years in YEARS if years < longest_years]
    return [*kept, *[years for years in YEARS if years >= longest_years][:1]] or list(YEARS)


def _ppm(values: Array) -> list[int]:
    return [round(float(value) * PPM) for value in values]


def count_probabilities(draws: Array, counted: int, years: float, late_hours: float) -> Array:
    """Return P(y living of `counted`) for y = 0 … counted, mixed over the draws."""
    mean = np.clip(inverse_logit(linear(draws, np.array([years]), np.array([late_hours])))[:, 0], 1e-9, 1 - 1e-9)
    dispersion = np.exp(draws[:, LOG_DISPERSION])
    a, b = (mean * dispersion)[:, None], ((1 - mean) * dispersion)[:, None]
    y = np.arange(counted + 1, dtype=np.float64)[None, :]
    ways = gammaln(counted + 1) - gammaln(y + 1) - gammaln(counted - y + 1)
    probabilities = np.exp(ways + betaln(y + a, counted - y + b) - betaln(a, b)).mean(axis=0)
    return np.asarray(probabilities / probabilities.sum())


MOST_COUNTED: Final = 400
"""Counts beyond this are scored at this many, with the same share: the forecast is then limited by φ, not by counting."""


def place_of_count(draws: Array, living: int, counted: int, years: float, late_hours: float, dice: float) -> float:
    """Return where a count fell in its forecast, 0 to 1: P(Y < y) + dice · P(Y = y).

    With `dice` uniform on [0, 1) this probability integral transform is uniform exactly when the forecast is right, counts
    being whole numbers or not (Smith 1985). A count beyond `MOST_COUNTED` cells is scaled down to it.
    """
    if counted > MOST_COUNTED:
        living, counted = round(living * MOST_COUNTED / counted), MOST_COUNTED
    probabilities = count_probabilities(draws, counted, years, late_hours)
    return float(min(1.0, probabilities[:living].sum() + dice * probabilities[living]))
