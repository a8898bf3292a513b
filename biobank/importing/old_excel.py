"""Reading XLS with xlrd, which shows formats, errors, hidden lines and struck-out text. It does not show formulas."""

import io
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import xlrd

from biobank.importing.merged import Merged
from biobank.importing.number_formats import exact, number_cell, shown_text, shows_days
from biobank.importing.sheets import (
    A_TIME,
    COMMENTS,
    MOST_COLUMNS,
    NO_DAY,
    NO_SUCH_DAY,
    Book,
    Cell,
    FileFault,
    FileProtected,
    Line,
    Table,
    address,
    error_defect,
)
from biobank.importing.texts import text_cell

LAST_LINE = 65_536
MOST_BYTES = 64 * 1024**2
"""The reader holds all cells at once; 65,536 lines of 20 columns are some 20 MB."""
_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""The name of what an XLSX file becomes when it gets a password."""


def open_old_excel(data: bytes) -> Book:
    """Open an XLS file; what is none raises, in as many ways as there are."""
    if len(data) > MOST_BYTES:
        raise FileFault(f"An XLS file may be at most {MOST_BYTES // 1024**2} MiB. Save it as XLSX.")
    if _PACKAGE in data:
        raise FileProtected
    try:
        book = xlrd.open_workbook(file_contents=data, formatting_info=True, ragged_rows=True, logfile=io.StringIO())
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise FileProtected from error
        raise
    said = ["An XLS file does not say here which cells are formulas: their last values are taken."]
    if any(sheet.cell_note_map for sheet in book.sheets()):
        said.append(COMMENTS)
    tables = []
    for number, sheet in enumerate(book.sheets(), start=1):
        if sheet.nrows == LAST_LINE:
            said.append(f"Sheet '{sheet.name}' ends at line {LAST_LINE}, the last that XLS can hold: lines may be missing.")
        hidden = frozenset(at + 1 for at, column in sheet.colinfo_map.items() if column.hidden or column.width == 0)
        tables.append(Table(sheet.name, number, partial(_lines, book, sheet), sheet.visibility != 0, hidden))
    return Book("XLS", tables, said)


def _lines(book: Any, sheet: Any) -> Iterator[Line]:
    merged = Merged()
    for first, below, left, right in sheet.merged_cells:
        merged.add(first + 1, left + 1, below, right)
    for row in range(sheet.nrows):
        cells = {}
        for column in range(min(sheet.row_len(row), MOST_COLUMNS)):
            cell = _cell(book, sheet, row, column)
            if cell is not None:
                cells[column + 1] = cell
        known = sheet.rowinfo_map.get(row)
        yield Line(row + 1, merged.cells(row + 1) | cells, known is not None and bool(known.hidden or known.height == 0))


def _cell(book: Any, sheet: Any, row: int, column: int) -> Cell | None:
    at = address(row + 1, column + 1)
    kind, value = sheet.cell_type(row, column), sheet.cell_value(row, column)
    if kind in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK) or value == "":
        return None
    if kind == xlrd.XL_CELL_ERROR:
        return Cell(at, defect=error_defect(xlrd.error_text_from_code.get(value, "#?")))
    look = book.xf_list[sheet.cell_xf_index(row, column)]
    fonts = [look.font_index, *(font for _, font in sheet.rich_text_runlist_map.get((row, column), ()))]
    struck = any(book.font_list[font].struck_out for font in fonts)
    pattern = str(book.format_map[look.format_key].format_str)
    if kind == xlrd.XL_CELL_TEXT:
        return shown_text(text_cell(at, value, struck=struck), pattern)
    if kind == xlrd.XL_CELL_BOOLEAN:
        return Cell(at, bool(value), struck=struck)
    if kind == xlrd.XL_CELL_DATE:
        try:
            day: datetime = xlrd.xldate_as_datetime(value, book.datemode)
        except (xlrd.XLDateError, OverflowError, ValueError):
            return Cell(at, defect=NO_SUCH_DAY)
        if value < 1:
            return Cell(at, defect=A_TIME)
        defect = None if shows_days(pattern) else NO_DAY
        return Cell(at, day.date(), defect=defect, struck=struck)
    return number_cell(at, exact(value), pattern, struck=struck)
