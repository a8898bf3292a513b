"""Each defect in each format that can carry it; and each kind of file that is no inventory, refused in words."""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.styles import Font

from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.reading import Rows, open_book, read_rows
from biobank.importing.sheets import FileFault, FileProtected
from tests.importing.old_excel_files import Look, compound, workbook
from tests.importing.test_import import GOOD, HEADINGS, TODAY, profile
from tests.importing.test_other_formats import ODS_CELLS, ONE_SHEET, ods

ROW = GOOD | {"Collected": "2018-11-15"}
COLUMN = {name: at for at, name in enumerate(HEADINGS, start=1)}


def as_csv(changes: dict[str, Any]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(HEADINGS)
    writer.writerow([(ROW | changes)[name] for name in HEADINGS])
    return text.getvalue().encode()


def as_xlsx(changes: dict[str, Any], decorate: Callable[[Any], None] = lambda _sheet: None) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "CSV"
    sheet.append(HEADINGS)
    for name, value in (ROW | changes).items():
        look = value if isinstance(value, Look) else Look(value)
        cell = sheet.cell(2, COLUMN[name], look.value)
        cell.number_format = look.pattern
        if look.struck:
            cell.font = Font(strike=True)
    decorate(sheet)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def as_xls(changes: dict[str, Any], **more: Any) -> bytes:
    return workbook([HEADINGS, [(ROW | changes)[name] for name in HEADINGS]], name="CSV", **more)


def as_ods(changes: dict[str, str], **more: Any) -> bytes:
    return ods(changes, **more)


MAKERS: Mapping[str, Callable[[dict[str, Any]], bytes]] = {"csv": as_csv, "xlsx": as_xlsx, "xls": as_xls, "ods": as_ods}


def of(data: bytes, **changes: Any) -> CheckedRow:
    meaning = profile(**(ONE_SHEET | changes))
    (one,) = check_rows(Rows(data, meaning), meaning, TODAY)
    return one


def plain(text: str) -> dict[str, str]:
    """A text in every format."""
    return {"csv": text, "xlsx": text, "xls": text, "ods": ODS_CELLS["plain"].format(text)}


def number(number: float, pattern: str, shown: str, **more: Any) -> dict[str, Any]:
    """A number in a format, in every spreadsheet."""
    look = Look(number, pattern)
    return {"xlsx": look, "xls": look, "ods": ODS_CELLS["number"].format(number, shown), **more}


BOOLEAN = '<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>TRUE</text:p></table:table-cell>'
TIME = '<table:table-cell office:value-type="time" office:time-value="PT10H30M00S"><text:p>10:30</text:p></table:table-cell>'
SPAN = (
    '<table:table-cell office:value-type="string"><text:p>was <text:span text:style-name="ce2">here</text:span></text:p>'
    "</table:table-cell>"
)
SPREADSHEETS = frozenset({"xlsx", "xls", "ods"})
DEFECTS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "an error": ("Pos", plain("#N/A"), "is the error #N/A"),
    "an error in another language": ("Amount", plain("#WAARDE!"), "is the error #WAARDE!"),
    "a formula without a value": ("Amount", {"csv": "=10+10", "xlsx": "=10+10", "ods": ODS_CELLS["formula"]}, "never calculated"),
    "a percentage for an amount": (
        "Amount",
        {"csv": "20%", "xlsx": Look(0.2, "0%"), "xls": Look(0.2, "0%"), "ods": ODS_CELLS["percent"].format("0.2", "20%")},
        "is no number|percentage",
    ),
    "words around a number": ("Pt ID", number(123, '"P-"0', "P-123"), "hides how it is shown"),
    "words around an amount": ("Amount", number(20, '0" Mio"', "20 Mio"), "in a format"),
    "thousands left out": ("Amount", number(20_000, "#,##0,", "20"), "in a format"),
    "words around a text": ("Pt ID", {"xlsx": Look("P1", '"HF-"@'), "xls": Look("P1", '"HF-"@')}, "other words around it"),
    "a text that is not shown": ("Pt ID", {"xlsx": Look("P1", ";;;"), "xls": Look("P1", ";;;")}, "is not shown"),
    "a number that is not shown": ("Amount", {"xlsx": Look(20, ";;;"), "xls": Look(20, ";;;")}, "in a format"),
    "two readings of a number": ("Amount", plain("2,000"), "two different numbers"),
    "an identifier that became a date": (
        "Vial",
        {
            "csv": "1-Mar",
            "xlsx": Look(datetime(2026, 3, 1), "d-mmm"),
            "xls": Look(46082, "d-mmm"),
            "ods": ODS_CELLS["day"].format("2026-03-01", "1-Mar"),
        },
        "date",
    ),
    "a long number": (
        "Pt ID",
        number(123456789012345678, "0", "123456789012345680", csv="1.23457E+17"),
        "more than 15 digits|last digits are lost",
    ),
    "leading zeros by format": ("Pt ID", number(123, "000000", "000123", csv="000123"), "alias HF-000123-1"),
    "an identifier with decimals": ("Vial", number(1.1, "0.00", "1.10"), "number with decimals"),
    "a rounded amount": ("Amount", number(20.4, "0", "20"), "no whole number"),
    "a truth value": ("Pt ID", {"csv": "TRUE", "xlsx": True, "xls": True, "ods": BOOLEAN}, "truth value"),
    "a month for a day": (
        "Collected",
        {
            "xlsx": Look(datetime(2018, 11, 1), "mmm yy"),
            "xls": Look(43405, "mmm yy"),
            "ods": ODS_CELLS["day"].format("2018-11-01", "Nov 18"),
        },
        "shows no day",
    ),
    "a day that is none": (
        "Collected",
        {
            "csv": "2018-02-30",
            "xlsx": Look(99_999_999, "yyyy-mm-dd"),
            "xls": Look(99_999_999, "yyyy-mm-dd"),
            "ods": ODS_CELLS["day"].format("2018-02-30", "2018-02-30"),
        },
        "no day",
    ),
    "a time": (
        "Collected",
        {"csv": "10:30", "xlsx": time(10, 30), "xls": Look(0.4375, "h:mm"), "ods": TIME},
        "is a time|is no date",
    ),
    "struck out": (
        "Vial",
        {"xlsx": Look(1, struck=True), "xls": Look(1, struck=True), "ods": ODS_CELLS["struck"].format("1")},
        "struck through",
    ),
    "struck out in part": (
        "Remarks",
        {
            "xlsx": CellRichText("was ", TextBlock(InlineFont(strike=True), "here")),
            "xls": Look("was here", struck_from=4),
            "ods": SPAN,
        },
        "struck through",
    ),
    "an invisible character": ("Pt ID", plain("P1\u200b"), "note invisible character"),
    "a line break": ("Remarks", plain("see\tfile"), "note line break or a tab"),
    "a letter of another script": ("Last name", plain("Quill\u13aa"), "holds a Cherokee letter"),
    "a letter that looks Latin": ("Pt ID", plain("\u04201"), "looks like a Latin one"),
    "letters in another encoding": ("Last name", plain("Jose\u0301"), "note another encoding"),
    "a text that is too long": ("Last name", plain("x" * 201), "longer than 200"),
    "letters that were lost": ("Last name", plain("M\ufffdller"), "lost a letter"),
    "letters that were misread": ("Last name", plain("M\u00c3\u00bcller"), "read in another"),
    "letters as web pages write them": ("Last name", plain("M&amp;uuml;ller"), "code of a letter"),
    "two numbers in one cell": ("Pt ID", plain("P1, P2"), "may name several"),
    "two lines in one cell": ("Vial", plain("1\n2"), "line break or a tab: are these two"),
    "an identifier nobody was sure of": ("Vial", plain("1?"), "holds a question mark"),
    "a name with a letter lost": ("Last name", plain("M?ller"), "holds a question mark"),
    "an amount of nothing": ("Amount", number(0, "General", "0", csv="0"), "is nothing"),
    "a place that is a number": ("Pos", number(14, "General", "14", csv="14"), "is a number; say in the profile"),
    "a person called Na": ("Last name", plain("Na"), "note taken as a name"),
}
CASES = [(name, kind) for name, (_, cells, _) in DEFECTS.items() for kind in cells]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_defect_is_met_at_its_cell_in_every_format_that_can_carry_it(name: str, kind: str) -> None:
    column, cells, words = DEFECTS[name]

    one = of(MAKERS[kind]({column: cells[kind]}))

    if words.startswith("alias "):
        assert one.vial is not None and one.vial.alias == words.removeprefix("alias "), one.reasons
    elif words.startswith("note "):
        assert one.outcome == "ready", one.reasons
        assert any(note.startswith(f"{column} (") and words.removeprefix("note ") in note for note in one.notes)
    else:
        assert [reason for reason in one.reasons if reason.startswith(f"{column} (") and re.search(words, reason)], one.reasons


def test_the_row_that_the_cases_change_is_ready_in_every_format() -> None:
    assert [of(make({})).outcome for make in MAKERS.values()] == ["ready"] * 4


@pytest.mark.parametrize(
    ("text", "numbered", "slot"),
    [
        ("14", "by_row", "B5"),
        ("14", "by_column", "E2"),
        ("81", "by_row", "I9"),
        ("A01", None, "A1"),
        ("b 07", None, "B7"),
        ("C-3", None, "C3"),
    ],
)
def test_a_place_is_read_as_the_profile_says_and_its_spellings_are_one(text: str, numbered: str | None, slot: str) -> None:
    one = of(as_csv({"Pos": text}), numbered=numbered)

    assert one.vial is not None and one.vial.slot == slot, one.reasons


@pytest.mark.parametrize("text", ["1961/07/23", "1961.7.23", "July 23, 1961", "Jul. 23rd 1961", "23. Juli 1961"])
def test_a_day_that_has_one_reading_is_read(text: str) -> None:
    one = of(as_csv({"DOB": text}))

    assert one.person is not None and one.person.date_of_birth == "1961-07-23", one.reasons


def test_a_status_that_alone_is_struck_out_is_no_status() -> None:
    alone = as_xlsx({"Status": Look("Used", struck=True)})
    whole = as_xlsx({name: Look("Used" if name == "Status" else value, struck=True) for name, value in ROW.items()})

    assert "Status (Q2) is struck through" in " ".join(of(alone).reasons)
    assert of(whole).outcome == "gone"


def _hide(sheet: Any) -> None:
    sheet.row_dimensions[2].hidden = True
    sheet.column_dimensions["B"].hidden = True
    sheet["A2"].comment = Comment("used in 2020", "somebody")


HIDDEN_IN_ODS = ods(
    {"Pt ID": ODS_CELLS["noted"].format("P", "1")},
    row='<table:table-row table:visibility="collapse">',
    columns='<table:table-column/><table:table-column table:visibility="collapse"/>',
)


@pytest.mark.parametrize(
    ("data", "comments"),
    [(as_xlsx({}, _hide), True), (as_xls({}, hidden_lines=[1], hidden_columns=[1]), False), (HIDDEN_IN_ODS, True)],
    ids=["xlsx", "xls", "ods"],
)
def test_hidden_lines_columns_and_comments_are_told(data: bytes, comments: bool) -> None:
    meaning = profile(**ONE_SHEET)
    rows = Rows(data, meaning)

    assert "The line is hidden in the file." in check_rows(rows, meaning, TODAY)[0].notes
    assert any(sentence.startswith("Column B1 of sheet") for sentence in rows.said)
    assert any("comments" in sentence for sentence in rows.said) == comments


@pytest.mark.parametrize(
    "data",
    [
        as_xlsx({"Last name": None}, lambda sheet: sheet.merge_cells("A2:B2")),
        as_xls({"Last name": None}, merged=[(1, 1, 0, 1)]),
        ods({"Last name": ODS_CELLS["covered"]}),
    ],
    ids=["xlsx", "xls", "ods"],
)
def test_a_cell_in_a_merged_range_is_refused(data: bytes) -> None:
    assert any(reason.startswith("Last name (B2) is part of the merged cells") for reason in of(data).reasons)


def test_days_count_from_where_the_file_counts_them_in_an_old_file_too() -> None:
    one = of(as_xls({"Collected": Look(43419 - 1462, "yyyy-mm-dd")}, from_1904=True))

    assert one.vial is not None and str(one.vial.collected) == "2018-11-15"


@pytest.mark.parametrize("kind", ["csv", "xlsx", "xls", "ods"])
def test_a_heading_that_stands_twice_refuses_the_file_in_every_format(kind: str) -> None:
    data = MAKERS[kind]({})
    columns = {**profile().columns, "remarks": "Note"}
    again = {
        "csv": lambda: data.replace(b"Remarks", b"Pos"),
        "xlsx": lambda: as_xlsx({}, lambda sheet: sheet.cell(1, COLUMN["Remarks"], "Pos")),
        "xls": lambda: data.replace("Remarks".encode("utf-16-le"), "Pos\u200b\u200b\u200b\u200b".encode("utf-16-le")),
        "ods": lambda: changed_parts(data, {"content.xml": lambda text: text.replace("<text:p>Remarks<", "<text:p>Pos<")}),
    }[kind]()

    with pytest.raises(FileFault, match="'Pos' of sheet 'CSV' stands in L1 and R1"):
        of(again, columns=columns)


def changed_parts(data: bytes, parts: Mapping[str, Callable[[str], str]], **more: str) -> bytes:
    """Change the text of parts of a packed file, and add some."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as packed, zipfile.ZipFile(made, "w") as again:
        for name in packed.namelist():
            text = packed.read(name)
            again.writestr(name, parts[name](text.decode()) if name in parts else text)
        for name, added in more.items():
            again.writestr(name, added)
    return made.getvalue()


def _with_password(data: bytes) -> bytes:
    """Set the mark of a packed file whose parts are under a password, as WinZip and 7-Zip set it."""
    marked = bytearray(data)
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in re.finditer(re.escape(sign), data):
            marked[match.start() + at] |= 1
    return bytes(marked)


def _packed(**parts: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml").replace("_bin", ".bin"), text)
    return made.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        as_xls({}, password=True),
        compound({"EncryptionInfo": b"x", "EncryptedPackage": b"y"}),
        changed_parts(ods({}), {}, **{"META-INF/manifest.xml": "<manifest:encryption-data/>"}),
        _packed(mimetype="application/vnd.oasis.opendocument.spreadsheet", **{"encrypted-package": "x"}),
        _with_password(as_xlsx({})),
    ],
    ids=["xls", "xlsx", "ods", "ods 1.3", "zip"],
)
def test_a_file_under_a_password_says_so(data: bytes) -> None:
    with pytest.raises(FileProtected) as refused:
        open_book(data)
    assert (refused.value.code, refused.value.status) == ("import_file_protected", 422)
    assert refused.value.detail.startswith("The file is protected with a password.")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_packed(xl__workbook_bin="x"), "save it as XLSX"),
        (_packed(mimetype="application/vnd.oasis.opendocument.text", content_xml="<a/>"), "not a spreadsheet"),
        (_packed(Index__Document="x"), "cannot be read"),
        (_packed(inventory="a;b"), "cannot be read"),
        (b"<html><table><tr><td>Pt ID", "web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "web page, an XML file"),
        (b"%PDF-1.7", "cannot be read"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "spreadsheet"),
        (compound({"WordDocument": b"x"}), "cannot be read"),
        (b"", "empty"),
        *[
            (MAKERS[kind]({})[: len(MAKERS[kind]({})) * part // 10], "cannot be read")
            for kind in SPREADSHEETS
            for part in (2, 6, 9)
        ],
    ],
)
def test_what_is_no_inventory_is_refused_in_plain_words(data: bytes, words: str) -> None:
    with pytest.raises(FileFault, match=words) as refused:
        of(data)
    assert "Traceback" not in refused.value.detail


def test_a_text_of_values_that_ends_within_a_line_says_that_it_was_cut_off() -> None:
    whole = as_csv({"Remarks": ""}).rstrip(b"\r\n")
    short = as_csv({}).rstrip(b"\r\n").rpartition(b";")[0]

    assert of(whole).outcome == "ready"
    assert "it was cut off" in " ".join(of(short).reasons)
    assert any("fewer cells" in note for note in of(short + b"\r\n").notes)


@pytest.mark.parametrize("name", ["inventory.csv", "inventory.xls", "inventory", "inventory.txt"])
@pytest.mark.parametrize("kind", ["csv", "xlsx", "xls", "ods"])
def test_a_file_is_read_by_what_it_holds_and_not_by_its_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(MAKERS[kind]({}))
    meaning = profile(**ONE_SHEET)

    assert [one.outcome for one in check_rows(read_rows(path, meaning), meaning, TODAY)] == ["ready"]


def test_a_workbook_with_macros_is_read_and_they_are_not_run() -> None:
    plainly = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    macros = "application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    data = changed_parts(
        as_xlsx({}), {"[Content_Types].xml": lambda text: text.replace(plainly, macros)}, **{"xl/vbaProject.bin": "x"}
    )

    assert of(data).outcome == "ready"


def test_two_sheets_of_one_name_and_headings_that_are_not_there_are_told() -> None:
    def more(sheet: Any) -> None:
        sheet.title = "CSV "
        sheet.parent.create_sheet("CSV  ")

    with pytest.raises(FileFault, match="Several sheets"):
        of(as_xlsx({}, more))
    with pytest.raises(FileFault, match="Line 1 comes nearest; it lacks 'Slot', 'Tank no'"):
        of(as_xlsx({}), columns={**profile().columns, "tank": "Tank no", "position": "Slot"})
    rows = Rows(as_xlsx({}), profile(**ONE_SHEET, columns={**profile().columns, "sex": "Gender"}))
    assert "Sheet 'CSV' has no heading 'Gender': nothing is read for it." in rows.said
