"""CSV, ODS and XLS: encoding and separator found and said, what people saw, and the whole way with a drafted profile."""

import io
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from biobank.importing.drafting import draft_profile
from biobank.importing.number_formats import shows_days
from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.profile import Profile
from biobank.importing.profile_faults import ProfileFault
from biobank.importing.reading import Rows, open_book
from biobank.importing.sheets import FileFault
from tests.importing.test_import import GOOD, HEADINGS, TODAY, profile

ONE_SHEET: dict[str, Any] = {"sheets": [{"name": "CSV", "material": "intact_follicles", "alias": "HF-{patient}-{vial}"}]}
FIXTURES = Path(__file__).parent / "fixtures"
GERMAN = (FIXTURES / "klinik.csv").read_bytes()
"""Semicolons, Windows-1252, decimal commas, German dates, two combined columns; its people are invented."""


def separated(separator: str, *rows: dict[str, Any]) -> str:
    lines = [HEADINGS, *([row[name] for name in HEADINGS] for row in rows)]
    return "\r\n".join(separator.join("" if value is None else str(value) for value in line) for line in lines)


def of(data: bytes, **changes: Any) -> list[CheckedRow]:
    meaning = profile(**(ONE_SHEET | changes))
    return check_rows(Rows(data, meaning), meaning, TODAY)


ROW = GOOD | {"Collected": "2018-11-15", "Last name": "Müller-Lüdenscheidt"}


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encoding_and_separator_are_found_and_said(separator: str, encoding: str) -> None:
    text = separated(separator, *[ROW | {"Vial": n, "Pos": f"A{n}"} for n in range(1, 9)])
    rows = Rows(text.encode(encoding), profile(**ONE_SHEET))

    found = check_rows(rows, profile(**ONE_SHEET), TODAY)

    assert [one.outcome for one in found] == ["ready"] * 8
    assert found[0].person is not None
    assert found[0].person.family_name == "Müller-Lüdenscheidt"
    assert any(sentence.startswith("Encoding: ") for sentence in rows.said)
    assert any(sentence.startswith("Separated by ") for sentence in rows.said)


def test_letters_wait_until_their_encoding_is_stated_and_a_wrong_one_refuses_the_file() -> None:
    data = separated(";", ROW).encode("cp1252")

    (found,) = of(data)
    assert "in cp1252? Then say `encoding`" in found.reasons[0]
    assert of(data, encoding="cp1252")[0].outcome == "ready"
    with pytest.raises(FileFault, match="not written in utf-8"):
        of(data, encoding="utf-8")
    with pytest.raises(FileFault, match="not written in no-such"):
        of(data, encoding="no-such")


def test_a_line_that_a_spreadsheet_program_put_above_names_the_separator() -> None:
    found = of(("sep=|\r\n" + separated("|", ROW)).encode())

    assert [(one.outcome, one.where.line) for one in found] == [("ready", 3)]


def test_a_separator_in_a_text_without_quotation_marks_is_refused_at_its_line() -> None:
    found = of(
        separated(";", ROW | {"Remarks": "first; second"}, ROW | {"Vial": 2, "Pos": "A2", "Remarks": '"first; second"'}).encode()
    )

    assert [one.outcome for one in found] == ["refused", "ready"]
    assert "more cells than there are headings" in found[0].reasons[0]


def test_lines_within_a_cell_do_not_move_the_numbers_of_the_lines() -> None:
    found = of(separated(";", ROW | {"Remarks": '"first\r\nsecond"'}, ROW | {"Vial": 2, "Pos": "A2"}).encode())

    assert [(one.where.line, one.outcome) for one in found] == [(2, "ready"), (4, "ready")]


def test_a_quotation_mark_that_is_never_closed_refuses_the_file() -> None:
    text = separated(";", *[ROW | {"Vial": n, "Pos": "A1"} for n in range(2000)]).replace("Müller", '"Müller', 1)

    with pytest.raises(FileFault, match="quotation mark"):
        of(text.encode())


@pytest.mark.parametrize(
    ("cell", "alias"),
    [
        ('="000123"', "HF-000123-1"),
        ("000123", "HF-000123-1"),
        ("=A1+1", None),
        ("=1+1", None),
        ("=$A$1", None),
        ("=-1", None),
        ("='Sheet 2'!A1", None),
        ("'000123", "HF-000123-1"),
        ("TRUE", None),
        ("wahr", None),
        ("2-Sep", None),
        ("Mar-01", None),
        ("1-2", "HF-1-2-1"),
        ("P\u202e1", "HF-P1-1"),
        ("P\u00ad1", "HF-P1-1"),
        ("\uff301", None),
        ("\u04201", None),
        ("#BEZUG!", None),
        ("1,23457E+11", None),
        ("123456789012345678", "HF-123456789012345678-1"),
    ],
)
def test_what_an_export_kept_of_an_identifier(cell: str, alias: str | None) -> None:
    (one,) = of(separated(";", ROW | {"Pt ID": cell}).encode())

    assert (one.vial.alias if one.vial else None) == alias


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("Collected", "15.11.18", "is no date"),
        ("Collected", "2018-11-15T23:30:00+02:00", "is no date"),
        ("Collected", "2018-11-15 10:30", "is no date"),
        ("Collected", "43419", "is no date"),
        ("Collected", "30.02.2018", "no day of the calendar"),
        ("Collected", "1900-02-29", "no day of the calendar"),
        ("Collected", "########", "is the error"),
        ("Amount", "1\u2009000", "is no number"),
        ("Amount", "1\u00a0000", "is no number"),
        ("Amount", "1'000", "is no number"),
        ("Amount", "1,000", "two different numbers"),
        ("Amount", "20 Mio", "is no number"),
        ("Amount", "-20", "is no number"),
        ("Amount", "~20", "is no number"),
        ("Amount", "20-25", "is no number"),
        ("Amount", "10\u00b2", "is no number"),
        ("Amount", "\u0662\u0660", "is no number"),
        ("Amount", "NaN", "is not known"),
        ("Amount", "TRUE", "is no number"),
        ("Viab %", "101", "is no percentage"),
        ("Viab %", "0,88", "two different numbers|may be a fraction"),
    ],
)
def test_a_value_that_an_export_left_unclear_is_refused_at_its_cell(column: str, cell: str, said: str) -> None:
    (one,) = of(separated(";", ROW | {column: cell}).encode())

    assert [reason for reason in one.reasons if reason.startswith(column) and re.search(said, reason)], one.reasons


@pytest.mark.parametrize(
    ("sign", "cell"),
    [(" ", "1\u2009000"), (" ", "1\u00a0000"), (" ", "1\u202f000"), ("'", "1'000"), (".", "1.000"), (",", "1,000")],
)
def test_a_thousands_sign_that_the_profile_states_is_read(sign: str, cell: str) -> None:
    (one,) = of(separated(";", ROW | {"Amount": cell}).encode(), thousands_sign=sign)

    assert one.vial is not None, one.reasons
    assert one.vial.amount == 1000


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\r\n\r\n"])
def test_every_end_of_a_line_ends_a_line(end: str) -> None:
    text = separated(";", ROW, ROW | {"Vial": 2, "Pos": "A2"}).replace("\r\n", end)

    assert [one.outcome for one in of(("Inventory 2019;;;" + end + text).encode())] == ["ready"] * 2


@pytest.mark.parametrize("name", ['"M\u00fcller', '"M\u00fcller" x', '"M\u00fcller"x'])
def test_quotation_marks_that_do_not_fit_refuse_the_file_and_lose_no_line(name: str) -> None:
    text = separated(";", ROW | {"Last name": name}, ROW | {"Vial": 2, "Pos": "A2"})

    with pytest.raises(FileFault, match="From line 2 on a quotation mark"):
        of(text.encode())


ODS_CELLS = {
    "plain": '<table:table-cell office:value-type="string"><text:p>{0}</text:p></table:table-cell>',
    "number": '<table:table-cell office:value-type="float" office:value="{0}"><text:p>{1}</text:p></table:table-cell>',
    "day": '<table:table-cell office:value-type="date" office:date-value="{0}"><text:p>{1}</text:p></table:table-cell>',
    "percent": '<table:table-cell office:value-type="percentage" office:value="{0}"><text:p>{1}</text:p></table:table-cell>',
    "struck": '<table:table-cell table:style-name="ce2" office:value-type="string"><text:p>{0}</text:p></table:table-cell>',
    "formula": '<table:table-cell table:formula="of:=1+1"/>',
    "noted": '<table:table-cell office:value-type="string"><office:annotation><text:p>a note</text:p></office:annotation>'
    "<text:p>{0}<text:s/>{1}</text:p></table:table-cell>",
    "covered": "<table:covered-table-cell/>",
}


def ods(changes: dict[str, str], row: str = "<table:table-row>", columns: str = "") -> bytes:
    names = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text", "style"))
    headings = "".join(ODS_CELLS["plain"].format(name) for name in HEADINGS)
    values = {name: ODS_CELLS["plain"].format("" if GOOD[name] is None else GOOD[name]) for name in HEADINGS}
    values |= {"Collected": ODS_CELLS["day"].format("2018-11-15", "15.11.2018")} | changes
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:automatic-styles><style:style style:name="ce2">'
        '<style:text-properties style:text-line-through-style="solid"/></style:style></office:automatic-styles><office:body>'
        f'<office:spreadsheet><table:table table:name="CSV">{columns}<table:table-row>{headings}</table:table-row>'
        f"{row}{''.join(values.values())}</table:table-row>"
        '<table:table-row table:number-rows-repeated="1048574"><table:table-cell table:number-columns-repeated="16384"/>'
        "</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("Pt ID", ODS_CELLS["number"].format("123", "000123"), "HF-000123-1"),
        ("Pt ID", ODS_CELLS["number"].format("123", "123"), "HF-123-1"),
        ("Pt ID", ODS_CELLS["noted"].format("P", "1"), "HF-P 1-1"),
        ("Pt ID", ODS_CELLS["number"].format("1.23456789012346E+017", "1,23E+17"), "more than 15 digits"),
        ("Pt ID", ODS_CELLS["number"].format("123", "P-123"), "hides how it is shown"),
        ("Vial", ODS_CELLS["day"].format("2026-03-01", "01.03.26"), "is a date"),
        ("Vial", ODS_CELLS["struck"].format("1"), "struck through"),
        ("Amount", ODS_CELLS["formula"], "never calculated"),
        ("Amount", ODS_CELLS["number"].format("20", "20 Mio"), "format"),
        ("Amount", ODS_CELLS["percent"].format("20", "2000 %"), "format"),
        ("Collected", ODS_CELLS["day"].format("2018-11-01", "Nov 18"), "shows no day"),
        ("Collected", ODS_CELLS["day"].format("2018-11-02", "² Nov 18"), "shows no day"),
        ("Pos", ODS_CELLS["plain"].format("#WERT!"), "error"),
        ("Last name", ODS_CELLS["covered"], "merged"),
    ],
)
def test_an_ods_file_is_read_as_people_saw_it(column: str, cell: str, said: str) -> None:
    (one,) = of(ods({column: cell}))

    assert said in (one.vial.alias if one.vial else " ".join(one.reasons))


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("dd.mm.yyyy", True),
        ("[$-409]d-mmm", True),
        ("TT.MM.JJJJ", True),
        ("[Red]mmm yyyy", False),
        ('mmm "day" yyyy', False),
        (r"mmm\d yyyy", False),
        ("mmm yyyy", False),
    ],
)
def test_a_day_is_shown_by_the_format_and_not_by_a_colour_or_a_word_in_it(pattern: str, shown: bool) -> None:
    assert shows_days(pattern) == shown


def test_a_hidden_line_of_an_ods_file_is_told() -> None:
    (one,) = of(ods({}, row='<table:table-row table:visibility="filter">'))

    assert one.outcome == "ready"
    assert "The line is hidden in the file." in one.notes


def test_an_old_excel_file_shows_formats_errors_hidden_and_struck_out_cells() -> None:
    data = (FIXTURES / "old.xls").read_bytes()
    rows = Rows(data, profile())

    found = check_rows(rows, profile(), TODAY)

    assert [one.vial.alias if one.vial else " ".join(one.reasons) for one in found][:3] == ["HF-000123-1", "HF-P1-2", "HF-P1-3"]
    assert found[1].notes == ["The line is hidden in the file."]
    assert [one.outcome for one in found[3:]] == ["refused"] * 5
    for one, words in zip(found[3:], ["error #N/A", "is a date", "struck through", "more than 15 digits", "merged"], strict=True):
        assert words in " ".join(one.reasons)
    assert any("formulas" in sentence for sentence in rows.said)
    with pytest.raises(FileFault, match="cannot be read"):
        Rows(data[: len(data) // 2], profile())


def gone_through(draft: str) -> str:
    """What a person of the clinic makes of the draft: they say what only they know."""
    for before, after in (
        ('clinic_site = ""', 'clinic_site = "CLINIC"'),
        ('bank_site = ""', 'bank_site = "LAB"'),
        ('"w" = ""', '"w" = "female"'),
        ('"m" = ""', '"m" = "male"'),
        ('"Mio. Zellen" = { unit = "", factor = 1 }', '"Mio. Zellen" = { unit = "cells", factor = 1_000_000 }'),
        ('"Follikel" = { unit = "", factor = 1 }', '"Follikel" = { unit = "follicles" }'),
        ('"eingelagert" = ""', '"eingelagert" = "stored"'),
        ('"verworfen" = ""', '"verworfen" = "gone"'),
        ('"ADSC" = ""', '"ADSC" = "adsc"'),
        ('"Haarfollikel" = ""', '"Haarfollikel" = "intact_follicles"'),
    ):
        assert before in draft, before
        draft = draft.replace(before, after)
    return draft


def test_the_spreadsheet_of_a_german_clinic_is_imported_with_a_profile_that_was_drafted_and_edited() -> None:
    draft = draft_profile(open_book(GERMAN), "klinik")

    with pytest.raises(ProfileFault):
        Profile.of(tomllib.loads(draft))
    meaning = Profile.parsed(gone_through(draft))
    found = check_rows(Rows(GERMAN, meaning), meaning, TODAY)

    assert [one.outcome for one in found] == ["ready", "ready", "ready", "gone", "refused", "refused"]
    first, second = found[0].vial, found[1].vial
    assert first is not None
    assert second is not None
    assert (first.person.family_name, first.person.given_names, first.person.sex) == ("Müller-Lüdenscheidt", "Jürgen", "male")
    assert (first.alias, first.material, first.amount, first.unit, first.passage) == (
        "FK-2019-0001",
        "adsc",
        7_500_000,
        "cells",
        3,
    )
    assert (first.place, first.slot) == (("T1", "R2", "B3"), "H7")
    assert (str(first.collected), str(first.frozen)) == ("2019-03-15", "2019-04-02")
    assert first.words == "aufgetaut prüfen. Viability by the old record: 92.5%"
    assert (second.material, second.amount) == ("intact_follicles", 1250)
    assert any("does not read as {tank}/{rack}/{box}/{position}" in reason for reason in found[4].reasons)
    assert any("Menge" in reason for reason in found[5].reasons)


def test_a_draft_names_every_heading_and_marks_what_only_a_person_knows() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Proben"
    for line in (
        ["Liste"],
        [],
        ["Pt ID", "Nachname", "Vorname", "Geburtsdatum", "Pos", "Unbekannt"],
        ["1", "A", "B", "13.05.1970", "A1", "x"],
    ):
        sheet.append(line)
    packed = io.BytesIO()
    book.save(packed)

    draft = draft_profile(open_book(packed.getvalue()), "old bank")

    document = tomllib.loads(draft)
    assert document["issuer"] == "OLD_BANK"
    assert document["columns"] == {
        "patient": "Pt ID",
        "family_name": "Nachname",
        "given_names": "Vorname",
        "date_of_birth": "Geburtsdatum",
        "position": "Pos",
    }
    assert document["date_order"] == "day_first"
    assert '# not used: "Unbekannt"' in draft
    assert '# status = ""  # TO SAY' in draft


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_mutation_of_a_real_file_makes_a_reader_stumble(data: st.DataObject) -> None:
    """Bytes changed, cut out or doubled: a file is read, or refused with a sentence; nothing else comes out."""
    whole = data.draw(
        st.sampled_from([GERMAN, ods({}), (FIXTURES / "old.xls").read_bytes(), separated(";", ROW).encode("utf-16")])
    )
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(changed) - 1)))
        length = data.draw(st.integers(0, 40))
        changed[at : at + length] = data.draw(st.binary(max_size=40))
    try:
        for table in open_book(bytes(changed)).tables:
            meaning = profile(**ONE_SHEET)
            check_rows(Rows(bytes(changed), meaning), meaning, TODAY)
            assert table.name is not None
    except FileFault as refusal:
        assert refusal.detail


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_a_reader_stumble(data: bytes) -> None:
    try:
        open_book(data)
    except FileFault as refusal:
        assert refusal.detail
