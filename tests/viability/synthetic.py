"""Banks that never were: counts drawn from the model, or from something it does not know, and how its forecasts do.

Tolerances come from the binomial error of the repetitions really made: with R repetitions a right interval of share p holds
R p ± z √(R p (1 − p)); `Z` = 3.3 is passed by chance once in a thousand.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from biobank.viability.calibration import WINDOW, calibration_of
from biobank.viability.model import Array, Thaws, draw_prior, fit, inverse_logit, linear
from biobank.viability.parameters import Prior, current
from biobank.viability.predictive import place_of_count

Z = 3.3
PRIOR = current().prior_of("adsc", "nitrogen")


@dataclass(frozen=True)
class World:
    """How counts really come about. The default is the model itself.

    `level`: added to the level; `log_dispersion`: fixed, instead of drawn from the prior; `lot_sd`: logit standard deviation
    that the five vials of a lot share, which the model has no term for; `drift`: logit per thaw; `drop_after`, `drop`: a step.
    """

    level: float = 0.0
    log_dispersion: float | None = None
    lot_sd: float = 0.0
    drift: float = 0.0
    drop_after: int = 10**9
    drop: float = 0.0


def truth(random: np.random.Generator, prior: Prior, world: World) -> Array:
    """Draw what is really so: one row as `model` has it."""
    drawn = draw_prior(prior, 1, random)
    drawn[0, 0] += world.level
    if world.log_dispersion is not None:
        drawn[0, 1] = world.log_dispersion
    return drawn


def counts(
    random: np.random.Generator, real: Array, world: World, number: int, counted: int = 200
) -> list[tuple[int, int, float, float]]:
    """Draw `number` thaws in order: (living, counted, years, late hours)."""
    rows = []
    shared = 0.0
    for k in range(number):
        years, late = float(random.uniform(0, 5)), float(random.choice([0.0, 0.0, 0.0, 12.0]))
        if k % 5 == 0:
            shared = float(random.normal(0, world.lot_sd)) if world.lot_sd else 0.0
        moved = world.drift * k + (world.drop if k >= world.drop_after else 0.0) + shared
        mean = float(inverse_logit(linear(real, np.array([years]), np.array([late]))[0, 0] + moved))
        dispersion = math.exp(real[0, 1])
        share = random.beta(max(mean * dispersion, 1e-6), max((1 - mean) * dispersion, 1e-6))
        rows.append((int(random.binomial(counted, share)), counted, years, late))
    return rows


def places(repetitions: int, thaws: int, world: World, seed: int, prior: Prior = PRIOR) -> list[int]:
    """Fit `thaws` counts of a fresh bank and place the next one, `repetitions` times; in parts per million."""
    random = np.random.default_rng(seed)
    found = []
    for repetition in range(repetitions):
        rows = counts(random, truth(random, prior, world), world, thaws + 1)
        draws = fit(prior, Thaws.of(rows[:-1]), seed=seed * 1_000_003 + repetition)
        found.append(round(place_of_count(draws, *rows[-1], float(random.random())) * 1_000_000))
    return found


def within_binomial_error(held: int, of: int, percent: int) -> bool:
    """Say whether a right interval of `percent` could have held `held` of `of`."""
    share = percent / 100
    return abs(held - of * share) <= Z * math.sqrt(of * share * (1 - share))


def ranks(repetitions: int, thaws: int, seed: int, prior: Prior = PRIOR, bins: int = 10) -> list[list[int]]:
    """Simulation-based calibration: rank of the true value among 99 thinned draws, by parameter, in `bins` (Talts 2018).

    The fall is judged by its size, since its sign means nothing.
    """
    random = np.random.default_rng(seed)
    table = [[0] * bins for _ in range(4)]
    for repetition in range(repetitions):
        real = truth(random, prior, World())
        draws = fit(prior, Thaws.of(counts(random, real, World(), thaws)), seed=seed * 7919 + repetition)
        chosen = draws[random.choice(len(draws), 99, replace=False)]
        for column in range(4):
            shape: Callable[[Array], Array] = np.abs if column == 3 else np.asarray
            rank = int(np.sum(shape(chosen[:, column]) < shape(real[:, column])[0]))
            table[column][rank * bins // 100] += 1
    return table


def chi_squared(table: Sequence[int]) -> float:
    """Return the chi-squared statistic of counts that should be equal."""
    expected = sum(table) / len(table)
    return sum((one - expected) ** 2 / expected for one in table)


def bank_places(world: World, thaws: int, seed: int, prior: Prior = PRIOR) -> list[int]:
    """Run a bank as the worker does (ten thaws one by one, then forecast five and fit); return where the thaws fell."""
    random = np.random.default_rng(seed)
    rows = counts(random, truth(random, prior, world), world, thaws)
    seen: list[int] = []
    starts = [*range(min(10, thaws)), *range(10, thaws, 5)]
    for start, end in zip(starts, [*starts[1:], thaws], strict=True):
        draws = fit(prior, Thaws.of(rows[:start]), seed=seed * 31 + start)
        for row in rows[start:end]:
            seen.append(round(place_of_count(draws, *row, float(random.random())) * 1_000_000))
    return seen


def alarm_after(seen: Sequence[int]) -> int | None:
    """Return after how many thaws the alarm first rang, or None."""
    return next((n for n in range(WINDOW, len(seen) + 1) if calibration_of(seen[:n]).alarm), None)
