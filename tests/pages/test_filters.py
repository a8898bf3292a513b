"""How values are written: instants at site time, amounts without floats, codes as links, words for enums."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from biobank.foundation.terms import LOOKS, TONES, look_of, words
from biobank.pages.ui import filters
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.entries import said_of
from biobank.pages.ui.parts import BoxGrid, BoxPlace, Entry

LONDON = ZoneInfo("Europe/London")
SUMMER = datetime(2026, 7, 1, 23, 30, 5, tzinfo=UTC)


def test_an_instant_is_shown_at_site_time_with_utc_in_the_title() -> None:
    shown = filters.when(SUMMER, LONDON)
    assert 'datetime="2026-07-01T23:30:05Z"' in shown
    assert 'title="2026-07-01 23:30:05 UTC"' in shown
    assert shown.unescape().replace(filters.NARROW, " ").endswith(">2 Jul 2026, 00:30</time>")


def test_rfc_3339_text_is_read_like_a_datetime() -> None:
    assert filters.when("2026-07-01T23:30:05.000Z", LONDON) == filters.when(SUMMER, LONDON)
    assert ">2026-07-02 00:30:05<" in filters.log_time("2026-07-01T23:30:05Z", LONDON)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        filters.when(datetime(2026, 7, 1), LONDON)


def test_a_datetime_is_not_a_calendar_day() -> None:
    assert "3\N{NARROW NO-BREAK SPACE}Nov" in filters.day(date(2026, 11, 3))
    with pytest.raises(ValueError, match="when"):
        filters.day(SUMMER)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1500, "ul", "1.5 mL"),
        (999, "ul", "999 µL"),
        (1001, "ul", "1.001 mL"),
        (2_400_000, "cells", "2.4 × 10<sup>6</sup> cells"),
        (999_999, "cells", "999 999 cells"),
        (9_999_999, "cells", "1 × 10<sup>7</sup> cells"),
        (9345, "basis_points", "93.4%"),
        (-196_000, "millidegrees_c", "-196 °C"),
        (30, "vials", "30 vials"),
        (7, "odd_unit", "7 odd unit"),
        (0, "ul", "0 µL"),
    ],
)
def test_amounts_are_written_with_their_unit(value: int, unit: str, shown: str) -> None:
    text = filters.quantity(value, unit).replace(filters.NARROW, " ")
    assert text == f'<span class="quantity">{shown}</span>'


@given(st.integers(min_value=1000, max_value=10**9))
def test_no_microlitre_is_lost_between_the_record_and_the_page(value: int) -> None:
    text = Markup(filters.quantity(value, "ul")).striptags()
    assert text.endswith("mL")
    assert Decimal("".join(text.removesuffix("mL").split())) * 1000 == value


@given(st.integers(min_value=10**6, max_value=10**15))
def test_a_large_cell_count_is_within_half_a_percent_of_the_record(value: int) -> None:
    mantissa, exponent = str(filters.quantity(value, "cells")).split("10<sup>")
    shown = Decimal("".join(Markup(mantissa).striptags().replace("×", "").split())) * 10 ** int(exponent.split("<")[0])
    assert abs(shown - value) <= value * Decimal("0.005")


@given(st.integers(min_value=-273_150, max_value=10**9), st.sampled_from(["millidegrees_c", "ppm", "seconds", "ul"]))
def test_an_amount_in_a_sentence_reads_as_the_one_in_a_cell(value: int, unit: str) -> None:
    text = filters.quantity_text(value, unit)
    assert not isinstance(text, Markup) and "<" not in text
    assert filters.quantity(value, unit) == f'<span class="quantity">{text}</span>'


@pytest.mark.parametrize(
    ("value", "said"),
    [(5_000_000, "5 × 10⁶ cells"), (123_456_789_012, "1.23 × 10¹¹ cells"), (400, "400 cells")],
)
def test_a_power_stays_a_power_where_a_value_is_written_without_tags(value: int, said: str) -> None:
    written = filters.plain(Markup(filters.quantity(value, "cells")))
    assert written.replace(filters.NARROW, " ") == said
    assert said_of({"amount": value, "unit": "cells"}).replace(filters.NARROW, " ").startswith(f"Amount: {said}")


def test_nothing_known_is_a_dash_and_never_the_word_none() -> None:
    assert filters.quantity(None, "ul") == filters.when(None, LONDON) == filters.code(None) == filters.grouped(None) == "–"
    assert words(None) == "–"


def test_a_code_links_to_its_page_and_anything_else_to_the_find_box() -> None:
    assert code_href("AD26-KH0KJQL") == "/specimens/AD26-KH0KJQL"
    assert code_href("BX-4T8N2WJ") == "/storage/BX-4T8N2WJ"
    assert code_href("KT-4T8N2WJ") == "/kits/KT-4T8N2WJ"
    assert code_href("DV-4T8N2WJ") == "/deviations/DV-4T8N2WJ"
    assert code_href("EQ-4T8N2WJ") == "/registers/EQ-4T8N2WJ"
    assert code_href("CM-4T8N2WJ") == "/find?q=CM-4T8N2WJ"
    assert code_href("ADIPOSE") == "/find?q=ADIPOSE"
    assert code_href("HF-/../x?y") == "/find?q=HF-%2F..%2Fx%3Fy"


def test_a_hostile_code_is_escaped() -> None:
    assert "<script" not in filters.code('HF26-"><script>')
    assert "<img" not in filters.quantity(1, "<img>")


def test_attributes_are_escaped_and_false_ones_left_out() -> None:
    assert filters.attributes({"min": 0, "autofocus": True, "max": None, "disabled": False, "data_x": '"<'}) == (
        ' min="0" autofocus data-x="&#34;&lt;"'
    )


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("checked_out", "Checked out"),
        ("specimen.checked_out", "Checked out"),
        ("adsc", "ADSC"),
        ("svf_qc", "SVF QC"),
        ("released_to_bank", "Released to bank"),
        ("Already in words", "Already in words"),
        ("Dr. Who", "Dr. Who"),
        ("", ""),
    ],
)
def test_enum_words_become_words(stored: str, shown: str) -> None:
    assert words(stored) == shown


@given(st.text(max_size=40))
def test_no_stored_word_breaks_the_page(stored: str) -> None:
    assert isinstance(words(stored), str)
    assert look_of(stored).tone in TONES


def test_every_custody_state_condition_and_quality_has_a_look_of_its_own() -> None:
    known = (
        "collected in_transit received in_process stored checked_out issued delivered missing administered consumed "
        "discarded transferred_out lost fresh in_culture freezing frozen thawed quarantined released_to_bank "
        "released_conditionally rejected"
    )
    assert set(known.split()) <= set(LOOKS)


def test_an_unknown_word_is_shown_neutrally() -> None:
    assert look_of("brand_new_state").tone == "wait"


def test_a_box_counts_its_free_places_and_names_its_rows() -> None:
    grid = BoxGrid("BX-1", 28, 2, {"A1": BoxPlace("A1", "taken"), "AB2": BoxPlace("AB2", "blocked")}, lit="AB2")
    assert grid.row_letters[-3:] == ["Z", "AA", "AB"]
    assert grid.free_count == 28 * 2 - 2
    assert (grid.lit_row, grid.lit_column) == ("AB", 2)
    assert grid.slot("B", 1).state == "free"


def test_a_late_record_shows_both_clocks() -> None:
    live = Entry("specimen.stored", SUMMER, SUMMER + timedelta(seconds=59), "US-1", 1)
    late = Entry("specimen.stored", SUMMER, SUMMER + timedelta(seconds=61), "US-1", 1)
    assert not live.delayed
    assert late.delayed


def test_a_sentence_with_two_instants_of_one_minute_says_their_seconds() -> None:
    zone = ZoneInfo("Europe/London")
    apart = filters.said("It was released at 2026-11-30T19:04:08.100Z, after the stated time 2026-11-30T19:04:00.000Z.", zone)
    assert "19:04:08" in apart and "19:04:00" in apart
    assert "19:04:08" not in filters.said("It was released at 2026-11-30T19:04:08.100Z.", zone)
