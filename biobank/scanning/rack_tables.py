"""The file of a rack scanner as rows of cells: text in any encoding, a workbook (XLSX), or XML. Pure.

Nothing of a file is kept. What it unpacks to is bounded before it is unpacked.
"""

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, ClassVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import tidy
from biobank.foundation.text_encoding import unicode_encoding
from biobank.scanning.rack_files import Known, rows_of

LARGEST_FILE = 1024 * 1024
_LARGEST_UNPACKED = 32 * 1024 * 1024
_MOST_ROWS = 5000
_MOST_CELLS = 100
_LONGEST_CELL = 400


class NotARackFile(MalformedRequest):
    """The file cannot be read as the list of a rack."""

    code: ClassVar[str] = "rack_file_unreadable"
    title: ClassVar[str] = "This file cannot be read"


def rows_of_file(data: bytes, known: Known | None = None) -> list[list[str]]:
    """Return the rows of a file; raise NotARackFile."""
    if data.startswith(b"PK\x03\x04"):
        rows = list(_of_workbook(data))
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise NotARackFile("This is a workbook of an old kind (XLS). Save it as XLSX or as CSV, then load it again.")
    else:
        text = decoded(data)
        if not text.lstrip("\ufeff \r\n\t").startswith("<"):
            return rows_of(text, known)[: _MOST_ROWS + 1]
        rows = list(_of_xml(text))
    return [[tidy(cell) for cell in row] for row in rows]


def decoded(data: bytes) -> str:
    """Return the text of a file: in its Unicode encoding, else as Windows-1252."""
    return data.decode(unicode_encoding(data) or "cp1252", errors="replace")


def _of_workbook(data: bytes) -> Iterator[list[str]]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(one.file_size for one in packed.infolist()) > _LARGEST_UNPACKED:
                raise NotARackFile("This workbook is far larger than the list of a rack. Save the list alone as CSV.")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=_MOST_CELLS)):
                if number > _MOST_ROWS:
                    return
                yield [_cell(value) for value in row]
    except MalformedRequest:
        raise
    except Exception as error:  # a broken workbook fails anywhere in the library
        raise NotARackFile("This workbook cannot be read. Save it again, or save the list as CSV.") from error


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)[:_LONGEST_CELL]


def _of_xml(text: str) -> Iterator[list[str]]:
    """Yield a heading and a row for every element that says several things at once, in attributes or in children of its own."""
    try:
        root = fromstring(text.lstrip("\ufeff \r\n\t"), forbid_dtd=True)
    except DefusedXmlException as error:
        raise NotARackFile("This file declares entities, which no list of a rack needs. Save the list as CSV.") from error
    except (ParseError, ValueError) as error:
        raise NotARackFile("This file is no whole XML. Scan the rack again, or save the list as CSV.") from error
    heading: list[str] = []
    for element in root.iter():
        said = {_name(name): value for name, value in element.attrib.items()}
        if element.text and element.text.strip() and said:
            said["code"] = element.text
        said |= {_name(child.tag): child.text or "" for child in element if len(child) == 0 and not child.attrib}
        if len(said) == 1:
            yield [*said, *said.values()]  # such as the rack's own identifier
        if len(said) < 2:
            continue
        if list(said) != heading:
            heading = list(said)
            yield heading
        yield [value[:_LONGEST_CELL] for value in said.values()]


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
