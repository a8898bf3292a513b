"""What rack scanners write and people paste: lines of place and code, or of codes alone. Pure.

A whole-rack reader writes one line a well, in whatever dialect its maker chose::

    A01,HF26-MC061ET          A01;NO TUBE          LocationRow,LocationColumn,TubeCode          Rack ID: TR00012345

Columns are found by their heading. Without one, the column with cells that name tubes of this bank is the tubes' column; when
none does, the cell beside the well is the tube. A well that the reader found empty is nothing; one whose tube it could not read
is a line that somebody must answer. Files that are no text are made into rows by `rack_tables.py`.
"""

import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from biobank.foundation.codes import Prefix, is_code, parse_code
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import tidy

LONGEST_LIST = 400
"""Tubes of one list: four racks of 96, a plate of 384, and what one person can look at."""

EMPTY_WELL = frozenset({"NO TUBE", "NOTUBE", "NO_TUBE", "EMPTY", "NONE", "NULL", "N/A", "-", "VACANT", "LEER"})
UNREAD_WELL = frozenset(
    [
        "NO READ",
        "NOREAD",
        "NO_READ",
        "NO CODE",
        "NOCODE",
        "NO_CODE",
        "NO BARCODE",
        "NO DECODE",
        "ERROR",
        "READ ERROR",
        "READERROR",
        "DECODE ERROR",
        "DECODE FAILED",
        "READ FAILED",
        "FAILED",
        "MISREAD",
        "UNREAD",
        "UNREADABLE",
        "?",
    ]
)
"""What readers write for a tube that is there and could not be read."""
UNREAD = "NO READ"
"""How such a tube stands in a list."""

Known = Callable[[Collection[str]], Collection[str]]
"""Says which of several texts name a tube of this bank."""

_WELL = re.compile(r"^([A-Z]{1,2})[ :-]?0*([1-9][0-9]{0,2})$")
_PLATE_WELL = re.compile(r"^(?:PS-|[A-P][ :-]?0*(?:[1-9]|1[0-9]|2[0-4])$)")
_ROW = re.compile(r"^[A-Z]{1,2}$")
_COLUMN = re.compile(r"^0*([1-9][0-9]?)$")
_POSITION = re.compile(r"^PS-?[0-9A-Z]{7}$")
_MOMENT = re.compile(
    r"^[0-9]{1,4}[-/.:][0-9]{1,2}(?:[-/.:][0-9]{1,4})?(?:[ T][0-9:.]+)?(?: ?[AP]M)?Z?$|^20[0-9]{6}$", re.IGNORECASE
)
_RACK_SAID = re.compile(r"^(?:rack|plate|box|container)[ _-]*(?:id|barcode|code|number|no\.?)?\s*[:=]\s*(\S.*)$", re.IGNORECASE)
_WELL_THEN = re.compile(r"^([A-Za-z]{1,2}0*[1-9][0-9]?)\s+(\S.*)$")
_LONGEST_SCAN = 300
_SEPARATORS = "\t;,|"

_HEADINGS = {
    "tube": "tube tubecode tubeid tubebarcode barcode code sampleid sample samplebarcode sampletubeid tubenumber vial vialid"
    " specimen specimenid decodedbarcode scannedbarcode scancode tubename 2dbarcode 2dcode id identifier rohrchen probe",
    "well": "well wellid position pos tubeposition locationcell cell location slot wellposition coordinate coordinates wellname"
    " samplepositon positionid tubelocation wellnumber rackposition welllabel",
    "row": "row locationrow tuberow wellrow rowid rowname zeile",
    "column": "column col locationcolumn tubecolumn wellcolumn columnid colid spalte",
    "rack": "rack rackid rackbarcode rackcode rackname plate plateid platebarcode platecode box boxid boxbarcode containerid"
    " containerbarcode labwareid labware labwarebarcode holderbarcode rackbarcodeid",
    "status": "status tubestatus readstatus wellstatus result",
}
_MEANING = {name: meaning for meaning, names in _HEADINGS.items() for name in names.split()}


class ListTooLong(MalformedRequest):
    """More tubes than one list takes."""

    code: ClassVar[str] = "list_too_long"
    title: ClassVar[str] = "The list is too long"


class TwoTubesInOnePlace(MalformedRequest):
    """A line, or a well, that names two tubes: which one is there cannot be known from the file."""

    code: ClassVar[str] = "two_tubes_in_one_place"
    title: ClassVar[str] = "Two tubes in one place"


@dataclass(frozen=True)
class Line:
    """One tube as scanned: its text, and the well it stands in: a label (`A1`) or the code of a position (`PS-…`).

    A tube that the reader could not read has the text `UNREAD`.
    """

    text: str
    well: str | None = None


@dataclass(frozen=True)
class RackFile:
    """The lines of a rack, and the rack's own code when the file says it."""

    lines: list[Line]
    rack: str | None = None


def read_lines(text: str, known: Known | None = None) -> list[Line]:
    """Read pasted or scanned lines; raise ListTooLong, TwoTubesInOnePlace. Order is kept; what stands twice stays twice, for
    the list to say so.
    """
    return read_rack(rows_of(text, known), known).lines


def is_unread(text: str) -> bool:
    """Say whether this is what a reader writes for a tube that it could not read."""
    word = " ".join(text.upper().split())
    return word in UNREAD_WELL or (len(word) > 1 and not word.strip("?"))


def is_nothing(text: str) -> bool:
    """Say whether this is what a reader writes for a well without a tube."""
    return " ".join(text.upper().split()) in EMPTY_WELL or not text.strip("-_ .")


def rows_of(text: str, known: Known | None = None) -> list[list[str]]:
    """Split a text into rows of cells at what most lines are separated by; an identifier with a separator in it is one cell."""
    lines = [tidy_line for raw in text.splitlines() if (tidy_line := raw.strip("\ufeff \x00\x03\x04\x1a\r"))]
    counted = {mark: sum(mark in line for line in lines) for mark in _SEPARATORS}
    mark = max(_SEPARATORS, key=lambda one: counted[one])
    whole = set(known(set(lines))) if known is not None else set()
    rows = []
    for line in lines:
        if line in whole:
            rows.append([tidy(line)])
        elif mark in line:
            rows.append(
                [tidy(cell) for cell in next(csv.reader([line.replace("\0", "")], delimiter=mark, skipinitialspace=True), [])]
            )
        elif match := _WELL_THEN.match(line):
            rows.append([match[1], tidy(match[2])])
        else:
            rows.append([tidy(line)])
    return rows


def read_rack(rows: Sequence[Sequence[str]], known: Known | None = None) -> RackFile:
    """Read rows of cells. Raises ListTooLong, and TwoTubesInOnePlace for a row that names two tubes of this bank."""
    cells = {cell for row in rows for cell in row if cell and len(cell) <= _LONGEST_SCAN}
    ours = {cell for cell in cells if _is_tube(cell)} | (set(known(cells)) if known is not None else set())
    reading = _Reading(ours, rows)
    lines = [line for number, row in enumerate(rows, 1) if (line := reading.line(number, row)) is not None]
    if len(lines) > LONGEST_LIST:
        raise ListTooLong(f"{len(lines)} tubes are more than one list takes ({LONGEST_LIST}). Send them in parts.")
    racks = {rack for rack in reading.racks if rack}
    return RackFile(lines, racks.pop() if len(racks) == 1 else None)


def require_one_tube_a_well(lines: Sequence[Line]) -> None:
    """Raise TwoTubesInOnePlace when a file names two tubes for one well."""
    seen: dict[str, str] = {}
    for line in lines:
        if line.well is not None and seen.setdefault(line.well, line.text) != line.text:
            raise TwoTubesInOnePlace(f"The file names two tubes in {line.well}. Look into the rack, then scan it again.")


def well_of(cell: str) -> str | None:
    """Return a well's plain label (`a01` → `A1`) or a position's code as it is; None when the cell names no well."""
    text = cell.upper()
    if _POSITION.match(text):
        return f"PS-{text[-7:]}"
    match = _WELL.match(text)
    return None if match is None else match[1] + match[2]


class _Reading:
    """Reads one file row by row: what its headings said so far, and the racks it named."""

    def __init__(self, ours: Collection[str], rows: Sequence[Sequence[str]]) -> None:
        self._ours = ours
        self._columns: dict[str, int] = {}
        self.racks: list[str] = []
        self._first = next((number for number, row in enumerate(rows, 1) if self._is_heading(row) and self._columns), 0)
        self._columns = {}
        self._has_wells = any(well_of(cell) for row in rows for cell in _joined(list(row)))

    def line(self, number: int, row: Sequence[str]) -> Line | None:
        filled = [cell for cell in row if cell]
        if not filled or self._is_heading(row) or self._is_rack(filled):
            return None
        self.racks += [cell for cell in filled if _is_rack_code(cell)]
        if number < self._first and not any(cell in self._ours for cell in filled):
            return None  # what stands above the heading is about the file
        if "tube" in self._columns and not self._is_turned(row):
            return self._by_heading(row)
        return self._by_content(number, list(row))

    def _is_turned(self, row: Sequence[str]) -> bool:
        """Say whether a row does not keep to the heading: a well where the tube should be, and none where the well should be."""
        tube, well = self._columns["tube"], self._columns.get("well")
        if well is None or max(tube, well) >= len(row) or row[tube] in self._ours:
            return False
        return well_of(row[tube]) is not None and well_of(row[well]) is None

    def _is_heading(self, row: Sequence[str]) -> bool:
        filled = [cell for cell in row if cell]
        meanings = {index: meaning for index, cell in enumerate(row) if (meaning := _meaning_of(cell)) is not None}
        if any(cell in self._ours for cell in filled) or not meanings:
            return False
        said = set(meanings.values())
        if "tube" in said and (len(said) > 1 or len(filled) == 1):
            self._columns = {}
            for index, meaning in meanings.items():
                self._columns.setdefault(meaning, index)
            # `Code` and `ID` are weak words: beside `Tube code` they name something else.
            for index, meaning in meanings.items():
                if meaning == "tube" and "tube" in _plain(row[index]):
                    self._columns["tube"] = index
                    break
            return True
        return len(meanings) == len(filled)

    def _is_rack(self, filled: list[str]) -> bool:
        """Read a line of the preamble that says the rack."""
        said = _RACK_SAID.match(filled[0]) if len(filled) == 1 else None
        pair = filled[1] if len(filled) == 2 and _meaning_of(filled[0].rstrip(":= ")) == "rack" else None
        rack = said[1] if said else pair
        if rack is None or filled[0] in self._ours:
            return False
        self.racks.append(rack)
        return True

    def _by_heading(self, row: Sequence[str]) -> Line | None:
        def cell(meaning: str) -> str:
            index = self._columns.get(meaning)
            return row[index] if index is not None and index < len(row) else ""

        self.racks.append(cell("rack"))
        place = cell("well")
        if not place and cell("row") and cell("column"):
            place = cell("row") + cell("column")
        return _line(
            cell("tube") or (cell("status") if is_unread(cell("status")) else ""), (well_of(place) or place[:20]) or None
        )

    def _by_content(self, number: int, row: list[str]) -> Line | None:
        row = _joined(row)
        filled = [cell for cell in row if cell]
        if len(filled) == 1 and well_of(filled[0]) is not None and not _PLATE_WELL.match(filled[0].upper()):
            return _line(filled[0], None)  # no plate has such a well: an identifier that nobody registered
        wells = [index for index, cell in enumerate(row) if well_of(cell) is not None]
        wells.sort(key=lambda index: _PLATE_WELL.match(row[index].upper()) is None)  # `TR1` may be a rack's name
        place = next((index for index in wells if row[index] not in self._ours), wells[0] if len(wells) > 1 else None)
        well = None if place is None else well_of(row[place])
        tubes = list(dict.fromkeys(cell for index, cell in enumerate(row) if index != place and cell in self._ours))
        if len(tubes) > 1:
            raise TwoTubesInOnePlace(f"Line {number} names two tubes. Write one tube a line, or look into the rack.")
        if tubes:
            self._name_the_rest(row, place, tubes[0])
            return _line(tubes[0], well)
        if place is None:
            coded = [cell for cell in row if _may_be_tube(cell)]
            if self._has_wells and (len(filled) > 1 or _MOMENT.match(row[0])):
                return None  # a line of a rack's file that is about no well
            return _line(coded[0], None) if coded else None
        return _line(self._beside(row, place), well)

    def _beside(self, row: list[str], place: int) -> str:
        """Return the cell beside a well: the next one, unless nothing stands after the well at all."""
        after = row[place + 1 :]
        if any(after):
            self._name_the_rest(row, place, after[0])
            return after[0]
        before = [cell for cell in row[:place] if cell]
        return before[-1] if before else ""

    def _name_the_rest(self, row: list[str], place: int | None, tube: str) -> None:
        """Take the one other cell that looks like an identifier for the rack's."""
        rest = [cell for index, cell in enumerate(row) if index != place and cell != tube and any(c.isdigit() for c in cell)]
        rest = [cell for cell in rest if not is_unread(cell) and not is_nothing(cell) and not _MOMENT.match(cell)]
        if place is not None and len(rest) == 1 and not _is_rack_code(rest[0]):
            self.racks.append(rest[0])


def _line(text: str, well: str | None) -> Line | None:
    if not text or is_nothing(text) or len(text) > _LONGEST_SCAN:
        return None
    if is_unread(text):
        return Line(UNREAD, well) if well is not None else None
    return Line(text, well)


def _joined(row: list[str]) -> list[str]:
    """Return the row with a letter and the number beside it made into one well (`A`, `1` → `A1`), when it names none."""
    if any(well_of(cell) for cell in row):
        return row
    for index in range(len(row) - 1):
        if _ROW.match(row[index].upper()) and (number := _COLUMN.match(row[index + 1])):
            return [*row[:index], row[index].upper() + number[1], *row[index + 2 :]]
    return row


def _plain(cell: str) -> str:
    return "".join(c for c in cell.lower().replace("ö", "o") if c.isalnum())


def _meaning_of(cell: str) -> str | None:
    return _MEANING.get(_plain(cell)) if len(cell) <= 40 else None


def _is_tube(cell: str) -> bool:
    text = cell.rpartition("/")[2]
    return is_code(text) and parse_code(text).prefix in (Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED)


def _is_rack_code(cell: str) -> bool:
    text = cell.rpartition("/")[2]
    return is_code(text) and parse_code(text).prefix == Prefix.CONTAINER


def _may_be_tube(cell: str) -> bool:
    """Say whether an unknown cell may name a tube: a heading's words hold no digit, an identifier that nobody registered does."""
    return any(c.isdigit() for c in cell) and ": " not in cell and len(cell) <= _LONGEST_SCAN and well_of(cell) is None
