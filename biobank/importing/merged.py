"""Merged ranges of a sheet, by line: of them only the first cell holds a value."""

from biobank.importing.sheets import MOST_COLUMNS, Cell, FileFault, address, merged_defect

MOST_LINES_OF_ONE = 1000
"""A range down a whole column is decoration."""
MOST_LINES_OF_ALL = 200_000


class Merged:
    """The merged ranges of one sheet. Raises FileFault when there are more than any inventory has."""

    def __init__(self) -> None:
        self._by_line: dict[int, list[tuple[int, int, bool, str]]] = {}
        self._left = MOST_LINES_OF_ALL

    def add(self, first_line: int, first_column: int, last_line: int, last_column: int) -> None:
        """Add a range; lines and columns count from 1 and belong to it."""
        name = f"{address(first_line, first_column)}:{address(last_line, last_column)}"
        for line in range(first_line, min(last_line, first_line + MOST_LINES_OF_ONE) + 1):
            self._by_line.setdefault(line, []).append((first_column, min(last_column, MOST_COLUMNS), line == first_line, name))
            self._left -= 1
            if self._left < 0:
                raise FileFault("The file has more merged cells than can be read. Unmerge them.")

    def cells(self, line: int) -> dict[int, Cell]:
        """Return the cells of a line that lie in a range and are not its first, by column."""
        return {
            column: Cell(address(line, column), defect=merged_defect(name))
            for first, last, holds_value, name in self._by_line.get(line, ())
            for column in range(first + holds_value, last + 1)
        }
