"""The measured percentage and its interval: worked vectors and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.specimens.viability import live_per_ml, viability_bp, wilson, wilson_bp

counts = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    "successes, n, lower, upper",
    [(170, 200, 0.794, 0.893), (85, 100, 0.767, 0.907), (140, 200, 0.633, 0.759)],
)
def test_worked_intervals_of_counts_as_read(successes: int, n: int, lower: float, upper: float) -> None:
    found = wilson(successes, n)

    assert (round(found[0], 3), round(found[1], 3)) == (lower, upper)


def test_a_reading_of_exactly_seventy_percent_does_not_show_seventy_percent() -> None:
    assert viability_bp(140, 60) == 7000
    assert wilson_bp(140, 60).lower_bp < 7000


@given(counts)
def test_the_interval_lies_in_zero_to_one_and_contains_what_was_counted(count: tuple[int, int]) -> None:
    successes, n = count

    lower, upper = wilson(successes, n)

    assert 0 <= lower <= successes / n <= upper <= 1


@given(counts)
def test_one_more_living_cell_never_lowers_either_end(count: tuple[int, int]) -> None:
    successes, n = count
    if successes == n:
        return

    before, after = wilson(successes, n), wilson(successes + 1, n)

    assert after[0] >= before[0]
    assert after[1] >= before[1]


@given(counts, st.integers(2, 50))
def test_counting_more_at_the_same_share_narrows_it(count: tuple[int, int], times: int) -> None:
    successes, n = count

    few, many = wilson(successes, n), wilson(successes * times, n * times)

    assert many[1] - many[0] < few[1] - few[0]


@given(counts)
def test_living_and_dead_mirror_each_other(count: tuple[int, int]) -> None:
    successes, n = count

    lower, upper = wilson(successes, n)
    dead_lower, dead_upper = wilson(n - successes, n)

    assert (dead_lower, dead_upper) == pytest.approx((1 - upper, 1 - lower), abs=1e-12)


@given(counts, st.floats(0.5, 4), st.floats(0.1, 2))
def test_more_confidence_is_wider(count: tuple[int, int], z: float, more: float) -> None:
    narrow, wide = wilson(*count, z), wilson(*count, z + more)

    assert wide[0] <= narrow[0]
    assert wide[1] >= narrow[1]


@given(counts)
def test_basis_points_are_rounded_outwards(count: tuple[int, int]) -> None:
    successes, n = count
    lower, upper = wilson(successes, n)

    found = wilson_bp(successes, n - successes)

    assert found.lower_bp <= lower * 10_000
    assert found.upper_bp >= upper * 10_000
    assert 0 <= found.lower_bp <= viability_bp(successes, n - successes) <= found.upper_bp <= 10_000


@pytest.mark.parametrize("successes, n, z", [(0, 0, 1.96), (2, 1, 1.96), (-1, 5, 1.96), (1, 5, 0.0)])
def test_a_share_of_nothing_is_refused(successes: int, n: int, z: float) -> None:
    with pytest.raises(ValueError):
        wilson(successes, n, z)


def test_a_viability_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        viability_bp(0, 0)


def test_halves_are_rounded_to_even_so_that_no_side_gains() -> None:
    assert viability_bp(1, 31) == 312  # 312.5
    assert viability_bp(3, 29) == 938  # 937.5


def test_cells_per_millilitre_of_a_neubauer_count() -> None:
    # Mean of 50 living per large square (0.1 µL), diluted twofold: 50 · 2 · 10⁴.
    assert live_per_ml(50, 2000, 100) == 1_000_000
    # Four squares with 200 living are the same suspension.
    assert live_per_ml(200, 2000, 400) == 1_000_000
