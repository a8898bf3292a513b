"""Fitting text into boxes."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from biobank.labels.geometry import Box
from biobank.labels.typeface import (
    NARROWEST_PERCENT,
    Align,
    TextStyle,
    TextUnprintable,
    check_printable,
    face_path,
    fit_text,
    text_width_dots,
)

unhurried = settings(deadline=None)  # a busy machine is not a failure

words = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.,:/#()°éÅµ", min_size=1, max_size=12)
paragraphs = st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=4)
styles = st.builds(
    lambda small, more, bold, align: TextStyle(small + more, small, bold, align),
    st.integers(11, 40),
    st.integers(0, 60),
    st.booleans(),
    st.sampled_from(Align),
)
boxes = st.builds(Box, st.integers(0, 50), st.integers(0, 50), st.integers(5, 800), st.integers(5, 300))


@unhurried
@given(paragraphs, boxes, styles)
@example(["0", "0 0 p 0"], Box(0, 0, 31, 41), TextStyle(15, 11, False, Align.LEFT))
def test_set_text_keeps_every_word_in_order_and_stays_in_its_box(texts: list[str], box: Box, style: TextStyle) -> None:
    runs = fit_text(texts, box, style)
    if runs is None:
        return
    assert " ".join(run.text for run in runs).split() == " ".join(texts).split()
    for run in runs:
        assert style.smallest_dots <= run.em_dots <= style.largest_dots
        assert NARROWEST_PERCENT <= run.stretch_percent <= 100
        assert box.x <= run.x_dots
        assert run.x_dots + run.width_dots <= box.right
        font = ImageFont.truetype(str(face_path(run.bold)), 10 * run.em_dots, layout_engine=ImageFont.Layout.BASIC)
        _, top, _, bottom = font.getbbox(run.text, anchor="ls")
        assert box.y <= run.baseline_dots + top / 10 + 1.2  # a dot of rounding, and the coarser measuring size
        assert run.baseline_dots + bottom / 10 - 0.2 <= box.bottom
    assert len({(run.em_dots, run.stretch_percent) for run in runs}) == 1
    gaps = [later.baseline_dots - run.baseline_dots for run, later in itertools.pairwise(runs)]
    # 0.24 em between the ink of two rows, and figures and capitals are 0.72 em high; a dot of rounding.
    assert all(gap > 0.95 * runs[0].em_dots - 1 for gap in gaps)


@unhurried
@given(paragraphs, boxes, styles)
def test_text_that_fits_a_box_fits_a_larger_one_at_least_as_large(texts: list[str], box: Box, style: TextStyle) -> None:
    runs = fit_text(texts, box, style)
    larger = fit_text(texts, Box(box.x, box.y, box.width * 2, box.height * 2), style)
    if runs is not None:
        assert larger is not None
        assert larger[0].em_dots >= runs[0].em_dots


@unhurried
@given(words, st.booleans())
def test_widths_agree_with_another_reader_of_the_font_file(word: str, bold: bool) -> None:
    font = ImageFont.truetype(str(face_path(bold)), 1000, layout_engine=ImageFont.Layout.BASIC)
    apart = sum(font.getlength(character) for character in word)  # letter by letter, that is without kerning
    assert abs(text_width_dots(word, 1000, 100, bold) - apart) <= 0.002 * 1000 * len(word) + 1


def test_text_is_narrowed_before_it_is_made_smaller() -> None:
    style = TextStyle(20, 11, True, Align.LEFT)
    natural = text_width_dots("HF26-MC061ET", 20, 100, True)
    (run,) = fit_text(["HF26-MC061ET"], Box(0, 0, round(natural * 0.85), 20), style) or ()
    assert (run.em_dots, run.stretch_percent) == (20, 80)
    (run,) = fit_text(["HF26-MC061ET"], Box(0, 0, round(natural * 0.75), 20), style) or ()
    assert run.em_dots < 20


def test_text_too_long_at_its_smallest_size_is_not_set_at_all() -> None:
    style = TextStyle(20, 11, False, Align.LEFT)
    assert fit_text(["Dermatofibrosarcoma"], Box(0, 0, 40, 100), style) is None
    assert fit_text(["one", "two", "three"], Box(0, 0, 400, 25), style) is None
    assert fit_text([], Box(0, 0, 1, 1), style) == ()


def test_wrapped_rows_are_balanced() -> None:
    style = TextStyle(12, 12, True, Align.LEFT)
    width = text_width_dots("NOT EVALUATED FOR INFECTIOUS", 12, 80, True)
    runs = fit_text(["NOT EVALUATED FOR INFECTIOUS SUBSTANCES"], Box(0, 0, width, 60), style) or ()
    assert [run.text for run in runs] == ["NOT EVALUATED FOR", "INFECTIOUS SUBSTANCES"]


def test_centred_rows_have_equal_room_on_both_sides() -> None:
    (run,) = fit_text(["WB"], Box(10, 0, 200, 40), TextStyle(20, 20, True, Align.CENTRE)) or ()
    assert abs((run.x_dots - 10) - (210 - run.x_dots - run.width_dots)) <= 1


@pytest.mark.parametrize("text", ["a\nb", "tab\there", "\u202eevil", "испытание", "細胞", "\x00", "ź"])
def test_characters_the_label_fonts_lack_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(TextUnprintable) as refused:
        check_printable(text)
    assert text not in refused.value.detail


def test_latin_letters_with_accents_are_printable() -> None:
    check_printable("Zürich, Škofja Loka, −150 °C, 1.0 µL")
