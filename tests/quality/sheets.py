"""Sheets that were filled in by hand: no two of them are the same file."""

from itertools import count

_NUMBERS = count(1)


def a_sheet() -> bytes:
    """The scan of a sheet."""
    return f"%PDF-1.7 downtime form {next(_NUMBERS)}".encode()
