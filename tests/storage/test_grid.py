"""Slot labels and the choice of free slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.grid import cell_of, label_of


@given(st.integers(1, 702), st.integers(1, 999))
def test_a_label_names_its_cell(row: int, col: int) -> None:
    assert cell_of(label_of(row, col)) == (row, col)


@pytest.mark.parametrize(("row", "col", "label"), [(1, 1, "A1"), (2, 7, "B7"), (26, 9, "Z9"), (27, 1, "AA1"), (702, 1, "ZZ1")])
def test_rows_are_letters_and_columns_are_numbers(row: int, col: int, label: str) -> None:
    assert label_of(row, col) == label


@pytest.mark.parametrize("text", ["", "7B", "A0", "A01", "AAA1", "B", "B-1"])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        cell_of(text)


cells = st.sets(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=81).map(
    lambda s: [Slot(r, c, f"PS-{r}-{c}", label_of(r, c)) for r, c in s]
)


@given(cells, st.integers(0, 90))
def test_chosen_slots_are_free_distinct_and_as_many_as_there_are(free: list[Slot], count: int) -> None:
    chosen = choose_positions(free, count)

    assert len(chosen) == min(count, len(free))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(free)


@given(cells, st.integers(1, 9))
def test_tubes_of_one_lot_stay_in_one_row_when_a_run_is_free(free: list[Slot], count: int) -> None:
    chosen = choose_positions(free, count)
    by_row: dict[int, list[int]] = {}
    for slot in free:
        by_row.setdefault(slot.row, []).append(slot.col)
    a_run_exists = any(all(c + i in cols for i in range(count)) for cols in by_row.values() for c in cols)

    if a_run_exists:
        assert len({s.row for s in chosen}) == 1
        assert [s.col for s in chosen] == list(range(chosen[0].col, chosen[0].col + count))


def test_the_choice_does_not_depend_on_the_order_in_which_slots_are_listed() -> None:
    free = [Slot(2, 1, "b", "B1"), Slot(1, 3, "a", "A3"), Slot(1, 1, "c", "A1")]

    assert choose_positions(free, 2) == choose_positions(list(reversed(free)), 2)
