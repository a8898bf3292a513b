"""The cell of a text: cleaned, with what was done to it, and why it cannot be read where that is so. Pure."""

from functools import lru_cache

from biobank.importing import letters
from biobank.importing.sheets import Cell


def text_cell(at: str, raw: str, *, notes: tuple[str, ...] = (), struck: bool = False) -> Cell:
    """Build the cell of a text."""
    text, done, defect = settled(raw)
    return Cell(at, text or None, text, "plain", defect, (*notes, *done) if text else notes, struck)


@lru_cache(maxsize=8192)
def settled(raw: str) -> tuple[str, tuple[str, ...], str | None]:
    """Return a text as it was cleaned, what was done to it, and why it cannot be read. A column says the same few things."""
    text, done = letters.cleaned(raw)
    return text, tuple(done), letters.unreadable(text) or (None if raw.isascii() else letters.unreadable(raw))
