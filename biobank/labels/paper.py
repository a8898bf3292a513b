"""Documents of text on A4: a report, a sheet to fill in, a dossier. The same content gives the same bytes."""

import io
import unicodedata
from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from biobank.labels.letters import drawable, notes_on, runs, width_of
from biobank.labels.typeface import face

MARGIN: Final = 48.0
LEADING: Final = 12.5
SIZE: Final = 8.5
SMALL: Final = 7.0
_ACROSS: Final = 105
"""Characters of a line of text; a wider face than the average still ends before the margin."""
_CHARACTER: Final = 3.9
"""Points that a character of small text may take."""
WIDTH, HEIGHT = A4


def _rows(text: str, characters: int) -> list[str]:
    """Wrap a text; a letter of the east takes the room of two."""
    broad = any(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return wrap(text, characters // 2 if broad else characters) or [""]


class Paper:
    """Writes lines from the top, a page after the other, with `foot` and the page's number at the foot of each."""

    def __init__(self, title: str, foot: str) -> None:
        self._file = io.BytesIO()
        self._canvas = Canvas(self._file, pagesize=A4, pageCompression=1, invariant=1)
        self._canvas.setTitle(title)
        self._foot = foot
        for bold in (False, True):
            pdfmetrics.registerFont(face(bold))
        self._number = 0
        self._notes: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        self._y = HEIGHT - MARGIN
        self._put(MARGIN, MARGIN - 14, f"{self._foot} · page {self._number}", SMALL)

    def _put(self, x: float, y: float, text: str, size: float = SIZE, *, bold: bool = False) -> None:
        text = drawable(text)
        self._notes.update(notes_on(text))
        for name, part in runs(text, bold):
            self._canvas.setFont(name, size)
            self._canvas.drawString(x, y, part)
            x += pdfmetrics.stringWidth(part, name, size)

    def _step(self, height: float = LEADING) -> None:
        self._y -= height
        if self._y < MARGIN + LEADING:
            self._canvas.showPage()
            self._begin()
            self._y -= height

    def heading(self, text: str) -> None:
        """Write what the document is."""
        self._step(18)
        self._put(MARGIN, self._y, text, 14.0, bold=True)
        self._step(8)

    def gap(self) -> None:
        """Leave room."""
        self._step(8)

    def line(self, text: str, *, bold: bool = False) -> None:
        """Write one line, whatever its length."""
        self._step()
        self._put(MARGIN, self._y, text, bold=bold)

    def paragraph(self, text: str, *, bold: bool = False) -> None:
        """Write text over as many lines as it needs; lines of its own stay lines."""
        for own in text.splitlines():
            for part in _rows(own, _ACROSS):
                self.line(part, bold=bold)

    def blank(self, *labels: str) -> None:
        """Write labels beside each other, each with a line to write on."""
        self._step(22)
        width = (WIDTH - 2 * MARGIN) / len(labels)
        for number, label in enumerate(labels):
            x = MARGIN + number * width
            self._put(x, self._y, label, SMALL)
            start = x + width_of(label, SMALL) + 4
            self._canvas.line(start, self._y - 2, x + width - 8, self._y - 2)

    def table(self, columns: Sequence[tuple[str, float]], rows: Sequence[Sequence[str]]) -> None:
        """Write rows under the names of their columns, each with its width in points; a long cell goes on below."""
        self._row(columns, [name for name, _ in columns], bold=True)
        for row in rows:
            cells = [_rows(text, max(4, int(width / _CHARACTER))) for text, (_, width) in zip(row, columns, strict=True)]
            for number in range(max(map(len, cells))):
                self._row(columns, [cell[number] if number < len(cell) else "" for cell in cells], bold=False)

    def _row(self, columns: Sequence[tuple[str, float]], cells: Sequence[str], *, bold: bool) -> None:
        self._step()
        x = MARGIN
        for text, (_, width) in zip(cells, columns, strict=True):
            self._put(x, self._y, text, SMALL, bold=bold)
            x += width

    def finish(self) -> bytes:
        """Return the PDF. What there is to say about its letters stands at its end."""
        for note in sorted(self._notes):
            self.paragraph(note)
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()
