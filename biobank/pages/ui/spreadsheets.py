"""A list as a file: CSV and Excel workbook, the columns and rows that are shown, instants at the reader's site."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import Response
from markupsafe import Markup

from biobank.foundation import clock
from biobank.foundation.formula_cells import defused, held
from biobank.foundation.terms import words
from biobank.pages.ui.filters import plain
from biobank.pages.ui.parts import Column

CUT = "More rows match than a file of a list takes. Narrow the filters."


def as_csv(address: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], zone: ZoneInfo, whole: bool) -> Response:
    """Return the list as CSV in UTF-8 with a byte order mark; a text that a spreadsheet would run gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    for line in _lines(columns, rows, zone, whole):
        writer.writerow([defused(cell) for cell in line])
    return _file(address, "csv", "text/csv; charset=utf-8", out.getvalue().encode("utf-8-sig"))


def as_xlsx(address: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], zone: ZoneInfo, whole: bool) -> Response:
    """Return the list as an Excel workbook of one sheet. Texts are written as texts: none of them is a formula."""
    from openpyxl import Workbook  # brings numpy along: only who asks for a workbook pays for loading it

    book = Workbook(write_only=True)
    sheet = book.create_sheet("List")
    for line in _lines(columns, rows, zone, whole):
        sheet.append([held(defused(cell)) for cell in line])
    out = io.BytesIO()
    book.save(out)
    return _file(address, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", out.getvalue())


def _file(address: str, ending: str, media_type: str, content: bytes) -> Response:
    name = f"{address.strip('/').replace('/', '-')}-{clock.now():%Y-%m-%d}.{ending}"
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _lines(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], zone: ZoneInfo, whole: bool) -> Iterator[list[Any]]:
    yield [f"{one.label} ({zone.key})" if one.kind in ("when", "log_time") else one.label for one in columns]
    for row in rows:
        yield [_cell(row[one.key], one.kind, zone) for one in columns]
    if not whole:
        yield [CUT]


def _cell(value: Any, kind: str, zone: ZoneInfo) -> Any:
    """Return a cell: an instant as `2026-11-03 13:34:56` at the site, numbers as numbers, everything else as text."""
    if value is None:
        return None
    if kind in ("when", "log_time"):
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Markup):
        return plain(value)
    if kind in ("chip", "words"):
        return words(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
