"""Lines of rack scanners and of people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.codes import NUMBERS, make_code
from biobank.scanning.rack_files import EMPTY_WELL, LONGEST_LIST, Line, ListTooLong, read_lines, well_of

CODES = st.integers(0, NUMBERS - 1).map(lambda number: make_code("AD", 2026, number).text)
WELLS = st.builds(lambda row, column: (row, column), st.sampled_from("ABCDEFGH"), st.integers(1, 12))


@given(st.lists(st.tuples(WELLS, CODES), max_size=20), st.sampled_from(",;\t"), st.booleans(), st.booleans(), st.booleans())
def test_every_dialect_says_the_same(
    tubes: list[tuple[tuple[str, int], str]], separator: str, padded: bool, code_first: bool, quoted: bool
) -> None:
    rows = []
    for (row, column), code in tubes:
        well = f"{row}{column:02d}" if padded else f"{row.lower()}{column}"
        cells = [code, well] if code_first else [well, code]
        rows.append(separator.join(f'"{cell}"' if quoted else cell for cell in cells))
    text = "\r\n".join([f"Position{separator}Code", *rows, ""])
    assert read_lines(text) == [Line(code, f"{row}{column}") for (row, column), code in tubes]


@given(st.text(max_size=300))
def test_no_text_is_too_strange_to_read(text: str) -> None:
    for line in read_lines(text):
        assert line.text and len(line.text) <= 300 and any(c.isdigit() for c in line.text)


@pytest.mark.parametrize("word", sorted(EMPTY_WELL))
def test_an_empty_well_is_no_tube(word: str) -> None:
    assert read_lines(f"A01,{word}\nA02,{word.lower()}\nA03,AD26-1") == [Line("AD26-1", "A3")]


def test_codes_alone_have_no_well_and_keep_their_order() -> None:
    assert read_lines("AD26-2\n\nAD26-1\nAD26-2\n") == [Line("AD26-2"), Line("AD26-1"), Line("AD26-2")]


def test_a_position_s_code_is_a_well_and_a_scanned_address_is_one_text() -> None:
    assert read_lines("PS-1234567,AD26-1") == [Line("AD26-1", "PS-1234567")]
    assert read_lines("HTTPS://BANK.EXAMPLE/S/AD26-1") == [Line("HTTPS://BANK.EXAMPLE/S/AD26-1")]


@pytest.mark.parametrize(
    ("cell", "well"), [("A1", "A1"), ("a01", "A1"), ("H12", "H12"), ("AA3", "AA3"), ("A0", None), ("12", None), ("AD26-1", None)]
)
def test_a_well_is_written_one_way(cell: str, well: str | None) -> None:
    assert well_of(cell) == well


def test_more_tubes_than_one_list_takes_are_refused_whole() -> None:
    with pytest.raises(ListTooLong):
        read_lines("AD26-1\n" * (LONGEST_LIST + 1))
