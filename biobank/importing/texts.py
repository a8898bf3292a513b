"""The cell of a text: cleaned, with what was done to it, and why it cannot be read where that is so. Pure."""

from biobank.importing import letters
from biobank.importing.sheets import Cell


def text_cell(at: str, raw: str, *, notes: tuple[str, ...] = (), struck: bool = False) -> Cell:
    """Build the cell of a text."""
    text, done = letters.cleaned(raw)
    return Cell(at, text or None, text, "plain", letters.unreadable(text), (*notes, *done) if text else notes, struck)
