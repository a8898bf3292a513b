"""What can be seen of a text that came from outside: a gun, a camera, a paste, a file, a request. Pure.

On the way from a label to here a text collects what nobody printed: the gun's symbology identifier (ISO/IEC 15424, `]Q1`), a byte
order mark, direction marks, quotes of a spreadsheet, percent signs of an address line, hyphens and digits of a word processor.
`tidy` takes those away; whether what is left names something is asked elsewhere. Letters of other alphabets are left as they are:
a Cyrillic А is not an A.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import unquote

from pydantic import BeforeValidator, Field

LONGEST_SCAN: Final = 512
"""Characters of a scanned text; more is no label."""


def _without_nul(text: Any) -> Any:
    return text.replace("\0", "") if isinstance(text, str) else text


Scanned = Annotated[
    str,
    BeforeValidator(_without_nul),
    Field(
        min_length=1, max_length=LONGEST_SCAN, description="As scanned: a code, a label's address, or an identifier of others."
    ),
]
"""A scanned text in a request, whatever is in it: what it names is asked of the bank, and no shape is refused before."""

_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_HYPHENS: Final = "\u02d7\u2043\u207b\u208b\u2212"
"""Minus signs and bullets that are written for a hyphen; the dashes are their own category in Unicode."""
SHOWS_NOTHING: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
"""Characters that leave no ink although Unicode calls them letters, marks or signs."""
_MARKS_MISREAD: Final = re.compile("^(?:\u00ef\u00bb\u00bf|\u00fe\u00ff|\u00ff\u00fe)")
"""A byte order mark that was read as Latin-1."""
_SYMBOLOGY: Final = re.compile(r"^\][A-Za-z][0-9A-Za-z](?:\\[0-9]{6})?")
"""What a gun may be told to send first: the AIM identifier, and the character set that the symbol declared."""
_CONTROLS: Final = (
    r"(?:[<\[{](?:CR|LF|CRLF|HT|TAB|ENTER|FNC1|NUL|STX|ETX|EOT|FS|GS|RS|US)[>\]}]|\\[rnt]|\\x[01][0-9A-F]|\^[MJI]|~d029)"
)
_NAMED: Final = re.compile(
    rf"^{_CONTROLS}+|{_CONTROLS}+$|^url(?:to)?:(?=https?:)|^(?:qr|data)[-_ ]?(?:code|matrix)?:\s*(?=\S)", re.IGNORECASE
)
"""Control characters that a gun, or a program between, writes out by name; and the names that programs put before a text."""
_FORMULA: Final = re.compile(r'^="(.*)"$')
_AROUND: Final = " \"'`´<>\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u300c\u300d\u300e\u300f"
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")

_SCHEME: Final = re.compile(
    r"^(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:|tel:|wifi:|begin:vcard|mecard:)", re.ASCII | re.IGNORECASE
)
_ARTICLE: Final = re.compile(r"^(?:[0-9]{8}|[0-9]{12,14})$", re.ASCII)
_ELEMENT_STRING: Final = re.compile(r"^(?:\(01\)|01)([0-9]{14})(?:\D|[0-9]{2}|$)", re.ASCII)


def seen(character: str, *, hyphens: bool = True) -> str:
    """Return what one character looks like: a hyphen, a blank, nothing, or itself; with `hyphens` false dashes stay dashes."""
    kind = unicodedata.category(character)
    if hyphens and (kind == "Pd" or character in _HYPHENS):
        return "-"
    if kind.startswith("Z") or character in "\t\n\v\f\r\x85":
        return " "
    if kind in ("Cc", "Cf") or character in SHOWS_NOTHING or "\u2400" <= character <= "\u2426":
        return ""  # the last are pictures of control characters, which a program between writes for them
    return character


def _plain(character: str) -> str:
    """Return what one character of a scan looks like, digits of every script as ours."""
    digit = unicodedata.decimal(character, None)
    return seen(character) if digit is None else str(digit)


def tidy(text: str) -> str:
    """Return the text without what nobody printed: one line, plain hyphens, single blanks, no quotes around it."""
    text = _MARKS_MISREAD.sub("", text.translate(_FULL_WIDTH))
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", "".join(_plain(character) for character in text))
    text = text.strip()
    while True:
        before = text
        text = _FORMULA.sub(r"\1", _NAMED.sub("", _SYMBOLOGY.sub("", _NAMED.sub("", text)))).strip(_AROUND)
        if text == before:
            return " ".join(text.split())


def unescaped(text: str) -> str:
    """Return the text with percent-encoding undone, twice at most: an address may have been copied into an address."""
    for _ in range(2):
        if not _ESCAPE.search(text):
            break
        text = tidy(unquote(text))
    return text


def scans_on(line: str, named: Callable[[str], bool]) -> list[str]:
    """Return the scans on a line: the whole of it, or its parts where the whole names nothing and each of them does.

    Identifiers of others may hold blanks and commas, so a line is taken apart only when every part of it stands for something.
    """
    whole = line.strip()
    parts = whole.replace(",", " ").replace(";", " ").split()
    if parts and parts != [whole] and not named(whole) and all(map(named, parts)):
        return parts
    return [whole] if whole else []


def spellings(text: str) -> set[str]:
    """Return how an identifier may be written that this text stands for, in lower case: as it came, tidied, and unescaped.

    Old identifiers are compared without letter case, as the importer compares them.
    """
    plain = tidy(text)
    return {form.lower() for form in (" ".join(text.replace("\0", "").split()), plain, unescaped(plain)) if form}


def foreign_kind(text: str) -> str | None:
    """Say in a sentence what a text is that is none of ours; None when it might stand on a tube. Never repeats the text."""
    plain = tidy(text)
    article = _ELEMENT_STRING.match(plain)
    number = article[1] if article else plain if _ARTICLE.match(plain) else ""
    if number and _is_article(number):
        return "This is the article number of a product (EAN or GTIN), not a tube's label. Scan the label of this bank."
    if _SCHEME.match(plain):
        return "This is an address of somebody else, not a label of this bank. Scan the label of this bank."
    if not any(character.isdigit() for character in plain):
        return (
            "These are words, not a code. A tube is found by the code on its label; a person on the donors' page, by name and "
            "birth date."
        )
    return None


def _is_article(number: str) -> bool:
    """Check the last digit of a GTIN (GS1 General Specifications 7.9): weights 3 and 1 from the right, modulo 10."""
    return sum(int(digit) * (1 if place % 2 == 0 else 3) for place, digit in enumerate(reversed(number))) % 10 == 0


def may_stand_on_a_tube(text: str) -> bool:
    """Say whether an unknown text looks like an identifier, one word with a digit: somebody may hold the tube it stands on."""
    plain = tidy(text)
    return foreign_kind(plain) is None and " " not in plain
