"""Reading CSV: which encoding, which separator, and where a line does not fit its headings. What was found is said."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from charset_normalizer import from_bytes

from biobank.foundation.text_encoding import SAMPLE, unicode_encoding
from biobank.importing.sheets import MOST_COLUMNS, NEVER_CALCULATED, Book, Cell, FileFault, Line, Table, address
from biobank.importing.texts import text_cell

SEPARATORS = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "bars"}
_LIKELY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "koi8_r"]
_QUOTED_FORMULA = re.compile(r'^="([^"]*)"$')
_FORMULA = re.compile(r"^=\s*[A-Za-z0-9($'\"+\-@]")
_SAID = re.compile(r"^sep=(.)\r?\n", re.I)


def open_delimited(data: bytes, encoding: str | None = None, separator: str | None = None) -> Book:
    """Open a text file of separated values. Raises FileFault."""
    known = encoding or _encoding_of(data)
    try:
        text = data.decode(known)
    except (UnicodeDecodeError, LookupError):
        raise FileFault(f"The file is not written in {known}. Say in which encoding it is, or export it as UTF-8.") from None
    if "\x00" in text[:SAMPLE]:
        raise FileFault("This is neither a spreadsheet nor a text of separated values.")
    first = 1
    if match := _SAID.match(text):
        separator, text, first = separator or match[1], text[match.end() :], 2
    chosen = separator or _separator_of(text)
    said = [f"Encoding: {known}" + (" (as the profile says)." if encoding else " (found).")]
    likely = None if encoding is not None or known.startswith("utf") else known
    if likely:
        said.append("That is likely, not certain: lines with letters beyond A to Z wait until the profile says `encoding`.")
    said.append(f"Separated by {SEPARATORS.get(chosen, repr(chosen))}" + (" (as said)." if separator else " (found)."))
    return Book("CSV", [Table("CSV", 1, partial(_lines, text, chosen, first, likely))], said)


def _encoding_of(data: bytes) -> str:
    known = unicode_encoding(data)
    if known is not None:
        return known
    telling = b"\n".join(line for line in data[: SAMPLE * 16].splitlines() if not line.isascii())
    best = from_bytes(telling[:SAMPLE], cp_isolation=_LIKELY).best()
    # Most that is written in the one is the same in the other; the commoner is named.
    same = best is not None and telling.decode(best.encoding, "replace") == telling.decode("cp1252", "replace")
    return "cp1252" if best is None or same else best.encoding


def _separator_of(text: str) -> str:
    """Return the separator under which most lines have one same number of fields above one."""
    sample = text[:SAMPLE]

    def fit(separator: str) -> tuple[float, int]:
        widths = []
        with suppress(csv.Error):
            for fields in csv.reader(io.StringIO(sample, newline=""), delimiter=separator):
                widths += [len(fields)] if fields else []
        wide = Counter(width for width in widths if width > 1)
        if not wide:
            return 0.0, 0
        width, times = max(wide.items(), key=lambda one: (one[1], one[0]))
        return times / len(widths), width

    best = max(SEPARATORS, key=fit)
    if fit(best) == (0.0, 0):
        raise FileFault("This is no spreadsheet, and no separator divides its text into columns. Say which sign divides them.")
    return best


def _lines(text: str, separator: str, first: int, likely: str | None) -> Iterator[Line]:
    source, whole = io.StringIO(text, newline=""), text.endswith(("\r", "\n"))
    reader = csv.reader(source, delimiter=separator, strict=True)
    while True:
        number = reader.line_num + first
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # Read on, and the lines within the quotation marks would be lost, or a text be another one.
            raise FileFault(
                f"From line {number} on a quotation mark is not closed, or stands within a text; the file cannot be read. Mend "
                "the line, or export the file again."
            ) from None
        cells = {
            column: _cell(address(number, column), field, likely)
            for column, field in enumerate(fields[:MOST_COLUMNS], start=1)
            if field.strip()
        }
        yield Line(number, cells, width=len(fields), cut=not whole and source.tell() == len(text))


def _cell(at: str, field: str, likely: str | None) -> Cell:
    """`="000123"` is how a text is kept from being made a number; any other formula was never calculated here."""
    if field.lstrip().startswith("="):
        if match := _QUOTED_FORMULA.match(field.strip()):
            return text_cell(at, match[1], notes=("was kept as a text by a formula; the text is taken",))
        if _FORMULA.match(field.strip()):
            return Cell(at, defect=NEVER_CALCULATED)
    cell = text_cell(at, field)
    if likely is not None and cell.defect is None and not field.isascii():
        return replace(
            cell,
            defect=f"has letters that depend on the encoding. Are they right in {likely}? Then say `encoding` in the profile",
        )
    return cell
