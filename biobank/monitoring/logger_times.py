"""The times of a logger's rows: of which zone, day or month first, and which instant each is. Pure.

What a row says is read whole or refused: nothing is cut off a time, and nothing that the file says is overruled.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

from biobank.foundation.errors import Conflict
from biobank.foundation.local_time import instants_of

Dates = Literal["day_first", "month_first"]
Stamp = tuple[int, str]
"""A row's number and what it says of its time."""

_DAY: Final = r"(?P<a>\d{1,4})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{2,4})"
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?(?:\s*(?P<half>[ap])\.?\s?m\.?)?"
_ZONE: Final = r"(?:\s*\(?(?P<zone>Z|(?:UTC|GMT)?\s*[+-]\d{1,2}(?::?\d{2})?|[A-Z]{3,4})\)?)?"
_STAMPS: Final = tuple(
    re.compile(pattern, re.I) for pattern in (rf"{_DAY}(?:T|,?\s+){_CLOCK}{_ZONE}", rf"{_CLOCK}\s+{_DAY}{_ZONE}")
)
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.I)
_NAMED: Final = re.compile(r"(?<![A-Za-z])(?:UTC|GMT)(?:\s*[+-]\s*\d{1,2}(?::?\d{2})?)?(?![A-Za-z0-9])", re.I)
_LABEL: Final = re.compile(
    r"(?:time\s*-?\s*zone|zeitzone|utc[ -]?offset|fuseau horaire|zona horaria|tijdzone)(?:\s*offset)?", re.I
)
_OF_THE_PAPER: Final = re.compile(r"creat|export|print|report|generat|download|erstellt|gedruckt|bericht", re.I)
_TIME_WORD: Final = re.compile(r"time|zeit|date|datum|heure|stamp|fecha|hora|tijd", re.I)
_OPEN: Final = {"", "local", "local time", "lokal", "ortszeit", "logger", "device", "computer", "pc", "system", "auto", "default"}
"""What says no more than that somebody's clock was taken."""
_HOURS: Final = {
    **{"UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2, "EET": 2, "EEST": 3},
    **{"EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9, "AEST": 10, "AEDT": 11},
}
"""Short names in a row, each with its hours from UTC. Those of several countries (CST, IST) are left out."""
_OF_WINDOWS: Final = {
    "w. europe standard time": "Europe/Berlin",
    "central europe standard time": "Europe/Budapest",
    "central european standard time": "Europe/Warsaw",
    "romance standard time": "Europe/Paris",
    "gmt standard time": "Europe/London",
    "greenwich standard time": "Atlantic/Reykjavik",
    "e. europe standard time": "Europe/Chisinau",
    "fle standard time": "Europe/Kiev",
    "gtb standard time": "Europe/Bucharest",
    "turkey standard time": "Europe/Istanbul",
    "eastern standard time": "America/New_York",
    "central standard time": "America/Chicago",
    "mountain standard time": "America/Denver",
    "pacific standard time": "America/Los_Angeles",
    "tokyo standard time": "Asia/Tokyo",
    "china standard time": "Asia/Shanghai",
    "india standard time": "Asia/Kolkata",
    "aus eastern standard time": "Australia/Sydney",
}
"""Names that Windows gives to zones, as Unicode CLDR (windowsZones) maps them."""


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
    """Days are written with strokes or hyphens and none is above twelve: 03/04 can be in March or in April."""

    code = "logger_dates_unclear"
    title = "Day first, or month first?"


class LoggerTimeUnclear(Conflict):
    """A row shows a time that the clock of its zone skipped or showed twice, when summer time began or ended."""

    code = "logger_time_unclear"
    title = "When was that?"


def is_time(heading: str) -> bool:
    """Say whether a heading names when something was read; not how long it took, and not of which zone that is."""
    passed = re.search(
        r"elapsed|running|run time|runtime|duration|interval|since|laufzeit|dauer|abgelaufen|écoulé", heading, re.I
    )
    return _TIME_WORD.search(heading) is not None and not passed and not is_zone(heading)


def is_zone(heading: str) -> bool:
    """Say whether a heading, or a line of the preamble, names the zone of the times."""
    return _LABEL.search(heading) is not None


def zone_named(preamble: Sequence[Sequence[str]], headings: Sequence[str], cells: Sequence[str]) -> str | None:
    """Return the zone that a file names: its own column (`cells`), a heading of a time, or a line above.

    Raises LoggerFileUnread when two of these are of different zones.
    """
    named = [cells[0].strip("() ")] if cells else []
    named += [found.group() for heading in headings if (found := _NAMED.search(heading.replace("_", " ")))]
    for line in preamble:
        text = " ".join(line)
        if found := _LABEL.search(text):
            said = text[found.end() :].strip(" :=")
            bare = re.sub(r"\(.*\)", "", said).strip()
            named += (
                []
                if said.lower() in _OPEN
                else [bare if as_zone(bare) and not _NAMED.search(bare) else said.removeprefix("(").removesuffix(")")]
            )
        elif _TIME_WORD.search(text) and not _OF_THE_PAPER.search(text):
            named += [found.group() for found in re.finditer(rf"(?<=\(){_NAMED.pattern}(?=\))", text, re.I)]
    zones = [zone for one in named if (zone := as_zone(one)) is not None]
    if zones and any(_differ(zones[0], other) for other in zones):
        raise LoggerFileUnread("This file names two zones. Export it with UTC times, or look at the logger.")
    return next((one for one in named if as_zone(one) is None), named[0] if named else None)


def zone_of(stamps: Sequence[Stamp], named: str | None, stated: str | None) -> tuple[tzinfo | None, str]:
    """Return the zone of the rows, and its name; None when each row carries its own.

    Raises LoggerZoneMissing, LoggerZoneDiffers, LoggerFileUnread.
    """
    own = [bool((found := _parts(stamp)) and found["zone"]) for _number, stamp in stamps]
    if all(own):
        return None, "in each row"
    if any(own):
        raise LoggerFileUnread(f"Row {stamps[own.index(False)][0]} says no zone, and others do.")
    if named is None:
        if stated is None:
            raise LoggerZoneMissing("The file does not say of which zone its times are. Say it, such as Europe/Vienna.")
        return _stated(stated), stated
    of_file, hours = as_zone(named), _NAMED.search(named)
    if of_file is None and stated is None:
        raise LoggerZoneMissing(
            f"The file does not say of which zone its times are. It says {named[:60]!r}, no zone that is known here. "
            "Say it, such as Europe/Vienna, or export the file with UTC times."
        )
    if of_file is None:  # (UTC+01:00) Amsterdam, Berlin: with summer time, or without; a zone that has these hours may be said
        by_windows = _OF_WINDOWS.get(named.lower())
        theirs = _apart(_stated(str(stated)))
        if by_windows is not None:
            fits = _apart(ZoneInfo(by_windows)) == theirs
        else:
            fits = hours is not None and not set(_apart(as_zone(hours.group()))).isdisjoint(theirs)
        if not fits:
            raise LoggerZoneDiffers(f"The file says {named[:60]!r}, you say {stated}. Export it with UTC times.")
        return _stated(str(stated)), str(stated)
    if stated is not None and stated != named and _differ(of_file, _stated(stated)):
        raise LoggerZoneDiffers(f"The file says {named}, you say {stated}. Leave it out, or look at the logger again.")
    return of_file, named


def _differ(one: tzinfo, other: tzinfo) -> bool:
    return _apart(one) != _apart(other)


def _apart(zone: tzinfo | None) -> list[timedelta | None]:
    """Return how far a zone is from UTC in winter and in summer."""
    return [datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)]


def as_zone(said: str) -> tzinfo | None:
    """Return a zone by its name or its hours from UTC; None when it is none that is known."""
    said = said.strip().replace("\N{MINUS SIGN}", "-")
    if found := _OFFSET.fullmatch(re.sub(r"(?<=[+-])\s+", "", said)):
        sign, hours, minutes = found.groups()
        apart = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(apart if sign == "+" else -apart) if apart < timedelta(hours=15) else None
    try:
        return ZoneInfo(said)
    except (KeyError, ValueError, OSError):
        hours_apart = _HOURS.get(said.upper())
        return None if hours_apart is None else timezone(timedelta(hours=hours_apart))


def _stated(zone: str) -> tzinfo:
    found = as_zone(zone)
    if found is None:
        raise LoggerZoneMissing(f"{zone!r} is no name of a zone. Say it such as Europe/Vienna, or UTC+01:00.", field="zone")
    return found


def _parts(stamp: str) -> re.Match[str] | None:
    text = stamp.strip().replace("\N{MINUS SIGN}", "-")
    return next((found for pattern in _STAMPS if (found := pattern.fullmatch(text))), None)


def order_of(stamps: Sequence[Stamp], dates: Dates | None) -> str:
    """Say how days are written: by the first that can be only one, or as the person says. Days with points begin with the day.

    Raises LoggerDatesUnclear, and LoggerFileUnread for years of two digits that may stand first or last.
    """
    days = [found for _number, stamp in stamps if (found := _parts(stamp)) and len(found["a"]) < 3]
    short = [[int(found[part]) for part in "abc"] for found in days if len(found["c"]) == 2]
    if short and all(a >= _FIRST_YEAR and 1 <= b <= 12 and 1 <= c <= 31 for a, b, c in short):
        if all(c >= _FIRST_YEAR for _a, _b, c in short):
            raise LoggerFileUnread("The years of this file have two digits and may stand first or last. Export four digits.")
        return "year_first"
    marked = [found for found in days if found["mark"] != "."]
    if not marked:
        return "day_first"
    day_first, month_first = any(int(one["a"]) > 12 for one in marked), any(int(one["b"]) > 12 for one in marked)
    if day_first and month_first:
        raise LoggerFileUnread("Some days of this file are written day first, others month first.")
    if day_first or month_first:
        return "day_first" if day_first else "month_first"
    if dates is None:
        shown = "".join(marked[0][part] for part in ("a", "mark", "b", "mark", "c"))
        raise LoggerDatesUnclear(f"{shown} can be two days. Say whether day or month stands first.", field="dates")
    return dates


_FIRST_YEAR: Final = 20
"""Of the century: no logger's file of this bank is older."""


def instants(stamps: Sequence[Stamp], zone: tzinfo | None, order: str) -> Iterator[datetime]:
    """Yield when each row was read, in UTC. Raises LoggerFileUnread and LoggerTimeUnclear, which name the row."""
    for number, stamp in stamps:
        found = _parts(stamp)
        of_row = zone if found is None or not found["zone"] else _of_row(found["zone"])
        shown = None if found is None else _shown(found, order)
        if shown is None or of_row is None:
            raise LoggerFileUnread(f"Row {number}: {stamp[:40]!r} is no day and time.", row=number)
        at = instants_of(shown, of_row)
        if len(at) != 1:
            why = "was shown twice, when summer time ended" if at else "never was: summer time began"
            raise LoggerTimeUnclear(f"Row {number}: {stamp[:40]} {why}. Export the file with UTC times.", row=number)
        yield at[0]


def _of_row(said: str) -> tzinfo | None:
    """Return the zone behind a row's time: there a short name is of one half of the year."""
    hours = _HOURS.get(said.upper())
    return as_zone(said) if hours is None and not said.isalpha() else None if hours is None else timezone(timedelta(hours=hours))


def _shown(found: re.Match[str], order: str) -> datetime | None:
    """Return what the clock of the logger showed; None when no clock shows that."""
    first, second, third = (int(found[part]) for part in "abc")
    if len(found["a"]) == 3 or len(found["c"]) == 3 or (len(found["a"]) == 4 and len(found["c"]) == 4):
        return None
    if len(found["a"]) == 4 or (order == "year_first" and len(found["c"]) == 2):
        year, month, day = first, second, third
    elif order == "month_first" and found["mark"] != ".":
        month, day, year = first, second, third
    else:
        day, month, year = first, second, third
    hour = int(found["hour"])
    if found["half"]:
        if hour > 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower() == "p" else 0)
    try:
        year += 2000 if year < 100 else 0
        return datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{hour:02}:{found['minute']}:{found['second'] or '00'}")
    except ValueError:
        return None
