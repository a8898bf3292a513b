"""How values are written on a page: instants, days, codes, amounts, counts.

Every filter returns text or safe markup built from escaped parts, so a template never needs `|safe`.
"""

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from biobank.foundation.terms import words
from biobank.pages.ui.code_pages import code_href, page_of, prefix_of

NARROW = "\N{NARROW NO-BREAK SPACE}"
MISSING = Markup("–")

# Month names are spelled out because 03/04 is two different days on two sides of an ocean.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Unit of a stored integer → (symbol, stored units per shown unit, decimals shown).
_UNITS: dict[str, tuple[str, int, int]] = {
    "nl": ("nL", 1, 0),
    "ul": ("µL", 1, 0),
    "ul_raw": ("µL raw", 1, 0),
    "ul_washed": ("µL washed", 1, 0),
    "ml": ("mL", 1, 0),
    "ug": ("µg", 1, 0),
    "mg": ("mg", 1, 0),
    "g": ("g", 1, 0),
    "um": ("µm", 1, 0),
    "mm": ("mm", 1, 0),
    "cells": ("cells", 1, 0),
    "cells_per_ml": ("cells/mL", 1, 0),
    "platelets_per_ul": ("× 10⁹/L", 1000, 3),
    "follicular_units": ("follicular units", 1, 0),
    "follicles": ("follicles", 1, 0),
    "grafts": ("grafts", 1, 0),
    "vials": ("vials", 1, 0),
    "days": ("days", 1, 0),
    "minutes": ("min", 1, 0),
    "seconds": ("s", 1, 0),
    "s": ("s", 1, 0),
    "percent": ("%", 1, 0),
    "basis_points": ("%", 100, 1),
    "millipercent": ("%", 1000, 1),
    "ppm": ("%", 10_000, 1),
    "millidegrees_c": ("°C", 1000, 1),
    "decidegrees_c": ("°C", 10, 1),
}
# (From this many stored units on, this larger symbol, stored units per larger unit).
_LARGER: dict[str, tuple[int, str, int]] = {
    "ul": (1000, "mL", 1000),
    "ul_raw": (1000, "mL raw", 1000),
    "ul_washed": (1000, "mL washed", 1000),
    "nl": (1000, "µL", 1000),
    "mg": (1000, "g", 1000),
    "seconds": (120, "min", 60),
    "s": (120, "min", 60),
    "minutes": (180, "h", 60),
}
_MILLION = 1_000_000


def _instant(value: datetime | str) -> datetime:
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    if instant.tzinfo is None:
        raise ValueError("An instant without a zone cannot be shown: it could be any of 38 hours.")
    return instant


def when(value: datetime | str | None, zone: ZoneInfo, *, seconds: bool = False) -> Markup:
    """Write an instant at site time, with UTC in `datetime` and `title`: `3 Nov 2026, 13:34`.

    `value` is an aware datetime or RFC 3339 text; None becomes an en dash. Raises ValueError for a naive datetime.
    """
    if value is None:
        return MISSING
    instant = _instant(value)
    utc = instant.astimezone(UTC)
    local = instant.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return _time(utc, f"{_day_text(local)}, {clock}")


def _time(utc: datetime, said: str) -> Markup:
    """Write an instant's element. None of its parts is somebody's text; `Markup.format` would cost five times as much."""
    return Markup(f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}" title="{utc:%Y-%m-%d %H:%M:%S} UTC">{said}</time>')  # noqa: S704


def day_and_time(value: datetime, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """Write the same as plain text, to be put into a sentence."""
    local = value.astimezone(zone)
    return f"{_day_text(local)}, {local:%H:%M:%S}" if seconds else f"{_day_text(local)}, {local:%H:%M}"


_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])")


def said(sentence: Any, zone: ZoneInfo) -> Any:
    """Write the instants and days of a sentence as pages do; markup and what is no text is returned as it is.

    Refusals and entries carry them as RFC 3339, which is exact and knows no reader's zone.
    """
    if isinstance(sentence, datetime):
        return when(sentence, zone)
    if isinstance(sentence, date):
        return day(sentence)
    if not isinstance(sentence, str) or isinstance(sentence, Markup):
        return sentence
    instants = {_instant(one) for one in _INSTANT.findall(sentence)}
    # Two instants of one minute would read as the same, and nobody would see which came first.
    seconds = len({one.replace(second=0, microsecond=0) for one in instants}) < len(instants)
    told = _INSTANT.sub(lambda found: day_and_time(_instant(found[0]), zone, seconds=seconds), sentence)
    return _DAY.sub(_day_said, told)


def _day_said(found: re.Match[str]) -> str:
    try:
        return _day_text(date.fromisoformat(found[0]))
    except ValueError:
        return found[0]


def day_said(value: date) -> str:
    """Write a calendar day as plain text, to be put into a sentence."""
    return _day_text(value)


def log_time(value: datetime | str | None, zone: ZoneInfo) -> Markup:
    """Write an instant as auditors sort it, at site time: `2026-11-03 13:34:56`."""
    if value is None:
        return MISSING
    instant = _instant(value)
    utc = instant.astimezone(UTC)
    return _time(utc, f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}")


def day(value: date | str | None) -> Markup:
    """Write a calendar day: `3 Nov 2026`. A datetime is refused: its day depends on a zone, use `when`."""
    if value is None:
        return MISSING
    plain = date.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(plain, datetime):
        raise ValueError("A datetime is not a calendar day; show it with the filter 'when'.")
    return Markup('<time datetime="{}">{}</time>').format(plain.isoformat(), _day_text(plain))


def _day_text(value: date) -> str:
    return f"{value.day}{NARROW}{_MONTHS[value.month - 1]}{NARROW}{value.year}"


def code(value: str | None, *, link: bool = True) -> Markup:
    """Write a code in the code face, linked to what it names where that has a page."""
    if value is None:
        return MISSING
    text = str(value)
    if not link or (prefix_of(text) is not None and page_of(text) is None):
        return Markup(f'<span class="code">{escape(text)}</span>')  # noqa: S704 - escaped
    return Markup(f'<a class="code" href="{escape(code_href(text))}">{escape(text)}</a>')  # noqa: S704 - escaped


def grouped(value: int | None) -> str:
    """Write a whole number with thin spaces between thousands: 5 000, understood on both sides of the Channel."""
    return MISSING if value is None else f"{value:,}".replace(",", NARROW)


def quantity(value: int | None, unit: str) -> Markup:
    """Write a stored integer with its unit: `quantity(1500, "ul")` → 1.5 mL, `quantity(2400000, "cells")` → 2.4 × 10⁶ cells.

    Nothing is computed with floats. Cell counts from a million up are written to three significant figures, everything else
    exactly as far as the unit's decimals go. An unknown unit is written after the number in words.
    """
    if value is None:
        return MISSING
    if unit.startswith("cells") and abs(value) >= _MILLION:
        return _scientific(value, _UNITS[unit][0] if unit in _UNITS else words(unit).lower())
    return Markup('<span class="quantity">{}</span>').format(quantity_text(value, unit))


def quantity_text(value: int | None, unit: str) -> str:
    """Write the same as plain text, to be put into a sentence: what is put into one is escaped, and tags would be read out."""
    if value is None:
        return str(MISSING)
    symbol, divisor, decimals = _UNITS.get(unit, (words(unit).lower(), 1, 0))
    larger = _LARGER.get(unit)
    if larger is not None and abs(value) >= larger[0]:
        symbol, divisor = larger[1], larger[2]
        number = _plain(Decimal(value) / divisor, 3)
    else:
        number = _plain(Decimal(value) / divisor, decimals)
    gap = "" if symbol == "%" else NARROW
    return f"{number}{gap}{symbol}"


def _plain(number: Decimal, decimals: int) -> str:
    rounded = number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    whole, _, fraction = f"{rounded:,f}".partition(".")
    fraction = fraction.rstrip("0")
    return whole.replace(",", NARROW) + (f".{fraction}" if fraction else "")


def _scientific(value: int, symbol: str) -> Markup:
    exponent = len(str(abs(value))) - 1
    mantissa = (Decimal(value).scaleb(-exponent)).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
    if abs(mantissa) >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    shown = _plain(mantissa, 2)
    return Markup('<span class="quantity">{}{}×{}10<sup>{}</sup>{}{}</span>').format(
        shown, NARROW, NARROW, exponent, NARROW, symbol
    )


_RAISED: Final = re.compile(r"<sup>(-?\d+)</sup>")
_ABOVE: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain(shown: Markup) -> str:
    """Return what a page shows as plain text. An exponent stays above the line: without its tag 5 × 10⁶ would read 5 × 106."""
    raised = _RAISED.sub(lambda found: found[1].translate(_ABOVE), shown)
    return Markup(raised).striptags()  # noqa: S704 - it was markup, and its tags go


def attributes(values: dict[str, object]) -> Markup:
    """Write HTML attributes from a mapping; None and False leave one out, True writes the bare name, `_` becomes `-`."""
    parts = [
        Markup(" {}").format(name.replace("_", "-"))
        if value is True
        else Markup(' {}="{}"').format(name.replace("_", "-"), escape(value))
        for name, value in values.items()
        if value is not None and value is not False
    ]
    return Markup("").join(parts)
