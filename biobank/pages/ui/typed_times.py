"""Days and times as people type them: in any style, at site time. What can mean two things is asked back, never guessed.

Taken are `12.03.2026`, `12/03/2026`, `12 Mar 2026`, `March 12, 2026` and `2026-03-12`, with a time `14:05` behind. Dots put the
day first everywhere; between strokes either may come first, so `03/04/2026` is two days and the form asks which. A time alone
(`14:05`) is of today at site time. In the night of a clock change a time may be two instants, and the form asks which of the two
hours it was.
"""

import re
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from biobank.foundation.clock import now
from biobank.foundation.local_time import instants_of

WHICH: Final = "which_"
"""Before a field's name: the field that says what was meant: a day (`2026-03-12`), an instant, or an offset (`+02:00`)."""

MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"),
)
_ISO: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DOTS: Final = re.compile(r"(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})")
_STROKES: Final = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4})")
_NAMED: Final = re.compile(r"(\d{1,2})\.? ([a-z]{3,9})\.?,? (\d{4})")
_NAMED_FIRST: Final = re.compile(r"([a-z]{3,9})\.? (\d{1,2}),? (\d{4})")
_TIMED: Final = re.compile(r"(.+?)(?:,? | ?t)(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
NO_DAY: Final = "enter a day, such as 12 Mar 2026 or 12.03.2026."
NO_TIME: Final = "enter a day and a time, such as 12 Mar 2026, 14:05."
TWO_DAYS: Final = "this can be two days. Say which, or write the month as a word, such as 12 Mar 2026."


def day_typed(text: str, which: str | None = None) -> date:
    """Return the day that was typed; raise ValueError with what to type instead, and where it can be two without `which`."""
    found = _days(_plain(text))
    if not found:
        raise ValueError(NO_DAY)
    if len(found) == 1:
        return found[0]
    meant = [one for one in found if one.isoformat() == which]
    if not meant:
        raise ValueError(TWO_DAYS)
    return meant[0]


def days_meant(text: object) -> list[tuple[str, str]]:
    """Return the days that a typed one can be, as choices of a form; nothing where it is one day or none."""
    found = _days(_plain(str(text)))
    return [(one.isoformat(), _said(one)) for one in found] if len(found) > 1 else []


def instant_typed(text: str, which: str | None, zone: ZoneInfo) -> datetime:
    """Return the instant that was typed, in site time where no zone stands in it.

    Raises ValueError with what to type instead: for what is no day and time, for a time that the clock skipped, and for what can
    be two days or two hours while `which` names neither.
    """
    exact = _exact(text)
    if exact is not None:
        return exact
    text = with_day(text, zone)
    shown = _shown(text)
    if not shown:
        raise ValueError(NO_TIME)
    try:
        found = [instant for one in shown for instant in instants_of(one, zone)]
    except (ValueError, OverflowError):
        raise ValueError(NO_TIME) from None
    if not found:
        raise ValueError("the clock never showed this time: summer time began and it was put forward. Look when it was.")
    if len(found) == 1 and len(shown) == 1:
        return found[0]
    keys = [key for key, _ in shown_twice(text, zone)]
    if which in keys:
        return found[keys.index(which)]
    if len(shown) > 1:
        raise ValueError(TWO_DAYS)
    offsets = [_offset(one, zone) for one in found]
    raise ValueError(
        "the clock showed this time twice, because summer time ended. "
        f"Say which it was: the first time (UTC{offsets[0]}) or the second (UTC{offsets[1]})."
    )


def with_day(text: str, zone: ZoneInfo) -> str:
    """Return a time that was typed without a day with that of today at site time before it; anything else as it is."""
    return f"{now().astimezone(zone):%Y-%m-%d} {text.strip()}" if _CLOCK.fullmatch(text.strip()) else text


def shown_twice(text: object, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return what may be meant by a typed time that can be two days, or that the clock showed twice, as choices of a form."""
    if _exact(str(text)) is not None:
        return []
    text = with_day(str(text), zone)
    shown = _shown(text)
    try:
        found = [instant for one in shown for instant in instants_of(one, zone)]
    except (ValueError, OverflowError):
        return []
    if len(shown) > 1:
        return [(one.isoformat(), f"{_said(one)}, {one:%H:%M} (UTC{_offset(one, zone)})") for one in _local(found, zone)]
    if len(found) < 2:
        return []
    first, second = (_offset(one, zone) for one in found)
    return [
        (first, f"The first time, before the clock was put back (UTC{first})"),
        (second, f"The second time, after it was put back (UTC{second})"),
    ]


def as_typed(value: object, zone: ZoneInfo) -> object:
    """Write what fills a field as one types it: `12 Mar 2026`, `12 Mar 2026, 14:05`; what is no day is left as it is."""
    if isinstance(value, datetime):
        return _said_at(value.astimezone(zone))
    if isinstance(value, date):
        return _said(value)
    text = str(value or "")
    exact = _exact(text)
    if exact is not None:
        return _said_at(exact.astimezone(zone))
    if _ISO.match(text):
        shown = _shown(text)
        if len(shown) == 1:
            return _said_at(shown[0])
        days = _days(text)
        return _said(days[0]) if days else value
    return value


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _days(text: str) -> list[date]:
    """Return the days that a text can mean, in the order of the calendar."""
    parts: list[tuple[str | int, str | int, str | int]] = []
    if match := _ISO.fullmatch(text):
        parts = [(match[1], match[2], match[3])]
    elif match := _DOTS.fullmatch(text):
        parts = [(match[3], match[2], match[1])]
    elif match := _STROKES.fullmatch(text):
        parts = [(match[4], match[3], match[1]), (match[4], match[1], match[3])]
    elif match := _NAMED.fullmatch(text):
        parts = [(match[3], _month(match[2]), match[1])]
    elif match := _NAMED_FIRST.fullmatch(text):
        parts = [(match[3], _month(match[1]), match[2])]
    found = set()
    for year, month, day in parts:
        try:
            found.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return sorted(found)


def _month(word: str) -> int:
    return next((number for number, name in enumerate(MONTHS, 1) if name.startswith(word)), 0)


def _exact(text: str) -> datetime | None:
    """Return the instant of a text that says its own zone; None for any other."""
    try:
        shown = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return shown if shown.tzinfo is not None else None


def _shown(text: str) -> list[datetime]:
    """Return what a clock on the wall showed, of each day that the text can mean; nothing without a time."""
    match = _TIMED.fullmatch(_plain(text))
    if match is None:
        return []
    try:
        clock = time(int(match[2]), int(match[3]), int(match[4] or 0), int((match[5] or "").ljust(6, "0")))
    except ValueError:
        return []
    return [datetime.combine(one, clock) for one in _days(match[1])]


def _local(found: list[datetime], zone: ZoneInfo) -> list[datetime]:
    return [one.astimezone(zone) for one in found]


def _said(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1][:3].capitalize()} {day.year}"


def _said_at(shown: datetime) -> str:
    return f"{_said(shown)}, {shown:%H:%M:%S}" if shown.second else f"{_said(shown)}, {shown:%H:%M}"


def _offset(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat()[-6:]
