"""What is wrong with an import's profile, in sentences for the person who writes it. Pure; values are not repeated."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from biobank.acts.malformed import words_of
from biobank.foundation.errors import MalformedRequest

_PATTERNS: Final = {
    "issuer": "must be 2 to 40 capital letters, digits and underlines, such as OLD_BANK",
    "encoding": "must be the name of an encoding, such as utf-8 or cp1252",
    "alias": "must be of plain letters, digits and signs, without accents",
}
"""What a text with a pattern is, by the last name of the place where it stands; sites have words of their own."""
_OTHERS: Final = {
    "extra_forbidden": "is nothing that a profile says; leave it out, or check how it is spelt",
    "dict_type": "must be a part with lines `name = value`",
    "model_type": "must be a part with lines `name = value`",
    "missing": "is needed and not said",
    "string_type": "must be a text in quotation marks",
}
_SIGNS: Final = {
    "decimal_sign": "must be a full stop or a comma, in quotation marks",
    "thousands_sign": "must be a full stop, a comma, a blank or an apostrophe, in quotation marks",
}
_MOST: Final = 10
_WHERE: Final = re.compile(r"at line (\d+), column (\d+)")


class ProfileFault(MalformedRequest):
    """The profile cannot be used; the sentence says where."""

    code = "import_profile_unusable"
    title = "The import profile cannot be used"


def unreadable(error: OSError | UnicodeDecodeError) -> ProfileFault:
    """Build the refusal of a file that is none, or none of text."""
    if isinstance(error, UnicodeDecodeError):
        return ProfileFault("The profile is not written in UTF-8. Save it as a text file in UTF-8.")
    return ProfileFault("The profile cannot be opened. Check its name, and that you may read it.")


def no_toml(error: tomllib.TOMLDecodeError | RecursionError) -> ProfileFault:
    """Build the refusal of a text that is not TOML."""
    found = _WHERE.search(str(error))
    at = f"at line {found[1]}, column {found[2]}" if found else "to its end"
    return ProfileFault(
        f'The profile cannot be read {at}. A line is `name = "value"`, a [part] or a # comment; texts stand in quotation marks, '
        "and no name stands twice in one part."
    )


def not_whole(found: Iterable[Mapping[str, Any]]) -> ProfileFault:
    """Build the refusal of a profile from what the validation library found wrong."""
    said = [_sentence(one) for one in found]
    more = [] if len(said) <= _MOST else [f"{len(said) - _MOST} more"]
    return ProfileFault(f"The profile is not whole: {'; '.join([*said[:_MOST], *more])}.")


def _sentence(error: Mapping[str, Any]) -> str:
    place = [str(part + 1) if isinstance(part, int) else str(part)[:100] for part in error["loc"]]
    kind, name = str(error["type"]), place[-1] if place else ""
    if kind == "value_error":
        return ": ".join(filter(None, [" ".join(place), words_of(error)]))
    if kind == "string_pattern_mismatch" and name in _PATTERNS:
        words = _PATTERNS[name]
    elif kind == "literal_error" and name in _SIGNS:
        words = _SIGNS[name]
    else:
        words = _OTHERS.get(kind) or words_of(error)
    return f"{' '.join(place) or 'it'} {words}"
