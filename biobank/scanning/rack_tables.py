"""The file of a rack scanner as rows of cells: text in any encoding, a workbook (XLSX), XML, or JSON. Pure.

Nothing of a file is kept. What it unpacks to is bounded before it is unpacked.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import tidy
from biobank.foundation.text_encoding import unicode_encoding
from biobank.importing.excel import open_excel
from biobank.importing.sheets import A_TIME, LONG_NUMBER, NO_SUCH_DAY, Cell, FileFault
from biobank.scanning.rack_files import MOST_CELLS, UNREAD, Known, require_few, rows_of
from biobank.scanning.rack_trees import node_of_xml, nodes_of_json, rows_of_nodes

LARGEST_FILE = 1024 * 1024
_LARGEST_UNPACKED = 8 * 1024 * 1024
"""A sheet that does not say its size is read whole once more by the library, as a tree."""
_LONGEST_CELL = 400
_MERGED = re.compile(r"[A-Z]+([0-9]+):[A-Z]+([0-9]+)")
_ELEMENT = re.compile(r"<[A-Za-z_?!]")


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
        if _ELEMENT.match(begins):
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
    """Read a workbook as the importer does: what people saw of a number, and what nobody calculated."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(one.file_size for one in packed.infolist()) > _LARGEST_UNPACKED:
                raise NotARackFile("This workbook is far larger than the list of a rack. Save the list alone as CSV.")
        for table in open_excel(data).tables:
            for count, line in enumerate(table.lines()):
                require_few(count)
                yield [_cell(line.cell(column)) for column in range(1, min(max(line.cells, default=0), MOST_CELLS) + 1)]
    except FileFault as fault:
        raise NotARackFile(fault.detail) from fault
    except MalformedRequest:
        raise
    except Exception as error:  # a broken workbook fails anywhere in the library
        raise NotARackFile("This workbook cannot be read. Save it again, or save the list as CSV.") from error


def _cell(cell: Cell) -> str:
    """Return what people saw in a cell; a tube's code that is not certain is no code, and still a row.

    Raises NotARackFile for a number that the spreadsheet has cut.
    """
    if cell.defect == LONG_NUMBER:
        raise NotARackFile(f"{cell.at} {cell.defect}.")
    if isinstance(cell.value, str):
        return cell.value[:_LONGEST_CELL]
    if isinstance(cell.value, bool):
        return str(cell.value)
    if isinstance(cell.value, Decimal):
        return f"{cell.value} (see {cell.at})" if cell.shown is None else cell.shown
    if isinstance(cell.value, date):
        return cell.value.isoformat()
    if cell.defect in (A_TIME, NO_SUCH_DAY):
        return f"a time (see {cell.at})"
    return UNREAD if cell.defect is not None and not _is_beside_its_value(cell.defect) else ""


def _is_beside_its_value(defect: str) -> bool:
    """Say whether an empty cell is merged with one left of it; merged with one above it may be a well of its own."""
    merged = _MERGED.search(defect)
    return merged is not None and merged[1] == merged[2]


def _of_xml(text: str) -> Iterator[list[str]]:
    try:
        root = fromstring(text.lstrip("\ufeff \r\n\t"), forbid_dtd=True)
    except DefusedXmlException as error:
        raise NotARackFile("This file declares entities, which no list of a rack needs. Save the list as CSV.") from error
    except (ParseError, ValueError) as error:
        raise NotARackFile("This file is no whole XML. Scan the rack again, or save the list as CSV.") from error
    yield from rows_of_nodes([node_of_xml(root)])


def _of_json(text: str) -> Iterator[list[str]]:
    try:
        whole = _parsed(text.lstrip("\ufeff \r\n\t"))
    except (ValueError, RecursionError) as error:
        raise NotARackFile("This file is no whole JSON. Scan the rack again, or save the list as CSV.") from error
    plain, outermost = nodes_of_json(whole)
    yield from plain
    yield from rows_of_nodes(outermost)


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
