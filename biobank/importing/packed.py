"""Packed files (XLSX, ODS): what they may hold, so that a small file cannot fill the memory, and what protects them."""

from typing import Any
from zipfile import ZipFile

from biobank.importing.sheets import FileFault, FileProtected

MOST_UNPACKED = 1024**3
MOST_OF_A_PART = 64 * 1024**2
"""Of what is not a sheet: texts that cells share, styles, names of sheets. Of 100,000 lines it is some 10 MB."""
MOST_OF_STYLES = 16 * 1024**2
"""A reader holds these as a whole."""
MOST_BETWEEN_LINES = 8 * 1024**2
_SHEETS = ("xl/worksheets/", "content.xml")
_SHARED = "xl/sharedStrings.xml"
_IDLE = ("xl/media/", "Pictures/", "Thumbnails/", "xl/embeddings/", "Object ", "xl/pivotCache/", "xl/printerSettings/")
"""Nobody reads these here."""


def require_bounded(packed: ZipFile) -> None:
    """Raise FileProtected for a file under a password, FileFault for one that holds more than can be read."""
    parts = packed.infolist()
    names = {part.filename for part in parts}
    if any(part.flag_bits & 1 for part in parts) or "encrypted-package" in names:
        raise FileProtected
    if "xl/workbook.bin" in names:
        raise FileFault(
            "This is a binary workbook (XLSB), which cannot be read. Open it in a spreadsheet program and save it as XLSX."
        )
    if sum(part.file_size for part in parts) > MOST_UNPACKED:
        raise FileFault(f"The file holds more than {MOST_UNPACKED // 1024**3} GiB when it is unpacked.")
    for part in parts:
        if part.filename.startswith((*_SHEETS, *_IDLE)):
            continue
        most = MOST_OF_A_PART if part.filename == _SHARED else MOST_OF_STYLES
        if part.file_size > most:
            raise FileFault(f"One part of the file is larger than {most // 1024**2} MiB. Copy the lines into a new file.")


def is_open_document(packed: ZipFile) -> bool:
    """Say whether it is a spreadsheet of OpenDocument. Raises FileProtected, and FileFault for another kind of document."""
    names = set(packed.namelist())
    if "META-INF/manifest.xml" in names and b"encryption-data" in packed.read("META-INF/manifest.xml"):
        raise FileProtected
    if "content.xml" not in names:
        return False
    kind = packed.read("mimetype")[:200] if "mimetype" in names else b"spreadsheet"
    if b"spreadsheet" not in kind:
        raise FileFault("This is a text or a drawing, not a spreadsheet; it cannot be read. Send the spreadsheet.")
    return True


class Metered:
    """A part that is read piece by piece and refused when one line of it never ends."""

    def __init__(self, source: Any) -> None:
        self._source, self._since = source, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data: bytes = self._source.read(size)
        self._since += len(data)
        if self._since > MOST_BETWEEN_LINES:
            raise FileFault("A line of the file is longer than can be read. Copy the lines into a new file.")
        return data

    def line_ended(self) -> None:
        """Begin to count anew."""
        self._since = 0
