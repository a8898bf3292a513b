"""Reading the CSV file of a temperature logger, whatever its maker. Pure.

A file is a preamble, a heading that names a time and a temperature or a level with its unit, and rows. Elpro Libero writes
`Date;Time;Temperature [°C]` under a preamble with its zone, Testo `Date/Time;1 [°C]` with decimal commas, Lascar EasyLog
`EL-USB-1,Time,Celsius(°C)` and the serial number in its first row. What a file leaves open is asked, never guessed: the zone
of its times, and whether 03/04 is in March or in April.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from statistics import median_low
from typing import Final

from biobank.foundation.text_encoding import unicode_encoding
from biobank.monitoring.judging import Measure
from biobank.monitoring.logger_times import (
    Dates,
    LoggerDatesUnclear,
    LoggerFileUnread,
    LoggerTimeUnclear,
    LoggerZoneDiffers,
    LoggerZoneMissing,
    instants,
    is_time,
    is_zone,
    order_of,
    zone_named,
    zone_of,
)

__all__ = [
    "Dates",
    "Logged",
    "LoggerDatesUnclear",
    "LoggerFile",
    "LoggerFileUnread",
    "LoggerTimeUnclear",
    "LoggerZoneDiffers",
    "LoggerZoneMissing",
    "gaps_between",
    "read_logger",
]

MOST_ROWS: Final = 50_000
_PREAMBLE = 200
_NOT_READ = {"", "-", "--", "---", "----", "n/a", "nan", "ol", "err", "error", "fault", "no data"}
_SERIAL = re.compile(r"serial|seriennummer", re.I)
_NO_READING = re.compile(
    r"alarm|limit|grenz|threshold|set\s*-?\s*point|sollwert|dew|taupunkt|ros[ée]e|roc[ií]o|dauwpunt|wet\s*bulb|feuchtkugel", re.I
)
"""What stands in degrees in a column, and is no reading of the place."""
_OF_AN_INTERVAL = re.compile(
    r"(?<!\d)(?<!\d )(?<!/)\b(?:min|max)(?:imum|imal|\b)|lowest|highest|\b(?:low|high|peak)\b|tiefst|höchst|niedrigst", re.I
)
_OF_A_TEMPERATURE = re.compile(r"temp|probe|sensor|channel|kanal|fühler", re.I)


@dataclass(frozen=True)
class Logged:
    """A value of a row: m°C, or millionths of full. `row`: its line in the file, from 1."""

    row: int
    at: datetime
    measure: Measure
    value: int


@dataclass(frozen=True)
class LoggerFile:
    """What a file says. `gaps`: times in which it should have read and did not; `unread`: rows without a value."""

    sha256: str
    serial: str | None
    zone: str
    readings: tuple[Logged, ...]
    gaps: tuple[tuple[datetime, datetime], ...]
    unread: int


@dataclass(frozen=True)
class _Heading:
    """Columns by their place in a row; `zone`: of the zone, where it has one."""

    line: int
    names: list[str]
    time: tuple[int, ...]
    zone: int | None
    values: dict[int, tuple[Measure, str]]


def read_logger(data: bytes, *, zone: str | None = None, dates: Dates | None = None) -> LoggerFile:
    """Return the readings of a logger's file, oldest first. `zone`, `dates`: what the person says where the file does not.

    Raises LoggerFileUnread, LoggerZoneMissing, LoggerZoneDiffers, LoggerDatesUnclear, LoggerTimeUnclear; the last and the
    first name the row.
    """
    lines = _lines(data)
    heading = _heading(lines)
    rows = [(number, cells) for number, cells in lines[heading.line :] if any(cells)]
    if not rows:
        raise LoggerFileUnread("There is no row under the heading of this file.")
    if len(rows) > MOST_ROWS:
        raise LoggerFileUnread(f"This file has {len(rows)} rows; at most {MOST_ROWS} are read. Export a shorter time.")
    _require_as_wide(rows, heading)
    times = [(number, _cell(cells, heading.time)) for number, cells in rows]
    zones = [] if heading.zone is None else [_cell(cells, (heading.zone,)) for _number, cells in rows]
    if len(set(zones)) > 1:
        times = [(number, f"{stamp} {said}") for (number, stamp), said in zip(times, zones, strict=True)]
        zones = []
    named = zone_named(
        [cells for _number, cells in lines[: heading.line - 1]], [heading.names[at] for at in heading.time], zones[:1]
    )
    where, by = zone_of(times, named, zone)
    moments = instants(times, where, order_of(times, dates))
    found: list[Logged] = []
    looked: list[datetime] = []
    unread = 0
    for (number, cells), at in zip(rows, moments, strict=True):
        read = [
            (column, _value(number, cells[column] if column < len(cells) else "", unit, measure))
            for column, (measure, unit) in heading.values.items()
        ]
        got = [Logged(number, at, heading.values[column][0], value) for column, value in read if value is not None]
        unread += not got
        if got:
            looked.append(at)
            found += got
    if not found:
        raise LoggerFileUnread("No row of this file has a value.")
    found.sort(key=lambda one: (one.at, one.row))
    _require_once(found)
    return LoggerFile(
        hashlib.sha256(data).hexdigest(), _serial(lines, heading), by, tuple(found), tuple(gaps_between(looked)), unread
    )


def gaps_between(times: Iterable[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the times between two rows that are more than twice as far apart as rows usually are."""
    pairs = list(pairwise(sorted(times)))
    if pairs:
        usual = median_low([later - earlier for earlier, later in pairs])
        yield from ((earlier, later) for earlier, later in pairs if later - earlier > 2 * usual)


def _lines(data: bytes) -> list[tuple[int, list[str]]]:
    encoding = unicode_encoding(data) or "cp1252"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise LoggerFileUnread("This is no text file. Export the logger's readings as CSV.") from None
    lines = text.lstrip("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines()
    mark = max(";\t,", key=lambda one: sum(one in line for line in lines[: _PREAMBLE + 20]) * (1 if one != "," else 0.5))
    found = csv.reader(lines, delimiter=mark)
    try:
        return [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(found, start=1)]
    except csv.Error:
        raise LoggerFileUnread("This file is not CSV. Export the logger's readings as CSV.") from None


def _heading(lines: Sequence[tuple[int, list[str]]]) -> _Heading:
    """Find the line that names a time and what was read in which unit."""
    for index, (_number, cells) in enumerate(lines[:_PREAMBLE]):
        time = tuple(column for column, cell in enumerate(cells) if is_time(cell))
        values = {column: unit for column, cell in enumerate(cells) if column not in time and (unit := _unit(cell)) is not None}
        if not time or not values:
            continue
        _require_one_a_measure(cells, values)
        zone = next((column for column, cell in enumerate(cells) if is_zone(cell)), None)
        return _Heading(index + 1, cells, time[:2], zone, values)
    raise LoggerFileUnread("No line of this file names a time and a temperature in °C or °F, or a level in %.")


def _require_one_a_measure(cells: Sequence[str], values: dict[int, tuple[Measure, str]]) -> None:
    def named(columns: Iterable[int]) -> str:
        return " and ".join(f"\N{LEFT DOUBLE QUOTATION MARK}{cells[column]}\N{RIGHT DOUBLE QUOTATION MARK}" for column in columns)

    if found := [column for column in values if _OF_AN_INTERVAL.search(cells[column])]:
        raise LoggerFileUnread(f"This file sums up intervals: {named(found)}. Export the single readings.")
    measures = [measure for measure, _unit_of in values.values()]
    if len(set(measures)) != len(measures):
        raise LoggerFileUnread(f"This file has several probes: {named(values)}. Export one probe a file.")


def _require_as_wide(rows: Sequence[tuple[int, Sequence[str]]], heading: _Heading) -> None:
    """Raise for a row with more cells than there are headings: a decimal comma that nobody quoted parts a value in two."""
    for number, cells in rows:
        if any(cells[len(heading.names) :]):
            raise LoggerFileUnread(
                f"Row {number} has more cells than the heading. Export with a decimal point, or with semicolons.", row=number
            )


def _unit(cell: str) -> tuple[Measure, str] | None:
    if _NO_READING.search(cell):
        return None
    if found := re.search(r"[°º]\s*([CF])\b|\b(celsius|fahrenheit)\b|\bdeg\.?\s*([CF])\b", cell, re.I):
        return "temperature_mc", next(part for part in found.groups() if part)[0].upper()
    if _OF_A_TEMPERATURE.search(cell) and (found := re.search(r"[(\[]\s*([CF])\s*[)\]]", cell)):
        return "temperature_mc", found[1]
    if "%" in cell and re.search(r"level|füllstand|niveau", cell, re.I):
        return "level_ppm", "%"
    return None


def _cell(cells: Sequence[str], columns: Sequence[int]) -> str:
    return " ".join(cells[column] for column in columns if column < len(cells))


def _value(number: int, cell: str, unit: str, measure: Measure) -> int | None:
    """Return m°C or millionths; None where the logger wrote that it read nothing."""
    own = re.search(r"[°º]\s*([CF])", cell)
    if own is not None and own[1] != unit:
        raise LoggerFileUnread(f"Row {number}: {cell[:40]!r} is in another unit than its heading says.", row=number)
    shown = re.sub(r"[°º]\s*[CF]|%|\s", "", cell).replace("\N{MINUS SIGN}", "-")
    if shown.lower() in _NOT_READ:
        return None
    try:
        value = Decimal(shown.replace(",", "."))
    except InvalidOperation:
        raise LoggerFileUnread(f"Row {number}: {cell[:40]!r} is no number.", row=number) from None
    if unit == "F":
        value = (value - 32) * 5 / 9
    if not value.is_finite() or not -273.15 <= value <= (100 if measure == "level_ppm" else 1000):
        raise LoggerFileUnread(f"Row {number}: {cell[:40]!r} is no value that can be read.", row=number)
    if measure == "level_ppm" and value < 0:
        raise LoggerFileUnread(f"Row {number}: a level lies between empty and full.", row=number)
    return round(value * (10_000 if measure == "level_ppm" else 1000))


def _require_once(found: Sequence[Logged]) -> None:
    seen: dict[tuple[str, datetime], int] = {}
    for one in found:
        other = seen.setdefault((one.measure, one.at), one.row)
        if other != one.row:
            raise LoggerFileUnread(f"Rows {other} and {one.row} are of the same time.", row=one.row)


def _serial(lines: Sequence[tuple[int, Sequence[str]]], heading: _Heading) -> str | None:
    """Return the logger's number from the preamble, or from the first row under a heading that names one (EasyLog)."""
    for _number, cells in lines[: heading.line - 1]:
        if cells and _SERIAL.search(cells[0]):
            said = cells[1] if len(cells) > 1 else cells[0].partition(":")[2]
            return said.strip()[:40] or None
    names = lines[heading.line - 1][1]
    for column, name in enumerate(names):
        if _SERIAL.search(name):
            return next(
                (cells[column][:40] for _number, cells in lines[heading.line :] if len(cells) > column and cells[column]), None
            )
    return None
