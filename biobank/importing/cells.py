"""What one cell of an old spreadsheet means, or why that cannot be known. Pure.

Every function returns the value, or raises Unclear with the end of a sentence for the one who has the paper files. None guesses:
what has two readings is refused until the profile says which one is meant.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from biobank.importing import letters
from biobank.importing.sheets import Cell
from biobank.storage.grid import cell_of, label_of

DateOrder = Literal["day_first", "month_first"]
Numbering = Literal["by_row", "by_column"]
"""How the places of a box are numbered: along its rows (2 lies right of 1) or down its columns (2 lies below 1)."""
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar jänner",
            "feb february februar",
            "mar march mär mrz märz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male"}
UNSAID_NAMES = frozenset(
    {"", "?", "-", "--", "#", "n/a", "n.a.", "k.a.", "k. a.", "unknown", "not known", "unbekannt", "inconnu", "tbd", "tbc"}
)
UNSAID = UNSAID_NAMES | {"na", "none", "null", "nil", "nan", "unk", "xxx", "missing"}
"""A person may be called Na, None, Null, Nan or Unk."""
_REPEATED = re.compile(
    r"^(?:[\"'\u2033\u3003\u201c\u201d\u201e-]{1,3}|,,|ditto|dito|dto\.?|idem|s\. ?o\."
    r"|(?:same )?as above|see above|wie oben|siehe oben)$",
    re.IGNORECASE,
)
"""What stands for the line above. A dash alone is nothing said, which is asked before."""
_ABOVE = "repeats the line above: a neighbouring line is no proof. Write it in"
_ROUNDED = re.compile(r"^\d{15}\d*?0+$", re.ASCII)
_REMEMBERED = 4096
"""Texts whose reading is kept: a column says the same few things in thousands of lines."""
LIKE_UNSAID = UNSAID - UNSAID_NAMES

NOUGHTS = frozenset({date(1899, 12, 30), date(1899, 12, 31), date(1900, 1, 1), date(1904, 1, 1)})
_TRUTH = {"TRUE", "FALSE", "WAHR", "FALSCH", "VRAI", "FAUX", "VERDADERO", "FALSO", "VERO"}

_ISO = re.compile(r"^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$", re.ASCII)
_NUMBERS = re.compile(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?: 00:00(?::00)?)?$", re.ASCII)
_WORDS = re.compile(r"^(\d{1,2})\.?[ -]?([^\W\d_]{3,9})\.?[ -]?(\d{4})$")
_MONTH_FIRST = re.compile(r"^([^\W\d_]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$")
_SLOT = re.compile(r"^([A-Za-z]{1,2})[ -]?0{0,2}([1-9]\d{0,2})$", re.ASCII)
"""A01, A 1 and A-1 are A1."""
_COUNTED = re.compile(r"^0{0,2}(\d{1,4})$", re.ASCII)
_PASSAGE = re.compile(r"^[Pp]?(\d{1,2})$", re.ASCII)
_PERCENT = re.compile(r"^(~?)\s*([\d.,]+)\s*(%?)$", re.ASCII)
_SCIENTIFIC = re.compile(r"^\d+([.,]\d+)?[Ee][+-]?\d{1,2}$", re.ASCII)
_DATE_SHAPES = (
    re.compile(r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?$", re.ASCII),
    re.compile(r"^\d{1,2}[./]\d{1,2}[./]\d{4}$", re.ASCII),
    re.compile(r"^\d{1,2}[-. /]{1,2}([^\W\d_]{3,9})\.?([-. /]\d{2,4})?$"),
    re.compile(r"^([^\W\d_]{3,9})\.?[-. /]\d{2,4}$"),
)


class Unclear(ValueError):
    """The cell cannot be read without guessing."""


class Signs(NamedTuple):
    """What the profile says of numbers that are written as texts; None where it says nothing."""

    decimal: str | None = None
    thousands: str | None = None


def _value(cell: Cell) -> object:
    if cell.defect is not None:
        raise Unclear(cell.defect)
    return cell.value


def word_of(cell: Cell) -> str:
    """Return the text of a cell as it stands there, for words that the profile explains; empty for an empty cell."""
    value = _value(cell)
    if isinstance(value, Decimal):
        return cell.shown or _written(value)
    if isinstance(value, bool):
        return str(value).upper()
    return "" if value is None else str(value)


def _written(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def said(cell: Cell) -> str:
    """Return the text of a cell; empty for an empty cell and for what stands for one."""
    text = word_of(cell)
    return "" if text.lower() in UNSAID else text


def name_of(cell: Cell) -> str:
    """Return a name as it is spelled, empty when there is none."""
    value = _value(cell)
    if value is not None and not isinstance(value, str):
        raise Unclear("is a number, a date or a truth value, not a name. Format the column as text and write it again")
    text = value or ""
    if defect := letters.imitation(text):
        raise Unclear(defect)
    if "?" in text and text not in UNSAID_NAMES:
        raise Unclear("holds a question mark: a letter was lost, or somebody was not sure. Look it up")
    if text.lower() in UNSAID_NAMES:
        return ""
    if _REPEATED.match(text):
        raise Unclear(_ABOVE)
    return text


def identifier_of(cell: Cell) -> str:
    """Return an identifier as people saw it on the sheet, empty when there is none."""
    return identifier_and_notes(cell)[0]


def identifier_and_notes(cell: Cell) -> tuple[str, list[str]]:
    """Return an identifier as people saw it on the sheet, empty when there is none, and what was done to it.

    A spreadsheet may have made a date, a rounded number or another number of it; then what it was cannot be known.
    """
    value = _value(cell)
    if isinstance(value, Decimal):
        if value != value.to_integral_value():
            raise Unclear("is a number with decimals: an identifier such as 1.10 has lost its end in it. Write it again as text")
        if cell.shown is None:
            raise Unclear("is a number in a format that hides how it is shown. Format the column as text and write it again")
        return cell.shown, []
    if isinstance(value, date):
        raise Unclear("is a date: a spreadsheet has turned the identifier into one. Format the column as text and write it again")
    if isinstance(value, bool):
        raise Unclear("is a truth value, not an identifier. Format the column as text and write it again")
    if letters.BREAKS in cell.notes:
        raise Unclear("holds a line break or a tab: are these two? Write a line for each, or the whole without it")
    text, notes = _identifier_of_text(value if isinstance(value, str) else "")
    return text, list(notes)


@lru_cache(maxsize=_REMEMBERED)
def _identifier_of_text(text: str) -> tuple[str, tuple[str, ...]]:
    if text.lower() in UNSAID:
        return "", ()
    if _REPEATED.match(text) or text.lower() == "same":
        raise Unclear(_ABOVE)
    if "?" in text:
        raise Unclear("holds a question mark: somebody was not sure. Look at the tube")
    if _ROUNDED.match(text):
        raise Unclear("has over 15 digits and ends in noughts: a spreadsheet may have lost its last digits. Look at the tube")
    if _SCIENTIFIC.match(text) and "+" in text:
        raise Unclear("is a number that a spreadsheet has shortened; its last digits are lost. Write it again as text")
    if text.upper() in _TRUTH:
        raise Unclear("is a truth value, not an identifier. Format the column as text and write it again")
    if any((match := shape.match(text)) and _is_month(match) for shape in _DATE_SHAPES):
        raise Unclear("reads as a date: a spreadsheet has turned the identifier into one. Look at the tube and write it as text")
    plain, notes, defect = letters.plain_identifier(text)
    if defect is not None:
        raise Unclear(defect)
    if len(plain) > 1 and plain.startswith("'"):
        return plain[1:].lstrip(), (*notes, "has an apostrophe before it, which keeps a text a text; it is left out")
    return plain, tuple(notes)


def _is_month(match: "re.Match[str]") -> bool:
    word = match[1] if match.re.groups and match[1] else None
    return word is None or not word.isalpha() or word.lower() in MONTHS


def day_of(cell: Cell, order: DateOrder | None) -> date | None:
    """Return the day a cell says, None when it says none.

    A real date cell, an ISO date and a month in English or German words say one thing. `05/06/2020` is two days: it is read in
    the order that the profile states, and without one only when a single order gives a day of the calendar at all.
    """
    value = _value(cell)
    text = "" if isinstance(value, date) else said(cell)
    day = value if isinstance(value, date) else _day_of_text(text, order) if text else None
    if day in NOUGHTS:
        raise Unclear("is the day from which spreadsheets count: the cell was empty or nought. Look it up")
    return day


@lru_cache(maxsize=_REMEMBERED)
def _day_of_text(text: str, order: DateOrder | None) -> date:
    if match := _ISO.match(text):
        return _day(int(match[1]), int(match[3]), int(match[4]))
    if match := _WORDS.match(text):
        return _day(int(match[3]), _month(match[2]), int(match[1]))
    if match := _MONTH_FIRST.match(text):
        return _day(int(match[3]), _month(match[1]), int(match[2]))
    if match := _NUMBERS.match(text):
        return _of_numbers(int(match[1]), int(match[2]), int(match[3]), order)
    raise Unclear("is no date that can be read")


def _month(word: str) -> int:
    if word.lower() not in MONTHS:
        raise Unclear("names a month in a language that is not read here")
    return MONTHS[word.lower()]


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


def sex_of(cell: Cell, words: Mapping[str, str] = SEXES) -> str:
    """Return female, male, other or unknown (an empty cell), by `words`. Capitals do not matter; nothing else is translated."""
    text = word_of(cell)
    known = {word.lower(): meaning for word, meaning in words.items()}.get(text.lower())
    if known is None and text.lower() not in UNSAID:
        raise Unclear("is neither F nor M" if words is SEXES else "is a word that the profile does not explain")
    return known or "unknown"


def amount_of(cell: Cell, factor: int, signs: Signs = Signs()) -> int:
    """Return an amount in the bank's unit: the number times the unit's `factor`, exactly; never rounded."""
    value = _value(cell)
    if isinstance(value, Decimal):
        if cell.form != "plain":
            raise Unclear("is a number in a format that shows something else (a percentage, thousands, a unit). Write it plainly")
        number = value * factor
    else:
        text = said(cell)
        if not text:
            raise Unclear("is not known")
        number = number_of(text, signs) * factor
    if number == 0:
        raise Unclear("is nothing. Say what became of the tube: an empty one is not stored")
    if not number.is_finite() or number < 0 or number > 10**15:
        raise Unclear("is no amount")
    if number != number.to_integral_value():
        raise Unclear("is no whole number in the bank's unit")
    return int(number)


@lru_cache(maxsize=_REMEMBERED)
def number_of(text: str, signs: Signs) -> Decimal:
    """Return the number that a text says. `2,000` is two numbers unless the profile says which sign is which."""
    if _SCIENTIFIC.match(text):
        mantissa, _, power = text.upper().partition("E")
        return number_of(mantissa, signs).scaleb(int(power))
    readings = set()
    for decimal in (signs.decimal,) if signs.decimal else (".", ","):
        if decimal == signs.thousands:
            continue
        grouping = [sign for sign in ((signs.thousands,) if signs.thousands else (".", ",")) if sign != decimal]
        for thousands in [*grouping, ""]:
            number = _read(text, decimal, thousands)
            if number is not None:
                readings.add(number)
    if not readings:
        raise Unclear("is no number with the signs the profile states" if any(signs) else "is no number")
    if len(readings) > 1:
        raise Unclear("may be two different numbers; say `decimal_sign` and `thousands_sign` in the profile")
    return next(iter(readings))


def _read(text: str, decimal: str, thousands: str) -> Decimal | None:
    """Return `text` read with these signs, None when it is no number then. Pure."""
    group = re.escape(thousands)
    whole = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+" if thousands else r"\d+"
    if not re.fullmatch(rf"{whole}(?:{re.escape(decimal)}\d+)?", text, re.ASCII):
        return None
    return Decimal((text.replace(thousands, "") if thousands else text).replace(decimal, "."))


def passage_of(cell: Cell) -> int | None:
    """Return the passage of `P3` or `3`; None for an empty cell or `n/a`."""
    text = said(cell)
    if not text:
        return None
    match = _PASSAGE.match(text)
    if match is None or int(match[1]) > 50:
        raise Unclear("is no passage")
    return int(match[1])


def freezes_of(cell: Cell) -> int:
    """Return how often a tube was frozen; 1 for an empty cell or `n/a`: it is frozen."""
    text = said(cell)
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) < 3 and 1 <= int(text) <= 20):
        raise Unclear("is not how often it was frozen: a whole number from 1 to 20")
    return int(text)


def slot_of(cell: Cell, rows: int, cols: int, numbered: Numbering | None = None) -> str:
    """Return the label of a slot in a box of `rows` × `cols`. A number is a slot only when the profile says how it counts."""
    text = identifier_of(cell)
    if not text:
        raise Unclear("is not given")
    return _slot_of_text(text, rows, cols, numbered)


@lru_cache(maxsize=_REMEMBERED)
def _slot_of_text(text: str, rows: int, cols: int, numbered: Numbering | None) -> str:
    if match := _COUNTED.match(text):
        if numbered is None:
            raise Unclear("is a number; say in the profile how the places of a box are `numbered`, or write B7")
        number = int(match[1])
        if not 1 <= number <= rows * cols:
            raise Unclear(f"lies outside a box of {rows} × {cols}")
        along, across = divmod(number - 1, cols if numbered == "by_row" else rows)
        return label_of(along + 1, across + 1) if numbered == "by_row" else label_of(across + 1, along + 1)
    match = _SLOT.match(text)
    try:
        row, col = cell_of(match[1] + match[2] if match else text)
    except ValueError as error:
        raise Unclear("is no slot such as B7") from error
    if row > rows or col > cols:
        raise Unclear(f"lies outside a box of {rows} × {cols}")
    return label_of(row, col)


def percent_of(cell: Cell, signs: Signs = Signs()) -> str | None:
    """Return a percentage as it was written (`~88%` stays approximate), None when there is none; refuse the impossible.

    A percentage without its counts has no interval. It is kept as a remark and never becomes a measurement.
    """
    value = _value(cell)
    about, marked = "", False
    if isinstance(value, Decimal):
        if cell.form == "other":
            raise Unclear("is a number in a format that shows something else. Write it plainly")
        number, marked = (value * 100, True) if cell.form == "percent" else (value, False)
    else:
        text = said(cell)
        if not text:
            return None
        match = _PERCENT.match(text)
        if match is None:
            raise Unclear("is no percentage")
        about, number, marked = match[1], number_of(match[2], signs), bool(match[3])
    if not 0 <= number <= 100:
        raise Unclear("is no percentage")
    if 0 < number <= 1 and not marked:
        raise Unclear("may be a fraction or a percentage. Write 88 % or 88, not 0.88")
    return f"{about}{_written(number)}%"
