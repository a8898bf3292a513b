"""What a label template is, and the checks that make a wrong one impossible to load."""

import string
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.labels.data import FIELDS
from biobank.labels.geometry import RESOLUTIONS, Box, LabelDoesNotFit, Shape, box_in_dots, dots_above, dots_below, place_symbol
from biobank.labels.matrix import LARGEST_VERSION, ErrorCorrection, modules_of
from biobank.labels.statements import SEE_SHEET
from biobank.labels.typeface import MIN_EM_DOTS, MIN_EM_UM, Align, TextStyle, fit_text

MIN_QUIET_TENTHS: Final = {Shape.RECTANGLE: 40, Shape.CIRCLE: 35}
"""Quiet zone in tenths of a module: four modules on every side (ISO/IEC 18004); on a cap dot three and a half at the
four corners, where the circle is tightest, which decoded as well in the trial behind ADR 0005."""

DONATION: Final = frozenset({"donation"})
EUROPEAN: Final = frozenset({"european_donation", "european_product"})
"""Fields that say codes of others: see `labels/registered.py`."""


class TemplateError(ValueError):
    """A template file is wrong; the sentence says what to mend. A fault of the installation, never of a request."""


class Payload(StrEnum):
    """What the symbol says."""

    URL = "url"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """The symbol, drawn once in each box (a wristband repeats it).

    `version` is the smallest version; a longer label host steps it up while the box has room. `quiet_tenths` is the
    quiet zone in tenths of a module. Boxes are in micrometres and include the quiet zone.
    """

    payload: Payload
    version: int
    correction: ErrorCorrection
    quiet_tenths: int
    boxes_um: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Rows of text in a box of micrometres, as large as they can be between two sizes.

    A row names fields in braces (`"exp {expires}"`); it is left out when all of its fields are empty.
    """

    box_um: Box
    rows: tuple[str, ...]
    largest_um: int
    smallest_um: int
    bold: bool = False
    align: Align = Align.LEFT

    def style(self, dpi: int) -> TextStyle:
        """Return the sizes in dots; never under MIN_EM_DOTS."""
        smallest = max(dots_above(self.smallest_um, dpi), MIN_EM_DOTS)
        return TextStyle(max(dots_below(self.largest_um, dpi), smallest), smallest, self.bold, self.align)


@dataclass(frozen=True, slots=True)
class Template:
    """One label: its stock, its symbol and its texts. Construction fails on anything that could not be printed.

    :ivar name: the name used in requests, and of the file
    :ivar prefixes: the kinds of code it may carry
    :ivar resolutions: printer resolutions (dpi) it is drawn for
    :ivar companion: it carries the symbol only and always goes with a full label on the same thing, which has the
        statements (a cap dot)
    :ivar preferred: it is offered first among those that may carry a code
    :ivar turned: the printer feeds the long side, so that its image is turned by a quarter (a wristband)
    :ivar areas: where statements go, filled in order; a statement that has no room goes to the accompanying sheet
    """

    name: str
    title: str
    shape: Shape
    width_um: int
    height_um: int
    margin_um: int
    prefixes: frozenset[Prefix]
    resolutions: tuple[int, ...]
    symbol: SymbolSpec
    texts: tuple[TextBlock, ...] = ()
    areas: tuple[TextBlock, ...] = ()
    companion: bool = False
    preferred: bool = False
    turned: bool = False

    def __post_init__(self) -> None:
        """:raises TemplateError: the template is incomplete, contradicts itself or does not fit its stock"""
        self._check_facts()
        self._check_boxes()
        self._check_texts()
        self._check_symbol()
        self._check_areas()

    @property
    def media_um(self) -> Box:
        """The stock as a box of micrometres."""
        return Box(0, 0, self.width_um, self.height_um)

    @property
    def fields(self) -> frozenset[str]:
        """The fields that its texts name."""
        return frozenset(field for block in self.texts for row in block.rows for field in self._fields_of(row))

    def _demand(self, condition: bool, sentence: str) -> None:
        if not condition:
            raise TemplateError(f"label template {self.name!r}: {sentence}")

    def _check_facts(self) -> None:
        allowed = set(string.ascii_lowercase + string.digits + "-")
        self._demand(bool(self.name) and set(self.name) <= allowed, "a name has small letters, digits and hyphens")
        self._demand(bool(self.title), "title is empty")
        self._demand(min(self.width_um, self.height_um) > 0 <= self.margin_um, "sizes must be positive")
        self._demand(bool(self.prefixes), "prefixes names no kind of code")
        self._demand(bool(self.resolutions), "resolutions is empty")
        self._demand(set(self.resolutions) <= set(RESOLUTIONS), f"resolutions must be among {RESOLUTIONS}")

    def _check_boxes(self) -> None:
        blocks = (*self.texts, *self.areas)
        if self.shape is Shape.CIRCLE:
            self._demand(self.width_um == self.height_um, "a circle is as wide as it is high")
            self._demand(not blocks, "a round label carries the symbol alone")
            self._demand(self.symbol.boxes_um == (self.media_um,), "the symbol of a round label has the whole label")
            return
        margin = self.margin_um
        printable = Box(margin, margin, self.width_um - 2 * margin, self.height_um - 2 * margin)
        boxes = [*self.symbol.boxes_um, *(block.box_um for block in blocks)]
        for box in boxes:
            self._demand(min(box.width, box.height) > 0, f"{box} is empty")
            self._demand(printable.holds(box), f"{box} reaches beyond the margin")
        for one, two in combinations(boxes, 2):
            self._demand(not one.overlaps(two), f"{one} and {two} overlap")

    def _check_texts(self) -> None:
        used: set[str] = set()
        for block in (*self.texts, *self.areas):
            self._demand(
                MIN_EM_UM <= block.smallest_um <= block.largest_um,
                f"text sizes must satisfy {MIN_EM_UM} um <= smallest <= largest",
            )
            for row in block.rows:
                used |= self._fields_of(row)
        self._demand(
            used & EUROPEAN in (frozenset(), EUROPEAN), "a Single European Code is its donation and its product, or it is none"
        )
        self._demand(used <= FIELDS, f"there is no field {sorted(used - FIELDS)}; the fields are {sorted(FIELDS)}")
        readable = self.shape is Shape.CIRCLE or "code" in used or {"head", "tail"} <= used
        self._demand(readable, "people must be able to read the code: show {code}, or {head} and {tail}")

    def _fields_of(self, row: str) -> set[str]:
        try:
            parts = list(string.Formatter().parse(row))
        except ValueError as fault:
            raise TemplateError(f"label template {self.name!r}: {row!r}: {fault}") from fault
        plain = all(not spec and not conversion for _, _, spec, conversion in parts)
        self._demand(plain, f"{row!r}: fields are plain names in braces")
        return {field for _, field, _, _ in parts if field is not None}

    def _check_symbol(self) -> None:
        symbol = self.symbol
        self._demand(bool(symbol.boxes_um), "there is no symbol")
        self._demand(1 <= symbol.version <= LARGEST_VERSION, f"symbol version must be from 1 to {LARGEST_VERSION}")
        quiet = MIN_QUIET_TENTHS[self.shape]
        self._demand(symbol.quiet_tenths >= quiet, f"the quiet zone must be at least {quiet} tenths of a module")
        for dpi in self.resolutions:
            for box in symbol.boxes_um:
                try:
                    place_symbol(modules_of(symbol.version), box_in_dots(box, dpi), symbol.quiet_tenths, dpi, self.shape)
                except LabelDoesNotFit as refusal:
                    self._demand(False, refusal.detail)

    def _check_areas(self) -> None:
        wanted = bool(self.prefixes & SPECIMENS) and not self.companion
        self._demand(not wanted or bool(self.areas), "a specimen label needs a statements area, or is a companion")
        self._demand(not (self.companion and self.areas), "a companion has no statements area")
        for dpi in self.resolutions if self.areas else ():
            last = self.areas[-1]
            fits = fit_text([SEE_SHEET], box_in_dots(last.box_um, dpi), last.style(dpi))
            self._demand(fits is not None, f"the last statements area cannot hold {SEE_SHEET!r} at {dpi} dpi")
