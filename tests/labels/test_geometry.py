"""Millimetres, dots, symbol sizes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.labels.geometry import (
    MIN_MODULE_UM,
    RESOLUTIONS,
    Box,
    LabelDoesNotFit,
    Shape,
    UnknownResolution,
    box_in_dots,
    check_resolution,
    dots_above,
    dots_below,
    place_symbol,
    smallest_module_dots,
)

unhurried = settings(deadline=None)  # a busy machine is not a failure

resolutions = st.sampled_from(RESOLUTIONS)
lengths_um = st.integers(0, 300_000)


def test_the_smallest_module_is_2_3_and_6_dots() -> None:
    assert [smallest_module_dots(dpi) for dpi in RESOLUTIONS] == [2, 3, 6]


@unhurried
@given(lengths_um, resolutions)
def test_dots_are_rounded_inwards_and_outwards_as_asked(length_um: int, dpi: int) -> None:
    below, above = dots_below(length_um, dpi), dots_above(length_um, dpi)
    assert below * 25_400 <= length_um * dpi <= above * 25_400
    assert above - below in (0, 1)


@unhurried
@given(lengths_um, lengths_um, st.integers(1_000, 50_000), st.integers(1_000, 50_000), resolutions)
def test_a_box_in_dots_never_grows(x: int, y: int, width: int, height: int, dpi: int) -> None:
    box = box_in_dots(Box(x, y, width, height), dpi)
    assert box.x * 25_400 >= x * dpi
    assert box.right * 25_400 <= (x + width) * dpi
    assert box.y * 25_400 >= y * dpi
    assert box.bottom * 25_400 <= (y + height) * dpi


@unhurried
@given(st.integers(1, 10), st.integers(40, 3_000), st.integers(40, 3_000), st.integers(35, 60), resolutions, st.booleans())
def test_a_symbol_is_as_large_as_fits_or_refused(
    version: int, width: int, height: int, quiet_tenths: int, dpi: int, round_stock: bool
) -> None:
    modules = 17 + 4 * version
    box = Box(7, 11, width, width if round_stock else height)
    shape = Shape.CIRCLE if round_stock else Shape.RECTANGLE

    def fits(dots: int) -> bool:
        if round_stock:
            return modules * dots / math.sqrt(2) + dots * quiet_tenths / 10 <= box.width / 2
        return 10 * modules * dots + 2 * dots * quiet_tenths <= 10 * min(box.width, box.height)

    try:
        place = place_symbol(modules, box, quiet_tenths, dpi, shape)
    except LabelDoesNotFit:
        assert not fits(smallest_module_dots(dpi))
        return
    assert fits(place.module_dots)
    assert not fits(place.module_dots + 1)
    assert place.module_dots * 25_400 / dpi >= MIN_MODULE_UM
    side = modules * place.module_dots
    assert abs((place.x_dots - box.x) - (box.right - place.x_dots - side)) <= 1
    assert abs((place.y_dots - box.y) - (box.bottom - place.y_dots - side)) <= 1


def test_the_sizes_measured_for_the_plan_come_out() -> None:
    # ADR 0005: V2 in 9.45 mm at 300 dpi is 3 dots (6.35 mm), V1 on a 9.5 mm circle 3 dots (5.33 mm).
    vial = place_symbol(25, box_in_dots(Box(0, 0, 9_450, 9_450), 300), 40, 300, Shape.RECTANGLE)
    cap = place_symbol(21, box_in_dots(Box(0, 0, 9_500, 9_500), 300), 35, 300, Shape.CIRCLE)
    assert (vial.module_dots, cap.module_dots) == (3, 3)


def test_a_symbol_that_would_need_finer_modules_is_refused_loudly() -> None:
    with pytest.raises(LabelDoesNotFit) as refused:
        place_symbol(33, Box(0, 0, 100, 100), 40, 300, Shape.RECTANGLE)
    assert refused.value.code == "label_does_not_fit"
    assert "0.25 mm" in refused.value.detail


def test_only_known_printer_resolutions_are_drawn_for() -> None:
    for dpi in RESOLUTIONS:
        check_resolution(dpi)
    with pytest.raises(UnknownResolution, match="203, 300 or 600"):
        check_resolution(72)


def test_boxes_that_only_touch_do_not_overlap() -> None:
    one = Box(0, 0, 10, 10)
    assert not one.overlaps(Box(10, 0, 5, 5))
    assert one.overlaps(Box(9, 9, 5, 5))
    assert one.holds(Box(0, 0, 10, 10))
    assert not one.holds(Box(1, 0, 10, 10))
