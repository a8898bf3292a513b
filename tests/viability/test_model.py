"""The fit against an independent integration, against itself on synthetic banks, and against worlds it does not know."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, norm

from biobank.viability.calibration import calibration_of, held
from biobank.viability.forecast import LEVELS, PPM, Table, forecast_at
from biobank.viability.model import FALL, LEVEL, LOG_DISPERSION, PER_YEAR, Array, Thaws, fit, inverse_logit
from biobank.viability.parameters import current
from biobank.viability.predictive import LATE_HOURS, node_at, place_of_count, reading_of
from tests.viability.synthetic import (
    PRIOR,
    World,
    alarm_after,
    bank_places,
    chi_squared,
    counts,
    places,
    ranks,
    truth,
    within_binomial_error,
)

CHI_9_IN_A_THOUSAND = 27.9
"""Chi-squared with nine degrees of freedom is larger once in a thousand."""
SMALL = [(150, 200, 0.0, 0.0), (170, 200, 0.0, 0.0), (40, 50, 0.0, 0.0), (88, 100, 0.0, 0.0)]


def quadrature(rows: list[tuple[int, int, float, float]], free: str) -> dict[int, tuple[float, float]]:
    """Integrate the posterior on a grid by scipy's own distributions; return mean and SD of each free parameter.

    Level and dispersion are free always; `free` adds one of the slopes, the other having no data.
    """
    level = np.linspace(-1.0, 4.0, 121)
    dispersion = np.linspace(0.7, 7.0, 81)
    slope = (
        np.linspace(-0.12, 0.10, 45) if free == "per_year" else np.linspace(-0.12, 0.12, 49) if free == "fall" else np.zeros(1)
    )
    a, d, s = np.meshgrid(level, dispersion, slope, indexing="ij")
    log_density = norm.logpdf(a, *PRIOR.level) + norm.logpdf(d, *PRIOR.log_dispersion)
    if free == "per_year":
        log_density += norm.logpdf(s, *PRIOR.per_year)
    if free == "fall":
        log_density += norm.logpdf(s, 0, PRIOR.per_late_hour)
    for living, counted, years, late in rows:
        move = s * years if free == "per_year" else -np.abs(s) * late
        mean = 1 / (1 + np.exp(-(a + move)))
        log_density += betabinom.logpmf(living, counted, mean * np.exp(d), (1 - mean) * np.exp(d))
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    found = {}
    columns = {LEVEL: a, LOG_DISPERSION: d} | (
        {PER_YEAR: s} if free == "per_year" else {FALL: np.abs(s)} if free == "fall" else {}
    )
    for column, values in columns.items():
        centre = float(np.sum(weight * values))
        found[column] = centre, math.sqrt(float(np.sum(weight * (values - centre) ** 2)))
    return found


@pytest.mark.parametrize(
    "rows, free",
    [
        (SMALL, ""),
        ([(196, 200, 0.0, 0.0)], ""),
        ([(180, 200, 0.5, 0.0), (150, 200, 6.0, 0.0), (140, 200, 9.0, 0.0), (176, 200, 1.0, 0.0)], "per_year"),
        ([(180, 200, 0.0, 0.0), (178, 200, 0.0, 0.0), (110, 200, 0.0, 40.0), (120, 200, 0.0, 40.0)], "fall"),
    ],
)
def test_the_posterior_is_what_an_independent_integration_finds(rows: list[tuple[int, int, float, float]], free: str) -> None:
    draws = np.concatenate([fit(PRIOR, Thaws.of(rows), seed=seed) for seed in range(4)])

    for column, (mean, deviation) in quadrature(rows, free).items():
        values = np.abs(draws[:, column]) if column == FALL else draws[:, column]
        # 4,000 draws, correlated by resampling: taken as 500 independent ones, three and a third standard errors.
        assert float(values.mean()) == pytest.approx(mean, abs=3.3 * deviation / math.sqrt(500))
        assert float(values.std()) == pytest.approx(deviation, rel=0.15)


def test_the_forecast_quantiles_are_what_an_independent_integration_finds() -> None:
    level, dispersion = np.meshgrid(np.linspace(-1, 4, 161), np.linspace(0.7, 7, 121), indexing="ij")
    log_density = norm.logpdf(level, *PRIOR.level) + norm.logpdf(dispersion, *PRIOR.log_dispersion)
    mean, phi = 1 / (1 + np.exp(-level)), np.exp(dispersion)
    for living, counted, _, _ in SMALL:
        log_density += betabinom.logpmf(living, counted, mean * phi, (1 - mean) * phi)
    weight = np.exp(log_density - log_density.max()).ravel()
    weight /= weight.sum()
    kept = weight > 1e-9
    # P(share ≤ x) from the exact mixture of a fine count: 2,000 cells of the next vial.
    grid = np.arange(0, 2001, 4)
    below = np.zeros(len(grid))
    for w, a, b in zip(weight[kept], (mean * phi).ravel()[kept], ((1 - mean) * phi).ravel()[kept], strict=True):
        below += w * betabinom_beta_cdf(grid / 2000, a, b)

    draws = np.concatenate([fit(PRIOR, Thaws.of(SMALL), seed=seed) for seed in range(4)])
    node = node_at(draws, 0.0, 0.0)

    for wanted in (0.05, 0.25, 0.5, 0.75, 0.95):
        exact = float(np.interp(wanted, below, grid / 2000))
        assert node.unit[LEVELS.index(wanted)] / PPM == pytest.approx(exact, abs=0.012)


def betabinom_beta_cdf(x: Array, a: float, b: float) -> Array:
    from scipy.special import betainc

    return np.asarray(betainc(a, b, x))


def test_the_same_seed_gives_the_same_draws_and_another_one_the_same_answer() -> None:
    thaws = Thaws.of(SMALL * 3)
    first, again, other = fit(PRIOR, thaws, seed=1), fit(PRIOR, thaws, seed=1), fit(PRIOR, thaws, seed=2)

    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert float(first[:, LEVEL].mean()) == pytest.approx(float(other[:, LEVEL].mean()), abs=0.05)


def test_ranks_of_true_values_are_uniform() -> None:
    """Simulation-based calibration, 200 banks of five thaws; each of four statistics is larger once in a thousand."""
    for table in ranks(200, 5, seed=11):
        assert chi_squared(table) < CHI_9_IN_A_THOUSAND


@pytest.mark.parametrize("thaws, repetitions", [(0, 300), (5, 200), (20, 120)])
def test_intervals_hold_what_they_promise_on_banks_that_follow_the_model(thaws: int, repetitions: int) -> None:
    found = places(repetitions, thaws, World(), seed=23)

    for percent in (50, 80, 90, 95):
        assert within_binomial_error(sum(held(one, percent) for one in found), repetitions, percent), percent


def test_a_wrong_dispersion_is_learned_from_the_counts() -> None:
    """Vials that differ far more than any source said (phi 5): the prior's 90 % interval fails, twenty thaws mend it."""
    world = World(log_dispersion=math.log(5))
    before, after = (sum(held(one, 90) for one in places(n, thaws, world, seed=5)) for thaws, n in ((0, 400), (20, 80)))

    assert before < 400 * 0.9
    assert not within_binomial_error(before, 400, 90)
    assert within_binomial_error(after, 80, 90)


def test_a_process_that_breaks_rings_the_alarm_and_a_steady_one_mostly_does_not() -> None:
    """A drop of two logits after thaw 40 (from 0.83 to 0.40 alive), where the vials were alike before."""
    broken = World(drop_after=40, drop=-2.0, log_dispersion=math.log(100))

    rung = [alarm_after(bank_places(broken, 70, seed)[40:]) for seed in (1, 2)]
    steady = [calibration_of(bank_places(World(), 60, seed)).alarm for seed in (1, 2, 3)]

    assert rung == [30, 30]
    # A right forecast alarms in 2.6 % of windows; two of three windows would be chance once in five hundred.
    assert sum(steady) <= 1


def test_more_living_never_lowers_the_level() -> None:
    few = fit(PRIOR, Thaws.of([(140, 200, 1.0, 0.0)] * 6), seed=9)
    many = fit(PRIOR, Thaws.of([(180, 200, 1.0, 0.0)] * 6), seed=9)

    assert np.median(many[:, LEVEL]) > np.median(few[:, LEVEL]) + 0.5


one_draw = st.tuples(st.floats(-2, 4), st.floats(1, 7), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
# So many draws that no level k/40 falls between two of them: where it does, everything between the two is its quantile.
draws_strategy = (
    st.sampled_from([3, 7, 9, 11]).flatmap(lambda n: st.lists(one_draw, min_size=n, max_size=n)).map(lambda rows: np.array(rows))
)


@settings(max_examples=25, deadline=None)
@given(draws_strategy, st.floats(0, 48), st.floats(0, 48), st.floats(0, 5))
def test_more_hours_at_room_temperature_never_raise_any_quantile(draws: Array, one: float, other: float, years: float) -> None:
    table = Table.of(reading_of(draws, 5.0))
    early, late = (forecast_at(table, years, hours) for hours in sorted((one, other)))

    assert all(b <= a + 2 for a, b in zip(early.unit, late.unit, strict=True))
    assert all(b <= a + 2 for a, b in zip(early.mean, late.mean, strict=True))
    # Two parts per million: what is tabulated is rounded.
    assert late.expected <= early.expected + 2


@settings(max_examples=25, deadline=None)
@given(draws_strategy)
def test_quantiles_rise_and_intervals_nest(draws: Array) -> None:
    forecast = forecast_at(Table.of(reading_of(draws, 1.0)), 0.3, 7.0)

    assert list(forecast.unit) == sorted(forecast.unit)
    bands = [forecast.unit_band(percent) for percent in (50, 80, 90)]
    assert all(a.lower_bp >= b.lower_bp and a.upper_bp <= b.upper_bp for a, b in pairwise(bands))
    assert all(0 <= band.lower_bp <= forecast.median_bp <= band.upper_bp <= 10_000 for band in bands)


def test_reading_between_the_nodes_is_as_good_as_computing_there() -> None:
    draws = fit(PRIOR, Thaws.of([(160, 200, 1.0, 0.0), (120, 200, 2.0, 30.0)] * 4), seed=4)
    table = Table.of(reading_of(draws, 15.0))

    for years, late in ((0.4, 3.0), (3.3, 20.0), (8.8, 40.0), (13.0, 6.0)):
        read, exact = forecast_at(table, years, late), node_at(draws, years, late)
        assert max(abs(a - b) for a, b in zip(read.unit, exact.unit, strict=True)) < 0.006 * PPM


@pytest.mark.parametrize("years, late", [(-0.1, 0.0), (99.0, 0.0), (0.0, 49.0)])
def test_nothing_is_read_outside_of_the_table(years: float, late: float) -> None:
    table = Table.of(reading_of(fit(PRIOR, Thaws.of([]), seed=1), 2.0))

    with pytest.raises(ValueError):
        forecast_at(table, years, late)


def test_places_of_all_counts_fill_the_unit_interval() -> None:
    draws = fit(PRIOR, Thaws.of(SMALL), seed=1)
    edges = [place_of_count(draws, living, 50, 0.0, 0.0, dice) for living in range(51) for dice in (0.0, 1.0)]

    assert edges[0] == pytest.approx(0, abs=1e-9)
    assert edges[-1] == pytest.approx(1, abs=1e-9)
    assert all(edges[2 * k + 1] == pytest.approx(edges[2 * k + 2], abs=1e-9) for k in range(50))


def test_the_hours_of_the_table_reach_the_limit_of_the_delay() -> None:
    limits = current().limits

    assert limits.warm_hours_before_processing - limits.warm_hours_without_loss == LATE_HOURS[-1]


def test_a_far_extreme_count_is_still_fitted() -> None:
    draws = fit(PRIOR, Thaws.of([(0, 10**6, 0.0, 0.0), (10**6, 10**6, 0.0, 0.0)]), seed=3)

    assert np.isfinite(draws).all()
    assert np.exp(draws[:, LOG_DISPERSION]).mean() < 10


@pytest.mark.slow
def test_intervals_hold_at_sixty_thaws_too() -> None:
    found = places(120, 60, World(), seed=29)

    for percent in (50, 80, 90, 95):
        assert within_binomial_error(sum(held(one, percent) for one in found), 120, percent), percent


def test_the_synthetic_bank_is_what_it_says() -> None:
    random = np.random.default_rng(3)
    real = truth(random, PRIOR, World(log_dispersion=8.0))
    rows = counts(random, real, World(), 400)

    shares = [living / counted for living, counted, _, late in rows if late == 0]
    assert float(np.mean(shares)) == pytest.approx(float(inverse_logit(real[0, 0])), abs=0.06)
