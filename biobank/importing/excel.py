"""Reading XLSX as openpyxl sees it, and what it passes over: formulas without a value, formats, hidden, merged, struck out.

openpyxl's parser of a sheet gives cells one line at a time, so memory does not follow the size of the file. The size that a
file claims for itself (its dimension tag) is not asked: some programs write a wrong one.
"""

import re
import warnings
from collections.abc import Generator, Iterator
from datetime import datetime, time, timedelta
from functools import partial
from io import BytesIO
from typing import Any

from defusedxml.ElementTree import iterparse
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.datetime import from_excel
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet._reader import DATA_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from typing_extensions import override

from biobank.importing.merged import Merged
from biobank.importing.number_formats import exact, number_cell, shown_text, shows_days
from biobank.importing.packed import Metered
from biobank.importing.sheets import (
    A_TIME,
    COMMENTS,
    MOST_COLUMNS,
    NEVER_CALCULATED,
    NO_DAY,
    NO_SUCH_DAY,
    Book,
    Cell,
    FileFault,
    Line,
    Table,
    address,
    error_defect,
)
from biobank.importing.texts import text_cell

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref=["\']([A-Z]+\d+:[A-Z]+\d+)["\']')
_TRUE = (b"1", b"true")
_HIDDEN_COLUMNS = re.compile(rb"<(?:\w+:)?col\s[^>]*>")
_ENDS = re.compile(rb"</(?:\w+:)?worksheet\s*>\s*(?:<!--.*?-->\s*)*$", re.S)
_CHUNK = 1 << 20
_COMMENTS = ("xl/comments", "xl/threadedComments")


class _SheetParser(WorkSheetParser):
    """Says of every cell whether a formula stands in it; leaves dates and what does not concern us alone."""

    @override
    def parse_cell(self, element: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().parse_cell(element)
        found["formula"] = element.find(FORMULA_TAG) is not None
        return found

    @override
    def parse(self) -> Generator[Any, None, None]:
        """Yield the lines; what stands before and after them (formats, links, extensions) is no cell and is not built.

        A line that was read leaves the tree: emptied and left in it, each kept some 300 bytes until the end of the sheet.
        """
        sheet: Any = None
        for event, element in iterparse(self.source, ("start", "end")):
            if event == "start":
                sheet = element if element.tag == DATA_TAG else sheet
            elif element.tag == ROW_TAG:
                yield self.parse_row(element)
                sheet.clear()
            elif element.tag == DATA_TAG:
                return


class _Sheet(ReadOnlyWorksheet):
    @override
    def _get_size(self) -> None:  # type: ignore[misc]
        """Leave the size unasked: in a file that does not state it, openpyxl looks for it through the whole sheet and keeps an
        element of every line."""


class _Reader(ExcelReader):
    """Opens a book and reads no sheet."""

    @override
    def read_worksheets(self) -> None:
        book: Any = self.wb
        found: Iterator[Any] = self.parser.find_sheets()
        for sheet, part in found:
            if part.target not in self.valid_files:
                continue
            if "chartsheet" in part.Type:
                self.read_chartsheet(sheet, part)
                continue
            made = _Sheet(book, sheet.name, part.target, self.shared_strings)
            made.sheet_state = sheet.state
            book._sheets.append(made)


def open_excel(data: bytes) -> Book:
    """Open an XLSX file; whatever it holds that is no workbook raises, in as many ways as there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = _Reader(BytesIO(data), read_only=True, data_only=True, keep_links=False, rich_text=True)
        reader.read()
        book: Any = reader.wb
    said = [COMMENTS] if any(name.startswith(_COMMENTS) for name in book._archive.namelist()) else []
    tables = []
    for number, sheet in enumerate(book.worksheets, start=1):
        columns, merged = _around_the_cells(sheet)
        tables.append(
            Table(
                sheet.title,
                number,
                partial(_lines, book, sheet, merged),
                hidden=sheet.sheet_state != "visible",
                hidden_columns=columns,
            )
        )
    return Book("XLSX", tables, said)


def _source(sheet: Any) -> Any:
    return sheet._get_source()


def _around_the_cells(sheet: Any) -> tuple[frozenset[int], Merged]:
    """Return the hidden columns and the merged ranges. They stand before and after the cells."""
    columns: set[int] = set()
    merged = Merged()
    rest = end = b""
    with _source(sheet) as source:
        while chunk := source.read(_CHUNK):
            text = rest + chunk
            for tag in _HIDDEN_COLUMNS.findall(text):
                said = dict(re.findall(rb"(\w+)=[\"']([^\"']*)[\"']", tag))
                if said.get(b"hidden") in _TRUE or said.get(b"width") == b"0":
                    columns.update(range(int(said[b"min"]), min(int(said[b"max"]), MOST_COLUMNS) + 1))
            for name in _MERGED.findall(text):
                left, top, right, bottom = (int(bound or 0) for bound in range_boundaries(name.decode()))
                merged.add(top, left, bottom, right)
            end = (end + chunk)[-200:]
            last = text[text.rfind(b"<") :]
            rest = last if b">" not in last and len(last) < _CHUNK else b""
    if not _ENDS.search(end):
        raise FileFault("A sheet of the file breaks off: it cannot be read. Open it in a spreadsheet program and save it anew.")
    return frozenset(columns), merged


def _lines(book: Any, sheet: Any, merged: Merged) -> Iterator[Line]:
    styles: dict[int, tuple[str, bool, bool, bool]] = {}

    def style(identity: int) -> tuple[str, bool, bool, bool]:
        if identity not in styles:
            one = ReadOnlyCell(sheet, 1, 1, 0, "n", identity)
            pattern = str(one.number_format)
            styles[identity] = pattern, bool(one.font.strike), identity in book._date_formats, shows_days(pattern)
        return styles[identity]

    with _source(sheet) as part:
        source = Metered(part)
        parser = _SheetParser(source, sheet._shared_strings, data_only=True, epoch=book.epoch, rich_text=True)
        for number, found in parser.parse():
            source.line_ended()
            cells = {}
            for one in found:
                if one["column"] <= MOST_COLUMNS:
                    cell = _cell(one, style(one["style_id"]), book.epoch)
                    if cell is not None:
                        cells[one["column"]] = cell
            looks = parser.row_dimensions.pop(str(number), {})
            hidden = looks.get("hidden") in ("1", "true") or looks.get("ht") in ("0", "0.0")
            yield Line(number, merged.cells(number) | cells, hidden)


def _cell(found: dict[str, Any], style: tuple[str, bool, bool, bool], epoch: datetime) -> Cell | None:
    at = address(found["row"], found["column"])
    value, kind = found["value"], found["data_type"]
    pattern, struck, dated, days_shown = style
    notes = ("is a formula; its last calculated value is taken",) if found["formula"] else ()
    if isinstance(value, CellRichText):
        struck = struck or any(isinstance(block, TextBlock) and block.font.strike for block in value)
        value = str(value)
    if kind == "e":
        return Cell(at, defect=error_defect(value))
    if value is None or value == "":
        # A formula may give an empty text, and then says that it is a text.
        return Cell(at, defect=NEVER_CALCULATED) if found["formula"] and kind != "str" else None
    if isinstance(value, bool):
        return Cell(at, value, notes=notes, struck=struck)
    if isinstance(value, str):
        return shown_text(text_cell(at, value, notes=notes, struck=struck), pattern)
    if isinstance(value, int | float):
        if not dated:
            return number_cell(at, exact(value), pattern, notes=notes, struck=struck)
        try:
            value = from_excel(value, epoch)
        except (OverflowError, ValueError):
            return Cell(at, defect=NO_SUCH_DAY)
    if isinstance(value, datetime):
        defect = None if days_shown else NO_DAY
        return Cell(at, value.date(), defect=defect, notes=notes, struck=struck)
    if isinstance(value, time | timedelta):
        return Cell(at, defect=A_TIME)
    return Cell(at, value, notes=notes, struck=struck)
