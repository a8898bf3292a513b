"""What rack scanners write and people paste: lines of place and code, or of codes alone. Pure.

A whole-rack reader writes one line a well, in whatever dialect its maker chose::

    A01,HF26-MC061ET          A01;NO TUBE          Position<TAB>Code          Rack: 0012345

Separators are comma, semicolon and tab. Each line is read for a well (`A1`, `A01`, `h12`) and for a code; which stands first
does not matter. A line that holds neither, and wells that a reader found empty, are left out and counted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from biobank.foundation.errors import MalformedRequest

LONGEST_LIST = 400
"""Tubes of one list: four racks of 96, and what one person can look at."""

EMPTY_WELL = frozenset({"NO TUBE", "NOTUBE", "NO READ", "NOREAD", "NO CODE", "EMPTY", "NONE", "NULL", "N/A", "-", "ERROR", "?"})

_WELL = re.compile(r"^([A-Z]{1,2})0*([1-9][0-9]{0,2})$")
_POSITION = re.compile(r"^PS-?[0-9A-Z]{7}$")
_SPLIT = re.compile(r"[,;\t]")
_LONGEST_SCAN = 300


class ListTooLong(MalformedRequest):
    """More tubes than one list takes."""

    code = "list_too_long"
    title = "The list is too long"


@dataclass(frozen=True)
class Line:
    """One tube as scanned: its text, and the well it stands in: a label (`A1`) or the code of a position (`PS-…`)."""

    text: str
    well: str | None = None


def read_lines(text: str) -> list[Line]:
    """Read pasted or scanned lines; raise ListTooLong. Order is kept; what stands twice stays twice, for the list to say so."""
    lines = list(_lines(text))
    if len(lines) > LONGEST_LIST:
        raise ListTooLong(f"{len(lines)} tubes are more than one list takes ({LONGEST_LIST}). Send them in parts.")
    return lines


def _lines(text: str) -> Iterable[Line]:
    for raw in text.splitlines():
        cells = [cell.strip().strip("\"'").strip() for cell in _SPLIT.split(raw)]
        cells = [cell for cell in cells if cell]
        well = next((found for cell in cells if (found := well_of(cell)) is not None), None)
        rest = [cell for cell in cells if well_of(cell) is None and cell.upper() not in EMPTY_WELL]
        # A heading names no well and its words hold no digit; a code and every foreign identifier we know of does.
        coded = [cell for cell in rest if any(c.isdigit() for c in cell) and ": " not in cell and len(cell) <= _LONGEST_SCAN]
        if coded:
            yield Line(coded[0], well)


def well_of(cell: str) -> str | None:
    """Return a well's plain label (`a01` → `A1`) or a position's code as it is; None when the cell names no well."""
    text = cell.upper()
    if _POSITION.match(text):
        return f"PS-{text[-7:]}"
    match = _WELL.match(text)
    return None if match is None else match[1] + match[2]
