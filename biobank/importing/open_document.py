"""Reading ODS: its XML holds values and what people saw of them, formulas, hidden lines, merged cells and struck-out text."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from io import BytesIO
from typing import Any
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from defusedxml.ElementTree import iterparse

from biobank.importing.number_formats import exact
from biobank.importing.packed import Metered
from biobank.importing.sheets import (
    A_TIME,
    COMMENTS,
    LEADING_ZEROS,
    LONG_NUMBER,
    MOST_COLUMNS,
    NEVER_CALCULATED,
    NO_DAY,
    NO_SUCH_DAY,
    SHOWN_ROUNDED,
    SURE_DIGITS,
    Book,
    Cell,
    FileFault,
    Form,
    Line,
    Table,
    address,
    merged_defect,
)
from biobank.importing.shown_days import shows_day
from biobank.importing.texts import text_cell

_NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
_T, _O, _X, _S, _N = (f"{{{_NAMES}{name}:1.0}}" for name in ("table", "office", "text", "style", "datastyle"))
_ROW, _TABLE = f"{_T}table-row", f"{_T}table"
MOST_REPEATED = 1000
_CELLS = (f"{_T}table-cell", f"{_T}covered-table-cell")


@dataclass(frozen=True)
class _Looks:
    """What styles say: which strike out, and which show a date with its day, or without."""

    struck: set[str] = field(default_factory=set)
    with_day: dict[str, bool] = field(default_factory=dict)


def open_document(data: bytes) -> Book:
    """Open an ODS file; what is none raises, in as many ways as there are."""
    found: list[tuple[str, bool, set[int]]] = []
    looks = _Looks()
    days: dict[str, bool] = {}
    unseen: set[str] = set()
    said: list[str] = []
    column = 1
    for event, element in _elements(data):
        if event == "start" and element.tag == _TABLE:
            found.append((element.get(f"{_T}name", ""), element.get(f"{_T}style-name") in unseen, set()))
            column = 1
        elif event == "start" and element.tag == f"{_T}table-column":
            after = column + int(element.get(f"{_T}number-columns-repeated", "1"))
            if element.get(f"{_T}visibility", "visible") != "visible" and found:
                found[-1][2].update(range(column, min(after, MOST_COLUMNS + 1)))
            column = after
        elif event == "end" and element.tag == f"{_S}style":
            name = element.get(f"{_S}name", "")
            looks.struck.update({name} if _strikes(element) else ())
            if (shown := days.get(element.get(f"{_S}data-style-name", ""))) is not None:
                looks.with_day[name] = shown
            unseen |= (
                {name} if any(one.get(f"{_T}display") == "false" for one in element.iter(f"{_S}table-properties")) else set()
            )
        elif event == "end" and element.tag == f"{_N}date-style":  # stands before the styles that name it
            days[element.get(f"{_S}name", "")] = element.find(f"{_N}day") is not None
        elif event == "end" and element.tag == f"{_O}annotation" and not said:
            said.append(COMMENTS)
    tables = [
        Table(name, number, partial(_lines, data, number, looks), hidden, frozenset(columns))
        for number, (name, hidden, columns) in enumerate(found, start=1)
    ]
    return Book("ODS", tables, said)


def _elements(data: bytes) -> Iterator[tuple[str, Element]]:
    """Yield where elements start and end. A line is forgotten when it has ended, so that memory does not follow the file."""
    above: list[Element] = []
    with ZipFile(BytesIO(data)) as packed, packed.open("content.xml") as part:
        source = Metered(part)
        for event, element in iterparse(source, ("start", "end")):
            if event == "start":
                above.append(element)
                yield event, element
                continue
            above.pop()
            yield event, element
            if element.tag in (_ROW, f"{_T}shapes") and above:
                source.line_ended()
                above[-1].remove(element)


def _strikes(style: Element) -> bool:
    return any(
        found.get(f"{_S}text-line-through-style", "none") != "none" or found.get(f"{_S}text-line-through-type", "none") != "none"
        for found in style.iter(f"{_S}text-properties")
    )


def _lines(data: bytes, wanted: int, looks: _Looks) -> Iterator[Line]:
    table, number = 0, 1
    for event, element in _elements(data):
        if event == "start" and element.tag == _TABLE:
            table += 1
        elif event == "end" and element.tag == _TABLE and table == wanted:
            return
        elif event == "end" and element.tag == _ROW and table == wanted:
            repeated = int(element.get(f"{_T}number-rows-repeated", "1"))
            hidden = element.get(f"{_T}visibility", "visible") != "visible"
            row = list(_columns(element))
            if repeated > MOST_REPEATED and any(one.tag != _CELLS[1] for _, one in row):
                raise FileFault(f"Line {number} stands in the file {repeated} times. Delete the lines that say nothing.")
            # A line that is repeated and says something was written as often; thousands of them are the empty end.
            for line in range(number, number + repeated if row and repeated <= MOST_REPEATED else number):
                yield Line(line, {c: cell for c, one in row if (cell := _cell(one, line, c, looks))}, hidden)
            number += repeated


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


def _cell(found: Element, line: int, column: int, looks: _Looks) -> Cell | None:
    at = address(line, column)
    if found.tag == _CELLS[1] and not len(found):
        return Cell(at, defect=merged_defect("around it"))
    paragraphs = [one for one in found if one.tag == f"{_X}p"]
    text = "\n".join(_text_of(one) for one in paragraphs)
    styles = {found.get(f"{_T}style-name")} | {one.get(f"{_X}style-name") for one in found.iter(f"{_X}span")}
    more: dict[str, Any] = {"struck": bool(styles & looks.struck)}
    kind = found.get(f"{_O}value-type")
    if found.get(f"{_T}formula") is not None:
        if kind is None or (kind == "string" and not text and found.get(f"{_O}string-value") is None):
            return Cell(at, defect=NEVER_CALCULATED)
        more["notes"] = ("is a formula; its last calculated value is taken",)
    if kind in ("float", "percentage", "currency"):
        return _number(at, found.get(f"{_O}value", ""), text, kind, more)
    if kind == "date":
        try:
            day = date.fromisoformat(found.get(f"{_O}date-value", "")[:10])
        except ValueError:
            return Cell(at, defect=NO_SUCH_DAY)
        by_style = looks.with_day.get(found.get(f"{_T}style-name", ""))
        seen = shows_day(text, day) or not text if by_style is None else by_style
        defect = None if seen else NO_DAY
        return Cell(at, day, defect=defect, **more)
    if kind == "boolean":
        return Cell(at, found.get(f"{_O}boolean-value") == "true", **more)
    if kind == "time":
        return Cell(at, defect=A_TIME)
    return text_cell(at, text, **more) if text.strip() else None


def _readings(text: str) -> set[Decimal]:
    """Return the numbers that a shown text may be, with either sign for the decimals. Pure."""
    found = set()
    for decimal, other in (".,", ",."):
        bare = re.sub(rf"[\s'’{re.escape(other)}]", "", text).replace(decimal, ".").replace("\u2212", "-")
        with suppress(InvalidOperation):
            found.add(Decimal(bare))
    return found


def _number(at: str, value: str, text: str, kind: str, more: dict[str, Any]) -> Cell:
    try:
        number = exact(value)
    except ValueError:
        return Cell(at, defect="is no number that can be read. Write it again")
    if abs(number) >= 10**SURE_DIGITS:
        return Cell(at, number, defect=LONG_NUMBER)
    bare = text.strip()
    whole = number == number.to_integral_value()
    shown = bare if whole and bare.isascii() and bare.isdigit() and int(bare) == number else None
    form: Form = "percent" if kind == "percentage" else "plain"
    if kind == "currency" or (form == "plain" and any(c.isalpha() and c not in "Ee" for c in bare)):
        form = "other"
    elif form == "plain" and bare:
        seen = _readings(bare)
        if number not in seen:
            rounded = any(reading == round(number, max(0, -int(reading.as_tuple().exponent))) for reading in seen)
            form = "plain" if rounded else "other"
            more = more | {"notes": (*more.get("notes", ()), SHOWN_ROUNDED)} if rounded else more
    if shown is not None and shown != str(int(number)):
        more = more | {"notes": (*more.get("notes", ()), LEADING_ZEROS)}
    return Cell(at, number, shown, form, **more)
