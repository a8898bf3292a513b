"""Files as the field hands them in: what a spreadsheet program, an export or a hand has done to a value is met at its cell.

Each case stands for a kind; its neighbours are its cousins.
"""

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.styles import Font

from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.reading import Rows, open_book
from biobank.importing.sheets import FileFault
from tests.importing.test_import import GOOD, HEADINGS, TODAY, checked, profile, reasons, written

COLUMN = {name: at for at, name in enumerate(HEADINGS, start=1)}


def rewritten(path: Path, part: str, pattern: str, by: str) -> Path:
    """Change the text of one part of a packed file."""
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    text = parts[part].decode()
    assert re.search(pattern, text)
    parts[part] = re.sub(pattern, by, text).encode()
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return path


def of(path: Path, **changes: Any) -> list[CheckedRow]:
    meaning = profile(**changes)
    return check_rows(Rows(path.read_bytes(), meaning), meaning, TODAY)


def changed(tmp_path: Path, column: str, value: Any, number_format: str | None = None, **more: Any) -> CheckedRow:
    """One good row in which one cell holds `value` in a number format."""
    path = written(tmp_path, [GOOD | more])
    book = load_workbook(path)
    cell = book["Hair follicles"].cell(4, COLUMN[column])
    cell.value = value
    if number_format is not None:
        cell.number_format = number_format
    book.save(path)
    return of(path)[0]


@pytest.mark.parametrize("dimension", ["A1:C4", "A1", "A1:R2"])
def test_the_size_a_file_claims_does_not_hide_lines_or_columns(tmp_path: Path, dimension: str) -> None:
    rows = [GOOD | {"Vial": n, "Pos": f"A{n}"} for n in (1, 2, 3, 4)]
    path = rewritten(
        written(tmp_path, rows), "xl/worksheets/sheet1.xml", r'<dimension ref="[^"]*"', f'<dimension ref="{dimension}"'
    )

    assert [one.vial and one.vial.alias for one in of(path)] == ["HF-P1-1", "HF-P1-2", "HF-P1-3", "HF-P1-4"]


@pytest.mark.parametrize(
    ("text", "signs", "amount"),
    [
        ("2,000", {}, None),
        ("2.000", {}, None),
        ("2,000", {"decimal_sign": ".", "thousands_sign": ","}, 2000),
        ("2,000", {"decimal_sign": ","}, 2),
        ("2.000", {"decimal_sign": ",", "thousands_sign": "."}, 2000),
        ("2.000,0", {"decimal_sign": ",", "thousands_sign": "."}, 2000),
        ("1,234,567", {}, 1_234_567),
        ("2 000", {}, None),
        ("2 000", {"thousands_sign": " "}, 2000),
        ("1_000", {}, None),
        ("٣", {}, None),
        ("20 follicles", {}, None),
        ("<5", {}, None),
        ("NaN", {}, None),
        ("2,00", {"decimal_sign": ".", "thousands_sign": ","}, None),
    ],
)
def test_an_amount_in_a_text_has_one_reading_or_none(
    tmp_path: Path, text: str, signs: dict[str, Any], amount: int | None
) -> None:
    (one,) = checked(tmp_path, GOOD | {"Amount": text}, **signs)

    assert (one.vial.amount if one.vial else None) == amount
    assert (one.outcome == "refused") == (amount is None)


def test_a_heading_that_stands_twice_refuses_the_file_and_one_that_nobody_reads_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    book = load_workbook(path)
    sheet = book["Hair follicles"]
    sheet.cell(3, 19, "Other")
    sheet.cell(3, 20, "Other")
    book.save(path)
    assert [one.outcome for one in of(path)] == ["ready"]

    for again in ("Pos", " pos ", "Pos\u200b"):
        sheet.cell(3, 19, again)
        book.save(path)
        with pytest.raises(FileFault, match="'Pos' of sheet 'Hair follicles' stands in L3 and S3"):
            of(path)


@pytest.mark.parametrize(
    "several",
    [
        *("1, 2", "1;2", "1 & 2", "1+2", "1 and 2", "1 UND 2", "1 to 3", "1 bis 3"),
        *("1-3", "1 \u2013 3", "1..3", "3x", "x 2", "2 vials", "3 R\u00f6hrchen", "all", "beide", "V1-V3"),
    ],
)
def test_two_tubes_in_one_line_are_refused(tmp_path: Path, several: str) -> None:
    assert "Vial (H4) may name several. Write a line for each." in reasons(tmp_path, GOOD | {"Vial": several})[0]


@pytest.mark.parametrize("one", ["1x", "1 vial", "3-1", "1-1", "V1-V01", "1 of 3", "1/3", "A-1", "1a"])
def test_a_vial_that_is_one_of_several_is_one(tmp_path: Path, one: str) -> None:
    assert checked(tmp_path, GOOD | {"Vial": one})[0].outcome == "ready"


@pytest.mark.parametrize("column", ["Pt ID", "Last name", "Vial", "Box", "Pos"])
@pytest.mark.parametrize("sign", ['"', "''", "\u201d", '-"-', "ditto", "dto.", "s.o.", "see above", "As above"])
def test_a_sign_for_the_line_above_is_no_value(tmp_path: Path, column: str, sign: str) -> None:
    (one,) = checked(tmp_path, GOOD | {column: sign})

    assert one.outcome == "refused"
    assert any(reason.startswith(f"{column} (") and "line above" in reason for reason in one.reasons), one.reasons


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("Last name", text) for text in ("M√ºller", "M├╝ller", "M¸ller", "K‰se", "K„se", "Fr”hlich", "MŸller", "M\x9fller")),
        ("Pt ID", "Mü1\x80"),
    ],
)
def test_a_text_that_a_mac_or_a_dos_program_wrote_is_refused(tmp_path: Path, column: str, text: str) -> None:
    (one,) = checked(tmp_path, GOOD | {column: text})

    assert any(column in reason and "read in another" in reason for reason in one.reasons), one.reasons


@pytest.mark.parametrize(
    "name", ["Müller", "Škoda", "Kreuzer-Šimić", "Ÿ", "Łukasz", "O’Brien", "Nguyễn", "Иванов", "李", "Null", "Nan"]
)
def test_such_letters_in_a_name_are_letters(tmp_path: Path, name: str) -> None:
    (one,) = checked(tmp_path, GOOD | {"Last name": name})

    assert one.person is not None and one.person.family_name == name, one.reasons


@pytest.mark.parametrize("text", ["null", "NULL", "nil", "nan", "k.A.", "unbekannt", "missing", "n.a.", "xxx"])
def test_what_exports_write_for_nothing_is_nothing(tmp_path: Path, text: str) -> None:
    assert any("Pt ID (A4) is not given" in reason for reason in checked(tmp_path, GOOD | {"Pt ID": text})[0].reasons)


@pytest.mark.parametrize("column", ["DOB", "Collected", "Frozen"])
@pytest.mark.parametrize("day", ["1900-01-01", "1899-12-30", "01/01/1904", datetime(1900, 1, 1)])
def test_the_day_from_which_spreadsheets_count_is_no_day_of_anybody(tmp_path: Path, column: str, day: Any) -> None:
    (said,) = reasons(tmp_path, GOOD | {column: day})

    assert re.search(rf"{column} \(\w+\) is the day from which spreadsheets count", said), said


@pytest.mark.parametrize(
    ("column", "text", "one"),
    [
        ("Tank", "LN2-1 / LN2-2", False),
        ("Box", "2 & 3", False),
        ("Box", "1, 2", False),
        ("Rack", "1 or 2", False),
        ("Box", "2/3", True),
        ("Box", "Hair and fat", True),
        ("Tank", "LN2-1, cellar", True),
    ],
)
def test_a_place_is_one_place(tmp_path: Path, column: str, text: str, one: bool) -> None:
    (said,) = reasons(tmp_path, GOOD | {column: text})

    assert ("may name several" in said) != one, said


@pytest.mark.parametrize(
    ("text", "ready"), [("12345678901234500", False), ("1000000000000000", False), ("12345678901234567", True)]
)
def test_a_long_number_as_text_that_ends_in_noughts_may_have_lost_its_end(tmp_path: Path, text: str, ready: bool) -> None:
    assert (checked(tmp_path, GOOD | {"Pt ID": text})[0].outcome == "ready") == ready


@pytest.mark.parametrize("heading", ["pos", " Pos ", "POS\u200b", "P\u043es", "Pos\n", "\uff30\uff4f\uff53"])
def test_a_heading_that_looks_like_another_is_its_twin(tmp_path: Path, heading: str) -> None:
    path = written(tmp_path, [GOOD])
    book = load_workbook(path)
    book["Hair follicles"].cell(3, len(HEADINGS) + 1).value = heading
    book.save(path)

    with pytest.raises(FileFault, match="'Pos' of sheet 'Hair follicles' stands in L3 and S3"):
        of(path)


@pytest.mark.parametrize("column", ["Pt ID", "Vial", "Tank", "Rack", "Box", "Pos"])
@pytest.mark.parametrize("value", [datetime(2026, 3, 1), "2026-03-01 00:00:00", "1-Mar", "01. Mrz", "Mar-26", "1.10.2026"])
def test_an_identifier_that_became_a_date_is_refused(tmp_path: Path, column: str, value: Any) -> None:
    one = changed(tmp_path, column, value)

    assert one.outcome == "refused"
    assert any(f"{column} (" in reason and "date" in reason for reason in one.reasons)


@pytest.mark.parametrize("column", ["Pt ID", "Last name", "Pos", "Amount", "DOB", "Status", "Remarks"])
@pytest.mark.parametrize("value", ["#N/A", "#NAME?", "#REF!", "#DIV/0!", "#WERT!", "#NV", "########"])
def test_an_error_of_a_formula_is_no_value(tmp_path: Path, column: str, value: str) -> None:
    one = changed(tmp_path, column, value)

    assert one.outcome == "refused"
    assert any(reason.startswith(f"{column} (") and "error" in reason for reason in one.reasons)


@pytest.mark.parametrize(
    ("value", "number_format", "alias"),
    [
        (123, "000000", "HF-000123-1"),
        (123, "General", "HF-123-1"),
        (123, '"P"0', None),
        (123, "000-000", None),
        (123, "0.00", None),
        (1230000, "0.00E+00", None),
        (0.5, "0%", None),
        (12.5, "General", None),
        (123456789012345678, "General", None),
        (1234567890123456, "0", None),
        (123456789012345, "General", "HF-123456789012345-1"),
        ("123456789012345678", "@", "HF-123456789012345678-1"),
        ("1.23457E+17", "@", None),
        (True, "General", None),
        ("000123", "@", "HF-000123-1"),
    ],
)
def test_a_number_that_identifies_is_what_people_saw_or_nothing(
    tmp_path: Path, value: Any, number_format: str, alias: str | None
) -> None:
    one = changed(tmp_path, "Pt ID", value, number_format)

    assert (one.vial.alias if one.vial else None) == alias
    if alias is None:
        assert any(reason.startswith("Pt ID (A4) ") for reason in one.reasons)


@pytest.mark.parametrize(
    "raw", ["P1\u200b", "\ufeffP1", "P\u00ad1", "P1\u2060", "P1\u00a0", "\u202eP1\u202c", "P1_x0000_", "P1\ufe0f"]
)
def test_an_invisible_character_is_left_out_with_a_note(tmp_path: Path, raw: str) -> None:
    one = changed(tmp_path, "Pt ID", raw)

    assert one.vial is not None
    assert one.vial.alias == "HF-P1-1"
    assert any(note.startswith("Pt ID (A4)") for note in one.notes)


@pytest.mark.parametrize(
    ("column", "raw"),
    [
        ("Pt ID", "Р1"),  # Cyrillic Р
        ("Pt ID", "РС-1"),  # wholly Cyrillic, and every letter could be Latin
        ("Vial", "1А"),
        ("Pos", "В2"),
        ("Tank", "LΝ2"),  # Greek Ν
        ("Last name", "Quillfeаther"),
        ("Pt ID", "Ｐ1"),
        ("Pt ID", "P²"),
    ],
)
def test_a_letter_that_only_looks_latin_is_refused(tmp_path: Path, column: str, raw: str) -> None:
    one = changed(tmp_path, column, raw)

    assert one.outcome == "refused"
    assert any(reason.startswith(f"{column} (") and "looks like" in reason for reason in one.reasons)


def test_a_name_in_its_own_script_is_a_name(tmp_path: Path) -> None:
    for name in ("Пушкин", "Παπαδόπουλος", "Nguyễn", "Ærø", "علی\u200cرضا"):
        assert changed(tmp_path, "Last name", name).outcome == "ready"


def test_a_dash_on_the_sheet_is_the_hyphen_on_the_label(tmp_path: Path) -> None:
    one = changed(tmp_path, "Pt ID", "P–1")

    assert one.vial is not None
    assert one.vial.alias == "HF-P-1-1"
    assert any("hyphen" in note for note in one.notes)


@pytest.mark.parametrize("name", ["Na", "None", "Unk", "NA"])
def test_a_person_may_be_called_like_a_sign_for_nothing(tmp_path: Path, name: str) -> None:
    one = changed(tmp_path, "Last name", name)

    assert one.person is not None
    assert one.person.family_name == name
    assert any("taken as a name" in note for note in one.notes)


def test_one_name_in_two_encodings_is_one_person(tmp_path: Path) -> None:
    composed, decomposed = GOOD | {"Last name": "Jos\u00e9"}, GOOD | {"Last name": "Jose\u0301", "Vial": 2, "Pos": "D3"}

    both = checked(tmp_path, composed, decomposed)

    assert [one.outcome for one in both] == ["ready", "ready"]
    assert both[0].person is both[1].person


@pytest.mark.parametrize("kept", [10, 0.3, 0.9, 0.99])
def test_a_file_that_was_cut_off_cannot_be_read(tmp_path: Path, kept: float) -> None:
    data = written(tmp_path, [GOOD] * 40).read_bytes()
    cut = data[: int(kept if kept > 1 else kept * len(data))]

    with pytest.raises(FileFault, match="cannot be read"):
        check_rows(Rows(cut, profile()), profile(), TODAY)


def test_a_part_that_breaks_off_within_a_whole_package_cannot_be_read(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path, [GOOD] * 40), "xl/worksheets/sheet1.xml", r"(?s)</row><row r=\"20\".*", "<row")

    with pytest.raises(FileFault, match="breaks off"):
        of(path)


def test_a_formula_counts_with_its_last_value_and_without_one_it_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    book = load_workbook(path)
    book["Hair follicles"].cell(4, COLUMN["Amount"], "=10+10")
    book.save(path)
    never = of(path)[0]
    calculated = of(rewritten(path, "xl/worksheets/sheet1.xml", r"<v ?/>|<v></v>", "<v>20</v>"))[0]

    assert any("never calculated" in reason for reason in never.reasons)
    assert calculated.vial is not None
    assert calculated.vial.amount == 20
    assert any("is a formula" in note for note in calculated.notes)


@pytest.mark.parametrize(
    ("value", "number_format", "words"),
    [
        (0.88, "0%", "88%"),
        (0.885, "0.0%", "88.5%"),
        (88, "General", "88%"),
        (0.88, "General", None),
        (88, "0%", None),
        ("88 %", "@", "88%"),
        ("88,5", "@", "88.5%"),
        ("~88%", "@", "~88%"),
        ("0,88", "@", None),
        ("88-92", "@", None),
    ],
)
def test_a_percentage_is_read_with_its_format(tmp_path: Path, value: Any, number_format: str, words: str | None) -> None:
    one = changed(tmp_path, "Viab %", value, number_format)

    assert (one.vial is not None) == (words is not None)
    if one.vial is not None:
        assert (one.vial.words or "").endswith(f"Viability by the old record: {words}")


@pytest.mark.parametrize("number_format", ["0%", "#,##0,", '0" x10^6"', "0.0,,"])
def test_an_amount_whose_format_shows_something_else_is_refused(tmp_path: Path, number_format: str) -> None:
    assert any("format" in reason for reason in changed(tmp_path, "Amount", 20, number_format).reasons)


@pytest.mark.parametrize(
    ("value", "number_format", "reason"),
    [
        (datetime(2018, 11, 1), "mmm yy", "shows no day"),
        (43419, "General", "is no date"),
        (time(10, 30), "h:mm", "is a time"),
        (99_999_999, "yyyy-mm-dd", "no day has that number"),
        (-5, "yyyy-mm-dd", "lies before 1970"),
        (datetime(1900, 1, 1), "yyyy-mm-dd", "from which spreadsheets count"),
        (datetime(1969, 12, 31), "yyyy-mm-dd", "lies before 1970"),
        ("15.11.18", "@", "is no date"),
        ("15. Foo 2018", "@", "language"),
    ],
)
def test_a_day_that_a_spreadsheet_made_is_refused(tmp_path: Path, value: Any, number_format: str, reason: str) -> None:
    assert any(reason in one for one in changed(tmp_path, "Collected", value, number_format).reasons)


def test_days_count_from_where_the_file_counts_them(tmp_path: Path) -> None:
    """Files of old Macintoshes count from 1904; a day four years off would be believed."""
    path = written(tmp_path, [GOOD])
    book = load_workbook(path)
    book.epoch = datetime(1904, 1, 1)
    book["Hair follicles"].cell(4, COLUMN["Collected"], datetime(2018, 11, 15))
    book.save(path)

    one = of(path)[0]

    assert one.vial is not None
    assert one.vial.collected == date(2018, 11, 15)


def test_hidden_lines_and_columns_are_told_and_struck_out_or_merged_cells_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD | {"Vial": n, "Pos": f"A{n}"} for n in (1, 2, 3, 4, 5, 6)])
    book = load_workbook(path)
    sheet = book["Hair follicles"]
    sheet.row_dimensions[5].hidden = True
    sheet.column_dimensions["P"].hidden = True
    sheet.cell(6, COLUMN["Vial"]).font = Font(strike=True)
    sheet.merge_cells("B7:B8")
    sheet.cell(9, COLUMN["Remarks"]).value = CellRichText("was ", TextBlock(InlineFont(strike=True), "here"))
    book.save(path)
    rows = Rows(path.read_bytes(), profile())

    found = check_rows(rows, profile(), TODAY)

    assert [one.outcome for one in found] == ["ready", "ready", "refused", "ready", "refused", "refused"]
    assert found[1].notes == ["The line is hidden in the file."]
    assert "struck through" in found[2].reasons[0]
    assert found[4].reasons == [
        "Last name (B8) is part of the merged cells B7:B8, of which only the first holds a value. Unmerge."
    ]
    assert any("Column P3" in sentence for sentence in rows.said)


def test_a_sheet_nobody_named_and_a_hidden_one_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    book = load_workbook(path)
    book.create_sheet("Old vials").append(["Pt ID"])
    book["ADSC"].sheet_state = "hidden"
    book.save(path)

    said = Rows(path.read_bytes(), profile()).said

    assert "Sheet 'Old vials' is not named in the profile and was not read." in said
    assert "Sheet 'ADSC' is hidden in the file." in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Last name": "x" * 201}, "Last name (B4) is longer than 200"),
        ({"Pt ID": "1" * 81}, "Pt ID (A4) is longer than 80"),
        ({"Remarks": "x" * 2001}, "Remarks (R4) is longer than 2000"),
        ({"Tank": "x" * 81}, "Tank (I4) is longer than 80"),
        ({"Vial": "ü1"}, "Vial (H4) makes no identifier"),
        ({"Vial": "1" * 80}, "Vial (H4) makes no identifier"),
        ({"Last name": "M\ufffdller"}, "lost a letter"),
        ({"Last name": "MÃ¼ller"}, "one encoding and read in another"),
        ({"Last name": 12}, "not a name"),
        ({"DOB": "2018-11-17"}, "collected before its donor was born"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_its_cell(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    assert any(reason in one for one in changed(tmp_path, "Sex", "F", **change).reasons)


def test_a_number_written_in_two_ways_is_refused_and_two_peoples_numbers_are_not(tmp_path: Path) -> None:
    one_person = [GOOD | {"Pt ID": "P-1"}, GOOD | {"Pt ID": "P1", "Vial": 2, "Pos": "D3"}]
    two_people = [GOOD | {"Pt ID": "1-11"}, GOOD | {"Pt ID": "11-1", "Last name": "Other", "Vial": 2, "Pos": "D3"}]

    assert all("written in different ways" in reason for reason in reasons(tmp_path, *one_person))
    assert reasons(tmp_path, *two_people) == ["", ""]


@pytest.mark.parametrize(
    "data", [b"<html><table></table>", b"%PDF-1.7 x", b"<?xml version='1.0'?><Workbook/>", b"", b"PK\x03\x04", b"a\nb\n"]
)
def test_what_is_no_spreadsheet_says_so(data: bytes) -> None:
    with pytest.raises(FileFault):
        open_book(data)


def test_an_archive_that_claims_to_be_huge_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0")
    # The size stands in the directory at the end of the archive, 24 bytes into its only entry.
    data = bytearray(packed.getvalue())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (2**32 - 2).to_bytes(4, "little")

    with pytest.raises(FileFault, match="GiB"):
        open_book(bytes(data))


def test_the_lines_of_a_book_are_read_one_at_a_time() -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("S")
    for number in range(3):
        sheet.append([number])
    packed = io.BytesIO()
    book.save(packed)

    lines = open_book(packed.getvalue()).tables[0].lines()

    assert next(lines).cell(1).shown == "0"
    assert next(lines).cell(9).at == "I2"
