"""Files and profiles that are almost right, changed within their parts: read, or refused with a sentence."""

import io
import re
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from biobank.importing.drafting import draft_profile, look_at
from biobank.importing.plan import check_rows
from biobank.importing.profile import Profile
from biobank.importing.profile_faults import ProfileFault
from biobank.importing.reading import Rows, open_book
from biobank.importing.sheets import FileFault
from tests.importing.old_excel_files import Look, compound, records
from tests.importing.test_import import GOOD, HEADINGS, TODAY, profile
from tests.importing.test_other_formats import ods
from tests.mutating import mutated, mutated_text

TOKENS = [
    '<c r="A1"><v>1</v></c>',
    "</c>",
    "<row>",
    '<row r="99999999">',
    'r="XFE1048577"',
    't="s"',
    't="b"',
    't="e"',
    "<v>-1</v>",
    "<v>1e400</v>",
    "<v>nan</v>",
    "<is><t>x</t></is>",
    's="9999"',
    "&#0;",
    "&lt;",
    "&x;",
    '<!DOCTYPE a [<!ENTITY x "y">]>',
    "<mergeCell ref='A1:XFD1048576'/>",
    'table:number-columns-repeated="16384"',
    'table:number-rows-repeated="1048576"',
    'office:value-type="date"',
    'office:date-value="0000-00-00"',
    'office:value="1e999"',
    "\u202e",
    "]]>",
]


def book() -> bytes:
    made = Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "Hair follicles"
    sheet.append(HEADINGS)
    sheet.append([GOOD.get(name) for name in HEADINGS])
    packed = io.BytesIO()
    made.save(packed)
    return packed.getvalue()


def parts_of(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PROFILE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text().split("```toml\n")[1].split("```")[0]
RECORDS = records(
    [
        HEADINGS,
        [Look(one, struck=True) if name == "Remarks" else one for name, one in (GOOD | {"Collected": "2018-11-15"}).items()],
    ],
    "Hair follicles",
    hidden_lines=[1],
    merged=[(2, 3, 0, 1)],
)
WHOLE = [parts_of(book()), parts_of(ods({}))]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_change_within_the_parts_of_a_spreadsheet_makes_a_reader_stumble(data: st.DataObject) -> None:
    parts = dict(data.draw(st.sampled_from(WHOLE)))
    name = data.draw(st.sampled_from([one for one in parts if re.search("sheet|content|styles|strings|workbook", one)]))
    parts[name] = mutated_text(data, parts[name].decode(), TOKENS).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    meaning = profile()
    try:
        assert look_at(open_book(packed.getvalue()), "old").document
        for row in check_rows(Rows(packed.getvalue(), meaning), meaning, TODAY):
            assert row.outcome != "refused" or row.reasons
    except FileFault as refusal:
        assert refusal.detail


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_change_within_the_records_of_an_old_file_makes_a_reader_stumble(data: st.DataObject) -> None:
    changed = compound({"Workbook": mutated(data, RECORDS)})
    meaning = profile()
    try:
        for row in check_rows(Rows(changed, meaning), meaning, TODAY):
            assert row.outcome != "refused" or row.reasons
        assert draft_profile(open_book(changed), "old")
    except FileFault as refusal:
        assert refusal.detail


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_profile_that_is_almost_right_is_refused_in_words(data: st.DataObject) -> None:
    text = mutated_text(
        data, PROFILE, ['"', "[", "]]", "=", "{patient}", "{", "}", "(", "\\", "1e999", "inf", "nan", "[[split]]\n", "[" * 3000]
    )
    try:
        meaning = Profile.parsed(text)
        assert meaning.sheets
    except ProfileFault as refusal:
        assert refusal.detail
