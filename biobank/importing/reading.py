"""Reading an old spreadsheet: sheets, the line where the headings stand, rows as cells by field."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from biobank.foundation.errors import MalformedRequest
from biobank.importing.profile import OPTIONAL, Profile, Sheet

HEADINGS_WITHIN = 30
"""Lines in which the headings are looked for: above them stand titles and warnings."""


class FileFault(MalformedRequest):
    """The file cannot be read as the profile says."""

    code = "import_file_unusable"
    title = "The file cannot be read"


@dataclass(frozen=True)
class Row:
    """One line of a sheet: its cells by field, and where it stands."""

    sheet: Sheet
    line: int
    evidence: str
    cells: dict[str, Any]


def read_rows(path: Path, profile: Profile) -> list[Row]:
    """Return every line below the headings that says anything. Raises FileFault."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise FileFault(f"This is no spreadsheet that can be read ({type(error).__name__}).") from error
    try:
        return [row for sheet in profile.sheets for row in _of_sheet(book, sheet, profile, digest)]
    finally:
        book.close()


def _of_sheet(book: Any, sheet: Sheet, profile: Profile, digest: str) -> Iterator[Row]:
    if sheet.name not in book.sheetnames:
        raise FileFault(f"There is no sheet '{sheet.name}' in the file.")
    number = book.sheetnames.index(sheet.name) + 1
    where: dict[str, int] | None = None
    for line, values in enumerate(book[sheet.name].iter_rows(values_only=True), start=1):
        if where is None:
            where = _headings(values, profile)
            if where is None and line >= HEADINGS_WITHIN:
                break
            continue
        cells = {field: values[at] if at < len(values) else None for field, at in where.items()}
        if any(value is not None and str(value).strip() for value in cells.values()):
            yield Row(sheet, line, f"sha256:{digest[:32]}#{number}:{line}", cells)
    if where is None:
        raise FileFault(f"No line of sheet '{sheet.name}' has the headings that the profile names.")


def _headings(values: tuple[Any, ...], profile: Profile) -> dict[str, int] | None:
    found = {str(value).strip(): at for at, value in enumerate(values) if value is not None}
    where = {field: found[heading] for field, heading in profile.columns.items() if heading in found}
    return where if set(profile.columns) - OPTIONAL <= set(where) else None
