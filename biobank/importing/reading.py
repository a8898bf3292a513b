"""Opening an old inventory and reading its lines by the profile: where the headings stand, which cell says what."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from biobank.importing.letters import LOOKS_LATIN, cleaned
from biobank.importing.packed import is_open_document, require_bounded
from biobank.importing.profile import OPTIONAL, Profile, Sheet, Split
from biobank.importing.sheets import MOST_BYTES, MOST_ROWS, Book, Cell, FileFault, Line, Table, address
from biobank.importing.texts import text_cell

HEADINGS_WITHIN = 30
"""Lines in which the headings are looked for: above them stand titles and warnings."""
_PACKED, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True, slots=True)
class Where:
    """Where a line stands. `of`: its file and sheet, as the log names them."""

    sheet: str
    line: int
    of: str

    @property
    def evidence(self) -> str:
        """How the log names the line."""
        return f"{self.of}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a sheet: its cells by field, and what is said about the whole of it."""

    where: Where
    sheet: Sheet
    cells: Mapping[str, Cell]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Headings:
    """The line of the headings, the column of each field, and of each column that is split."""

    line: int
    columns: Mapping[str, int]
    splits: tuple[tuple[Split, int], ...]
    last: int


def open_book(data: bytes, *, encoding: str | None = None, separator: str | None = None) -> Book:
    """Open a file by what it holds, whatever its name says. Raises FileFault."""
    if len(data) > MOST_BYTES:
        raise FileFault(f"A file may be at most {MOST_BYTES // 1024**2} MiB.")
    try:
        if data.startswith(_PACKED):
            from biobank.importing.excel import open_excel
            from biobank.importing.open_document import open_document

            with ZipFile(BytesIO(data)) as packed:
                require_bounded(packed)
                document = is_open_document(packed)
            return open_document(data) if document else open_excel(data)
        if data.startswith(_OLD):
            from biobank.importing.old_excel import open_old_excel

            return open_old_excel(data)
    except FileFault:
        raise
    # Foreign bytes break a reader in as many ways as there are; to the person it is one.
    except Exception as error:
        raise _unreadable(error) from error
    head = data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith((b"<", b"%pdf", b"{\\rtf")):
        raise FileFault(
            "This is a web page, an XML file or a document under the name of a spreadsheet; it cannot be read. Open it in a "
            "spreadsheet program and save it as XLSX."
        )
    if not data.strip():
        raise FileFault("The file is empty; it cannot be read.")
    from biobank.importing.delimited import open_delimited

    return open_delimited(data, encoding, separator)


def _unreadable(error: Exception) -> FileFault:
    return FileFault(
        f"This is no spreadsheet that can be read ({type(error).__name__}): it cannot be read when it is cut off, damaged or "
        "protected with a password. Open it in a spreadsheet program and save it anew."
    )


class Rows:
    """The lines of a file below the headings that say anything; each time they are asked for the file is read anew.

    `said`: what was found about the file and passed over in it. Raises FileFault when opened, and while it is read when a part
    of the file is broken.
    """

    def __init__(self, data: bytes, profile: Profile) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self._profile = profile
        book = open_book(data, encoding=profile.encoding, separator=profile.separator)
        self._sheets = [(sheet, table := _table(book, sheet, profile), headings_in(table, profile)) for sheet in profile.sheets]
        self.said = [f"Read as {book.kind}.", *book.said]
        self._names = {table.number: f"sha256:{digest[:32]}#{table.number}" for table in book.tables}
        used = {table.number for _, table, _ in self._sheets}
        for table in book.tables:
            if table.number not in used:
                self.said.append(f"Sheet '{table.name}' is not named in the profile and was not read.")
            elif table.hidden:
                self.said.append(f"Sheet '{table.name}' is hidden in the file.")
        for _, table, headings in self._sheets:
            for column in sorted(table.hidden_columns & set(headings.columns.values())):
                self.said.append(f"Column {address(headings.line, column)} of sheet '{table.name}' is hidden in the file.")
            for field in sorted(set(profile.columns) - set(headings.columns)):
                self.said.append(f"Sheet '{table.name}' has no heading '{profile.columns[field]}': nothing is read for it.")

    def __iter__(self) -> Iterator[Row]:
        read = 0
        for sheet, table, headings in self._sheets:
            for line in lines_of(table):
                if line.number > headings.line and (row := self._row(sheet, table, headings, line)) is not None:
                    read += 1
                    if read > MOST_ROWS:
                        raise FileFault(f"The file has more than {MOST_ROWS} lines below its headings. Divide it.")
                    yield row

    def _row(self, sheet: Sheet, table: Table, headings: Headings, line: Line) -> Row | None:
        cells = {field: line.cell(column) for field, column in headings.columns.items()}
        for split, column in headings.splits:
            cells |= _divided(split, line.cell(column))
        if all(cell.value is None and cell.defect is None for cell in cells.values()):
            return None
        cells |= {field: text_cell(address(line.number, 1), text) for field, text in self._profile.constants.items()}
        beyond = [column for column in line.cells if column > headings.last]
        reasons = []
        notes = ["The line is hidden in the file."] if line.hidden else []
        if line.width is not None and beyond:
            reasons = ["The line has more cells than there are headings: a text that holds the separator is not quoted."]
        elif line.cut and (line.width or 0) < headings.last:
            reasons = ["The file ends within this line: it was cut off. Export it anew."]
        elif line.width is not None and line.width < headings.last:
            notes.append("The line has fewer cells than there are headings; those at its end are taken as empty.")
        where = Where(sheet.name, line.number, self._names[table.number])
        return Row(where, sheet, cells, tuple(reasons), tuple(notes))


def read_rows(path: Path, profile: Profile) -> Rows:
    """Open a file by a profile. Raises FileFault."""
    return Rows(_bytes_of(path), profile)


def open_file(path: Path) -> Book:
    """Open a file without a profile. Raises FileFault."""
    return open_book(_bytes_of(path))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFault(f"The file cannot be read ({type(error).__name__}).") from error


def lines_of(table: Table) -> Iterator[Line]:
    """Return the lines of a sheet; raise FileFault where the file breaks off."""
    try:
        yield from table.lines()
    except FileFault:
        raise
    # As in `open_book`: the parts of a packed file are read line by line.
    except Exception as error:
        raise _unreadable(error) from error


def _table(book: Book, sheet: Sheet, profile: Profile) -> Table:
    if book.kind == "CSV" and len(profile.sheets) == 1:
        return book.tables[0]
    found = [table for table in book.tables if table.name == sheet.name]
    found = found or [table for table in book.tables if cleaned(table.name)[0] == cleaned(sheet.name)[0]]
    if not found:
        raise FileFault(f"There is no sheet '{sheet.name}' in the file.")
    if len(found) > 1:
        raise FileFault(f"Several sheets of the file are called '{sheet.name}'. Rename those that are not meant.")
    return found[0]


def headings_in(table: Table, profile: Profile) -> Headings:
    """Find the line that has the headings of the profile. Raises FileFault when there is none, or one stands there twice."""
    wanted = {folded(heading): field for field, heading in profile.columns.items()}
    divided = {folded(split.heading): split for split in profile.split}
    needed = {folded(heading) for field, heading in profile.columns.items() if field not in OPTIONAL} | set(divided)
    nearest, lacking = 0, needed
    for line in lines_of(table):
        if line.number > HEADINGS_WITHIN:
            break
        at: dict[str, list[int]] = {}
        for column, cell in line.cells.items():
            if isinstance(cell.value, str):
                at.setdefault(folded(cell.value), []).append(column)
        if not needed <= set(at):
            if len(needed - set(at)) < len(lacking):
                nearest, lacking = line.number, needed - set(at)
            continue
        for text in [*wanted, *divided]:
            if len(at.get(text, ())) > 1:
                where = " and ".join(address(line.number, column) for column in at[text])
                heading = profile.headings.get(wanted.get(text, ""), text)
                raise FileFault(
                    f"The heading '{heading}' of sheet '{table.name}' stands in {where}. Find out which one is right and "
                    "rename the other."
                )
        columns = {field: at[text][0] for text, field in wanted.items() if text in at}
        splits = tuple((split, at[text][0]) for text, split in divided.items())
        return Headings(line.number, columns, splits, max(line.cells))
    named = {folded(heading): heading for heading in [*profile.columns.values(), *(split.heading for split in profile.split)]}
    near = f" Line {nearest} comes nearest; it lacks {', '.join(sorted(repr(named[one]) for one in lacking))}." if nearest else ""
    raise FileFault(f"No line of sheet '{table.name}' has the headings that the profile names.{near}")


def folded(heading: str) -> str:
    """Return the form in which two spellings of a heading meet; letters that look alike are one, so that none hides a twin."""
    plain = unicodedata.normalize("NFKC", cleaned(heading)[0]).translate(LOOKS_LATIN)
    return re.sub(r"\s+", " ", plain).casefold()


def _divided(split: Split, cell: Cell) -> dict[str, Cell]:
    if cell.value is None or cell.defect is not None:
        return dict.fromkeys(split.fields, cell)
    match = split.expression.fullmatch(str(cell.value)) if isinstance(cell.value, str) else None
    if match is None:
        return dict.fromkeys(split.fields, replace(cell, defect=f"does not read as {split.pattern}"))
    return {field: replace(cell, value=match[field].strip(), shown=match[field].strip()) for field in split.fields}
