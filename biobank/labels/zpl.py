"""ZPL II for Zebra-type label printers.

The symbol goes as a bitmap (`^GFA`): the bitmap we checked is the bitmap that is printed, while `^BQ` would leave
version, mask and even the position to the firmware (docs/adr/0005-qr-matrix-and-writers.md). Text uses the printer's
own scalable font 0, placed by its baseline (`^FT`), in UTF-8 (`^CI28`), with everything but plain characters escaped
(`^FH`).
"""

import string
from collections.abc import Iterable
from typing import Final

from reportlab.pdfbase.pdfmetrics import stringWidth

from biobank.labels.layout import Layout, Symbol
from biobank.labels.typeface import Align, TextRun

_PLAIN: Final = frozenset(string.ascii_letters + string.digits + " -.:/#+()")

# Font 0 is a bold condensed grotesque; 82 % of Helvetica Bold is the usual measure of one, and 5 % is for doubt. Its
# hyphen is as wide as a digit.
_FONT_0_WIDTH: Final = 0.82 * 1.05


def zpl(layouts: Iterable[Layout]) -> bytes:
    """Return one `^XA … ^XZ` format per label; the printer's resolution must be the layouts'."""
    return "".join(map(_label, layouts)).encode("ascii")


def _label(layout: Layout) -> str:
    width, length = layout.width_dots, layout.height_dots
    if layout.turned:
        width, length = length, width
    symbols = "".join(_symbol(layout, symbol) for symbol in layout.symbols)
    texts = "".join(_text(layout, run) for run in layout.texts)
    return f"^XA^CI28^LH0,0^PW{width}^LL{length}\n{symbols}{texts}^PQ1^XZ\n"


def _symbol(layout: Layout, symbol: Symbol) -> str:
    matrix, x, y = symbol.matrix, symbol.x_dots, symbol.y_dots
    if layout.turned:
        side = len(matrix) * symbol.module_dots
        matrix, x, y = tuple(zip(*matrix[::-1], strict=True)), layout.height_dots - y - side, x
    rows = [_hex_row(row, symbol.module_dots) for row in matrix]
    data = "".join(row * symbol.module_dots for row in rows)
    total, per_row = len(data) // 2, len(rows[0]) // 2
    return f"^FO{x},{y}^GFA,{total},{total},{per_row},{data}^FS\n"


def _hex_row(row: tuple[bool, ...], module_dots: int) -> str:
    bits = "".join(("1" if dark else "0") * module_dots for dark in row)
    digits = -(-len(bits) // 8) * 2
    return f"{int(bits.ljust(digits * 4, '0'), 2):0{digits}X}"


def _text(layout: Layout, run: TextRun) -> str:
    x, y, turn = run.x_dots, run.baseline_dots, "N"
    if layout.turned:
        x, y, turn = layout.height_dots - y, x, "R"
    estimate = stringWidth(run.text.replace("-", "0"), "Helvetica-Bold", run.em_dots) * _FONT_0_WIDTH
    width = min(run.em_dots, int(run.em_dots * run.width_dots / estimate))
    block = f"^FB{run.width_dots},1,0,C" if run.align is Align.CENTRE else ""
    return f"^FT{x},{y}^A0{turn},{run.em_dots},{width}{block}^FH_^FD{_escaped(run.text)}^FS\n"


def _escaped(text: str) -> str:
    return "".join(
        character if character in _PLAIN else "".join(f"_{byte:02X}" for byte in character.encode()) for character in text
    )
