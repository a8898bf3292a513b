"""SVG for screens and browser printing."""

from html import escape

from biobank.labels.geometry import UM_PER_INCH, Shape
from biobank.labels.layout import Layout, Symbol
from biobank.labels.matrix import dark_runs
from biobank.labels.typeface import Align, TextRun

_FAMILY = "'Bitstream Vera Sans','DejaVu Sans',Verdana,Arial,sans-serif"


def svg(layout: Layout) -> bytes:
    """Draw the label in its true size, one user unit per printer dot.

    The picture has its own white ground (a dark page would make the symbol unreadable), no ids (several labels may be
    inlined in one page), no style and no script (the pages' content security policy).
    """
    width, height = layout.width_dots, layout.height_dots
    if layout.shape is Shape.CIRCLE:
        ground = f'<circle cx="{width / 2:g}" cy="{height / 2:g}" r="{width / 2:g}" fill="#fff"/>'
    else:
        ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    path = "".join(_path(symbol) for symbol in layout.symbols)
    size = f'width="{_mm(width, layout.dpi)}mm" height="{_mm(height, layout.dpi)}mm"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
        f' viewBox="0 0 {width} {height}" role="img"><title>{escape(layout.code)}</title>{ground}'
        f'<path fill="#000" shape-rendering="crispEdges" d="{path}"/>'
        f'<g fill="#000" font-family="{escape(_FAMILY)}">{"".join(map(_text, layout.texts))}</g></svg>'
    ).encode()


def _path(symbol: Symbol) -> str:
    dots = symbol.module_dots
    return "".join(
        f"M{symbol.x_dots + x * dots} {symbol.y_dots + y * dots}h{length * dots}v{dots}h{-length * dots}z"
        for y, x, length in dark_runs(symbol.matrix)
    )


def _text(run: TextRun) -> str:
    # textLength pins the width, whatever font the viewer has.
    if run.align is Align.CENTRE:
        anchor, x = ' text-anchor="middle"', f"{run.x_dots + run.width_dots / 2:g}"
    else:
        anchor, x = "", str(run.x_dots)
    weight = ' font-weight="bold"' if run.bold else ""
    return (
        f'<text x="{x}" y="{run.baseline_dots}" font-size="{run.em_dots}" textLength="{run.width_dots}"'
        f' lengthAdjust="spacingAndGlyphs"{anchor}{weight}>{escape(run.text)}</text>'
    )


def _mm(dots: int, dpi: int) -> str:
    return f"{dots * UM_PER_INCH / dpi / 1000:.3f}".rstrip("0").rstrip(".")
