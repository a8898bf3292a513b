"""Racks in workbooks, XML and JSON: a code is what people saw, and an uncertain one is still a row."""

import io
from collections.abc import Sequence
from datetime import date, time
from typing import Any

import pytest
from openpyxl import Workbook

from biobank.foundation.codes import make_code
from biobank.scanning.rack_files import UNREAD, Line, RackFile, read_rack, rows_of
from biobank.scanning.rack_tables import NotARackFile, rows_of_file

T = "AD26-WVDXNY3"
U = make_code("AD", 2026, 5).text
BOX = make_code("BX", None, 5).text


def workbook(rows: Sequence[Sequence[Any]], formats: dict[str, str] | None = None, merged: str | None = None) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for at, pattern in (formats or {}).items():
        sheet[at].number_format = pattern
    if merged:
        sheet.merge_cells(merged)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def read(data: bytes | str) -> RackFile:
    return read_rack(rows_of_file(data.encode() if isinstance(data, str) else data))


@pytest.mark.parametrize(
    ("value", "pattern", "text"),
    [
        (341234567, "0000000000", "0341234567"),  # as people saw it
        (341234567, "General", "341234567"),
        (12345678.0, "0", "12345678"),
        ("0341234567", "@", "0341234567"),
        (f'=CONCATENATE("{T}")', "General", UNREAD),  # never calculated: nobody saw a code
        ("#N/A", "General", UNREAD),
        (341, '"FX"000000', "341 (see B2)"),  # a code by another name than its number
        (341234567, "#,##0", "341234567 (see B2)"),
        (12.1, "0.00", "12.1 (see B2)"),
        (date(2026, 3, 1), "d-mmm", "2026-03-01"),
        (time(1, 2), "h:mm", "a time (see B2)"),
    ],
)
def test_a_code_in_a_workbook_is_what_people_saw_and_an_uncertain_one_is_still_a_row(value: Any, pattern: str, text: str) -> None:
    for heading in (["Well", "Tube"], ["A12", T]):
        first = [] if heading[0] == "Well" else [Line(T, "A12")]
        assert read(workbook([heading, ["A1", value], ["A2", U]], {"B2": pattern})).lines == [
            *first,
            Line(text, "A1"),
            Line(U, "A2"),
        ]


@pytest.mark.parametrize("number", [123456789012345678, 1e15, -1e18])
def test_a_number_that_the_spreadsheet_cut_refuses_the_file_with_its_cell(number: float) -> None:
    with pytest.raises(NotARackFile, match=r"^B2 .*15 digits"):
        read(workbook([["Well", "Tube"], ["A1", number], ["A2", T]]))


def test_what_stands_beside_a_tube_in_a_workbook_is_no_tube() -> None:
    rows: list[list[Any]] = [
        ["Rack ID", 77, None, None, None],
        ["Well", "Tube", "Volume", "At", "Day"],
        ["A1", T, 1.0, time(9, 30), date(2026, 3, 1)],
        ["A2", None, 0, time(9, 30), date(2026, 3, 1)],
        ["A3", None, "=1+1", None, None],
    ]
    assert read(workbook(rows, {"B1": "000000", "C3": '0.0" ml"', "C4": '0.0" ml"'})) == RackFile(
        [Line(T, "A1"), Line(UNREAD, "A3")], "000077"
    )


def test_a_cell_merged_with_the_well_above_is_a_row_and_one_merged_sidewards_is_not() -> None:
    rows: list[list[Any]] = [["Well", "Tube", "Note"], ["A1", T, None], ["A2", None, None], ["A3", None, None]]
    assert read(workbook(rows, merged="B2:B3")).lines == [Line(T, "A1"), Line(UNREAD, "A2")]
    assert read(workbook(rows, merged="B2:C2")).lines == [Line(T, "A1")]


def test_the_importer_s_own_cases_of_workbooks_are_read_or_refused_as_there() -> None:
    with pytest.raises(NotARackFile):
        read(workbook([["Well", "Tube"], ["A1", T]])[:-900])


TWO = [Line(T, "A1"), Line(UNREAD, "A2")]


@pytest.mark.parametrize(
    ("text", "rack"),
    [
        # one inside the other
        ("<r><well position='A1'><tube barcode='ONE'/></well><well position='A2'><tube barcode='TWO'/></well></r>", None),
        (
            "<r><well position='A1'><t><barcode>ONE</barcode></t></well>"
            "<well position='A2'><t><barcode>TWO</barcode></t></well></r>",
            None,
        ),
        ("<r><well id='A1'><tube id='ONE'/></well><well id='A2'><tube id='TWO'/></well></r>", None),
        ("<r><w row='A' column='1'><c><t code='ONE'/></c></w><w row='A' column='2'><c><t code='TWO'/></c></w></r>", None),
        (
            "<r><w><pos>A1</pos><state>ok</state><tube><code>ONE</code></tube></w>"
            "<w><pos>A2</pos><tube><code>TWO</code></tube></w></r>",
            None,
        ),
        ("<r><tube code='ONE'><location well='A1'/></tube><tube code='TWO'><location well='A2'/></tube></r>", None),
        (
            "<r><tube><code>ONE</code><at><row>A</row><column>1</column></at></tube>"
            "<tube><code>TWO</code><at><row>A</row><column>2</column></at></tube></r>",
            None,
        ),
        ("<rack barcode='TR7'><tube well='A1' barcode='ONE'/><tube well='A2' barcode='TWO'/></rack>", "TR7"),
        (
            "<rack id='TR7' position='9'><tubes><tube well='A1' barcode='ONE'/><tube well='A2' barcode='TWO'/></tubes></rack>",
            "TR7",
        ),
        ("<scan><location>Lab 3</location><well position='A1'>ONE</well><well position='A2'>TWO</well></scan>", None),
        ("<r><A1>ONE</A1><A2>TWO</A2><A3/></r>", None),
        ("<r xmlns='urn:x'><A1><code>ONE</code></A1><A2><code>TWO</code></A2></r>", None),
        ('[{"position": "A1", "tube": {"barcode": "ONE"}}, {"position": "A2", "tube": {"barcode": "TWO"}}]', None),
        ('{"rack": "TR7", "wells": {"A1": {"code": "ONE"}, "A2": {"code": "TWO"}}}', "TR7"),
        ('{"rack": "TR7", "A1": "ONE", "A2": "TWO", "A3": null}', "TR7"),
        (
            '{"tubes": [{"code": "ONE", "position": {"row": "A", "column": 1}}, '
            '{"code": "TWO", "position": {"row": "A", "column": 2}}]}',
            None,
        ),
        # a plate with a mark in its corner is no XML
        ("<>,1,2\nA,ONE,TWO\n", None),
        ("<>\t1\t2\nA\tONE\tTWO\n", None),
        ("A01   ONE   OK\nA02   TWO\n", None),
        ("A01 ONE OK\nA02 TWO\n", None),
    ],
)
def test_what_stands_within_a_well_is_of_that_well(text: str, rack: str | None) -> None:
    assert read(text.replace("ONE", T).replace("TWO", "NO READ")) == RackFile(TWO, rack)


def test_a_state_said_of_the_well_is_said_of_the_tube_in_it() -> None:
    text = (
        f"<r><well position='A1' status='OK'><tube code='{T}'/></well><well position='A2' status='NO READ'><tube code=''/></well>"
    )
    assert read(text + "<well position='A3' status='EMPTY'/><well position='A4' status='NO READ'/></r>").lines == [
        *TWO,
        Line(UNREAD, "A4"),
    ]


def test_nested_files_of_any_depth_are_read_in_bounded_time() -> None:
    deep = "<a>" * 50_000 + "</a>" * 50_000
    assert read(f"<r>{deep}</r>").lines == []
    assert read("<w position='A1'>" * 3_000 + f"<t code='{T}'/>" + "</w>" * 3_000).lines == [Line(T, "A1")]


def test_an_identifier_with_single_blanks_is_one_text() -> None:
    assert read_rack(rows_of(f"A1 AB 123\nA2 {U}\n")).lines == [Line("AB 123", "A1"), Line(U, "A2")]
