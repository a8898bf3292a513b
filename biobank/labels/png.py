"""PNG: one pixel per printer dot."""

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from biobank.labels.layout import Layout, Symbol
from biobank.labels.matrix import dark_runs
from biobank.labels.typeface import TextRun, face_path

_OVERSAMPLING = 2


def png(layout: Layout) -> bytes:
    """Draw the label in grey levels; the symbol is pure black and white, only letters have soft edges."""
    picture = Image.new("L", (layout.width_dots, layout.height_dots), 255)
    draw = ImageDraw.Draw(picture)
    for symbol in layout.symbols:
        _draw_symbol(draw, symbol)
    for run in layout.texts:
        _draw_text(picture, run)
    file = io.BytesIO()
    # Soft letter edges hardly shrink; a higher level costs twice the time for a tenth of the size.
    picture.save(file, "PNG", compress_level=3, dpi=(layout.dpi, layout.dpi))
    return file.getvalue()


def _draw_symbol(draw: ImageDraw.ImageDraw, symbol: Symbol) -> None:
    dots = symbol.module_dots
    for y, x, length in dark_runs(symbol.matrix):
        left, top = symbol.x_dots + x * dots, symbol.y_dots + y * dots
        draw.rectangle((left, top, left + length * dots - 1, top + dots - 1), fill=0)


def _draw_text(picture: Image.Image, run: TextRun) -> None:
    """Draw oversized, then bring to the run's exact width: Pillow itself cannot narrow a font."""
    font = _font(run.bold, run.em_dots * _OVERSAMPLING)
    ascent, descent = run.em_dots, -(-run.em_dots // 3)
    natural = max(1, round(font.getlength(run.text)))
    ink = Image.new("L", (natural, (ascent + descent) * _OVERSAMPLING), 0)
    ImageDraw.Draw(ink).text((0, ascent * _OVERSAMPLING), run.text, fill=255, font=font, anchor="ls")
    ink = ink.resize((run.width_dots, ascent + descent), Image.Resampling.BOX)
    corner = (run.x_dots, run.baseline_dots - ascent)
    picture.paste(0, (*corner, corner[0] + ink.width, corner[1] + ink.height), ink)


@lru_cache(maxsize=64)
def _font(bold: bool, size_pixels: int) -> ImageFont.FreeTypeFont:
    # The basic engine is always built in and does not change widths by what the machine has installed.
    return ImageFont.truetype(str(face_path(bold)), size_pixels, layout_engine=ImageFont.Layout.BASIC)
