"""Cells that a spreadsheet would run as a formula, in every file of ours that one opens."""

from typing import Any, Final

STARTS_A_FORMULA: Final = "=+@\t\r-"
"""A text that begins with one of these is a formula to a spreadsheet (OWASP, "CSV injection"). The hyphen stands last, so that
the whole can stand in a class of a pattern."""


def defused(cell: Any) -> Any:
    """Return a cell, a text that would be run with an apostrophe in front of it. Pure."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple(STARTS_A_FORMULA)) else cell
