"""What every kind of file is read into: sheets of lines of cells, each cell with its address and what was seen on it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal, TypeAlias

from biobank.foundation.errors import MalformedRequest

Value: TypeAlias = str | Decimal | date | bool | None
"""A text as it was cleaned, an exact number, a day, a truth value, or nothing."""
Form: TypeAlias = Literal["plain", "percent", "other"]
"""How a number is shown: as itself, as a percentage, or with words, scaling or something else around it."""

MOST_BYTES = 256 * 1024 * 1024
"""A file of 100,000 lines is some 10 MB, unpacked some 100."""
MOST_COLUMNS = 500
MOST_ROWS = 250_000
"""Lines below the headings that one import reads."""
SURE_DIGITS = 15
"""A spreadsheet keeps so many digits of a number and makes zeros of the others."""

LONG_NUMBER = (
    f"is a number of more than {SURE_DIGITS} digits: a spreadsheet has made zeros of the last ones. Format the column as text "
    "and write it again"
)
NEVER_CALCULATED = "is a formula that was never calculated. Open the file in a spreadsheet program, save it and import that"
NO_DAY = "shows no day: a spreadsheet has put the first of the month. Write the whole date"
NO_SUCH_DAY = "is a number in the format of a date, and no day has that number"
LEADING_ZEROS = "gets its leading zeros from a number format; it is taken as shown"
COMMENTS = "The file has comments on its cells; they are not read. Look through them: one may say that a tube was used."
SHOWN_ROUNDED = "is shown rounded; the exact number is taken"
A_TIME = "is a time, not a value that a tube has"


def error_defect(word: object) -> str:
    """Say that a cell holds an error."""
    return f"is the error {word} of a formula, not a value. Mend the formula or write the value"


def merged_defect(name: str) -> str:
    """Say that a cell lies in a merged range."""
    return f"is part of the merged cells {name}, of which only the first holds a value. Unmerge"


class FileFault(MalformedRequest):
    """The file cannot be read as the profile says."""

    code = "import_file_unusable"
    title = "The file cannot be read"


class FileProtected(FileFault):
    """The file is under a password."""

    code = "import_file_protected"
    title = "The file has a password"

    def __init__(self) -> None:
        super().__init__("The file is protected with a password. Open it, save it without one, and send that.")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. `defect`: why what it says cannot be known, as the end of a sentence that starts with its heading.

    `shown` is the text that people see of a number, None when that is not certain.
    """

    at: str
    value: Value = None
    shown: str | None = None
    form: Form = "plain"
    defect: str | None = None
    notes: tuple[str, ...] = ()
    struck: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sheet, counted from 1; its cells by column, counted from 1. Empty cells may be absent.

    Of a text of separated values: `width`: how many cells it has; `cut`: the file ends in it.
    """

    number: int
    cells: Mapping[int, Cell]
    hidden: bool = False
    width: int | None = None
    cut: bool = False

    def cell(self, column: int) -> Cell:
        """Return the cell of a column, an empty one where there is none."""
        return self.cells.get(column) or Cell(address(self.number, column))


@dataclass(frozen=True)
class Table:
    """One sheet. `lines` may be asked for again and again; each time the file is read anew."""

    name: str
    number: int
    lines: Callable[[], Iterator[Line]]
    hidden: bool = False
    hidden_columns: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Book:
    """A file that was opened. `said`: what was found about it, in sentences."""

    kind: str
    tables: list[Table]
    said: list[str] = field(default_factory=list)


@lru_cache(maxsize=MOST_COLUMNS)
def letters_of(column: int) -> str:
    """Return the letters of a column that is counted from 1: A, Z, AA. Pure."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def address(line: int, column: int) -> str:
    """Return the address of a cell as spreadsheets write it, such as B7."""
    return f"{letters_of(column)}{line}"
