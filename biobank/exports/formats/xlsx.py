"""An Excel workbook: instants are real dates (UTC), and past the row limit of a sheet a further one begins."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biobank.exports.formats.format import CHUNK, READ_BY_PEOPLE, EventRow, Format, Names, encoded, for_people
from biobank.foundation.formula_cells import held

if TYPE_CHECKING:
    from openpyxl import Workbook

ROWS_OF_A_SHEET = 1_048_576
"""Of a worksheet, its heading included (Microsoft, "Excel specifications and limits")."""


def encode(rows: Iterator[EventRow], names: Names, *, rows_of_a_sheet: int = ROWS_OF_A_SHEET) -> Iterator[bytes]:
    """Yield the workbook. It is gathered in a temporary file, because its table of contents is written last."""
    from openpyxl import Workbook  # only who exports a workbook pays for loading it

    book = Workbook(write_only=True)
    sheet, number = _new_sheet(book, 1), 1
    left = rows_of_a_sheet - 1
    for row in rows:
        if left == 0:
            number += 1
            sheet, left = _new_sheet(book, number), rows_of_a_sheet - 1
        sheet.append([_cell(sheet, value) for value in for_people(row, names)])
        left -= 1
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


def _new_sheet(book: "Workbook", number: int) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    sheet = book.create_sheet(f"Custody log {number}")
    sheet.freeze_panes = "A2"
    heading = []
    for name in READ_BY_PEOPLE:
        cell = WriteOnlyCell(sheet, f"{name} (UTC)" if name.endswith("_at") else name)
        cell.font = Font(bold=True)
        heading.append(cell)
    sheet.append(heading)
    return sheet


def _cell(sheet: Any, value: Any) -> Any:
    """Return what a cell holds: an instant without its zone, because Excel knows none; a text is never a formula."""
    value = held(value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value)
    if isinstance(value, str) and value.startswith("="):
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(sheet, value)
        cell.data_type = "s"
        return cell
    return value


FORMAT = Format(
    "xlsx", "Excel workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", encoded(encode), named=True
)
