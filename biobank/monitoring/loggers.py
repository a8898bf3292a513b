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
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from statistics import median_low
from typing import Final, Literal
from zoneinfo import ZoneInfo

from biobank.foundation.errors import Conflict
from biobank.foundation.text_encoding import unicode_encoding
from biobank.monitoring.judging import Measure

Dates = Literal["day_first", "month_first"]
MOST_ROWS: Final = 50_000
_PREAMBLE = 200
_NOT_READ = {"", "-", "--", "---", "----", "n/a", "nan", "ol", "err", "error", "fault", "no data"}
_TIME = re.compile(r"time|zeit|date|datum|heure|stamp", re.I)
_ZONE = re.compile(r"time\s*-?\s*zone|zeitzone|utc offset", re.I)
_SERIAL = re.compile(r"serial|seriennummer", re.I)
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.I)
_DAY = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(am|pm)?\s*(Z|[+-]\d{2}:?\d{2})?", re.I)


class LoggerFileUnread(Conflict):
    """A file does not say what a logger's file says, or a row of it cannot be read."""

    code = "logger_file_unread"
    title = "This file cannot be read"


class LoggerZoneMissing(Conflict):
    """A logger's clock shows the time of some zone. The file does not name it, so a person says which."""

    code = "logger_zone_missing"
    title = "Of which zone are its times?"


class LoggerZoneDiffers(Conflict):
    """The file names a zone, and the person another."""

    code = "logger_zone_differs"
    title = "The file names another zone"


class LoggerDatesUnclear(Conflict):
    """Days are written with strokes and none is above twelve: 03/04 can be in March or in April."""

    code = "logger_dates_unclear"
    title = "Day first, or month first?"


class LoggerTimeUnclear(Conflict):
    """A row shows a time that the clock of its zone skipped or showed twice, when summer time began or ended."""

    code = "logger_time_unclear"
    title = "When was that?"


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
    """Columns by their place in a row."""

    line: int
    time: tuple[int, ...]
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
    times = [(number, _cell(cells, heading.time)) for number, cells in rows]
    named = _zone_named(lines[: heading.line])
    where, by = _zone_of(times, named, zone)
    order = _order(times, dates)
    found: list[Logged] = []
    looked: list[datetime] = []
    unread = 0
    for (number, cells), (_number, stamp) in zip(rows, times, strict=True):
        at = _instant(number, stamp, where, order)
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
        time = tuple(column for column, cell in enumerate(cells) if _TIME.search(cell) and not _ZONE.search(cell))
        values = {column: unit for column, cell in enumerate(cells) if column not in time and (unit := _unit(cell)) is not None}
        if not time or not values:
            continue
        measures = [measure for measure, _unit_of in values.values()]
        if len(set(measures)) != len(measures):
            names = " and ".join(
                f"\N{LEFT DOUBLE QUOTATION MARK}{cells[column]}\N{RIGHT DOUBLE QUOTATION MARK}" for column in values
            )
            raise LoggerFileUnread(f"This file has several probes: {names}. Export one probe a file.")
        return _Heading(index + 1, time[:2], values)
    raise LoggerFileUnread("No line of this file names a time and a temperature in °C or °F, or a level in %.")


def _unit(cell: str) -> tuple[Measure, str] | None:
    if re.search(r"alarm|limit|min\b|max\b|grenz", cell, re.I):
        return None
    if re.search(r"[°º]\s*F\b|fahrenheit", cell, re.I):
        return "temperature_mc", "F"
    if re.search(r"[°º]\s*C\b|celsius", cell, re.I):
        return "temperature_mc", "C"
    if "%" in cell and re.search(r"level|füllstand|niveau", cell, re.I):
        return "level_ppm", "%"
    return None


def _cell(cells: Sequence[str], columns: Sequence[int]) -> str:
    return " ".join(cells[column] for column in columns if column < len(cells))


def _zone_named(preamble: Iterable[tuple[int, Sequence[str]]]) -> str | None:
    for _number, cells in preamble:
        text = " ".join(cells)
        if found := _ZONE.search(text):
            said = text[found.end() :].strip(" :=()")
            return said or None
        if (found := re.search(r"\((?:UTC|GMT)[^)]*\)", text, re.I)) and _TIME.search(text):
            return found.group().strip("()")
    return None


def _as_zone(said: str) -> tzinfo | None:
    if said.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(said.strip()):
        sign, hours, minutes = found.groups()
        apart = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(apart if sign == "+" else -apart) if apart < timedelta(hours=15) else None
    try:
        return ZoneInfo(said)
    except (KeyError, ValueError, OSError):
        return None


def _zone_of(times: Sequence[tuple[int, str]], named: str | None, stated: str | None) -> tuple[tzinfo | None, str]:
    """Return the zone of the rows, and its name; None when each row carries its own offset."""
    own = [bool((found := _CLOCK.search(stamp)) and found[5]) for _number, stamp in times]
    if all(own):
        return None, "in each row"
    if any(own):
        raise LoggerFileUnread(f"Row {times[own.index(False)][0]} says no zone, and others do.")
    of_file = None if named is None else _as_zone(named)
    if of_file is None:
        if stated is None:
            shown = f" It says {named!r}, which is no name of a zone." if named else ""
            raise LoggerZoneMissing(f"The file does not say of which zone its times are.{shown} Say it, such as Europe/Vienna.")
        return _stated(stated), stated
    if stated is not None:
        moments = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 7)]
        theirs = _stated(stated)
        if stated != named and any(one.astimezone(theirs).utcoffset() != one.astimezone(of_file).utcoffset() for one in moments):
            raise LoggerZoneDiffers(f"The file says {named}, you say {stated}. Leave it out, or look at the logger again.")
    return of_file, str(named)


def _stated(zone: str) -> tzinfo:
    found = _as_zone(zone)
    if found is None:
        raise LoggerZoneMissing(f"{zone!r} is no name of a zone. Say it such as Europe/Vienna, or UTC+01:00.", field="zone")
    return found


def _order(times: Iterable[tuple[int, str]], dates: Dates | None) -> Dates:
    """Say how days with strokes are written: by the first that can be only one, or as the person says."""
    strokes = [found for _number, stamp in times if (found := _DAY.search(stamp)) and found[2] == "/" and len(found[1]) < 3]
    if not strokes:
        return "day_first"
    day_first, month_first = any(int(one[1]) > 12 for one in strokes), any(int(one[3]) > 12 for one in strokes)
    if day_first and month_first:
        raise LoggerFileUnread("Some days of this file are written day first, others month first.")
    if day_first or month_first:
        return "day_first" if day_first else "month_first"
    if dates is None:
        raise LoggerDatesUnclear(f"{strokes[0][0]} can be two days. Say whether day or month stands first.", field="dates")
    return dates


def _instant(number: int, stamp: str, zone: tzinfo | None, order: Dates) -> datetime:
    day, clock = _DAY.search(stamp), _CLOCK.search(stamp)
    unread = LoggerFileUnread(f"Row {number}: {stamp[:40]!r} is no day and time.", row=number)
    if day is None or clock is None:
        raise unread
    parts = [int(day[1]), int(day[3]), int(day[4])]
    if len(day[1]) == 4:
        year, month, date = parts
    else:
        date, month, year = parts if day[2] != "/" or order == "day_first" else [parts[1], parts[0], parts[2]]
    hour = int(clock[1])
    if clock[4]:
        hour = hour % 12 + (12 if clock[4].lower() == "pm" else 0)
    if clock[5]:
        zone = UTC if clock[5].upper() == "Z" else _as_zone(clock[5])
    if zone is None:
        raise unread
    year += 2000 if year < 100 else 0
    try:
        first = datetime(year, month, date, hour, int(clock[2]), int(clock[3] or 0), tzinfo=zone)
    except ValueError:
        raise unread from None
    second = first.replace(fold=1)
    if first.utcoffset() != second.utcoffset():
        twice = first.astimezone(UTC).astimezone(zone) == first
        why = "was shown twice, when summer time ended" if twice else "never was: summer time began"
        raise LoggerTimeUnclear(f"Row {number}: {stamp[:40]} {why}. Export the file with UTC times.", row=number)
    return first.astimezone(UTC)


def _value(number: int, cell: str, unit: str, measure: Measure) -> int | None:
    """Return m°C or millionths; None where the logger wrote that it read nothing."""
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
