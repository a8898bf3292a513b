"""Slot labels: rows are letters (A … Z, AA …), columns are numbers from 1. `B7` is row 2, column 7. Pure."""

import re

_LABEL = re.compile(r"^([A-Z]{1,2})([1-9]\d{0,2})$")


def label_of(row: int, col: int) -> str:
    """Return the label of a cell; `row` and `col` count from 1. Raises ValueError below 1 or above row 702 (ZZ)."""
    if row < 1 or col < 1 or row > 702:
        raise ValueError("rows are 1 to 702 and columns start at 1")
    letters = ""
    while row:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{col}"


def cell_of(label: str) -> tuple[int, int]:
    """Return (row, col) of a label, any case. Raises ValueError when it is not one."""
    match = _LABEL.match(label.strip().upper())
    if match is None:
        raise ValueError("a slot is a letter and a number, such as B7")
    row = 0
    for letter in match[1]:
        row = row * 26 + ord(letter) - ord("A") + 1
    return row, int(match[2])
