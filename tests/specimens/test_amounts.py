"""Amounts as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.pages.specimens.run_forms import passage_due
from biobank.specimens.amounts import LARGEST, read_amount, read_what, what_choices, write_amount
from biobank.specimens.materials import MATERIALS, MaterialName, Unit
from biobank.specimens.processes import ProcessName


@given(st.integers(1, LARGEST // 1000), st.sampled_from(sorted(Unit)))
def test_what_is_written_is_read_back(amount: int, unit: Unit) -> None:
    assert read_amount(write_amount(amount, unit), unit) == amount


@pytest.mark.parametrize(
    ("typed", "unit", "kept"),
    [
        ("120,5", "ul_raw", 120_500),
        ("0.001", "ul", 1),
        ("2.4e6", "cells", 2_400_000),
        ("2 400", "cells", 2_400),
        ("2.4 M", "cells", 2_400_000),
        ("8M cells", "cells", 8_000_000),
        ("1,5 million", "cells", 1_500_000),
        ("800 k", "cells", 800_000),
        ("12.5 mL", "ul_washed", 12_500),
        ("36", "follicles", 36),
    ],
)
def test_people_type_millilitres_powers_of_ten_and_spaces(typed: str, unit: str, kept: int) -> None:
    assert read_amount(typed, unit) == kept


@given(st.text(max_size=20), st.sampled_from(sorted(Unit)))
def test_anything_else_is_refused_with_a_sentence(text: str, unit: Unit) -> None:
    try:
        assert 0 < read_amount(text, unit) <= LARGEST
    except ValueError as error:
        assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("typed", "unit"), [("2 M", "ul"), ("3 mL", "cells"), ("5 k", "follicles"), ("2 cells", "ul_raw"), ("M", "cells")]
)
def test_a_unit_of_something_else_is_no_amount(typed: str, unit: str) -> None:
    with pytest.raises(ValueError, match="enter a number in"):
        read_amount(typed, unit)


@pytest.mark.parametrize("typed", ["", "0", "-1", "nan", "inf", "1e99", "1e-9", "0.0001", "ten"])
def test_no_amount_is_no_amount(typed: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        read_amount(typed, "ul")


def test_every_choice_is_read_back() -> None:
    choices = what_choices(MATERIALS)
    assert {read_what(value) for value, _ in choices} == {(n, u) for n, e in MATERIALS.items() for u in e.units}
    for wrong in ("", "fat", "svf:ul_raw", "svf:"):
        with pytest.raises(ValueError, match="choose"):
            read_what(wrong)


@given(st.integers(0, 50))
def test_the_passage_follows_from_the_process(passage: int) -> None:
    adsc = MaterialName.ADSC
    assert passage_due(ProcessName.EXPANSION, adsc, {None}) == 0
    assert passage_due(ProcessName.PASSAGE, adsc, {passage}) == passage + 1
    assert passage_due(ProcessName.ALIQUOTING, adsc, {passage}) == passage
    assert passage_due(ProcessName.PASSAGE, adsc, {passage, passage + 1}) is None
    assert passage_due(ProcessName.WASH, MaterialName.LIPOASPIRATE, {passage}) is None


def test_nothing_may_be_typed_where_nothing_is_an_answer() -> None:
    assert read_amount("0", "cells", least=0) == read_amount("0,000", "ul", least=0) == 0
    with pytest.raises(ValueError, match="above zero"):
        read_amount("0", "cells")
    with pytest.raises(ValueError, match="zero or more"):
        read_amount("-1", "cells", least=0)
