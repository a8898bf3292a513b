"""Characters that look like others, or like nothing: what a text of an old file is once they are settled. Pure."""

import re
import unicodedata

from biobank.foundation.scanned_text import SHOWS_NOTHING
from biobank.importing.sheets import error_defect

BREAKS = "holds a line break or a tab; it is read as a blank"
BLANKS = "has blanks around it or several in a row; they are left out"
_KEPT_BLANKS = "\t\n\r\x0b\x0c\x85\u2028\u2029"
_JOINERS = "\u200c\u200d"
"""Part of the spelling of Persian and Indic names; noise in Latin ones."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""How XLSX writes a control character within a text."""
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_MISREAD = re.compile("[ÃÂ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[™œ\x9d“”˜¦]")
_MISREAD_BY_OTHERS = re.compile(
    "[\x80-\x84\x86-\x9f]|\u221a\\S|[^\\W\\d_][\u2500-\u257f]"
    "|[^\\W\\d_][\u00b8\u2030\u02c6\u02dc\u00a8\u201e\u201c\u201d\u0160\u0178][a-z\u00df-\u00ff]"
)
"""What Mac and DOS programs make of umlauts, or of their UTF-8: `M√ºller`, `M├╝ller`, `M¸ller`, `K„se`, `MŸller`."""
_CODED = re.compile(r"&(#\d{2,6}|#x[0-9A-Fa-f]{2,5}|[A-Za-z]{2,8});")
_OTHER_SCRIPTS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "LISU", "MATHEMATICAL", "FULLWIDTH")
_CYRILLIC_AS_LATIN = frozenset("АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһⅼӏ")
_GREEK_AS_LATIN = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορικυϲϳ")
LOOKS_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορικυϲϳ", "ABESIJKMHOPCTYXaesijopcyxdqwhlABEZHIKMNOPTYXvopikucj"
)
"""Cyrillic and Greek letters, and the Latin ones that they look like."""
_ERROR_WORDS = """
    #N/A #NAME? #REF! #VALUE! #DIV/0! #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! #UNKNOWN! #GETTING_DATA #NV #WERT!
    #BEZUG! #ZAHL! #NAME #ÜBERLAUF! #N/D #NOM? #VALEUR! #NOMBRE! #NULO! #¡VALOR! #¡REF! #¿NOMBRE? #VALORE! #RIF!
"""
"""In English, German, French, Spanish and Italian."""
_ERRORS = frozenset(_ERROR_WORDS.split())
_ERROR = re.compile(r"^(#{3,}|Err:\d{3}|#[^\W\d_]{3,}(/0)?[!?]|#N/[A-Z]{1,2})$", re.I)
"""And by their shape in any other language."""


def cleaned(raw: str) -> tuple[str, list[str]]:
    """Return a text in NFC with single blanks, none at its ends, and no invisible characters; and what was done to it."""
    if raw.isascii() and raw.isprintable() and "_x" not in raw:
        tidy = " ".join(raw.split())
        return tidy, [] if tidy == raw else [BLANKS]
    notes = []
    text = unicodedata.normalize("NFC", raw)
    if text != raw:
        notes.append("was written in another encoding of the same letters")
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    latin = not any(ord(character) > 0x5FF and unicodedata.category(character) == "Lo" for character in text)
    seen = "".join(c for c in text if not _is_invisible(c, latin=latin))
    if seen != text:
        notes.append("holds an invisible character; it is left out")
    tidy = " ".join(seen.split())
    if tidy != seen:
        notes.append(BREAKS if re.search(r"\S\s*[\t\n\r\v\f\x85\u2028\u2029]\s*\S", seen) else BLANKS)
    return tidy, notes


def _is_invisible(character: str, *, latin: bool) -> bool:
    if character in _KEPT_BLANKS or (character in _JOINERS and not latin):
        return False
    return character in SHOWS_NOTHING or unicodedata.category(character) in ("Cf", "Cc", "Cs", "Co", "Cn")


def unreadable(text: str) -> str | None:
    """Return why a text is not what was once typed, as the end of a sentence, or None."""
    if text.upper() in _ERRORS or _ERROR.match(text):
        return error_defect(text)
    if "\ufffd" in text:
        return "has lost a letter when the file was saved in another encoding. Write it again"
    if _CODED.search(text):
        return "holds the code of a letter in place of the letter (&uuml;), as web pages do. Write the letter"
    if _MISREAD.search(text) or _MISREAD_BY_OTHERS.search(text):
        return "was saved in one encoding and read in another. Export the file again, or say `encoding` in the profile"
    return None


def imitation(text: str) -> str | None:
    """Return why a Latin text holds letters of another script that look like Latin ones, or None.

    A word that is wholly Greek or Cyrillic, and could not be taken for a Latin one, is what it is.
    """
    if text.isascii():
        return None
    for word in re.findall(r"[^\W\d_]+", text):
        alike = [c for c in word if c in _CYRILLIC_AS_LATIN or c in _GREEK_AS_LATIN]
        foreign = [c for c in word if unicodedata.name(c, "").startswith(_OTHER_SCRIPTS)]
        latin = any(unicodedata.name(c, "").startswith("LATIN") for c in word)
        if foreign and (latin or len(alike) == len(word)):
            script = unicodedata.name(foreign[0]).split()[0].capitalize()
            return f"holds a {script} letter that looks like a Latin one. Write it again"
    return None


def plain_identifier(text: str) -> tuple[str, list[str], str | None]:
    """Return an identifier as a label has it, what was done to it, and why it cannot be one (or None)."""
    if text.isascii():
        return text, [], None
    notes = []
    dashed = text.translate(_DASHES)
    if dashed != text:
        notes.append("has a dash where labels have a hyphen; it is taken as a hyphen")
    defect = imitation(dashed)
    if defect is None and unicodedata.normalize("NFKC", dashed) != dashed:
        defect = "holds a character that only looks like a letter or digit (raised, wide or ligature). Write it again"
    return dashed, notes, defect
