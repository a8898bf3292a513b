"""PDF: single labels for label printers, and sheets of many for office printers.

The symbol is one vector path of horizontal runs. One path, because a viewer that smooths edges would leave a hair line
between rectangles that are drawn one by one.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from biobank.foundation.errors import MalformedRequest
from biobank.labels.geometry import UM_PER_INCH, LabelDoesNotFit
from biobank.labels.layout import Layout, Symbol
from biobank.labels.matrix import dark_runs
from biobank.labels.template import Template
from biobank.labels.typeface import face

POINTS_PER_INCH = 72


class Page(Enum):
    """Paper of an office printer; the value is width and height in points."""

    A4 = A4
    LETTER = LETTER


class StartOutsideSheet(MalformedRequest):
    """The first free label is not on the sheet."""

    code: ClassVar[str] = "label_sheet_start_outside"
    title: ClassVar[str] = "Start outside the sheet"


@dataclass(frozen=True, slots=True)
class SheetStock:
    """A page of labels: how many, and where the upper left label begins, in micrometres from the page's corner."""

    page: Page
    columns: int
    rows: int
    left_um: int
    top_um: int
    pitch_x_um: int
    pitch_y_um: int

    @property
    def labels(self) -> int:
        """Labels on one page."""
        return self.columns * self.rows

    @classmethod
    def filling(cls, page: Page, template: Template, edge_um: int = 8_000, gap_um: int = 2_500) -> "SheetStock":
        """Return a centred grid for plain paper that is cut by hand.

        :param edge_um: what an office printer cannot reach
        :param gap_um: room for the scissors
        :raises LabelDoesNotFit: the label is larger than the page
        """
        width_um, height_um = (round(points * UM_PER_INCH / POINTS_PER_INCH) for points in page.value)
        pitch_x, pitch_y = template.width_um + gap_um, template.height_um + gap_um
        columns = (width_um - 2 * edge_um + gap_um) // pitch_x
        rows = (height_um - 2 * edge_um + gap_um) // pitch_y
        if columns < 1 or rows < 1:
            raise LabelDoesNotFit(f"{template.name} is larger than a page of {page.name}; print it on its own stock.")
        left = (width_um - columns * pitch_x + gap_um) // 2
        top = (height_um - rows * pitch_y + gap_um) // 2
        return cls(page, columns, rows, left, top, pitch_x, pitch_y)


def pdf(layouts: Iterable[Layout]) -> bytes:
    """Draw each label on a page of its own size."""
    document = _Document()
    for layout in layouts:
        scale = POINTS_PER_INCH / layout.dpi
        document.canvas.setPageSize((layout.width_dots * scale, layout.height_dots * scale))
        document.draw(layout, 0.0, layout.height_dots * scale)
        document.canvas.showPage()
    return document.finish()


def pdf_sheet(layouts: Sequence[Layout], stock: SheetStock, first_cell: int = 0) -> bytes:
    """Draw labels row by row on sheets.

    :param first_cell: how many labels of the first sheet are used up already
    :raises StartOutsideSheet: `first_cell` is not on the sheet
    """
    if not 0 <= first_cell < stock.labels:
        raise StartOutsideSheet(f"A sheet of this stock has {stock.labels} labels; start at 0 to {stock.labels - 1}.")
    document = _Document(stock.page)
    per_um = POINTS_PER_INCH / UM_PER_INCH
    for page in _pages(layouts, stock.labels, first_cell):
        for cell, layout in page:
            row, column = divmod(cell, stock.columns)
            left = (stock.left_um + column * stock.pitch_x_um) * per_um
            top = stock.page.value[1] - (stock.top_um + row * stock.pitch_y_um) * per_um
            document.draw(layout, left, top)
        document.canvas.showPage()
    return document.finish()


def _path(symbol: Symbol) -> str:
    """Return the rectangles (`re`) of a symbol in dots, y upwards from the label's upper edge."""
    dots = symbol.module_dots
    return "".join(
        f"{symbol.x_dots + x * dots} {-symbol.y_dots - (y + 1) * dots} {length * dots} {dots} re "
        for y, x, length in dark_runs(symbol.matrix)
    )


def _pages(layouts: Sequence[Layout], per_page: int, first_cell: int) -> Iterator[list[tuple[int, Layout]]]:
    page: list[tuple[int, Layout]] = []
    for cell, layout in enumerate(layouts, first_cell):
        if page and cell % per_page == 0:
            yield page
            page = []
        page.append((cell % per_page, layout))
    yield page


class _Document:
    """A reportlab canvas with the label fonts embedded; the same labels give the same bytes."""

    def __init__(self, page: Page = Page.A4) -> None:
        self._file = io.BytesIO()
        self.canvas = Canvas(self._file, pagesize=page.value, pageCompression=1, invariant=1)
        self.canvas.setTitle("Labels")
        for bold in (False, True):
            pdfmetrics.registerFont(face(bold))

    def draw(self, layout: Layout, left: float, top: float) -> None:
        """Draw a label whose upper left corner is at (left, top) in points; PDF counts y upwards."""
        canvas = self.canvas
        canvas.saveState()
        canvas.translate(left, top)
        # From here on the unit is one printer dot: short whole numbers, exact and small in the file.
        canvas.scale(POINTS_PER_INCH / layout.dpi, POINTS_PER_INCH / layout.dpi)
        # Written out because the library's path object formats every number anew, which is most of a job's time.
        canvas.addLiteral("0 g " + "".join(map(_path, layout.symbols)) + "f")
        for run in layout.texts:
            text = canvas.beginText(run.x_dots, -run.baseline_dots)
            text.setFont(face(run.bold).fontName, run.em_dots)
            text.setHorizScale(run.stretch_percent)
            text.textOut(run.text)
            canvas.drawText(text)
        canvas.restoreState()

    def finish(self) -> bytes:
        self.canvas.save()
        return self._file.getvalue()
