"""Names that people give to places: when two are the same to the eye, and in which order they are read. Pure.

`name_key` is one text for both. Names that look the same have the same key, so that a unique constraint over it keeps two racing
requests from giving one name twice; and keys compared byte by byte are in the order in which people count, so that a list can go
on behind any of its rows. It needs no collation of the server: the column is `COLLATE "C"`, alike on every PostgreSQL.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Any, Final

from pydantic import AfterValidator
from sqlalchemy import Column, Text

from biobank.foundation.scanned_text import SHOWS_NOTHING, seen

_JOINERS: Final = "\u200c\u200d"
"""Part of the spelling of Persian and Indic names: kept as they are written, left out where names are compared."""
_CAPITALS: Final = {ord("Μ"): "M", ord("Ν"): "N"}
"""Greek capitals that look Latin while their small letters do not, or mean something else (µ)."""
_LOOKS_LATIN: Final = str.maketrans(
    # Cyrillic, then Greek, then the other alphabets that Unicode writes with the same shapes; small letters.
    "авеѕіјкмнорстухһԁԛԝӏαβεζηικορτυχϲϳı",
    "abesijkmhopctyxhdqwlabezhikoptyxcji",
)
_BETWEEN: Final = re.compile(r"(?<![0-9]) | (?![0-9])")
_NUMBER: Final = re.compile(r"([0-9]+)")
_LONGEST_KEY: Final = 400


def shown(name: str) -> str:
    """Return a name as it is kept: NFC, single blanks, nothing that cannot be seen. Raises ValueError when nothing is left."""
    kept = "".join(c if c in _JOINERS else seen(c, hyphens=False) for c in name)
    text = " ".join(unicodedata.normalize("NFC", kept).split())
    if not folded(text):
        raise ValueError("write a name with letters or digits")
    return text


def folded(name: str) -> str:
    """Return what a name looks like: letter case, blanks (but between digits), invisible characters and marks of direction,
    wide, raised and joined forms, hyphens of other kinds, digits of other scripts, and letters that look Latin are alike.
    """
    text = "".join(seen(c) for c in unicodedata.normalize("NFKC", name.translate(_CAPITALS)))
    text = unicodedata.normalize("NFKC", text.casefold()).translate(_LOOKS_LATIN)
    text = "".join(_digit(c) for c in text if unicodedata.category(c) not in ("Cf", "Cc") and c not in SHOWS_NOTHING)
    return unicodedata.normalize("NFC", _BETWEEN.sub("", " ".join(text.split())))  # a mark may have come to stand after a letter


@lru_cache(maxsize=8192)
def name_key(name: str) -> str:
    """Return the text by which a name is unique and sorted: numbers as numbers (Box 2 before Box 10), accents second."""
    text = folded(name)
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    order = "".join(_counted(part) if part.isdigit() else part for part in _NUMBER.split(bare))
    exact = bare == text and not re.search(r"(?<![0-9])0[0-9]", text)
    return (order if exact else f"{order}\t{text}")[:_LONGEST_KEY]


def key_column() -> "Column[Any]":
    """Return the column of a table that keeps the keys of its names."""
    return Column(Text(collation="C"), nullable=False)


AsSeen = AfterValidator(shown)
"""Of a name in a request."""


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _counted(digits: str) -> str:
    """Return a number so that longer ones come after shorter ones: its length in two digits stands before it."""
    plain = digits.lstrip("0")
    return f"{len(plain):02d}{plain}"
