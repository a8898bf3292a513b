"""The file of a rack scanner as rows of cells: text in any encoding, a workbook (XLSX), XML, or JSON. Pure.

Nothing of a file is kept. What it unpacks to is bounded before it is unpacked.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, ClassVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import tidy
from biobank.foundation.text_encoding import unicode_encoding
from biobank.scanning.rack_files import MOST_CELLS, Known, require_few, rows_of, well_of
from biobank.scanning.rack_words import meaning_of

LARGEST_FILE = 1024 * 1024
_LARGEST_UNPACKED = 8 * 1024 * 1024
"""A sheet that does not say its size is read whole once more by the library, as a tree."""
_LONGEST_CELL = 400


class NotARackFile(MalformedRequest):
    """The file cannot be read as the list of a rack."""

    code: ClassVar[str] = "rack_file_unreadable"
    title: ClassVar[str] = "This file cannot be read"


def rows_of_file(data: bytes, known: Known | None = None) -> list[list[str]]:
    """Return the rows of a file; raise NotARackFile, ListTooLong."""
    if data.startswith(b"PK\x03\x04"):
        rows = list(_of_workbook(data))
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise NotARackFile("This is a workbook of an old kind (XLS). Save it as XLSX or as CSV, then load it again.")
    else:
        text = decoded(data)
        begins = text.lstrip("\ufeff \r\n\t")[:2].replace(" ", "")
        if begins.startswith("<") and begins != "<>":
            rows = list(_of_xml(text))
        elif begins in ("{", '{"', "[{", "[[", '["', "{\n", "{\r", "[\n", "[\r"):
            rows = list(_of_json(text))
        else:
            return rows_of(text, known)
    require_few(len(rows))
    return [[tidy(cell) for cell in row[:MOST_CELLS]] for row in rows]


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
            for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=MOST_CELLS)):
                require_few(number)
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
    yield from _with_headings(_of_its_kind(_name(element.tag), _said_by(element)) for element in root.iter())


def _said_by(element: Any) -> dict[str, str]:
    said = {_name(name): value for name, value in element.attrib.items()}
    if element.text and element.text.strip() and said:
        said["code"] = element.text
    return said | {_name(child.tag): child.text or "" for child in element if len(child) == 0 and not child.attrib}


def _of_its_kind(kind: str, said: dict[str, str]) -> dict[str, str]:
    """Return what a thing says of itself: the code of a rack or a place is not a tube's because it is called `id`."""
    meaning = meaning_of(kind)
    names = {name: meaning_of(name) for name in said}
    if meaning == "rack" and "well" not in names.values():
        return dict([("rack", said[name]) for name in said if names[name] in ("tube", "rack")][:1])
    if meaning == "well" and "well" not in names.values():
        return {"well" if well_of(value) else name: value for name, value in said.items()}
    return said


def _of_json(text: str) -> Iterator[list[str]]:
    """Yield the same for every object of a JSON text, and a row for every list of plain values."""
    try:
        whole = _parsed(text.lstrip("\ufeff \r\n\t"))
    except (ValueError, RecursionError) as error:
        raise NotARackFile("This file is no whole JSON. Scan the rack again, or save the list as CSV.") from error
    objects, plain = [], []
    waiting: list[tuple[str, Any]] = [("", whole)]
    while waiting:
        name, one = waiting.pop()
        inner = list(one.items()) if isinstance(one, dict) else [(name, value) for value in one]
        values = [_cell(value) for _, value in inner if not isinstance(value, dict | list)]
        said = dict(zip((key for key, value in inner if not isinstance(value, dict | list)), values, strict=True))
        if isinstance(one, list):
            plain += [[value] for value in values] if one is whole else [values] if values else []
        elif said and all(map(well_of, said)):
            plain += [[well, value] for well, value in said.items()]
        else:
            objects.append(({"well": name} if well_of(name) else {}) | _of_its_kind(name, said))
        waiting += [(key, value) for key, value in reversed(inner) if isinstance(value, dict | list)]
    yield from plain
    yield from _with_headings(objects)


def _parsed(text: str) -> Any:
    """Return what a JSON text says; an object a line is a list of them."""
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.strip().startswith("{") for line in lines):
            raise
        require_few(len(lines))
        return [json.loads(line) for line in lines]


def _with_headings(objects: Iterable[dict[str, str]]) -> Iterator[list[str]]:
    heading: list[str] = []
    for said in objects:
        if len(said) == 1 and meaning_of(next(iter(said))) != "well":
            yield [*said, *said.values()]  # such as the rack's own identifier
        if len(said) < 2:
            continue
        if list(said) != heading:
            heading = list(said)
            yield heading
        yield [value[:_LONGEST_CELL] for value in said.values()]


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
