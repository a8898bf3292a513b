"""Which typeface draws which letter of a paper: names are written in the letters of their people.

Bitstream Vera, which labels are set in, has the letters of western Europe. FiraGO (package `pymupdf-fonts`, SIL Open Font
License) brings the rest of Latin, Greek, Cyrillic, Georgian and Thai. Chinese, Japanese and Korean are set in the standard faces
that a reader of PDF is to bring with it (ISO 32000, "character collections"); they are not inside the file, and the paper says
so. A letter that none of these draws, or that would have to be joined or set from the right, becomes `LACKING`: it is seen to
be missing.
"""

import io
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import groupby
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

from biobank.labels.typeface import face

LACKING: Final = "◊"
"""What stands for a letter that cannot be drawn."""

LACKING_SAID: Final = f"{LACKING} stands for a letter that cannot be printed here; the page in the browser shows it."

_JAPANESE, _KOREAN, _CHINESE = "HeiseiKakuGo-W5", "HYGothic-Medium", "STSong-Light"
_EASTERN_SAID: Final = (
    "Chinese, Japanese and Korean letters are drawn by the reader's own typefaces; where a gap stands in their place, "
    "open this file in a reader that has them."
)
_JOINED: Final = ("DEVANAGARI",)


@cache
def _wide(bold: bool) -> TTFont:
    module = import_module(f"pymupdf_fonts.FiraGO_{'Bold' if bold else 'Regular'}")  # half a megabyte: read when it is needed
    font = TTFont("LettersBold" if bold else "Letters", io.BytesIO(module.fontbuffer))
    pdfmetrics.registerFont(font)
    return font


@cache
def _standard(name: str) -> str:
    pdfmetrics.registerFont(UnicodeCIDFont(name))
    return name


@cache
def _eastern(letter: str) -> str | None:
    """Return the standard face of an eastern letter, or None. Each face has the letters of one national set."""
    name = unicodedata.name(letter, "")
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return _JAPANESE
    if name.startswith("HANGUL SYLLABLE"):
        return _KOREAN
    if name.startswith(("CJK UNIFIED", "IDEOGRAPHIC", "CJK COMPATIBILITY")):
        for standard, encoding in ((_CHINESE, "gbk"), (_JAPANESE, "cp932"), (_KOREAN, "cp949")):
            try:
                letter.encode(encoding)
            except UnicodeEncodeError:
                continue
            return standard
    return None


@cache
def _face_of(letter: str, bold: bool) -> str | None:
    if not letter.isprintable():
        return None
    if ord(letter) in face(bold).face.charToGlyph:
        return str(face(bold).fontName)
    if unicodedata.bidirectional(letter) in ("R", "AL") or unicodedata.name(letter, "").startswith(_JOINED):
        return None
    if ord(letter) in _wide(bold).face.charToGlyph:
        return str(_wide(bold).fontName)
    eastern = _eastern(letter)
    return None if eastern is None else _standard(eastern)


def drawable(text: str) -> str:
    """Return `text` in composed letters, every kind of blank as a blank, with `LACKING` for each that cannot be drawn."""
    return "".join(map(_drawn, unicodedata.normalize("NFC", text.replace("\t", " "))))


def _drawn(letter: str) -> str:
    if unicodedata.category(letter) == "Zs":  # between the thousands of a number stands a narrow one
        return " "
    return letter if _face_of(letter, False) and _face_of(letter, True) else LACKING


def runs(text: str, bold: bool) -> Iterator[tuple[str, str]]:
    """Yield the parts of a text that `drawable` returned, each with the name of the face that draws it."""
    vera = str(face(bold).fontName)
    for name, letters in groupby(text, lambda letter: _face_of(letter, bold) or vera):
        yield name, "".join(letters)


def notes_on(text: str) -> tuple[str, ...]:
    """Return what a paper with a text that `drawable` returned has to say about its letters."""
    eastern = any(name in (_JAPANESE, _KOREAN, _CHINESE) for name, _ in runs(text, False))
    return (_EASTERN_SAID,) * eastern + (LACKING_SAID,) * (LACKING in text)


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is, in points at `size` points."""
    return float(sum(pdfmetrics.stringWidth(part, name, size) for name, part in runs(drawable(text), bold)))
