"""Names as people write them, and the forms in which two spellings of one name meet. Pure.

`normalise` takes a name to what all its spellings share: compatibility decomposition (NFKD), case folded, marks dropped,
letters that NFKD leaves whole (ø, ł, đ …) spelled plainly, apostrophes dropped, everything else that is no letter or digit
a space. `sound` goes further and keeps the consonant classes, so that names that sound alike meet; it is for warnings
and searches, never for proving who somebody is.
"""

import re
import unicodedata
from typing import Final

_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n", "ĸ": "k"}
)
_DROPPED: Final = re.compile(r"['`´‘’ʼʻʹ＇.]")
"""Marks that people put into a name or leave out: O'Brien, OBrien; St. John, St John."""

_CLASSES: Final = {
    letter: symbol
    for symbol, letters in {"b": "bfpvw", "k": "cgjkqsxz", "t": "dt", "l": "l", "m": "mn", "r": "r"}.items()
    for letter in letters
}
_LEAST_SYMBOLS: Final = 2
_LATIN: Final = re.compile(r"[a-z]+")


def tidy(text: str) -> str:
    """Return `text` in NFC with single spaces and none at the ends, as the vault keeps it.

    Raises ValueError (never quoting the text: it may be personal) for control characters, characters that Unicode has not
    assigned, and text that is empty once tidied.
    """
    if any(unicodedata.category(c) in {"Cc", "Cs", "Cn", "Co"} and c not in "\t\n\r" for c in text):
        raise ValueError("holds a control character or one that Unicode does not know")
    tidied = " ".join(unicodedata.normalize("NFC", text).split())
    if not tidied:
        raise ValueError("is empty")
    return tidied


def normalise(text: str) -> str:
    """Return what every spelling of a name shares: plain lower-case words with single spaces; may be empty.

    Idempotent; blind to case, accents, apostrophes, full stops, kinds of dash and of space.
    """
    folded = _fold(text)
    # A mark can hide behind a letter that only folding or spelling out brings to light, so fold until nothing changes.
    while (again := _fold(folded)) != folded:
        folded = again
    return " ".join("".join(c if c.isalnum() else " " for c in folded).split())


def _fold(text: str) -> str:
    # NFKD turns a spacing accent used as an apostrophe into a space, so those go first.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", _DROPPED.sub("", text)).casefold())
    return "".join(c for c in decomposed if not unicodedata.category(c).startswith("M")).translate(_PLAIN)


def words(text: str) -> list[str]:
    """Return the normalised words of a name."""
    return normalise(text).split()


def joined(text: str) -> str:
    """Return the normalised name without spaces: `de la Cruz`, `De-la-Cruz` and `Delacruz` are one family name."""
    return normalise(text).replace(" ", "")


_DOUBLED: Final = re.compile(r"(.)\1+")


def sound(word: str) -> str:
    """Return the sound of a normalised word without spaces: its consonant classes, `a` for a leading vowel.

    After Russell's Soundex (1918), changed: some pairs of letters are read as one sound (ph, qu, gh, dge), the first letter is
    classed like the others (Catherine, Katherine), the key is not cut off, and a key too short to tell names apart (Li, Lee)
    is replaced by the word itself, as is a word in another script than Latin.
    """
    if not _LATIN.fullmatch(word):
        return word
    spelled = _DOUBLED.sub(r"\1", word).replace("ph", "f").replace("qu", "kw").replace("gh", "h").replace("dge", "g")
    symbols: list[str] = []
    previous = ""
    for position, letter in enumerate(spelled):
        symbol = _CLASSES.get(letter, "")
        if symbol and symbol != previous:
            symbols.append(symbol)
        elif not symbol and position == 0:
            symbols.append("a")
        # h and y between two letters of one class do not part them; a vowel does.
        if letter not in "hy":
            previous = symbol
    return "".join(symbols) if len(symbols) >= _LEAST_SYMBOLS else word


def same_family_name(stated: str, kept: str) -> bool:
    """Say whether two spellings are one family name."""
    return bool(joined(stated)) and joined(stated) == joined(kept)


def same_given_names(stated: str, kept: str) -> bool:
    """Say whether what a patient states are the given names on record: all of them, or the first alone."""
    said, known = words(stated), words(kept)
    return bool(said) and (joined(stated) == joined(kept) or said == known[:1])
