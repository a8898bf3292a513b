"""How wide and how high a text is, and how to make it fit into a box.

All widths come from the Bitstream Vera files that travel with reportlab, which the PDF embeds and the PNG draws with.
Screens (SVG) and printers (ZPL) bring their own fonts: the SVG states every width, and the ZPL writer narrows the
printer's font where it would be wider than Vera (see `zpl.py`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar, Final

from PIL import ImageFont
from reportlab.pdfbase.ttfonts import TTFont

from biobank.foundation.errors import MalformedRequest
from biobank.labels.geometry import Box

MIN_EM_UM: Final = 1_350
"""The smallest text on any label: just under 4 points, capitals one millimetre high."""

MIN_EM_DOTS: Final = 11
"""The smallest text in dots; below that letters run together on a 203 dpi printer."""

NARROWEST_PERCENT: Final = 80
"""Text may be narrowed to this share of its width before it is made smaller."""

_MEASURING_PIXELS: Final = 200
_STRETCHES: Final = (100, 90, NARROWEST_PERCENT)
# In em. A row without descenders still gets this much to the next one; spare height opens rows, then paragraphs, further.
_LEADING: Final = 0.24
_CAPITALS: Final = 0.74
_MOST_OPENING: Final = 0.2
_MOST_PARTING: Final = 0.4


class TextUnprintable(MalformedRequest):
    """A text has a character that the label fonts do not have."""

    code: ClassVar[str] = "label_text_unprintable"
    title: ClassVar[str] = "Text cannot be printed"


class Align(StrEnum):
    """Where a row of text stands in its box."""

    LEFT = "left"
    CENTRE = "centre"


@dataclass(frozen=True, slots=True)
class TextRun:
    """One row of text on the label.

    `x_dots` is its left end, `baseline_dots` the line it stands on, `em_dots` the font size, `width_dots` the width it
    must not exceed, `stretch_percent` its narrowing.
    """

    text: str
    x_dots: int
    baseline_dots: int
    em_dots: int
    width_dots: int
    stretch_percent: int
    bold: bool
    align: Align


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How a block of text may be set: sizes in dots, largest and smallest."""

    largest_dots: int
    smallest_dots: int
    bold: bool
    align: Align


@cache
def face(bold: bool) -> TTFont:
    """Return the font file as reportlab reads it: glyph table and advance widths in thousandths of an em."""
    return TTFont("LabelBold", "VeraBd.ttf") if bold else TTFont("Label", "Vera.ttf")


def face_path(bold: bool) -> Path:
    """Return the font's file, for Pillow."""
    return Path(face(bold).face.filename)


def check_printable(text: str) -> None:
    """:raises TextUnprintable: a control character, or a character that the label fonts do not have"""
    for character in text:
        if not character.isprintable() or ord(character) not in face(True).face.charToGlyph:
            raise TextUnprintable(
                f"The character U+{ord(character):04X} cannot be printed on a label; write the text in plain Latin letters."
            )


def text_width_dots(text: str, em_dots: int, stretch_percent: int, bold: bool) -> int:
    """Return the width of a row of text, rounded up."""
    return math.ceil(_natural_width(text, bold) * em_dots * stretch_percent / 100)


def fit_text(paragraphs: Sequence[str], box: Box, style: TextStyle) -> tuple[TextRun, ...] | None:
    """Set paragraphs into a box of dots: as large as it can be, narrowed before made smaller, wrapped at spaces.

    Rows begin at the box's upper edge and are opened up a little when there is height to spare. Nothing is ever cut
    off: None says that the text does not fit even at the smallest size.
    """
    if not paragraphs:
        return ()
    for em_dots in range(style.largest_dots, style.smallest_dots - 1, -1):
        for stretch_percent in _STRETCHES:
            # The widest row in em: everything below is measured in em, which makes the search a matter of additions.
            width = box.width * 100 / (em_dots * stretch_percent)
            rows = [row for text in paragraphs for row in _wrapped(text, width, style.bold)]
            high_enough = _height(rows, style.bold) * em_dots <= box.height
            if high_enough and all(_natural_width(row, style.bold) <= width for row in rows):
                balanced = [_balanced(text, width, style.bold) for text in paragraphs]
                # Another last row may reach further down.
                if _height([row for rows in balanced for row in rows], style.bold) * em_dots > box.height:
                    balanced = [_wrapped(text, width, style.bold) for text in paragraphs]
                return tuple(_set(balanced, box, style, em_dots, stretch_percent))
    return None


def _set(
    paragraphs: Sequence[Sequence[str]], box: Box, style: TextStyle, em_dots: int, stretch_percent: int
) -> Iterator[TextRun]:
    rows = [row for paragraph in paragraphs for row in paragraph]
    spare = box.height / em_dots - _height(rows, style.bold)
    opening = min(_MOST_OPENING, spare / (len(rows) - 1)) if len(rows) > 1 else 0.0
    spare -= opening * (len(rows) - 1)
    # Wrapped paragraphs are parted, so that one can see where each begins.
    parted = 1 < len(paragraphs) < len(rows)
    parting = min(_MOST_PARTING, spare / (len(paragraphs) - 1)) if parted else 0.0
    extra = [
        number * parting + index * opening
        for index, number in enumerate(number for number, paragraph in enumerate(paragraphs) for _ in paragraph)
    ]
    for row, baseline, more in zip(rows, _baselines(rows, style.bold), extra, strict=True):
        width = min(text_width_dots(row, em_dots, stretch_percent, style.bold), box.width)
        yield TextRun(
            text=row,
            x_dots=box.x + ((box.width - width) // 2 if style.align is Align.CENTRE else 0),
            baseline_dots=box.y + int((baseline + more) * em_dots),
            em_dots=em_dots,
            width_dots=width,
            stretch_percent=stretch_percent,
            bold=style.bold,
            align=style.align,
        )


def _wrapped(text: str, width: float, bold: bool) -> list[str]:
    rows: list[str] = []
    for word in text.split():
        if rows and _natural_width(f"{rows[-1]} {word}", bold) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows


def _balanced(text: str, width: float, bold: bool) -> list[str]:
    """Wrap into as few rows as the width allows and make these about equally long, so that no word stands alone."""
    rows = _wrapped(text, width, bold)
    if len(rows) > 1:
        narrow, wide = width / len(rows), width
        for _ in range(10):
            middle = (narrow + wide) / 2
            tried = _wrapped(text, middle, bold)
            if len(tried) == len(rows) and all(_natural_width(row, bold) <= width for row in tried):
                rows, wide = tried, middle
            else:
                narrow = middle
    return rows


@lru_cache(maxsize=4096)
def _natural_width(text: str, bold: bool) -> float:
    """Return the width in em."""
    widths = face(bold).face.charWidths
    return float(sum(widths[ord(character)] for character in text)) / 1000


def _height(rows: Sequence[str], bold: bool) -> float:
    """Return the height of rows set as closely as they may be, in em."""
    return _baselines(rows, bold)[-1] + _extent(rows[-1], bold)[1]


def _baselines(rows: Sequence[str], bold: bool) -> list[float]:
    """Return where the rows stand, in em from the upper edge."""
    baselines: list[float] = []
    below = 0.0
    for row in rows:
        above, descent = _extent(row, bold)
        leading = max(_LEADING, below) if baselines else 0.0
        baselines.append((baselines[-1] if baselines else 0.0) + leading + above)
        below = descent
    return baselines


@lru_cache(maxsize=4096)
def _extent(row: str, bold: bool) -> tuple[float, float]:
    """Return how far a row reaches above and below its line, in em; never less above than a capital."""
    glyphs = [_glyph_extent(character, bold) for character in row]
    return max(_CAPITALS, *(above for above, _ in glyphs)), max(0.0, *(below for _, below in glyphs))


@cache
def _glyph_extent(character: str, bold: bool) -> tuple[float, float]:
    font = ImageFont.truetype(str(face_path(bold)), _MEASURING_PIXELS, layout_engine=ImageFont.Layout.BASIC)
    _, top, _, bottom = font.getbbox(character, anchor="ls")
    return -top / _MEASURING_PIXELS, bottom / _MEASURING_PIXELS
