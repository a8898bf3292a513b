"""Reading ODS: its XML holds values and what people saw of them, formulas, hidden lines, merged cells and struck-out text."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from io import BytesIO
from typing import Any
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from defusedxml.ElementTree import iterparse

from biobank.importing.number_formats import exact
from biobank.importing.sheets import (
    A_TIME,
    LEADING_ZEROS,
    LONG_NUMBER,
    MOST_COLUMNS,
    MOST_LINES,
    NEVER_CALCULATED,
    NO_DAY,
    SURE_DIGITS,
    Book,
    Cell,
    Form,
    Line,
    Table,
    address,
    merged_defect,
)
from biobank.importing.texts import text_cell

_NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
_T, _O, _X, _S = (f"{{{_NAMES}{name}:1.0}}" for name in ("table", "office", "text", "style"))
_ROW, _TABLE = f"{_T}table-row", f"{_T}table"
_CELLS = (f"{_T}table-cell", f"{_T}covered-table-cell")


def open_document(data: bytes) -> Book:
    """Open an ODS file; what is none raises, in as many ways as there are."""
    names: list[str] = []
    struck: set[str] = set()
    with ZipFile(BytesIO(data)) as packed, packed.open("content.xml") as source:
        for event, element in iterparse(source, ("start", "end")):
            if event == "start" and element.tag == _TABLE:
                names.append(element.get(f"{_T}name", ""))
            elif event == "end" and element.tag == f"{_S}style":
                if _strikes(element):
                    struck.add(element.get(f"{_S}name", ""))
            elif event == "end" and element.tag in (_ROW, f"{_T}shapes"):
                element.clear()
    tables = [Table(name, number, partial(_lines, data, number, struck)) for number, name in enumerate(names, start=1)]
    return Book("ODS", tables)


def _strikes(style: Element) -> bool:
    return any(
        found.get(f"{_S}text-line-through-style", "none") != "none" or found.get(f"{_S}text-line-through-type", "none") != "none"
        for found in style.iter(f"{_S}text-properties")
    )


def _lines(data: bytes, wanted: int, struck: set[str]) -> Iterator[Line]:
    table, number = 0, 1
    with ZipFile(BytesIO(data)) as packed, packed.open("content.xml") as source:
        for event, element in iterparse(source, ("start", "end")):
            if event == "start" and element.tag == _TABLE:
                table += 1
            elif event == "end" and element.tag == _TABLE and table == wanted:
                return
            elif event == "end" and element.tag == _ROW:
                if table == wanted:
                    repeated = int(element.get(f"{_T}number-rows-repeated", "1"))
                    hidden = element.get(f"{_T}visibility", "visible") != "visible"
                    row = list(_columns(element))
                    # A line that is repeated and says something was written as often; thousands of them are the empty end.
                    for line in range(number, min(number + repeated, MOST_LINES + 1) if row else number):
                        yield Line(line, {c: cell for c, one in row if (cell := _cell(one, line, c, struck))}, hidden)
                    number += repeated
                element.clear()


def _columns(row: Element) -> Iterator[tuple[int, Element]]:
    column = 1
    for cell in row:
        if cell.tag in _CELLS:
            repeated = int(cell.get(f"{_T}number-columns-repeated", "1"))
            says = cell.tag == _CELLS[1] or cell.get(f"{_O}value-type") or cell.get(f"{_T}formula") or len(cell)
            for at in range(column, min(column + repeated, MOST_COLUMNS + 1) if says else column):
                yield at, cell
            column += repeated


def _text_of(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_X}s":
            parts.append(" " * min(int(child.get(f"{_X}c", "1")), 1000))
        elif child.tag in (f"{_X}tab", f"{_X}line-break"):
            parts.append(" ")
        elif child.tag != f"{_O}annotation":
            parts.append(_text_of(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _cell(found: Element, line: int, column: int, struck_styles: set[str]) -> Cell | None:
    at = address(line, column)
    if found.tag == _CELLS[1] and not len(found):
        return Cell(at, defect=merged_defect("around it"))
    paragraphs = [one for one in found if one.tag == f"{_X}p"]
    text = "\n".join(_text_of(one) for one in paragraphs)
    styles = {found.get(f"{_T}style-name")} | {one.get(f"{_X}style-name") for one in found.iter(f"{_X}span")}
    more: dict[str, Any] = {"struck": bool(styles & struck_styles)}
    kind = found.get(f"{_O}value-type")
    if found.get(f"{_T}formula") is not None:
        if kind is None or (kind == "string" and not text and found.get(f"{_O}string-value") is None):
            return Cell(at, defect=NEVER_CALCULATED)
        more["notes"] = ("is a formula; its last calculated value is taken",)
    if kind in ("float", "percentage", "currency"):
        return _number(at, found.get(f"{_O}value", ""), text, kind, more)
    if kind == "date":
        day = date.fromisoformat(found.get(f"{_O}date-value", "")[:10])
        shows_day = any(int(part) == day.day for part in _parts(text)) or not text
        defect = None if shows_day else NO_DAY
        return Cell(at, day, defect=defect, **more)
    if kind == "boolean":
        return Cell(at, found.get(f"{_O}boolean-value") == "true", **more)
    if kind == "time":
        return Cell(at, defect=A_TIME)
    return text_cell(at, text, **more) if text.strip() else None


def _parts(text: str) -> list[str]:
    return "".join(c if c.isdecimal() else " " for c in text).split()


def _number(at: str, value: str, text: str, kind: str, more: dict[str, Any]) -> Cell:
    number = exact(value)
    if abs(number) >= 10**SURE_DIGITS:
        return Cell(at, number, defect=LONG_NUMBER)
    bare = text.strip()
    whole = number == number.to_integral_value()
    shown = bare if whole and bare.isascii() and bare.isdigit() and int(bare) == number else None
    form: Form = "percent" if kind == "percentage" else "plain"
    if kind == "currency" or (form == "plain" and any(c.isalpha() and c not in "Ee" for c in bare)):
        form = "other"
    if shown is not None and shown != str(int(number)):
        more = more | {"notes": (*more.get("notes", ()), LEADING_ZEROS)}
    return Cell(at, number, shown, form, **more)
