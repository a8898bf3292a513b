"""What rack scanners write and people paste: lines of place and code, or of codes alone. Pure.

A whole-rack reader writes one line a well, in whatever dialect its maker chose::

    A01,HF26-MC061ET          A01;NO TUBE          LocationRow,LocationColumn,TubeCode          Rack ID: TR00012345

Columns are found by their heading. Without one, the column with cells that name tubes of this bank is the tubes' column; when
none does, the cell beside the well is the tube. A well that the reader found empty is nothing; one whose tube it could not read
is a line that somebody must answer. Files that are no text are made into rows by `rack_tables.py`.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from biobank.foundation.codes import SPECIMENS, Prefix, is_code, is_label, read_label
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import tidy
from biobank.scanning.rack_wells import is_plate_well, joined, place_in, unfolded, well_of
from biobank.scanning.rack_words import (
    is_blank,
    is_nothing,
    is_read,
    is_unread,
    may_say_something_else,
    meaning_of,
    plain,
    says_unread,
    weakness_of,
)

LONGEST_LIST = 400
"""Tubes of one list: four racks of 96, a plate of 384, and what one person can look at."""

UNREAD = "NO READ"
"""How such a tube stands in a list."""

Known = Callable[[Collection[str]], Collection[str]]
"""Says which of several texts name a tube of this bank."""

_MOMENT = re.compile(
    r"^[0-9]{1,4}[-/.:][0-9]{1,2}(?:[-/.:][0-9]{1,4})?(?:[ T][0-9:.]+)?(?: ?[AP]M)?Z?$|^20[0-9]{6}$", re.IGNORECASE
)
_RACK_SAID = re.compile(r"^(?:rack|plate|box|container)[ _-]*(?:id|barcode|code|number|no\.?)?\s*[:=]\s*(\S.*)$", re.IGNORECASE)
_WELL_THEN = re.compile(r"^([A-Za-z]{1,2}0*[1-9][0-9]?)(?:\s*[:=]\s*|\s+)(\S.*)$")
_IN_COLUMNS = re.compile(r"\s{2,}")
_COUNT = re.compile(r"^[0-9]{1,4}$")
_LONGEST_MARK = 5
"""`#####`; more of one mark is a line drawn by somebody."""
_REMARK = re.compile(r"^(?:#|//|;|'|sep=)", re.IGNORECASE)
MOST_ROWS = 5000
MOST_CELLS = 100
_LONGEST_SCAN = 300
_LONGEST_LINE = 40_000
"""Characters: a line of `MOST_CELLS` long cells, and less than a field of the CSV reader may have."""
_SEPARATORS = ("\t", ";", ",", "|", "  ")
"""What stands first wins where two split as well. Two blanks and more are the columns of a printed table."""


class ListTooLong(MalformedRequest):
    """More tubes than one list takes."""

    code: ClassVar[str] = "list_too_long"
    title: ClassVar[str] = "The list is too long"


class TwoTubesInOnePlace(MalformedRequest):
    """A line, or a well, that names two tubes: which one is there cannot be known from the file."""

    code: ClassVar[str] = "two_tubes_in_one_place"
    title: ClassVar[str] = "Two tubes in one place"


class TwoRacks(MalformedRequest):
    """The file of a rack scanner names several racks: in which of them a tube stands is not known."""

    code: ClassVar[str] = "two_racks"
    title: ClassVar[str] = "More than one rack"


@dataclass(frozen=True)
class Line:
    """One tube as scanned: its text, and the well it stands in: a label (`A1`) or the code of a position (`PS-…`).

    A tube that the reader could not read has the text `UNREAD`.
    """

    text: str
    well: str | None = None


@dataclass(frozen=True)
class RackFile:
    """The lines of a rack, and the rack's own code when the file says it; `of_several`: it names more than one."""

    lines: list[Line]
    rack: str | None = None
    of_several: bool = False


def read_lines(text: str, known: Known | None = None) -> list[Line]:
    """Read pasted or scanned lines; raise ListTooLong, TwoTubesInOnePlace. Order is kept; what stands twice stays twice, for
    the list to say so.
    """
    return read_rack(rows_of(text, known), known).lines


def rows_of(text: str, known: Known | None = None) -> list[list[str]]:
    """Split a text into rows of cells at what most lines are separated by; an identifier with a separator in it is one cell.

    Raises ListTooLong.
    """
    lines = [line for raw in text.splitlines() if (line := raw[:_LONGEST_LINE].strip("\ufeff \x00\x03\x04\x1a\r"))]
    require_few(len(lines))
    whole = set(known(set(lines))) if known is not None else set()
    mark = max(_SEPARATORS, key=lambda one: sum(_splits(line, one) for line in lines if line not in whole))
    rows = []
    for line in lines:
        if line in whole or _is_whole(line):
            rows.append([tidy(line)])
        elif mark in line:
            rows.append(_cells(line, mark))
        elif match := _WELL_THEN.match(line):
            first, _, rest = tidy(match[2]).partition(" ")
            rows.append([match[1], first, rest] if rest and _is_tube(first) else [match[1], tidy(match[2])])
        else:
            rows.append([tidy(line)])
    return rows


def _is_whole(line: str) -> bool:
    """Say whether a line is one label: `AD26 MC061ET` holds no well, and behind a tab stands no number of a print."""
    return is_code(line) or (is_label(line) and not any(mark in line for mark in _SEPARATORS))


def _splits(line: str, mark: str) -> int:
    """Say how well a mark splits a line: most, where a cell of it means something."""
    if mark not in line:
        return 0
    cells = [cell.strip(" \"'") for cell in line.split(mark, MOST_CELLS)]
    return 10 if any(_is_tube(cell) or well_of(cell) or meaning_of(cell) for cell in cells) else 1


def _cells(line: str, mark: str) -> list[str]:
    if mark == _SEPARATORS[-1]:
        return [tidy(cell) for cell in _IN_COLUMNS.split(line, MOST_CELLS)[:MOST_CELLS]]
    cells = next(csv.reader([line.replace("\0", "")], delimiter=mark, skipinitialspace=True), [])
    return [tidy(cell) for cell in cells[:MOST_CELLS]]


def require_few(rows: int) -> None:
    """Raise ListTooLong for more rows than any rack's file has."""
    if rows > MOST_ROWS:
        raise ListTooLong(f"The file has more than {MOST_ROWS:,} rows, far more than a rack. Load the list of one rack.")


def read_rack(rows: Sequence[Sequence[str]], known: Known | None = None, *, most: int = LONGEST_LIST) -> RackFile:
    """Read rows of cells. Raises ListTooLong, and TwoTubesInOnePlace for a row that names two tubes of this bank."""
    rows = unfolded(rows)
    cells = {cell for row in rows for cell in row if cell and len(cell) <= _LONGEST_SCAN}
    ours = {cell for cell in cells if _is_tube(cell)} | (set(known(cells)) if known is not None else set())
    reading = _Reading(ours, rows)
    lines = [line for number, row in enumerate(rows, 1) if (line := reading.line(number, row)) is not None]
    if len(lines) > most:
        raise ListTooLong(f"{len(lines)} tubes are more than one list takes ({most}). Send them in parts.")
    racks = reading.racks()
    return RackFile(lines, racks[0] if len(racks) == 1 else None, len(racks) > 1)


def require_one_rack(found: RackFile) -> None:
    """Raise TwoTubesInOnePlace when a file names two tubes for one well, and TwoRacks when its wells are of several racks."""
    if found.of_several and any(line.well is not None for line in found.lines):
        raise TwoRacks("The file names more than one rack. Scan one rack a file, so that each tube goes into its own.")
    seen: dict[str, str] = {}
    for line in found.lines:
        if line.well is not None and seen.setdefault(line.well, line.text) != line.text:
            raise TwoTubesInOnePlace(f"The file names two tubes in {line.well}. Look into the rack, then scan it again.")


class _Reading:
    """Reads one file row by row: what its headings said so far, and the racks it named."""

    def __init__(self, ours: Collection[str], rows: Sequence[Sequence[str]]) -> None:
        self._ours = ours
        self._rows = rows
        self._columns: dict[str, int] = {}
        self._named: list[str] = []
        self._guessed: list[str] = []
        self._first = next((number for number, row in enumerate(rows, 1) if self._is_heading(row) and self._columns), 0)
        self._columns = {}
        in_wells = [joined(row) for row in rows]
        with_well = [row for row in in_wells if any(cell not in ours and well_of(cell) for cell in row)]
        self._has_wells = any(well_of(cell) for row in in_wells for cell in row)
        held = Counter((len(row), at) for row in with_well for at, cell in enumerate(row) if cell in ours)
        self._tubes_at = {width: at for (width, at), _ in reversed(held.most_common())}
        """By how many cells a row has: the column in which most tubes of this bank stand."""
        columns = Counter((at, cell) for row in with_well for at, cell in enumerate(row))
        self._same = {at for (at, cell), count in columns.items() if cell and count == len(with_well) > 1}
        """Columns that say the same in every row: the rack's, no tube's."""
        self._differs = any(
            cell for row in with_well for at, cell in enumerate(row) if at not in self._same and at != place_in(row, ours)
        )
        self._says_nothing = {said for row in rows for said in self._said_beside_a_tube(row)}
        """Words, by their column, that stand beside a tube that was read too: an unread rack, a kind of sample."""
        self._is_tube_after = any(any(row[place_in(row, ours) + 1 :]) for row in with_well)

    def racks(self) -> list[str]:
        """Return the racks that the file names, each once: by their labels, else by heading, else what looks like one."""
        named = list(dict.fromkeys(rack for rack in self._named if rack))
        guessed = set(self._guessed)
        return [rack for rack in named if _is_rack_code(rack)] or named or (list(guessed) if len(guessed) == 1 else [])

    def line(self, number: int, row: Sequence[str]) -> Line | None:
        """Return the tube of a row; None for a row about the file."""
        filled = [cell for cell in row if cell]
        if not filled or self._is_heading(row) or self._is_rack(filled):
            return None
        self._named += [cell for cell in filled if _is_rack_code(cell)]
        if not any(cell in self._ours for cell in filled) and (number < self._first or _is_remark(filled[0])):
            return None  # what stands above the heading is about the file
        if "tube" in self._columns and not self._is_turned(row):
            return self._by_heading(row)
        return self._by_content(number, row)

    def _is_turned(self, row: Sequence[str]) -> bool:
        """Say whether a row does not keep to the heading: a well where the tube should be, and none where the well should be."""
        tube, well = self._columns["tube"], self._columns.get("well")
        if well is None or max(tube, well) >= len(row) or row[tube] in self._ours:
            return False
        return well_of(row[tube]) is not None and well_of(row[well]) is None

    def _is_heading(self, row: Sequence[str]) -> bool:
        filled = [cell for cell in row if cell]
        meanings = {index: meaning for index, cell in enumerate(row) if (meaning := meaning_of(cell)) is not None}
        if any(cell in self._ours for cell in filled) or not meanings:
            return False
        said = set(meanings.values())
        if "tube" in said and (len(said) > 1 or len(filled) == 1):
            self._columns = {}
            for index, meaning in meanings.items():
                self._columns.setdefault(meaning, index)
            tubes = [index for index, meaning in meanings.items() if meaning == "tube"]
            self._columns["tube"] = min(tubes, key=lambda index: (-self._known_in(index), weakness_of(row[index])))
            return True
        return len(meanings) == len(filled)

    def _known_in(self, column: int) -> int:
        return sum(row[column] in self._ours for row in self._rows if column < len(row))

    def _is_rack(self, filled: list[str]) -> bool:
        """Read a line of the preamble that says the rack."""
        said = _RACK_SAID.match(filled[0]) if len(filled) == 1 else None
        pair = filled[1] if len(filled) == 2 and meaning_of(filled[0].rstrip(":= ")) == "rack" else None
        rack = said[1] if said else pair
        if rack is None or filled[0] in self._ours:
            return False
        self._named.append(rack)
        return True

    def _by_heading(self, row: Sequence[str]) -> Line | None:
        def cell(meaning: str) -> str:
            index = self._columns.get(meaning)
            return row[index] if index is not None and index < len(row) else ""

        place, text = cell("well"), cell("tube")
        if not place and cell("row") and cell("column"):
            place = _lettered(cell("row"), cell("column"))
        if place and self._has_wells and text not in self._ours and (": " in place or not any(c.isdigit() for c in place)):
            return None  # `Total tubes,95`: a sum below the wells
        self._named.append(cell("rack"))
        about = {self._columns.get(meaning) for meaning in ("well", "row", "column", "rack")}
        if is_unread(cell("status")) or (is_blank(text) and self._says_unread(row, about)):
            text = UNREAD
        return self._line(text, (well_of(place) or place[:20]) or None)

    def _said_beside_a_tube(self, row: Sequence[str]) -> Iterator[tuple[int, str]]:
        ours = any(cell in self._ours for cell in row)
        if ours or any(_may_be_tube(cell) and not _is_number_or_moment(cell) for cell in row):
            place = next((at for at, cell in enumerate(joined(row)) if well_of(cell)), 0) if ours else 0
            for at, cell in enumerate(row):
                if says_unread(cell) and (at < place or may_say_something_else(cell)):
                    yield at, plain(cell)

    def _says_unread(self, row: Sequence[str], about: Collection[int | None] = ()) -> bool:
        """Say whether a row without a tube's code says that it could not be read. `about`: columns that say something else."""
        return any(
            at not in about and says_unread(cell) and well_of(cell) is None and (at, plain(cell)) not in self._says_nothing
            for at, cell in enumerate(row)
        )

    def _is_unread_without_a_well(self, filled: Sequence[str]) -> bool:
        """Tell a tube that was not read from a sum (`No read, 3`) and from what is said of the file (`Result, failed`)."""
        others = [cell for cell in filled if not is_unread(cell)]
        if len(others) == len(filled):
            return False
        if not any(plain(cell) for cell in filled if is_unread(cell)):
            return not self._has_wells and len(filled) == 1 and len(filled[0]) <= _LONGEST_MARK
        if self._has_wells:
            return all(any(c.isdigit() for c in cell) and ": " not in cell and not _is_number_or_moment(cell) for cell in others)
        return not any(_may_be_tube(cell) and not _is_number_or_moment(cell) for cell in others)

    def _by_content(self, number: int, whole: Sequence[str]) -> Line | None:
        row = joined(whole)
        filled = [cell for cell in row if cell]
        if len(filled) == 1 and well_of(filled[0]) is not None and not is_plate_well(filled[0]):
            return self._line(filled[0], None)  # no plate has such a well: an identifier that nobody registered
        wells = [
            index
            for index, cell in enumerate(row)
            if well_of(cell) is not None and (index not in self._same or is_plate_well(cell))
        ]
        wells.sort(key=lambda index: not is_plate_well(row[index]))  # `TR1` may be a rack's name
        place = next((index for index in wells if row[index] not in self._ours), wells[0] if len(wells) > 1 else None)
        well = None if place is None else well_of(row[place])
        tubes = list(dict.fromkeys(cell for index, cell in enumerate(row) if index != place and cell in self._ours))
        if len(tubes) > 1:
            raise TwoTubesInOnePlace(f"Line {number} names two tubes. Write one tube a line, or look into the rack.")
        if tubes:
            self._name_the_rest(row, place, tubes[0])
            return self._line(tubes[0], well)
        if place is None:
            if self._is_unread_without_a_well(filled):
                return self._line(UNREAD, None)
            coded = sorted((cell for cell in row if _may_be_tube(cell)), key=_is_number_or_moment)
            if coded and _is_number_or_moment(coded[0]) and any(is_nothing(cell) and not is_blank(cell) for cell in filled):
                return None
            if self._has_wells and (len(filled) > 1 or _MOMENT.match(row[0])):
                return None  # a line of a rack's file that is about no well
            return self._line(coded[0], None) if coded else None
        text = self._beside(row, place)
        if (is_blank(text) or self._is_the_rack(row.index(text), text)) and self._says_unread(whole):
            text = UNREAD
        return self._line(text, well)

    def _is_the_rack(self, at: int, cell: str) -> bool:
        return at in self._same and any(c.isdigit() for c in cell)

    def _beside(self, row: list[str], place: int) -> str:
        """Return the tube of a well: the cell where the tubes of this bank stand, else the next one, unless nothing stands after
        the well at all.
        """
        at = self._tubes_at.get(len(row), place)
        after = [
            cell
            for index, cell in enumerate(row)
            if index > place and not is_read(cell) and not (self._differs and self._is_the_rack(index, cell))
        ]
        if at != place:
            self._name_the_rest(row, place, row[at])
            return row[at]
        if any(after):
            self._name_the_rest(row, place, after[0])
            return after[0]
        before = [(at, cell) for at, cell in enumerate(row[:place]) if cell]
        before = [(at, cell) for at, cell in before if not ((self._is_tube_after or self._differs) and at in self._same)]
        return before[-1][1] if before else ""

    def _name_the_rest(self, row: list[str], place: int | None, tube: str) -> None:
        """Take the one other cell that looks like an identifier for the rack's."""
        rest = [cell for index, cell in enumerate(row) if index != place and cell != tube and any(c.isdigit() for c in cell)]
        rest = [cell for cell in rest if not is_unread(cell) and not is_nothing(cell) and not _MOMENT.match(cell)]
        if place is not None and len(rest) == 1 and not _is_rack_code(rest[0]):
            self._guessed.append(rest[0])

    def _line(self, text: str, well: str | None) -> Line | None:
        if not text or len(text) > _LONGEST_SCAN:
            return None
        if text not in self._ours and is_nothing(text):
            return None
        if text not in self._ours and is_unread(text):
            return Line(UNREAD, well)
        return Line(text, well)


def _lettered(row: str, column: str) -> str:
    """Return the well of a row and a column; where both are numbers the row is the letter of its number, from the top."""
    counted = row.isdecimal() and column.isdecimal() and 1 <= int(row) <= 26
    return f"{chr(64 + int(row))}{int(column)}" if counted else row + column


def _is_tube(cell: str) -> bool:
    text = cell.rpartition("/")[2]
    return is_label(text) and read_label(text).prefix in SPECIMENS


def _is_rack_code(cell: str) -> bool:
    text = cell.rpartition("/")[2]
    return is_label(text) and read_label(text).prefix == Prefix.CONTAINER


def _is_remark(cell: str) -> bool:
    return _REMARK.match(cell) is not None and not (is_unread(cell) and len(cell) == _LONGEST_MARK)


def _is_number_or_moment(cell: str) -> bool:
    return _COUNT.match(cell) is not None or _MOMENT.match(cell) is not None


def _may_be_tube(cell: str) -> bool:
    """Say whether an unknown cell may name a tube: a heading's words hold no digit, an identifier that nobody registered does."""
    return any(c.isdigit() for c in cell) and ": " not in cell and len(cell) <= _LONGEST_SCAN and well_of(cell) is None
