"""Lines of rack scanners and of people."""

import io
import tracemalloc
import zipfile
from collections.abc import Collection
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from biobank.foundation.codes import NUMBERS, make_code
from biobank.scanning.rack_files import (
    LONGEST_LIST,
    UNREAD,
    Line,
    ListTooLong,
    RackFile,
    TwoRacks,
    TwoTubesInOnePlace,
    read_lines,
    read_rack,
    require_one_rack,
    rows_of,
)
from biobank.scanning.rack_tables import LARGEST_FILE, NotARackFile, rows_of_file
from biobank.scanning.rack_wells import well_of
from biobank.scanning.rack_words import EMPTY_WELL, UNREAD_WELL

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
        assert line.text and len(line.text) <= 300


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


T = "AD26-WVDXNY3"
U = make_code("AD", 2026, 5).text
V = make_code("HF", 2026, 5).text
BOX, BOX2 = (make_code("BX", None, number).text for number in (5, 6))


@pytest.mark.parametrize(
    ("name", "text", "lines", "rack"),
    [
        (
            "VisionMate",
            f"Date\tTime\tLocationCell\tLocationColumn\tLocationRow\tTubeCode\tRackID\n20260101\t9:00:00\tA1\t1\tA\t{T}\tplate_1\n",
            [Line(T, "A1")],
            "plate_1",
        ),
        ("rack, well, tube", f"TR00012345,A1,{T}\n", [Line(T, "A1")], "TR00012345"),
        ("row and column apart", f"LocationRow,LocationColumn,TubeCode\nA,1,{T}\n", [Line(T, "A1")], None),
        ("row and column apart, no heading", f"A;1;{T}\nB;01;{U}\n", [Line(T, "A1"), Line(U, "B1")], None),
        ("an empty well with the rack", "A02,,TR00012345\n", [], "TR00012345"),
        ("no tube of this bank, an empty well, the rack", "A01,FX17,TR1\nA02,,TR1\n", [Line("FX17", "A1")], "TR1"),
        ("an unknown tube among known ones", f"TR1,A1,{T}\nTR1,A2,FX17\n", [Line(T, "A1"), Line("FX17", "A2")], "TR1"),
        ("not read", f"A01,{T}\nA02,NO READ\nA03,NO TUBE\n", [Line(T, "A1"), Line(UNREAD, "A2")], None),
        (
            "FluidX with a preamble",
            f"Scan of 2026-01-01\nRack ID: {BOX}\nOperator,Mary 12\nTube position,Tube ID,Status\n"
            f"A01,{T},OK\nA02,,NO READ\nA03,,EMPTY\n",
            [Line(T, "A1"), Line(UNREAD, "A2")],
            BOX,
        ),
        (
            "Ziath",
            f'"Rack Barcode","Row","Column","Tube Barcode"\n"{BOX}","A","12","{T}"\n"{BOX}","P","24","{U}"\n',
            [Line(T, "A12"), Line(U, "P24")],
            BOX,
        ),
        ("Hamilton", f"LabwareId;PositionId;SampleId\nRACK7;H12;{T}\nRACK7;H11;\n", [Line(T, "H12")], "RACK7"),
        ("Micronic", f"Rack ID;TR9\nPosition;Tube ID\nA1;{T}\nB1;No Tube\n", [Line(T, "A1")], "TR9"),
        ("pipes and blanks", f"A1 | {T}\nA2 | {U}\n", [Line(T, "A1"), Line(U, "A2")], None),
        ("blanks only", f"A01 {T}\nA02   {U}\n", [Line(T, "A1"), Line(U, "A2")], None),
        ("a heading that nobody keeps to", f"Position,Code\n{T},A1\n", [Line(T, "A1")], None),
        ("the rack's label first", f"{BOX},A1,{T}\n", [Line(T, "A1")], BOX),
        ("label addresses", f"A1,HTTPS://BANK.EXAMPLE/S/{T}\n", [Line(f"HTTPS://BANK.EXAMPLE/S/{T}", "A1")], None),
    ],
)
def test_the_dialects_of_readers(name: str, text: str, lines: list[Line], rack: str | None) -> None:
    for data in (
        text.encode(),
        text.replace("\n", "\r\n").encode("utf-8-sig"),
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        text.encode("utf-32"),
    ):
        assert read_rack(rows_of_file(data)) == RackFile(lines, rack), name


def test_registered_identifiers_are_lines_whatever_they_look_like() -> None:
    registered = {"AB123", "FOOBAR", "ID: 55", "a;b,c", "B7", "20260101"}

    def known(texts: Collection[str]) -> Collection[str]:
        return registered & set(texts)

    assert read_lines("AB123\nFOOBAR\nID: 55\n20260101\n", known) == [Line(t) for t in ("AB123", "FOOBAR", "ID: 55", "20260101")]
    assert read_lines("A1,AB123\nA2,FOOBAR", known) == [Line("AB123", "A1"), Line("FOOBAR", "A2")]
    assert read_lines("a;b,c\nFOOBAR", known) == [Line("a;b,c"), Line("FOOBAR")]
    assert read_lines("B2,B7", known) == [Line("B7", "B2")]


@pytest.mark.parametrize("word", sorted(UNREAD_WELL))
def test_a_tube_that_could_not_be_read_is_a_line_that_says_so(word: str) -> None:
    assert read_lines(f"A01,{word}\nA02,{word.lower()}") == [Line(UNREAD, "A1"), Line(UNREAD, "A2")]


def test_two_tubes_in_one_line_or_well_are_refused() -> None:
    for text in (f"A1,{T},{U}", f"{T};{V}", f"{T},A1,{U}"):
        with pytest.raises(TwoTubesInOnePlace, match="1"):
            read_lines(text)
    assert read_lines(f"A1,{T},{T}") == [Line(T, "A1")]
    with pytest.raises(TwoTubesInOnePlace, match="A1"):
        require_one_rack(read_rack(rows_of(f"A1,{T}\nA01,{U}")))


@pytest.mark.parametrize(
    "text",
    [
        f"Plate,Well,Code\nP1,A1,{T}\nP2,A2,{U}\n",
        f"Rack ID: TR1\nA1,{T}\nRack ID: TR2\nA2,{U}\n",
        f"{BOX},A1,{T}\n{BOX2},A2,{U}\n",
    ],
)
def test_a_file_of_two_racks_is_refused(text: str) -> None:
    with pytest.raises(TwoRacks):
        require_one_rack(read_rack(rows_of(text)))


ONE = [Line(T, "A1")]
TWO = [Line(T, "A1"), Line(U, "A2")]
READ_AND_NOT = [Line(T, "A1"), Line(UNREAD, "A2")]


@pytest.mark.parametrize(
    ("text", "lines", "rack"),
    [
        # headings in other languages; words for nothing and for not read in the same
        (f"Röhrchen-Nr.;Pos.;Gestell\n{T};A01;R7\n{U};A02;R7\n", TWO, "R7"),
        (f"Gestell-ID;Vertiefung;Röhrchencode\nTR12;A1;{T}\nTR12;A2;\n", ONE, "TR12"),
        (f"Barcode;Zeile;Spalte\n{T};A;1\n{U};A;02\n", TWO, None),
        (f"Position;Code\nA1;{T}\nA2;Nicht gelesen\nA3;Kein Röhrchen\n", READ_AND_NOT, None),
        (f"Puits;Code-barres;Plaque\nA1;{T};P1\nA2;Non lu;P1\nA3;Pas de tube;P1\n", READ_AND_NOT, "P1"),
        (f"Pocillo;Código;Placa\nA1;{T};P1\nA2;No leído;P1\nA3;Vacío;P1\n", READ_AND_NOT, "P1"),
        (f"Pozzetto;Codice;Piastra\nA1;{T};P1\n", ONE, "P1"),
        (f"Positie;Buiscode;Rek\nA1;{T};R1\nA2;leeg;R1\n", ONE, "R1"),
        (f"Fila;Columna;Tubo\nA;1;{T}\n", ONE, None),
        # how a well is written
        *(
            (f"{first},{T}\n{second},{U}\n", TWO, None)
            for first, second in (
                ("A-1", "A-02"),
                ("1A", "02A"),
                ("a:1", "a2"),
                ("A_1", "A.2"),
                ("(A1)", "[A2]"),
                ("R1C1", "R01C02"),
                ("A 1", "A/2"),
            )
        ),
        (f"A1={T}\nA2={U}\n", TWO, None),
        (f"A1:{T}\nA2: NO READ\n", READ_AND_NOT, None),
        (f"P24;{T}\np1;{U}\n", [Line(T, "P24"), Line(U, "P1")], None),
        # row and column in any order
        (f"1;A;{T}\n2;A;{U}\n", TWO, None),
        (f"{T},1,A\n{U},2,A\n", TWO, None),
        (f"{T},A,1\n{U},A,2\n", TWO, None),
        (f"TR1,A,1,{T}\nTR1,A,2,NO READ\n", READ_AND_NOT, "TR1"),
        # around the wells
        (f"sep=;\n# scan of 2 tubes, rack 7\nWell;Code\nA1;{T}\nTotal tubes;1\nNo reads: 0\n", ONE, None),
        (f"Date: 2026-01-01\nSerial=A12345\nRack ID = TR7\n\nWell,Code\nA1,{T}\nA2,NO TUBE\n\nTotal,1\n", ONE, "TR7"),
        (f"Date,2026-01-01\nOperator,Mary 12\nRack ID,TR7\nA1,{T}\nA2,{U}\n", TWO, "TR7"),
        (f"Well,Code\nA1,{T}\nWell,Code\nA2,{U}\n", TWO, None),
        (f"1,A1,{T}\n2,A2,{U}\n", TWO, None),
        (f'"A1","{T}","a note, with a comma; and more"\n"A2","{U}",""\n', TWO, None),
        # a status, and what contradicts it
        (f"Well,Code,Status\nA1,{T},OK\nA2,,FAIL\nA3,,NO TUBE\n", READ_AND_NOT, None),
        (f"Well,Code,Status\nA1,{T},OK\nA2,{U},READ ERROR\n", READ_AND_NOT, None),
        # several columns that may be the tube's: the one that resolves
        (f"Position,Sample ID,Barcode\nA1,S12,{T}\nA2,S13,FX9\n", [Line(T, "A1"), Line("FX9", "A2")], None),
        (f"Well,Tube ID,Sample ID\nA1,{T},S1\nA2,,S2\n", ONE, None),
        # without a tube that resolves, a rack's code is no tube
        ("TR1,A1,FX1\nTR1,A2,\n", [Line("FX1", "A1")], "TR1"),
        # a plate drawn as a plate
        (f",1,2,3\nA,{T},NO READ,\nB,,-,{U}\n", [*READ_AND_NOT, Line(U, "B3")], None),
        (
            f'{{"rack": "TR1", "tubes": [{{"well": "A1", "code": "{T}"}}, {{"well": "A2", "code": "No Read"}}]}}',
            READ_AND_NOT,
            "TR1",
        ),
        (f'[["A1", "{T}"], ["A2", null], ["A3", 12345678]]', [*ONE, Line("12345678", "A3")], None),
    ],
)
def test_the_cousins_of_those_dialects(text: str, lines: list[Line], rack: str | None) -> None:
    for data in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode("utf-16")):
        assert read_rack(rows_of_file(data)) == RackFile(lines, rack)


@pytest.mark.parametrize(
    ("text", "lines", "rack"),
    [
        # a well behind a tab is not the number of a print
        (f"{T}\tA1\n{U}\tA2\n", TWO, None),
        # row and column as numbers; a plate drawn the other way round
        (f"Labware,Row,Col,Barcode\nHM1,1,1,{T}\nHM1,1,2,{U}\n", TWO, "HM1"),
        (f"Row,Col,Tube\n16,24,{T}\n", [Line(T, "P24")], None),
        (f"Row,Column,Tube\n1,A,{T}\n2,A,{U}\n", TWO, None),
        (f";A;B\n1;{T};\n2;NO READ;{U}\n", [Line(T, "A1"), Line(UNREAD, "A2"), Line(U, "B2")], None),
        (f"<>;01;02\nA;{T};{U}\n", TWO, None),
        # more words of readers
        (f"Tube,TubePosition,RackBarcode,ScanStatus\n{T},A01,R1,Success\n,A02,R1,NoRead\n,A03,R1,Empty\n", READ_AND_NOT, "R1"),
        (f"A1,{T}\nA2,Barcode not readable\nA3,No tube detected\n", READ_AND_NOT, None),
        (f"PositionNumber,SampleBarcode\n1,{T}\n2,{U}\n", [Line(T, "1"), Line(U, "2")], None),
        # a rack and a place that are called by `id` or by their name, in XML and in JSON
        (
            f"<Rack><Barcode>R7</Barcode><Date>1</Date><Tube><Position>A01</Position><Barcode>{T}</Barcode></Tube></Rack>",
            ONE,
            "R7",
        ),
        (f"<s:Rack xmlns:s='urn:x' id='R7'><s:Tube pos='A1' code='{T}'/><s:Tube pos='A2'/></s:Rack>", ONE, "R7"),
        (f"<Scan><Position id='A1'><Barcode>{T}</Barcode></Position></Scan>", ONE, None),
        (f"<Plate barcode='R7'><Well name='A1'>{T}</Well><Well name='A2'>No Read</Well></Plate>", READ_AND_NOT, "R7"),
        (f'{{"rackId":"R7","wells":{{"A1":"{T}","A2":"NO READ","A3":null}}}}', READ_AND_NOT, "R7"),
        (f'{{"plate":"R7","wells":{{"A1":{{"barcode":"{T}"}},"A2":{{"barcode":"{U}"}}}}}}', TWO, "R7"),
        (f'{{"rack":{{"barcode":"R7","on":"1"}},"tubes":[{{"position":"A01","barcode":"{T}"}}]}}', ONE, "R7"),
        (f'{{"well":"A1","tube":"{T}"}}\n{{"well":"A2","tube":"{U}"}}\n', TWO, None),
        (f'[{{"row":1,"column":1,"barcode":"{T}"}},{{"row":1,"column":2,"barcode":"{U}"}}]', TWO, None),
        (f'["{T}", "{U}"]', [Line(T), Line(U)], None),
    ],
)
def test_rows_as_numbers_plates_turned_and_racks_and_places_that_name_themselves(
    text: str, lines: list[Line], rack: str | None
) -> None:
    for data in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode("utf-16")):
        assert read_rack(rows_of_file(data)) == RackFile(lines, rack)


def test_german_headings_are_read_in_latin_1_too() -> None:
    text = f"Röhrchen;Vertiefung\n{T};A1\n"
    assert read_rack(rows_of_file(text.encode("latin-1"))).lines == ONE


@pytest.mark.parametrize("word", ["NA", "ERROR", "EMPTY", "NG"])
def test_a_registered_identifier_is_no_word_of_a_reader(word: str) -> None:
    assert read_lines(f"A1,{word}", lambda texts: {word} & set(texts)) == [Line(word, "A1")]


def test_a_workbook_is_read_whatever_size_it_states() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Rack ID", "TR5"], ["Well", "Tube"], ["A01", T], ["A02", 12345678.0], ["A03", None]):
        sheet.append(row)
    held = io.BytesIO()
    book.save(held)

    assert read_rack(rows_of_file(held.getvalue())) == RackFile([Line(T, "A1"), Line("12345678", "A2")], "TR5")


def test_xml_is_read_by_attributes_and_by_elements() -> None:
    attributes = (
        f'<?xml version="1.0" encoding="utf-16"?><Rack RackId="{BOX}"><Tube Well="A01" Barcode="{T}"/>'
        '<Tube Well="A02" Barcode="NO READ"/></Rack>'
    )
    elements = (
        f"<Scan><Tube><Row>A</Row><Column>1</Column><TubeCode>{T}</TubeCode></Tube>"
        "<Tube><Row>A</Row><Column>2</Column><TubeCode>No Read</TubeCode></Tube></Scan>"
    )

    for text, rack in ((attributes, BOX), (elements, None)):
        for data in (text.encode("utf-16"), text.replace("utf-16", "utf-8").encode()):
            assert read_rack(rows_of_file(data)) == RackFile([Line(T, "A1"), Line(UNREAD, "A2")], rack)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": [',
        b"[" * 100_000,
        b"PK\x03\x04 cut off",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"<a><b>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    ],
)
def test_what_is_no_list_of_a_rack_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(NotARackFile):
        rows_of_file(data)


@given(st.binary(max_size=400))
def test_no_file_is_too_strange(data: bytes) -> None:
    try:
        found = read_rack(rows_of_file(data))
    except (NotARackFile, TwoTubesInOnePlace):
        return
    assert len(data) < LARGEST_FILE and all(line.text for line in found.lines)


def packed(sheet: bytes) -> bytes:
    """A workbook whose sheet has this XML."""
    book = Workbook()
    held, changed = io.BytesIO(), io.BytesIO()
    book.save(held)
    with zipfile.ZipFile(held) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.namelist():
            new.writestr(one, sheet if one == "xl/worksheets/sheet1.xml" else old.read(one))
    return changed.getvalue()


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
MEG = 1_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"," * MEG,
        b'"' + b"x" * MEG,
        b"a\n" * (MEG // 2),
        packed(SHEET + b" " * (40 * MEG)),
    ],
    ids=["commas", "an open quote", "many lines", "a bomb"],
)
def test_no_file_takes_more_memory_than_a_file_of_a_rack_may(data: bytes) -> None:
    assert len(data) < LARGEST_FILE
    tracemalloc.start()
    try:
        with suppress(NotARackFile, ListTooLong, TwoTubesInOnePlace):
            read_rack(rows_of_file(data))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 128 * 1024 * 1024
