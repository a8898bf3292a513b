"""What a number format of a spreadsheet does to a number: the text people saw, when that is certain. Pure."""

import re
from dataclasses import replace
from decimal import Decimal

from biobank.importing.sheets import LEADING_ZEROS, LONG_NUMBER, SHOWN_ROUNDED, SURE_DIGITS, Cell, Form

_DECORATION = re.compile(r"\[(?:Black|Blue|Cyan|Green|Magenta|Red|White|Yellow|Color\d+)\]|\[\$-[0-9A-F]+\]|_.|\*.", re.I)
AROUND = "is shown with other words around it by its format. Write the whole of it as text"
NOTHING_SHOWN = "is not shown: its format hides it. Give the cell a plain format, and look whether it is meant"
_PLAIN = re.compile(r"^[#0?,.' ]*(?:E[+-]0+)?$", re.I)


def form_of(pattern: str) -> Form:
    """Say whether a number in this format is shown as itself."""
    first = _DECORATION.sub("", pattern.split(";")[0]).strip()
    if not first and ";" in pattern:
        return "other"  # nothing is shown of it
    if first.lower() in ("", "general", "standard", "@"):
        return "plain"
    if "%" in first:
        return "percent"
    # A comma at the end of the digits divides by a thousand.
    if not _PLAIN.match(first) or re.search(r",(\.|$| )", first):
        return "other"
    return "plain"


def shows_days(pattern: str) -> bool:
    """Say whether a date in this format is shown with its day; quoted words, escaped signs and colours are none."""
    bare = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", pattern).lower()
    return "d" in bare or "t" in bare


def number_cell(at: str, number: Decimal, pattern: str, *, notes: tuple[str, ...] = (), struck: bool = False) -> Cell:
    """Build the cell of a number as it is stored, with the format it is shown in."""
    form = form_of(pattern)
    whole = number == number.to_integral_value()
    shown: str | None = None
    if abs(number) >= 10**SURE_DIGITS:
        return Cell(at, number, None, form, LONG_NUMBER, notes, struck)
    first = pattern.split(";")[0]
    if first.lower() in ("", "general", "standard", "@") and (first or ";" not in pattern):
        shown = str(int(number)) if whole and number >= 0 else None
    elif re.fullmatch(r"0+", first) and whole and number >= 0:
        shown = str(int(number)).zfill(len(first))
        if shown != str(int(number)):
            notes = (*notes, LEADING_ZEROS)
    elif first == "#,##0" and whole and 0 <= number < 1000:
        shown = str(int(number))
    elif form == "plain" and not whole and _decimals(first) < -int(number.as_tuple().exponent):
        notes = (*notes, SHOWN_ROUNDED)
    return Cell(at, number, shown, form, None, notes, struck)


def shown_text(cell: Cell, pattern: str) -> Cell:
    """Return the cell of a text; with a defect when its format shows other words around it, or nothing of it."""
    sections = pattern.split(";")
    of_texts = sections[3] if len(sections) > 3 else sections[-1] if "@" in sections[-1] else "@"
    bare = _DECORATION.sub("", of_texts).strip()
    if cell.defect is not None or bare.lower() in ("@", "general", "standard"):
        return cell
    return replace(cell, defect=AROUND if "@" in bare else NOTHING_SHOWN)


def _decimals(pattern: str) -> int:
    _, _, after = pattern.partition(".")
    return len(re.findall(r"[0#?]", after))


def exact(number: float | int | str) -> Decimal:
    """Return the number that a spreadsheet means: the shortest one that is stored like this (7.1, not 7.0999…96).

    Raises ValueError when it is none.
    """
    value = Decimal(repr(float(number))) if not isinstance(number, int) else Decimal(number)
    if not value.is_finite():
        raise ValueError("is no number")
    return value
