"""A tube that a rack reader could not read is a row in every dialect: what is read, plus what is not, covers every tube."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.codes import NUMBERS, make_code
from biobank.scanning.rack_files import UNREAD, Line, read_rack, rows_of
from biobank.scanning.rack_tables import rows_of_file
from biobank.scanning.rack_words import UNREAD_WELL

T = "AD26-WVDXNY3"
U = make_code("AD", 2026, 5).text


def read(text: str) -> list[tuple[str, str | None]]:
    return [(line.text, line.well) for line in read_rack(rows_of_file(text.encode())).lines]


@pytest.mark.parametrize(
    ("text", "well"),
    [
        # the tube's cell is empty, and another one says why
        (f"TR01,A01,{T},1.0ml,OK\nTR01,A02,,,EMPTY\nTR01,A03,,,NO READ\n", "A3"),
        (f"A,1,{T},OK\nA,2,,NO READ\n", "A2"),
        (f"A1;{T};OK\nA2;;ERROR\n", "A2"),
        (f"A01,OK,{T}\nA02,NO READ,\n", "A2"),
        (f"Position,Barcode,Barcode Status\nA1,{T},OK\nA2,,Failed\n", "A2"),
        (f"Position,Barcode,Error\nA1,{T},\nA2,,NO READ\n", "A2"),
        (f"Well,Barcode,Mask\nA1,{T},0\nA2,,NoRead\n", "A2"),
        (f"Position,Code,\nA1,{T},OK\nA2,,FAIL\n", "A2"),
        (f",A,B\n1,{T},\n2,NO READ,NO TUBE\n", "A2"),
        (
            f"<r><w position='A1'><tube><barcode>{T}</barcode></tube></w>"
            "<w position='A2'><tube><barcode>NO READ</barcode></tube></w></r>",
            "A2",
        ),
        # cousins
        (f"Rack;Row;Column;Code;Error\nR1;A;1;{T};\nR1;A;2;;Nicht gelesen\nR1;A;3;;\n", "A2"),
        (f"Well,Code,Comment\nA1,{T},\nA2,,NO READ (2)\nA3,,\n", "A2"),
        (f"Well,Code,Comment\nA1,{T},\nA2,,Error 12\n", "A2"),
        (f"Well,Code,Decoder\nA1,{T},fine\nA2,null,Failed to decode\n", "A2"),
        (f"A1,{T}\nA2,---,ERROR\nA3,---,\n", "A2"),
        (f"{T},A1,OK\n,A2,NO READ\n,A3,NO TUBE\n", "A2"),
        (f"OK,{T},A1\nERROR,,A2\n", "A2"),
        (f"A01   {T}   OK\nA02                  NO READ\nA03   NO TUBE\n", "A2"),
        (f"Well  Code  Result\nA1    {T}    OK\nA2  -  NO READ\n", "A2"),
        (f"Well|Code|Grade\nA1|{T}|A\nA2||?\n", "A2"),
        (f"Well,Code,Type,Note\nA1,{T},UNKNOWN,\nA2,,UNKNOWN,no barcode found\nA3,,UNKNOWN,\n", "A2"),
        (f"NO READ,A1,{T}\nNO READ,A2,NO READ\nNO READ,A3,\n", "A2"),
        (f"Rack,Well,Code\nNO READ,A1,{T}\nNO READ,A2,No Read\nNO READ,A3,\n", "A2"),
        (f"01,A,{T},OK\n02,A,,BAD READ\n", "A2"),
        (f'[{{"well": "A1", "tube": {{"code": "{T}"}}}}, {{"well": "A2", "tube": {{"code": "NO READ"}}}}]', "A2"),
        (f'{{"A1": "{T}", "A2": "NO READ", "A3": "NO TUBE"}}', "A2"),
        (f'[{{"well": "A1", "code": "{T}"}}, {{"well": "A2", "code": null, "error": "decode failed"}}]', "A2"),
        # a tube without a well is a row without a well
        (f"{T}\nNO READ\n", None),
        (f"{T}\n#####\n", None),
        (f"1,{T}\n2,NO READ\n3,NO TUBE\n", None),
        (f"{T};12:00\nNO READ;12:01\n", None),
        (f"A1,{T}\nNO READ\n", None),
        (f"A1,{T}\n,NO READ\n", None),
        (f"Tube\n{T}\nNO READ\n", None),
        (f"Well,Tube\nA1,{T}\n,NO READ\n", None),
        (f"TR1,A1,{T}\nTR1,,NO READ\n", None),
    ],
)
def test_a_tube_that_was_not_read_is_a_row_wherever_the_file_says_so(text: str, well: str | None) -> None:
    first, second = read(text)
    assert (first[0], second) == (T, (UNREAD, well))


@pytest.mark.parametrize(
    "text",
    [
        f"Well,Code\nA1,{T}\nTotal,2\nDecoded: 1,Failed: 1\nNo read,1\n",
        f"Errors,1\nStatus: failed\nWell,Code\nA1,{T}\nA2,\nA3,---\n",
        f"Well,Code,Type\nA1,{T},UNKNOWN\nA2,,UNKNOWN\n",
        f"*****\nScan of a rack\n*****\nA1,{T}\nA2,-\n",
        f"A1,{T},OK\nA2,NO TUBE,\nA3,,NO TUBE\nA4,,\n",
    ],
)
def test_what_is_said_about_the_file_or_of_an_empty_well_is_no_tube(text: str) -> None:
    assert read(text) == [(T, "A1")]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0351,A1,FB12\n0352,A2,FB12\nNO READ,A3,FB12\nNO TUBE,A4,FB12\n", "0351"),
        ("A1,FB12,0351\nA2,FB12,0352\nA3,FB12,NO READ\nA4,FB12,NO TUBE\n", "0351"),
        ("FB12,0351,A1\nFB12,0352,A2\nFB12,NO READ,A3\nFB12,,A4\n", "0351"),
        ("A1,OK,FX1\nA2,OK,0352\nA3,NO READ,\nA4,,\n", "FX1"),
        ("FX1,A1,OK\n0352,A2,OK\n,A3,NO READ\n,A4,NO TUBE\n", "FX1"),
    ],
)
def test_no_read_is_a_row_among_tubes_that_nobody_registered(text: str, first: str) -> None:
    assert read(text) == [(first, "A1"), ("0352", "A2"), (UNREAD, "A3")]


@pytest.mark.parametrize("text", ["NO READ,A1,TR1\nNO READ,A2,TR1\n", "A1,NO READ,09:01\nA2,NO READ,09:02\n"])
def test_a_rack_of_which_no_tube_was_read_is_a_row_a_tube(text: str) -> None:
    assert read(text) == [(UNREAD, "A1"), (UNREAD, "A2")]


def test_no_read_in_a_list_without_wells_keeps_its_place() -> None:
    assert read(f"{T}\nNO READ\n{U}\nNO READ\n") == [(T, None), (UNREAD, None), (U, None), (UNREAD, None)]


TUBES = st.integers(0, NUMBERS - 1).map(lambda number: make_code("AD", 2026, number).text)
WORDS = st.sampled_from([word for word in UNREAD_WELL if any(c.isalpha() for c in word) and word != "UNKNOWN"])
FOUND = st.one_of(TUBES, st.just(UNREAD), st.just(""))
ORDERS = st.permutations(["well", "tube", "status"])


@given(
    st.lists(FOUND, min_size=1, max_size=24),
    TUBES,
    WORDS,
    ORDERS,
    st.sampled_from("\t;,|"),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["Error", "Barcode status", "", "Mask", "Remark"]),
    st.booleans(),
    st.booleans(),
)
def test_what_is_read_and_what_is_not_covers_every_tube(
    found: list[str],
    one: str,
    word: str,
    order: list[str],
    mark: str,
    headed: bool,
    split: bool,
    heading: str,
    rack: bool,
    in_place: bool,
) -> None:
    """`split`: row and column apart; `rack`: its code in every row; `in_place`: the word stands where the code would."""
    rows, expected = [], []
    names = {"well": ["Row", "Column"] if split else ["Well"], "tube": ["Tube code"], "status": [heading]}
    if headed:
        rows.append([*(["Rack"] if rack else []), *(name for part in order for name in names[part])])
    for number, text in enumerate([one, *found]):
        row, column = "ABCDEFGH"[number // 12], number % 12 + 1
        says = {
            "well": [row, str(column)] if split else [f"{row}{column:02}"],
            "tube": [(word if in_place else "") if text == UNREAD else text],
            "status": ["" if text == "" or (text == UNREAD and in_place) else word if text == UNREAD else "OK"],
        }
        rows.append([*(["TR1"] if rack else []), *(cell for part in order for cell in says[part])])
        expected += [Line(text, f"{row}{column}")] if text else []
    assert read_rack(rows_of("\n".join(mark.join(row) for row in rows))).lines == expected
