"""Cells that were made to harm, or that a spreadsheet cannot hold, in every file of ours that one opens."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest
from openpyxl import load_workbook

from biobank.exports.formats.csv_bom import encode as as_csv_for_excel
from biobank.exports.formats.format import EventRow
from biobank.exports.formats.parquet import encode as as_parquet
from biobank.exports.formats.xlsx import encode as as_workbook
from biobank.foundation.formula_cells import LONGEST_CELL, TOO_LONG, defused, held
from biobank.importing.report import ReportLine, csv_of
from biobank.pages.ui.parts import Column
from biobank.pages.ui.spreadsheets import as_csv, as_xlsx
from tests.conftest import Api
from tests.exports.taking import take_log

RUN = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "   @x", "＝1", "＋1", "－1", "＠x"]
PLAIN = ["00123", "1E5", "AD26-KH0KJQL", "a=1", "'=1", "", " text", "1/2", "TRUE"]
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def event(**changes: Any) -> EventRow:
    row = EventRow(1, "specimen", "AD26-1", 1, "specimen.stored", AT, AT, "US-1", None, None, None, "stored", None, "ab", "{}")
    return row._replace(**changes)


def sheet_of(content: bytes) -> Any:
    """The first sheet, after every part of the file was read as XML."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        for name in parts.namelist():
            ElementTree.fromstring(parts.read(name))
    return load_workbook(io.BytesIO(content)).worksheets[0]


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run_is_text_in_every_file(text: str) -> None:
    assert defused(text) == f"'{text}"
    columns = [Column("a", "A")]
    listed = csv.reader(io.StringIO(bytes(as_csv("/x", columns, [{"a": text}], None, True).body).decode("utf-8-sig")))  # type: ignore[arg-type]
    assert list(listed)[1] == [f"'{text}"]
    report = csv.reader(io.StringIO(csv_of([ReportLine(text, "2", "refused", "", text, text)]), newline=""))
    assert [cell for cell in list(report)[1] if cell == text] == []
    rows = csv.reader(io.StringIO(b"".join(as_csv_for_excel(iter([event(id=text)]), {})).decode("utf-8-sig"), newline=""))
    assert f"'{text}" in list(rows)[1]
    for content in (
        b"".join(as_workbook(iter([event(id=text, recorded_by=text)]), {text: text})),
        bytes(as_xlsx("/x", columns, [{"a": text}], None, True).body),  # type: ignore[arg-type]
    ):
        cells = [cell for row in sheet_of(content).iter_rows() for cell in row]
        assert {cell.data_type for cell in cells} <= {"s", "n", "d"}


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_formula_stays_as_it_is_and_leading_zeros_stay_in_a_workbook(text: str) -> None:
    assert defused(text) == text
    sheet = sheet_of(bytes(as_xlsx("/x", [Column("a", "A")], [{"a": text}], None, True).body))  # type: ignore[arg-type]
    assert sheet["A2"].value == (text or None)


def test_the_log_as_csv_defuses_the_same_cells(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        for number, text in enumerate(RUN, 1):
            connection.execute(
                "INSERT INTO event (stream_kind, stream_id, seq, kind, entry, occurred_at, recorded_at, recorded_by) "
                "VALUES ('system', %s, 1, 'system.planted', %s, now(), now(), 'US')",
                (text, f'{{"n":{number}}}'.encode()),
            )
        connection.execute("INSERT INTO pending (leaf_hash, recorded_at) SELECT leaf_hash, recorded_at FROM event")
        connection.commit()
    rows = [row for row in csv.DictReader(io.StringIO(take_log(api, "csv").text, newline="")) if row["kind"] == "system.planted"]
    assert sorted(row["id"] for row in rows) == sorted(f"'{text}" for text in RUN)
    assert {row["defused"] for row in rows} == {"stream_id"}


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("x" * LONGEST_CELL, "x" * LONGEST_CELL),
        ("x" * (LONGEST_CELL + 1), TOO_LONG),
        ("😀" * 16_384, TOO_LONG),
        ("a\x00b\x07c\x1fd\ufffee\ud800f", "a�b�c�d�e�f"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        (date(1899, 12, 31), "1899-12-31"),
        (date(1900, 2, 28), "1900-02-28"),
        (datetime(1850, 1, 1, 12), "1850-01-01 12:00:00"),
        (datetime(1900, 3, 1), datetime(1900, 3, 1)),
        (7, 7),
        (None, None),
    ],
)
def test_a_workbook_holds_what_it_can_and_says_what_it_cannot(cell: Any, shown: Any) -> None:
    assert held(cell) == shown
    if isinstance(cell, str):
        content = bytes(as_xlsx("/x", [Column("a", "A")], [{"a": cell}], None, True).body)  # type: ignore[arg-type]
        assert sheet_of(content)["A2"].value == shown


def test_an_export_is_not_broken_off_by_a_cell() -> None:
    odd = event(id="a\x01b", entry="x" * 40_000, occurred_at=datetime(1850, 1, 1, tzinfo=UTC))
    sheet = sheet_of(b"".join(as_workbook(iter([odd, event()]), {})))
    assert (sheet["C2"].value, sheet["G2"].value, sheet["Q2"].value) == ("a�b", "1850-01-01 00:00:00", TOO_LONG)
    assert sheet["C3"].value == "AD26-1"
    assert b"".join(as_parquet(iter([odd]), {}))[:4] == b"PAR1"
