"""An old spreadsheet: every row checked, nothing guessed, what is ready imported through the ledger, once."""

import re
import tomllib
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import text
from sqlmodel import Session

from biobank.importing import cells
from biobank.importing.cells import Unclear
from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.profile import Profile
from biobank.importing.profile_faults import ProfileFault
from biobank.importing.reading import read_rows
from biobank.importing.report import line_of
from biobank.importing.service import Result, at_console, import_ready
from biobank.importing.sheets import Cell, FileFault, Value
from biobank.importing.texts import text_cell
from tests.conftest import Api, TestBank
from tests.storage.test_every_way_of_placing import a_tube, stored_with_the_slot_unknown

DOCUMENT = tomllib.loads(
    re.findall(r"```toml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "importing.md").read_text(), re.S)[0]
) | {"clinic_site": "CLINIC", "bank_site": "LAB"}
TODAY = date(2026, 11, 25)
HEADINGS = list(DOCUMENT["columns"].values())
GOOD: dict[str, Any] = {
    "Pt ID": "P1",
    "Last name": "Quillfeather",
    "First name": "Mary",
    "DOB": "1961-07-23",
    "Sex": "F",
    "Collected": datetime(2018, 11, 16),
    "Frozen": "11/17/2018",
    "Vial": 1,
    "Tank": "LN2-1",
    "Rack": "C",
    "Box": 2,
    "Pos": "D2",
    "Amount": 20,
    "Unit": "follicles",
    "P#": "n/a",
    "Viab %": None,
    "Status": "Stored",
    "Remarks": "see paper file",
}
ADSC = GOOD | {"Amount": 7.1, "Unit": "x10^6 cells", "P#": "P3", "Viab %": "~88%", "Pos": "A1"}


def profile(**changes: Any) -> Profile:
    return Profile.of(DOCUMENT | changes)


def written(tmp_path: Path, hair: list[dict[str, Any]], adsc: list[dict[str, Any]] | None = None) -> Path:
    book = Workbook()
    del book["Sheet"]
    for title, rows in (("Hair follicles", hair), ("ADSC", adsc or [])):
        sheet = book.create_sheet(title)
        sheet.append([f"{title} inventory - DO NOT EDIT"])
        sheet.append([])
        sheet.append(HEADINGS)
        for row in rows:
            sheet.append([row[name] for name in HEADINGS])
    path = tmp_path / "inventory.xlsx"
    book.save(path)
    return path


def checked(tmp_path: Path, *hair: dict[str, Any], adsc: list[dict[str, Any]] | None = None, **changes: Any) -> list[CheckedRow]:
    meaning = profile(**changes)
    return check_rows(read_rows(written(tmp_path, list(hair), adsc), meaning), meaning, TODAY)


def reasons(tmp_path: Path, *hair: dict[str, Any], **changes: Any) -> list[str]:
    return [" ".join(one.reasons) for one in checked(tmp_path, *hair, **changes)]


def cell(value: Value) -> Cell:
    return Cell("A1", value, value if isinstance(value, str) else None)


def imported(bank: TestBank, ready: list[CheckedRow]) -> list[Result]:
    return [result for some in import_ready(at_console(bank.bank), ready, profile(), lambda _done, _of: None) for result in some]


def test_a_whole_row_is_ready(tmp_path: Path) -> None:
    (hair, adsc) = checked(tmp_path, GOOD, adsc=[ADSC])

    assert hair.outcome == adsc.outcome == "ready"
    assert hair.vial is not None
    assert adsc.vial is not None
    assert (hair.vial.collected, hair.vial.frozen) == (date(2018, 11, 16), date(2018, 11, 17))
    assert (hair.vial.place, hair.vial.slot, hair.vial.alias) == (("LN2-1", "C", "2"), "D2", "HF-P1-1")
    assert (adsc.vial.amount, adsc.vial.unit, adsc.vial.passage) == (7_100_000, "cells", 3)
    assert "~88%" in (adsc.vial.words or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Pt ID": None}, "a neighbouring line is no proof"),
        ({"Last name": " "}, "Last name (B4) is not given"),
        ({"DOB": None}, "DOB (D4) is not given"),
        ({"DOB": "2031-01-01"}, "DOB (D4) is no date of birth"),
        ({"Sex": "w"}, "Sex (E4) is neither F nor M"),
        ({"Collected": "31/31/2018"}, "Collected (F4) is no day"),
        ({"Frozen": "17 Nov 2028"}, "Frozen (G4) lies in the future"),
        ({"Frozen": "14 Nov 2018"}, "frozen before it was collected"),
        ({"Frozen": "soon"}, "Frozen (G4) is no date"),
        ({"Vial": None}, "Vial (H4) is not given"),
        ({"Tank": None}, "Tank (I4) is not given"),
        ({"Pos": "K12"}, "Pos (L4) lies outside a box of 9 × 9"),
        ({"Pos": "?"}, "Pos (L4) is not given"),
        ({"Amount": "?"}, "Amount (M4) is not known"),
        ({"Amount": 0.5}, "Amount (M4) is no whole number"),
        ({"Unit": "cells"}, "Unit (N4) is a word that the profile does not explain"),
        ({"Unit": "x10^6 cells"}, "are not counted in cells"),
        ({"Viab %": 140}, "Viab % (P4) is no percentage"),
        ({"Status": "Maybe"}, "Status (Q4) is a word that the profile does not explain"),
    ],
)
def test_a_row_that_leaves_something_open_is_refused_with_a_reason(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    assert reason in reasons(tmp_path, GOOD | change)[0]


def test_a_date_of_numbers_is_read_in_the_stated_order_and_without_one_only_when_it_is_one_day(tmp_path: Path) -> None:
    row = GOOD | {"Collected": "05/06/2018", "Frozen": "13/06/2018"}

    assert "may be two different days" in reasons(tmp_path, row, date_order=None)[0]
    assert "read month first" in reasons(tmp_path, row)[0]
    assert reasons(tmp_path, row, date_order="day_first") == [""]


def test_capitals_and_blanks_do_not_matter_and_are_noted(tmp_path: Path) -> None:
    other = {"Sex": "f", "Last name": "Quillfeather ", "Tank": "ln2-1", "Vial": 2, "Pos": "D3"}
    both = checked(tmp_path, GOOD, GOOD | other)

    assert [one.outcome for one in both] == ["ready", "ready"]
    assert both[0].notes == []
    assert len(both[1].notes) == 3


def test_one_number_for_two_people_refuses_every_row_of_it(tmp_path: Path) -> None:
    other = GOOD | {"DOB": "1962-07-23", "Vial": 2, "Pos": "D3"}

    assert all("different names, birth dates or sexes" in reason for reason in reasons(tmp_path, GOOD, other))


def test_a_double_booked_slot_refuses_both_also_when_one_is_refused_already(tmp_path: Path) -> None:
    other = GOOD | {"Pt ID": None, "Tank": "ln2-1", "Vial": 2}
    gone = GOOD | {"Vial": 3, "Status": "Used"}

    first, second, third = reasons(tmp_path, GOOD, other, gone)

    assert "The same position is claimed in Hair follicles:5 too" in first
    assert "The same position is claimed in Hair follicles:4 too" in second
    assert third == ""


def test_one_old_identifier_for_two_vials_refuses_both(tmp_path: Path) -> None:
    assert all("The same patient and vial number" in r for r in reasons(tmp_path, GOOD, GOOD | {"Pos": "D3"}))


def test_what_is_ready_is_imported_through_the_ledger_and_once(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    ready = checked(tmp_path, GOOD, GOOD | {"Vial": 2, "Pos": "D3"}, adsc=[ADSC | {"Pt ID": "P2", "Last name": "Other"}])

    done = imported(bank, ready)

    assert [one.outcome for one in done] == ["imported"] * 3
    first = api.lab_tech.get(f"/specimens/{done[0].code}").json()
    assert (first["custody"]["state"], first["custody"]["condition"], first["custody"]["quality"]) == (
        "stored",
        "frozen",
        "quarantined",
    )
    assert [alias["value"] for alias in first["aliases"]] == ["HF-P1-1"]
    history = api.lab_tech.get(f"/specimens/{done[0].code}/custody").json()["items"]
    assert [(e["kind"], e["source"]) for e in history] == [
        ("specimen.imported", "import"),
        ("specimen.stored", "import"),
        ("specimen.aliased", "import"),
    ]
    assert history[0]["body"]["evidence"].endswith("#1:4")
    found = api.clinician.post("/donors/search", json={"external_id": {"issuer": "OLD_BANK", "value": "P1"}}).json()["items"]
    assert [match["donor"] for match in found] == [first["donor"]]
    scanned = api.lab_tech.post("/scans", json={"text": "HF-P1-2"}).json()
    assert scanned["code"] == done[1].code

    again = imported(bank, ready)

    assert [(one.outcome, one.code) for one in again] == [("already", one.code) for one in done]
    boxes = bank.write(lambda s: s.execute(text("SELECT count(*) FROM storage_container WHERE kind = 'box'")).scalar())
    assert boxes == 1


def test_a_taken_slot_and_a_number_of_somebody_else_are_refused(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    imported(bank, checked(tmp_path, GOOD))

    slot = imported(bank, checked(tmp_path, GOOD | {"Pt ID": "P2", "Last name": "Other"}))[0]
    person = imported(bank, checked(tmp_path, GOOD | {"Last name": "Other", "Vial": 2, "Pos": "E1"}))[0]

    assert (slot.outcome, slot.reason) == ("refused", "A tube of this bank is in that position already. Look into the box.")
    assert person.outcome == "refused"
    assert "another name, birth date or sex" in (person.reason or "")


def test_an_import_leaves_room_for_the_tubes_of_a_box_whose_slot_is_unknown(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    (first,) = imported(bank, checked(tmp_path, GOOD))
    box = api.lab_tech.get(f"/specimens/{first.code}").json()["custody"]["container"]
    slots = api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]
    others = [slot["label"] for slot in slots if slot["specimen"] is None and slot["label"] not in ("E1", "E2")]
    marked = {"positions": others, "mark": "blocked", "reason": "iced_up"}
    assert api.lab_tech.post(f"/storage-containers/{box}/slots", json=marked).status_code == 200
    assert stored_with_the_slot_unknown(api, a_tube(api), "", box, lambda: None)[0] == 201

    two = checked(tmp_path, GOOD | {"Vial": 2, "Pos": "E1"}, GOOD | {"Vial": 3, "Pos": "E2"})

    assert sorted((one.outcome, one.reason) for one in imported(bank, two)) == [
        ("imported", None),
        ("refused", "The box has no room left beside the tubes in it whose position is unknown. Look into the box."),
    ]


def test_an_import_asks_what_every_way_of_placing_asks(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    (first,) = imported(bank, checked(tmp_path, GOOD))
    donor = api.lab_tech.get(f"/specimens/{first.code}").json()["donor"]
    box = api.lab_tech.get(f"/specimens/{first.code}").json()["custody"]["container"]
    blocked = {"positions": ["D4"], "mark": "blocked", "reason": "damaged"}
    assert api.lab_tech.post(f"/storage-containers/{box}/slots", json=blocked).status_code == 200
    bank.write(lambda s: s.execute(text("UPDATE storage_container SET temperature_class = 'minus_80' WHERE name = 'LN2-1'")))

    slot, warm = (imported(bank, checked(tmp_path, GOOD | {"Vial": n, "Pos": p}))[0] for n, p in ((2, "D4"), (3, "D5")))

    assert (slot.outcome, warm.outcome) == ("refused", "refused")
    assert "frozen intact follicles" in (warm.reason or "")
    bank.write(lambda s: s.execute(text("UPDATE storage_container SET temperature_class = 'ln2_vapour' WHERE name = 'LN2-1'")))
    (slot,) = imported(bank, checked(tmp_path, GOOD | {"Vial": 2, "Pos": "D4"}))
    assert (slot.outcome, slot.reason) == ("refused", "D4 is blocked: damaged. Choose another place.")
    assert api.quality.post(f"/donors/{donor}/isolation", json={"kept_apart": True, "reason": "reactive"}).status_code == 200
    (apart,) = imported(bank, checked(tmp_path, GOOD | {"Vial": 4, "Pos": "D6"}))
    assert "kept apart" in (apart.reason or "")

    # A second person's tube: a slot kept for the first, a fridge, and a tank for infectious material only.
    second = GOOD | {"Pt ID": "P2", "Last name": "Other"}

    def refused(pos: str, kept_in: str = "ln2_vapour", *, isolated: bool = False) -> str:
        statement = text("UPDATE storage_container SET temperature_class = :kept_in, isolated = :isolated WHERE name = 'LN2-1'")
        bank.write(lambda s: s.execute(statement, {"kept_in": kept_in, "isolated": isolated}))
        (one,) = imported(bank, checked(tmp_path, second | {"Pos": pos}))
        assert one.outcome == "refused"
        return one.reason or ""

    kept = {"positions": ["D7"], "mark": "kept", "kept_for": donor}
    assert api.lab_tech.post(f"/storage-containers/{box}/slots", json=kept).status_code == 200
    assert "kept for the tubes of another donor" in refused("D7")
    assert "is frozen and" in refused("D8", "fridge")
    assert "for infectious material only" in refused("D8", isolated=True)


def test_no_name_reaches_an_event(api: Api, tmp_path: Path) -> None:
    imported(api.test_bank, checked(tmp_path, GOOD | {"Remarks": "Aunt Zephyrine called"}))

    log = api.test_bank.write(lambda s: [r[0] for r in s.execute(text("SELECT convert_from(entry, 'UTF8') FROM event"))])

    assert not [entry for entry in log for word in ("Quillfeather", "Zephyrine", "HF-P1", "1961") if word in entry]


def test_a_file_or_profile_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    text_file = tmp_path / "notes.xlsx"
    text_file.write_text("not a spreadsheet")
    columns = DOCUMENT["columns"]

    with pytest.raises(FileFault, match="no spreadsheet"):
        read_rows(text_file, profile())
    with pytest.raises(FileFault, match="headings"):
        read_rows(path, profile(columns=columns | {"patient": "Patient"}))
    with pytest.raises(FileFault, match="no sheet"):
        read_rows(path, profile(sheets=[{"name": "SVF", "material": "svf", "alias": "S-{patient}-{vial}"}]))
    changes: tuple[dict[str, Any], ...] = (
        {"columns": columns | {"pet": "Dog"}},
        {"columns": {}},
        {"date_order": "american"},
        {"temperature_class": "fridge"},
        {"sheets": [{"name": "ADSC", "material": "adsc", "alias": "AD-{vial}---"}]},
        {"surprise": 1},
    )
    for change in changes:
        with pytest.raises(ProfileFault):
            profile(**change)


DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1)).filter(lambda day: day not in cells.NOUGHTS)
"""Days that a cell may say; what a program writes for nought is asked about, in `test_files_of_the_field.py`."""


@given(DAYS, st.sampled_from(["day_first", "month_first"]))
def test_a_date_survives_every_way_of_writing_it(day: date, order: cells.DateOrder) -> None:
    numbers = f"{day:%d/%m/%Y}" if order == "day_first" else f"{day:%m/%d/%Y}"
    month = list(cells.MONTHS)[list(cells.MONTHS.values()).index(day.month)]

    for written_as in (day, day.isoformat(), f"{day.isoformat()} 00:00:00", f"{day.day}. {month} {day.year}", numbers):
        assert cells.day_of(cell(written_as), order) == day


@given(DAYS)
def test_without_an_order_a_date_of_numbers_is_right_or_unclear(day: date) -> None:
    try:
        assert cells.day_of(cell(f"{day:%m/%d/%Y}"), None) == day
        assert day.day > 12 or day.day == day.month
    except Unclear:
        assert day.day <= 12


@given(st.integers(1, 10**9), st.integers(0, 6))
def test_an_amount_is_exact_or_refused(number: int, decimals: int) -> None:
    written_as = f"{number // 10**decimals}.{number % 10**decimals:0{decimals}d}" if decimals else str(number)

    signs = cells.Signs(".", ",")
    assert cells.amount_of(cell(written_as), 10**6, signs) == number * 10 ** (6 - decimals)
    if number % 10**decimals:
        with pytest.raises(Unclear):
            cells.amount_of(cell(written_as), 1, signs)


@given(st.text(max_size=30))
def test_no_cell_makes_a_rule_stumble(written_as: str) -> None:
    for rule in (
        lambda c: cells.day_of(c, None),
        cells.sex_of,
        lambda c: cells.amount_of(c, 1),
        cells.passage_of,
        lambda c: cells.slot_of(c, 9, 9),
        cells.percent_of,
        cells.identifier_of,
        cells.name_of,
    ):
        try:
            rule(text_cell("A1", written_as))
        except Unclear as unclear:
            assert str(unclear)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"Amount": 21}, "amount"),
        ({"Collected": "11/14/2018"}, "day of collection"),
        ({"Frozen": "11/16/2018"}, "day of freezing"),
        ({"Pos": "E5"}, "slot"),
    ],
)
def test_a_second_tube_with_one_number_is_never_here_already(
    api: Api, tmp_path: Path, change: dict[str, Any], differs: str
) -> None:
    """Its identifier and what it is make a tube; the second one with the number lies somewhere, and somebody must look."""
    first = imported(api.test_bank, checked(tmp_path, GOOD))[0]

    (again,) = imported(api.test_bank, checked(tmp_path, GOOD))
    (second,) = imported(api.test_bank, checked(tmp_path, GOOD | change))

    assert (again.outcome, again.code) == ("already", first.code)
    assert second.outcome == "refused"
    assert f"differs in: {differs}." in (second.reason or "")


def test_one_donor_who_is_refused_leaves_the_others_of_the_portion_be(api: Api, tmp_path: Path) -> None:
    imported(api.test_bank, checked(tmp_path, GOOD))
    rows = [GOOD | {"Last name": "Other", "Vial": 2, "Pos": "E1"}, GOOD | {"Pt ID": "P2", "Vial": 1, "Pos": "E2"}]

    done = imported(api.test_bank, checked(tmp_path, *rows))

    assert sorted(one.outcome for one in done) == ["imported", "refused"]


def without(*fields: str, **constants: str) -> dict[str, Any]:
    """A profile that says of some fields what is the same in every line, in the place of their columns."""
    columns = {field: heading for field, heading in DOCUMENT["columns"].items() if field not in fields}
    return {"columns": columns, "constants": constants}


def test_a_constant_of_the_profile_is_read_in_every_line_and_its_column_in_none(tmp_path: Path) -> None:
    said = without("tank", "unit", "amount", "status", tank="LN2-9", unit="follicles", amount="12", status="Stored")
    row = GOOD | {"Tank": "elsewhere", "Unit": "buckets", "Amount": "?", "Status": "Used"}
    found = checked(tmp_path, row, row | {"Vial": 2, "Pos": "D3"}, **said)

    assert [one.vial and (one.vial.place, one.vial.amount, one.vial.unit) for one in found] == [
        (("LN2-9", "C", "2"), 12, "follicles"),
        (("LN2-9", "C", "2"), 12, "follicles"),
    ]


@pytest.mark.parametrize(
    ("field", "constant", "reason"),
    [
        ("amount", "1,500", "may be two different numbers"),
        ("collected", "05/06/2018 or later", "Collected"),
        ("tank", "LN2\u200b-9", ""),
        ("unit", "buckets", "Unit"),
        ("tank", " ", "Tank"),
    ],
)
def test_a_constant_is_judged_as_a_cell_is(tmp_path: Path, field: str, constant: str, reason: str) -> None:
    (one,) = checked(tmp_path, GOOD, **without(field, **{field: constant}))

    assert (one.outcome, reason in " ".join(one.reasons)) == ("refused" if reason else "ready", True)
    assert one.vial is None or one.vial.place[0] == "LN2-9"


def test_an_empty_line_is_no_tube_of_constants(tmp_path: Path) -> None:
    nothing = dict.fromkeys(GOOD)

    assert len(checked(tmp_path, GOOD, nothing, **without("tank", tank="LN2-9"))) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"constants": {"tank": "LN2-9"}}, "said twice"),
        ({"constants": {"tonk": "LN2-9"}}, "no field of an import: tonk"),
        ({"constants": {"tank": 9}}, "constants tank must be a text in quotation marks"),
    ],
)
def test_a_constant_that_cannot_be_meant_is_refused_with_the_profile(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProfileFault, match=words):
        profile(**changes)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a field that is none": ({"columns": DOCUMENT["columns"] | {"pet": "Dog"}}, "no field of an import: pet"),
    "a column too few": ({"columns": {}}, "missing, in a column or as a constant: amount, box"),
    "an order of dates": ({"date_order": "american"}, "date_order must be day_first or month_first"),
    "a name that is misspelt": ({"surprise": 1}, "surprise is nothing that a profile says"),
    "an issuer": ({"issuer": "é"}, "issuer must be 2 to 40 capital letters"),
    "a site": ({"clinic_site": "harbour"}, "clinic_site must be the code of a site"),
    "the size of a box": ({"box_rows": 0, "box_cols": "x"}, "box_rows must be 1 or more; box_cols must be a whole number"),
    "a unit": ({"units": {"vials": {"unit": "vial"}}}, "units vials unit must be follicular_units, follicles"),
    "a status": ({"status": {"ok": "here"}}, "status ok must be stored, held or gone"),
    "no sheet": ({"sheets": []}, "sheets must not be empty"),
    "an alias": ({"sheets": [{"name": "A", "alias": "{patient}-{vial}é"}]}, "sheets 1 alias must be of plain letters"),
    "a sign": ({"thousands_sign": "|"}, "thousands_sign must be a full stop, a comma, a blank or an apostrophe"),
    "an encoding": ({"encoding": "a b"}, "encoding must be the name of an encoding"),
    "nothing": ({"room": None}, "room must be a text in quotation marks"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_a_profile_is_said_in_plain_words(name: str) -> None:
    changes, words = FAULTS[name]
    with pytest.raises(ProfileFault) as refused:
        profile(**changes)

    assert words in refused.value.detail
    assert not re.search(r"Input should|String should|pattern|\[type=|\^|Value error|body|None", refused.value.detail)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"issuer = \n", "cannot be read"),
        (b'issuer = "A"\nissuer = "B"\n', "no name stands twice"),
        (b'issuer = "A"\n???\n', "at line 2, column 1"),
        (b"a = " + b"[" * 5000, "cannot be read"),
        (b"\xff\xfe", "not written in UTF-8"),
        (None, "Check its name"),
    ],
)
def test_a_profile_that_is_no_text_of_the_kind_says_what_to_do(tmp_path: Path, text: bytes | None, words: str) -> None:
    path = tmp_path / "profile.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ProfileFault, match=words) as refused:
        Profile.read(path)

    assert "Errno" not in refused.value.detail and "codec" not in refused.value.detail


def test_a_place_that_keeps_nothing_frozen_starts_the_clock_of_what_is_imported_into_it_and_says_so(
    bank: TestBank, api: Api, tmp_path: Path
) -> None:
    def brought_in(pos: str) -> Result:
        (found,) = checked(tmp_path, GOOD | {"Pos": pos, "Vial": pos, "Pt ID": pos})
        (results,) = import_ready(at_console(bank.bank), [found], profile(), lambda *_: None)
        return results[0]

    def out_since(result: Result) -> Any:
        return api.lab_tech.get(f"/specimens/{result.code}").json()["custody"]["out_since"]

    cold = brought_in("A1")
    assert (cold.outcome, list(cold.said), out_since(cold)) == ("imported", [], None)

    for change in ("lifted_at = now()", "lifted_at = NULL, purpose = 'quarantine', temperature_class = 'fridge'"):
        statement = text(f"UPDATE storage_container SET {change} WHERE name = 'LN2-1'")
        bank.write(partial(Session.execute, statement=statement))
        warm = brought_in("B1" if "now" in change else "C1")
        assert warm.outcome == "imported" and out_since(warm) is not None, change
        kinds = [one["kind"] for one in api.quality.get(f"/specimens/{warm.code}/custody").json()["items"]]
        assert ("specimen.safeguarded" in kinds) == ("quarantine" in change)
    assert "frozen" in warm.said[0] and "Fridge" in warm.said[0]
    assert "Fridge" in line_of(checked(tmp_path, GOOD)[0], warm).notes
