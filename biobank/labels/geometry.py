"""Millimetres, printer dots and the size of a symbol.

Lengths in templates are whole micrometres (`_um`), lengths in layouts are whole printer dots (`_dots`). A template is
turned into dots inwards, so nothing ever grows past the edge by rounding. One module of a symbol is a whole number of
dots and never under `MIN_MODULE_UM`: below that, cameras fail first (docs/adr/0005-qr-matrix-and-writers.md).
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from biobank.foundation.errors import Conflict, MalformedRequest

UM_PER_INCH: Final = 25_400
RESOLUTIONS: Final = (203, 300, 600)
"""Dots per inch of the printers we draw for."""

MIN_MODULE_UM: Final = 250
"""The smallest printed module, a quarter of a millimetre."""


class Shape(StrEnum):
    """The outline of the label stock."""

    RECTANGLE = "rectangle"
    CIRCLE = "circle"


class LabelDoesNotFit(Conflict):
    """The symbol or a text is larger than the label allows, at the smallest size that can still be read."""

    code: ClassVar[str] = "label_does_not_fit"
    title: ClassVar[str] = "Label does not fit"


class UnknownResolution(MalformedRequest):
    """The printer resolution is not one we draw for, or too coarse for this template."""

    code: ClassVar[str] = "resolution_unknown"
    title: ClassVar[str] = "Resolution not supported"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the label; origin at the upper left corner, y downwards. The unit is the owner's (um or dots)."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The x just past the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The y just past the lower edge."""
        return self.y + self.height

    def overlaps(self, other: "Box") -> bool:
        """Say whether the two share area; touching edges do not count."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def holds(self, other: "Box") -> bool:
        """Say whether `other` lies inside this box, edges included."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom


@dataclass(frozen=True, slots=True)
class SymbolPlace:
    """Where a symbol goes: its upper left corner without the quiet zone, and the dots one module measures."""

    x_dots: int
    y_dots: int
    module_dots: int


def check_resolution(dpi: int) -> None:
    """:raises UnknownResolution: `dpi` is not one of RESOLUTIONS"""
    if dpi not in RESOLUTIONS:
        raise UnknownResolution(f"Labels are drawn for {_listed(RESOLUTIONS)} dots per inch, not for {dpi}.")


def dots_below(length_um: int, dpi: int) -> int:
    """Whole dots that fit into a length."""
    return length_um * dpi // UM_PER_INCH


def dots_above(length_um: int, dpi: int) -> int:
    """Whole dots that cover a length."""
    return -(-length_um * dpi // UM_PER_INCH)


def box_in_dots(box_um: Box, dpi: int) -> Box:
    """Return the largest box of whole dots inside a box of micrometres."""
    x, y = dots_above(box_um.x, dpi), dots_above(box_um.y, dpi)
    return Box(x, y, dots_below(box_um.right, dpi) - x, dots_below(box_um.bottom, dpi) - y)


def smallest_module_dots(dpi: int) -> int:
    """Whole dots of the smallest module that is not under MIN_MODULE_UM."""
    return dots_above(MIN_MODULE_UM, dpi)


def place_symbol(modules: int, box: Box, quiet_tenths: int, dpi: int, shape: Shape) -> SymbolPlace:
    """Draw a symbol of `modules` by `modules` as large as whole dots allow, in the middle of a box of dots.

    :param quiet_tenths: clear space wanted around the symbol, in tenths of a module. On a rectangle it lies on every
        side; on a circle (`box` is the square around it) it is measured where it is tightest, from the symbol's corner
        to the edge along the diagonal.
    :raises LabelDoesNotFit: the largest module that fits is under MIN_MODULE_UM
    """
    side = min(box.width, box.height)
    if shape is Shape.CIRCLE:
        module_dots = math.floor(side / (modules * math.sqrt(2) + quiet_tenths / 5))
    else:
        module_dots = 10 * side // (10 * modules + 2 * quiet_tenths)
    if module_dots < smallest_module_dots(dpi):
        raise LabelDoesNotFit(
            f"A symbol of {modules} by {modules} modules does not fit here at {dpi} dots per inch without modules under"
            f" {MIN_MODULE_UM / 1000} mm; use a larger label, or a shorter label host."
        )
    drawn = modules * module_dots
    return SymbolPlace(box.x + (box.width - drawn) // 2, box.y + (box.height - drawn) // 2, module_dots)


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values[:-1])) + f" or {values[-1]}"
