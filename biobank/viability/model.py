"""The model of what a vial will show after thawing, and its fit by tempered sequential Monte Carlo. Pure; needs scipy.

For thaw i with y living among n counted, stored t years below −135 °C after h hours at room temperature beyond 24:

    y ~ BetaBinomial(n, μ, φ)                       a vial's living share is Beta(μφ, (1 − μ)φ)
    logit μ = level + per_year · t − |fall| · h

    level ~ N(m, s)   log φ ~ N(log 40, 0.9)   per_year ~ N(−0.01, 0.03)   fall ~ N(0, 0.03)

φ carries what differs between vials, lots, days and hands; vials of one lot are treated as if they were independent, which is
weak where a bank thaws many of one lot (docs/viability.md). Age, body-mass index, sex and passage are left out on purpose:
the sources contradict each other.

Why this sampler: a Laplace approximation with importance weights covered 68 to 73 % at a nominal 90 %, plain importance
sampling from the prior loses its effective size at twenty thaws. Tempering (Del Moral, Doucet, Jasra 2006) moves 1,000
particles from the prior to the posterior in steps that each keep half the effective size (adaptive bisection), resamples
(systematic) and moves each particle by six random-walk steps, the step scaled by what was accepted.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from biobank.viability.parameters import Prior

Array = npt.NDArray[np.float64]

LEVEL, LOG_DISPERSION, PER_YEAR, FALL = range(4)
"""Columns of a draw."""
MOST_STEPS: Final = 100


@dataclass(frozen=True)
class Thaws:
    """Counts of one stratum and what is known of each; arrays of one length."""

    living: Array
    counted: Array
    years: Array
    late_hours: Array

    @classmethod
    def of(cls, rows: "list[tuple[int, int, float, float]]") -> "Thaws":
        """Build from (living, counted, years, hours at room temperature beyond 24)."""
        columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        return cls(*columns)


def inverse_logit(x: Any) -> Any:
    """Return 1 / (1 + exp(−x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))


def log_prior(draws: Array, prior: Prior) -> Array:
    """Return the log density of each draw up to a constant; shape (N, 4) → (N,)."""
    means = np.array([prior.level[0], prior.log_dispersion[0], prior.per_year[0], 0.0])
    scales = np.array([prior.level[1], prior.log_dispersion[1], prior.per_year[1], prior.per_late_hour])
    return np.asarray(-0.5 * np.sum(((draws - means) / scales) ** 2, axis=1))


def linear(draws: Array, years: Array, late_hours: Array) -> Array:
    """Return logit μ for every draw (rows) and condition (columns)."""
    return np.asarray(
        draws[:, LEVEL, None] + draws[:, PER_YEAR, None] * years[None, :] - np.abs(draws[:, FALL, None]) * late_hours[None, :]
    )


def log_likelihood(draws: Array, thaws: Thaws) -> Array:
    """Return the beta-binomial log likelihood of each draw, binomial coefficients left out; shape (N, 4) → (N,)."""
    if thaws.living.size == 0:
        return np.zeros(len(draws))
    dispersion = np.exp(draws[:, LOG_DISPERSION])[:, None]
    mean = np.clip(inverse_logit(linear(draws, thaws.years, thaws.late_hours)), 1e-9, 1 - 1e-9)
    a = mean * dispersion
    b = dispersion - a
    dead = thaws.counted - thaws.living
    terms = gammaln(thaws.living + a) - gammaln(a) + gammaln(dead + b) - gammaln(b) - gammaln(thaws.counted + dispersion)
    return np.asarray(np.sum(terms, axis=1) + len(thaws.living) * gammaln(dispersion[:, 0]))


def seed_of(*parts: str) -> int:
    """Return the seed that names a fit: the same parameters and inputs give the same fit."""
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8])


def draw_prior(prior: Prior, count: int, random: np.random.Generator) -> Array:
    """Return `count` draws from the prior."""
    means = [prior.level[0], prior.log_dispersion[0], prior.per_year[0], 0.0]
    scales = [prior.level[1], prior.log_dispersion[1], prior.per_year[1], prior.per_late_hour]
    return random.normal(means, scales, size=(count, 4))


def fit(prior: Prior, thaws: Thaws, *, seed: int, particles: int = 1000, moves: int = 6) -> Array:
    """Return equally weighted draws from the posterior, shape (particles, 4); deterministic by seed.

    Raises ArithmeticError when tempering does not reach the posterior in 100 steps (counts that no draw can explain).
    """
    random = np.random.Generator(np.random.PCG64(seed))
    draws = draw_prior(prior, particles, random)
    if thaws.living.size == 0:
        return draws
    likelihood = log_likelihood(draws, thaws)
    heat, scale = 0.0, 1.0
    for _ in range(MOST_STEPS):
        step = _next_step(likelihood, heat)
        heat += step
        weights = np.exp(step * (likelihood - likelihood.max()))
        weights /= weights.sum()
        spread = np.cov(draws.T, aweights=weights) * (2.38**2 / draws.shape[1])
        root = np.linalg.cholesky(spread + 1e-12 * np.eye(4))
        chosen = _systematic(weights, random)
        draws, likelihood = draws[chosen], likelihood[chosen]
        draws, likelihood, scale = _move(draws, likelihood, prior, thaws, heat, root * scale, scale, moves, random)
        if heat >= 1.0:
            return draws
    raise ArithmeticError("the counts cannot be reached from the prior")


def _next_step(likelihood: Array, heat: float) -> float:
    """Return the largest step that keeps half of the effective sample size, by bisection."""
    rest = 1.0 - heat
    if _effective(likelihood, rest) >= 0.5:
        return rest
    low, high = 0.0, rest
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _effective(likelihood, middle) >= 0.5 else (low, middle)
    return max(low, 1e-6)


def _effective(likelihood: Array, step: float) -> float:
    weights = np.exp(step * (likelihood - likelihood.max()))
    return float(weights.sum() ** 2 / np.sum(weights**2) / len(weights))


def _systematic(weights: Array, random: np.random.Generator) -> npt.NDArray[np.intp]:
    count = len(weights)
    points = (random.random() + np.arange(count)) / count
    return np.minimum(np.searchsorted(np.cumsum(weights), points), count - 1)


def _move(
    draws: Array,
    likelihood: Array,
    prior: Prior,
    thaws: Thaws,
    heat: float,
    root: Array,
    scale: float,
    moves: int,
    random: np.random.Generator,
) -> tuple[Array, Array, float]:
    """Random-walk Metropolis at this temperature; the next scale aims at accepting one move in four."""
    density = log_prior(draws, prior)
    accepted = 0.0
    for _ in range(moves):
        proposed = draws + random.standard_normal(draws.shape) @ root.T
        new_density, new_likelihood = log_prior(proposed, prior), log_likelihood(proposed, thaws)
        gain = new_density - density + heat * (new_likelihood - likelihood)
        yes = np.log(random.random(len(draws))) < gain
        draws = np.where(yes[:, None], proposed, draws)
        density, likelihood = np.where(yes, new_density, density), np.where(yes, new_likelihood, likelihood)
        accepted += float(yes.mean()) / moves
    return draws, likelihood, float(np.clip(scale * np.exp(accepted - 0.25), 0.1, 3.0))
