"""Small rules: claims, cells in a vial, doses, calibration, the parameter file."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from biobank.viability import claims
from biobank.viability.calibration import WINDOW, calibration_of, held
from biobank.viability.cells import living_in
from biobank.viability.dose import Vial, dose_of_set, dose_of_vial
from biobank.viability.forecast import Table, forecast_at
from biobank.viability.model import LOG_DISPERSION, Thaws, fit, inverse_logit, linear
from biobank.viability.parameters import current, parse
from biobank.viability.predictive import reading_of
from tests.viability.synthetic import PRIOR

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("live, counted", [(41, 50), (78, 100), (152, 200), (296, 400)])
def test_the_fewest_living_that_show_seventy_percent(live: int, counted: int) -> None:
    assert claims.shows_at_least(live, counted, 7000)
    assert not claims.shows_at_least(live - 1, counted, 7000)


def test_seventy_of_a_hundred_does_not_show_seventy_percent() -> None:
    assert not claims.shows_at_least(70, 100, 7000)
    assert claims.shown_bp(70, 100) < 6200


@given(counts, st.floats(0.001, 0.999))
def test_the_tail_is_the_binomial_tail(count: tuple[int, int], p: float) -> None:
    assert claims.tail(*count, p) == pytest.approx(float(binom.sf(count[0] - 1, count[1], p)), abs=1e-10)


@given(counts, st.integers(1, 9999))
def test_the_risk_of_a_claim_is_never_larger_than_stated(count: tuple[int, int], minimum: int) -> None:
    """Whoever really has the minimum passes with a probability of at most five in a hundred."""
    _, n = count
    passing = [k for k in {0, n // 4, n // 2, 3 * n // 4, n} if claims.shows_at_least(k, n, minimum)]

    assert all(float(binom.sf(k - 1, n, minimum / 10_000)) <= 0.05 + 1e-12 for k in passing)


@given(counts, st.integers(1, 9999))
def test_one_more_living_never_takes_a_claim_away(count: tuple[int, int], minimum: int) -> None:
    live, n = count

    assert live == n or not claims.shows_at_least(live, n, minimum) or claims.shows_at_least(live + 1, n, minimum)


@given(counts)
def test_what_is_shown_is_shown_and_no_more(count: tuple[int, int]) -> None:
    shown = claims.shown_bp(*count)

    assert shown == 0 or claims.shows_at_least(*count, shown)
    assert shown == 10_000 or not claims.shows_at_least(*count, shown + 1)


@pytest.mark.parametrize("live, counted, p", [(-1, 5, 0.5), (6, 5, 0.5), (0, 0, 0.5), (1, 5, 1.5)])
def test_a_tail_of_nonsense_is_refused(live: int, counted: int, p: float) -> None:
    with pytest.raises(ValueError):
        claims.tail(live, counted, p)


def test_cells_in_a_vial_from_four_squares() -> None:
    # 200 living in 400 nL, diluted twofold: a million per mL; 1.5 mL of it.
    found = living_in(200, 2000, 400, 1500, 0.10)

    assert found.cells == 1_500_000
    factor = math.exp(1.959964 * math.sqrt(1 / 200 + 0.01))
    assert found.lower == pytest.approx(1_500_000 / factor, rel=1e-6)
    assert found.upper == pytest.approx(1_500_000 * factor, rel=1e-6)


def test_the_propagated_interval_covers_simulated_counts() -> None:
    """4,000 simulated counts of a vial of 1.5 million: the 95 % interval holds it in 95 %, within binomial error."""
    random, cv, real, repetitions = np.random.default_rng(8), 0.10, 1_500_000, 4000
    seen = random.poisson(real / 1500 / 2 * 0.4 / 1.0 * np.exp(random.normal(0, cv, repetitions)))
    inside = sum((found := living_in(int(one), 2000, 400, 1500, cv)).lower <= real <= found.upper for one in seen)

    assert inside / repetitions == pytest.approx(0.95, abs=3.3 * math.sqrt(0.95 * 0.05 / repetitions) + 0.005)


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(1, 10**6), st.integers(1, 10**5))
def test_more_living_cells_seen_never_means_fewer_in_the_vial(live: int, dilution: int, looked: int, suspension: int) -> None:
    less, more = (living_in(k, dilution, looked, suspension, 0.1) for k in (live, live + 1))

    assert less.lower <= less.cells <= less.upper
    assert more.cells >= less.cells
    assert more.lower >= less.lower


def test_no_living_cell_seen_still_leaves_an_upper_end() -> None:
    found = living_in(0, 1000, 100, 1000, 0.1)

    assert (found.cells, found.lower) == (0, 0)
    assert found.upper >= 36_889


DRAWS = fit(PRIOR, Thaws.of([(164, 200, 1.0, 0.0), (150, 200, 1.0, 0.0), (176, 200, 0.5, 0.0)] * 3), seed=2)
FORECAST = forecast_at(Table.of(reading_of(DRAWS, 10.0)), 1.0, 0.0)


def simulated(cells: list[int], lots: list[int], cv: float, repetitions: int = 20_000) -> tuple[float, float, float]:
    """Mean, 5 % and 95 % point of the living cells of a set, drawn one by one from the posterior."""
    random = np.random.default_rng(1)
    chosen = DRAWS[random.integers(0, len(DRAWS), repetitions)]
    mean = inverse_logit(linear(chosen, np.array([1.0]), np.array([0.0]))[:, 0])
    phi = np.exp(chosen[:, LOG_DISPERSION])
    errors = {lot: np.exp(random.normal(0, cv, repetitions)) for lot in set(lots)}
    total = sum(n * errors[lot] * random.beta(mean * phi, (1 - mean) * phi) for n, lot in zip(cells, lots, strict=True))
    return float(np.mean(total)), float(np.quantile(total, 0.05)), float(np.quantile(total, 0.95))


@pytest.mark.parametrize("lots", [[1], [1, 1, 1, 1], [1, 1, 2, 3], [1] * 12])
def test_the_dose_of_a_set_is_what_a_simulation_of_it_gives(lots: list[int]) -> None:
    cells = [5_000_000 + 100_000 * k for k in range(len(lots))]
    vials = [Vial(f"v{k}", n, f"LT{lot}", FORECAST) for k, (n, lot) in enumerate(zip(cells, lots, strict=True))]

    found = dose_of_set(vials, 0.10)

    assert found is not None
    mean, lower, upper = simulated(cells, lots, 0.10)
    assert found.expected == pytest.approx(mean, rel=0.02)
    assert found.lower == pytest.approx(lower, rel=0.03)
    assert found.upper == pytest.approx(upper, rel=0.03)


def test_a_set_is_relatively_surer_than_a_vial_but_never_surer_than_its_process() -> None:
    vials = [Vial(f"v{k}", 10**6, f"LT{k}", FORECAST) for k in range(100)]
    one, many = dose_of_vial(vials[0], 0.1), dose_of_set(vials, 0.1)
    assert many is not None
    width = [(dose.upper - dose.lower) / dose.expected for dose in (one, many)]
    process = FORECAST.mean_band(90)

    assert width[1] < width[0]
    assert width[1] >= 0.9 * (process.upper_bp - process.lower_bp) / FORECAST.expected_bp


def test_the_dose_of_nothing_is_none() -> None:
    assert dose_of_set([], 0.1) is None


def test_the_alarm_rings_below_twenty_four_of_thirty_and_not_before_thirty_were_counted() -> None:
    inside, outside = 500_000, 990_000

    assert not calibration_of([outside] * (WINDOW - 1)).alarm
    assert not calibration_of([inside] * 24 + [outside] * 6).alarm
    assert calibration_of([inside] * 23 + [outside] * 7).alarm
    assert not calibration_of([outside] * 30 + [inside] * 30).alarm


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1_000_000), max_size=90))
def test_calibration_counts_every_thaw_once(found: list[int]) -> None:
    judged = calibration_of(found)

    assert sum(judged.pit) == judged.thaws == len(found)
    assert all(a.held <= b.held for a, b in zip(judged.whole, judged.whole[1:], strict=False))
    assert len(judged.rolling[90]) == max(0, len(found) - WINDOW + 1)
    if len(found) >= WINDOW:
        assert judged.rolling[90][-1] == judged.coverage[2].held == sum(held(one, 90) for one in found[-WINDOW:])


def test_the_parameter_file_is_whole_and_named_by_its_bytes() -> None:
    here = current()

    assert parse(here.content) == here
    assert parse(here.content + b"\n").sha256 != here.sha256
    assert here.prior_of("adsc", "nitrogen").level == (1.6, 0.6)
    assert here.prior_of("adsc", "minus_80").strength == "own_data_only"


def test_what_the_literature_says_of_age_and_weight_is_in_no_parameter() -> None:
    text = current().content.decode().lower()

    assert not any(word in text for word in ("bmi", "age =", "sex", "passage"))
    assert replace(current()) == current()
