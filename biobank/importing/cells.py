"""What one cell of an old spreadsheet means, or why that cannot be known. Pure.

Every function returns the value, or raises Unclear with a sentence for the one who has the paper files.
"""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from biobank.storage.grid import cell_of, label_of

DateOrder = Literal["day_first", "month_first"]
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ),
        start=1,
    )
    for name in names.split()
}
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male"}
UNSAID = {"", "?", "-", "n/a", "na", "none", "unknown", "unk", "tbd"}

_ISO = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})$")
_NUMBERS = re.compile(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})$")
_WORDS = re.compile(r"^(\d{1,2})[ -]([A-Za-z]{3,9})\.?[ -](\d{4})$")
_PASSAGE = re.compile(r"^[Pp]?(\d{1,2})$")
_PERCENT = re.compile(r"^(~?)\s*(\d{1,3}(?:[.,]\d+)?)\s*%?$")


class Unclear(ValueError):
    """The cell cannot be read without guessing."""


def said(value: Any) -> str:
    """Return the text of a cell without the blanks around it; empty for an empty cell and for what stands for one."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = " ".join(str(value).split())
    return "" if text.lower() in UNSAID else text


def day_of(value: Any, order: DateOrder | None) -> date | None:
    """Return the day a cell says, None when it says none.

    A real date cell, an ISO date and a month in English words say one thing. `05/06/2020` is two days: it is read in the order
    that the profile states, and without one only when a single order gives a day of the calendar at all.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = said(value)
    if not text:
        return None
    if match := _ISO.match(text):
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if match := _WORDS.match(text):
        month = MONTHS.get(match[2].lower())
        if month is None:
            raise Unclear("names a month that is no English one")
        return _day(int(match[3]), month, int(match[1]))
    if match := _NUMBERS.match(text):
        return _of_numbers(int(match[1]), int(match[2]), int(match[3]), order)
    raise Unclear("is no date that can be read")


def _of_numbers(first: int, second: int, year: int, order: DateOrder | None) -> date:
    readings: dict[DateOrder, date] = {}
    for name, (month, day) in {"day_first": (second, first), "month_first": (first, second)}.items():
        try:
            readings[name] = date(year, month, day)  # type: ignore[index]  # the two names of DateOrder
        except ValueError:
            continue
    if order is not None:
        if order not in readings:
            raise Unclear(f"is no day of the calendar when it is read {order.replace('_', ' ')}")
        return readings[order]
    if len(set(readings.values())) != 1:
        raise Unclear("may be two different days; say `date_order` in the profile" if readings else "is no day of the calendar")
    return next(iter(readings.values()))


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise Unclear("is no day of the calendar") from None


def sex_of(value: Any) -> str:
    """Return female, male or unknown (an empty cell). Capitals do not matter; another word is not translated."""
    text = said(value).lower()
    if not text:
        return "unknown"
    if text not in SEXES:
        raise Unclear("is neither F nor M")
    return SEXES[text]


def amount_of(value: Any, factor: int) -> int:
    """Return an amount in the bank's unit: the number times the unit's `factor`, exactly; never rounded."""
    text = said(value)
    if not text:
        raise Unclear("is not known")
    try:
        number = Decimal(text.replace(",", ".")) * factor
    except InvalidOperation:
        raise Unclear("is no number") from None
    if not number.is_finite() or number < 0 or number > 10**15:
        raise Unclear("is no amount")
    if number != number.to_integral_value():
        raise Unclear("is no whole number in the bank's unit")
    return int(number)


def passage_of(value: Any) -> int | None:
    """Return the passage of `P3` or `3`; None for an empty cell or `n/a`."""
    text = said(value)
    if not text:
        return None
    match = _PASSAGE.match(text)
    if match is None or int(match[1]) > 50:
        raise Unclear("is no passage")
    return int(match[1])


def slot_of(value: Any, rows: int, cols: int) -> str:
    """Return the label of a slot in a box of `rows` × `cols`."""
    text = said(value)
    if not text:
        raise Unclear("is not given")
    try:
        row, col = cell_of(text)
    except ValueError as error:
        raise Unclear("is no slot such as B7") from error
    if row > rows or col > cols:
        raise Unclear(f"lies outside a box of {rows} × {cols}")
    return label_of(row, col)


def percent_of(value: Any) -> str | None:
    """Return a percentage as it was written (`~88%` stays approximate), None when there is none; refuse the impossible.

    A percentage without its counts has no interval. It is kept as a remark and never becomes a measurement.
    """
    text = said(value)
    if not text:
        return None
    match = _PERCENT.match(text)
    if match is None or Decimal(match[2].replace(",", ".")) > 100:
        raise Unclear("is no percentage")
    return f"{match[1]}{match[2]}%"
