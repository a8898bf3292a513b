"""A date of which people saw a month and a year is no day; one that shows its day is. Texts alone, and styles of ODS."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.importing.open_document import open_document
from biobank.importing.sheets import NO_DAY, Cell
from biobank.importing.shown_days import shows_day
from tests.importing.test_defects_by_format import changed_parts
from tests.importing.test_other_formats import ODS_CELLS, ods

DAYS = st.dates(date(1930, 1, 1), date(2060, 12, 31))
MONTHS = ["Jan", "Feb", "März", "April", "Mai", "Juni", "Juli", "Aug", "Sep", "Okt", "Nov", "Dez"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("01/2005", "2005-01-01"),
        ("2005-01", "2005-01-01"),
        ("1/05", "2005-01-01"),
        ("03/20", "2020-03-20"),  # month and year, or month and day
        ("20.03.", "2020-03-20"),
        ("Mar 20", "2020-03-20"),
        ("20-Mar", "2020-03-20"),
        ("Jan 2005", "2005-01-01"),
        ("January 01", "2001-01-01"),
        ("2005", "2005-01-01"),
        ("Q1 2005", "2005-01-01"),
        ("Woche 1 2005", "2005-01-01"),
        ("2005年1月", "2005-01-01"),
        ("01/2005 01:01", "2005-01-01"),
        ("12/12", "2012-12-12"),
        ("01.05", "2005-01-01"),
        ("Nov 18", "2018-11-01"),
    ],
)
def test_a_month_and_a_year_are_no_day(text: str, day: str) -> None:
    assert not shows_day(text, date.fromisoformat(day))
    (line, *_) = _cells(ods({"DOB": ODS_CELLS["day"].format(day, text)}))
    assert line.defect == NO_DAY


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("01/01/2005", "2005-01-01"),
        ("2005-01-01", "2005-01-01"),
        ("1.1.05", "2005-01-01"),
        ("20/03/20", "2020-03-20"),
        ("20. März 2020", "2020-03-20"),
        ("20-Mar-20", "2020-03-20"),
        ("Friday, March 20, 2020", "2020-03-20"),
        ("1-Mar", "2026-03-01"),
        ("20.03.", "2021-03-20"),
        ("1. I. 2005", "2005-01-01"),
        ("2005年1月1日", "2005-01-01"),
        ("2005-01-01 00:00:00", "2005-01-01"),
    ],
)
def test_a_day_that_was_shown_is_one(text: str, day: str) -> None:
    assert shows_day(text, date.fromisoformat(day))
    (line, *_) = _cells(ods({"DOB": ODS_CELLS["day"].format(day, text)}))
    assert line.defect is None and line.value == date.fromisoformat(day)


def _cells(data: bytes) -> list[Cell]:
    """The cells that hold what was put in by the test: those with a day."""
    found = [cell for line in open_document(data).tables[0].lines() for cell in line.cells.values()]
    return [cell for cell in found if isinstance(cell.value, date) or cell.defect == NO_DAY]


@given(
    DAYS,
    st.sampled_from(
        ["{d:02}/{m:02}/{y}", "{y}-{m:02}-{d:02}", "{d}.{m}.{s:02}", "{m}/{d}/{s:02}", "{d}. {w} {y}", "{w} {d}, {s:02}"]
    ),
)
def test_every_whole_date_shows_its_day(day: date, form: str) -> None:
    assert shows_day(form.format(d=day.day, m=day.month, y=day.year, s=day.year % 100, w=MONTHS[day.month - 1]), day)


@given(
    DAYS,
    st.sampled_from(
        ["{m:02}/{y}", "{y}-{m:02}", "{m}/{s:02}", "{s:02}.{m}", "{w} {y}", "{w} {s:02}", "{s:02}-{w}", "{y}", "{w}"]
    ),
)
def test_no_month_and_year_ever_shows_a_day(day: date, form: str) -> None:
    assert not shows_day(form.format(m=day.month, y=day.year, s=day.year % 100, w=MONTHS[day.month - 1]), day)


@pytest.mark.parametrize(("parts", "defect"), [("<number:day/>", None), ("<number:year/>", NO_DAY)])
def test_the_style_of_a_cell_says_what_its_text_leaves_open(parts: str, defect: str | None) -> None:
    cell = ODS_CELLS["day"].format("2020-03-20", "03/20").replace("<table:table-cell", '<table:table-cell table:style-name="ce9"')
    styles = (
        '<office:automatic-styles xmlns:number="urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0">'
        f'<number:date-style style:name="N9"><number:month/>{parts}</number:date-style>'
        '<style:style style:name="ce9" style:family="table-cell" style:data-style-name="N9"/>'
        "</office:automatic-styles><office:body>"
    )
    data = changed_parts(ods({"DOB": cell}), {"content.xml": lambda text: text.replace("<office:body>", styles, 1)})
    (line, *_) = _cells(data)
    assert line.defect == defect
