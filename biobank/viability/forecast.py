"""Reading an estimate from a stored fit: plain arithmetic, no fit, no numpy. Pure.

`predictive.py` tabulated quantiles in parts per million at nodes of years × late hours; between nodes they are interpolated
linearly, beyond the last node nothing is read (the rules refuse first). Ends of intervals are rounded outwards.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

LEVELS: Final = tuple(k / 40 for k in range(1, 40))
PPM: Final = 1_000_000
PPM_PER_BP: Final = 100


@dataclass(frozen=True)
class Table:
    """A fit as it is read. `unit[i][j]`, `mean[i][j]`: quantiles by `LEVELS` at `years[i]`, `late_hours[j]`, in ppm.

    `expected[i][j]`: the mean of μ. `spread`: the mean of 1/(1 + φ), in ppm: the share of μ(1 − μ) that vials differ by.
    """

    years: tuple[float, ...]
    late_hours: tuple[float, ...]
    unit: list[list[list[int]]]
    mean: list[list[list[int]]]
    expected: list[list[int]]
    spread: int

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Table":
        """Build from what the worker stored."""
        whole = {"years": tuple(stored["years"]), "late_hours": tuple(stored["late_hours"])}
        return cls(**(stored | whole))


@dataclass(frozen=True)
class Band:
    """An interval in basis points, rounded outwards."""

    lower_bp: int
    upper_bp: int


@dataclass(frozen=True)
class Forecast:
    """What is expected of one vial: quantiles in ppm as floats by `LEVELS`, of the vial and of the mean of such vials."""

    unit: tuple[float, ...]
    mean: tuple[float, ...]
    expected: float
    spread: float

    def unit_band(self, percent: int) -> Band:
        """The central interval for one more vial."""
        return _band(self.unit, percent)

    def mean_band(self, percent: int) -> Band:
        """The central interval for the mean of such vials."""
        return _band(self.mean, percent)

    @property
    def median_bp(self) -> int:
        """The median for one more vial."""
        return round(quantile(self.unit, 0.5) / PPM_PER_BP)

    @property
    def expected_bp(self) -> int:
        """The mean for one more vial."""
        return round(self.expected / PPM_PER_BP)


def quantile(values: Sequence[float], level: float) -> float:
    """Return a tabulated quantile. Raises ValueError for a level that is not one of `LEVELS`."""
    return values[LEVELS.index(level)]


def _band(values: Sequence[float], percent: int) -> Band:
    tail = (100 - percent) / 200
    lower, upper = quantile(values, tail), quantile(values, 1 - tail)
    return Band(math.floor(lower / PPM_PER_BP), math.ceil(upper / PPM_PER_BP))


def forecast_at(table: Table, years: float, late_hours: float) -> Forecast:
    """Interpolate a table. Raises ValueError outside of it."""
    i, across = _place(table.years, years)
    j, along = _place(table.late_hours, late_hours)
    weights = (
        (i, j, (1 - across) * (1 - along)),
        (i, j + 1, (1 - across) * along),
        (i + 1, j, across * (1 - along)),
        (i + 1, j + 1, across * along),
    )
    used = [(p, q, weight) for p, q, weight in weights if weight > 0]

    def mixed(grid: list[list[list[int]]]) -> tuple[float, ...]:
        return tuple(sum(weight * grid[p][q][k] for p, q, weight in used) for k in range(len(LEVELS)))

    return Forecast(
        unit=mixed(table.unit),
        mean=mixed(table.mean),
        expected=sum(weight * table.expected[p][q] for p, q, weight in used),
        spread=table.spread / PPM,
    )


def _place(nodes: Sequence[float], value: float) -> tuple[int, float]:
    """Return the node at or before `value` and how far it is on the way to the next."""
    if not nodes[0] <= value <= nodes[-1]:
        raise ValueError("outside the table")
    at = min(bisect_right(nodes, value) - 1, len(nodes) - 1)
    if at == len(nodes) - 1:
        return at, 0.0
    return at, (value - nodes[at]) / (nodes[at + 1] - nodes[at])
