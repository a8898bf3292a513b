"""What is wrong with a value of a request and what to send instead, in words for whoever wrote the program.

The validation library's own words name its types, not ours, and some repeat what was sent. Every kind of its errors has its words
here, taken from the limits it was checked against and never from the value, which may be personal data. Pages say the same to the
one who types (`pages/ui/faults.py`).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from biobank.foundation.codes import DATED, format_code
from biobank.foundation.errors import MalformedRequest

NOT_A_TIME: Final = "must be an RFC 3339 time such as 2026-11-29T12:00:00Z"
NOT_A_DAY: Final = "must be a day such as 2026-11-29"
NOT_AN_ID: Final = "must be a UUID such as 0d9f8e7c-6b5a-4c3d-8e2f-1a0b9c8d7e6f"
WHOLE: Final = "must be a whole number, without quotes or a decimal point"
NUMBER: Final = "must be a number, without quotes"
YES_OR_NO: Final = "must be true or false, without quotes"
TEXT: Final = "must be a text"

PREFIXES: Final = {
    "HF": "a specimen",
    "AD": "a specimen",
    "UN": "a specimen",
    "DN": "a donor",
    "KT": "a kit or harvest",
    "LT": "a lot",
    "BX": "a container",
    "PS": "a place",
    "WB": "a wristband",
    "EQ": "equipment",
    "RG": "a reagent lot",
    "US": "a badge",
    "SH": "a shipment",
    "WD": "a withdrawal",
    "DV": "a deviation",
    "EX": "an excursion",
    "AL": "an alarm",
    "BS": "a bench session",
    "SE": "a sensor",
    "WH": "a subscription",
    "AC": "an API client",
}
"""What a code that begins with these letters names."""

UNTOLD: Final = "cannot have this value; the API's document says which it takes"
"""For a kind of error that no call of ours makes."""
_KINDS: Final[Mapping[str, str]] = {
    "missing": "is needed and not given",
    "extra_forbidden": "is no member here; leave it out",
    "string_type": TEXT,
    "int_type": WHOLE,
    "int_parsing": "must be a whole number",
    "int_from_float": WHOLE,
    "int_parsing_size": "is too large a number",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": YES_OR_NO,
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "timezone_aware": f"has no zone; it {NOT_A_TIME}",
    "string_unicode": "must be a text of whole Unicode characters",
    "none_required": "must be null or left out",
    "union_tag_not_found": "must be an object that says its kind",
}
_SORTS: Final = (("datetime_", NOT_A_TIME), ("date_", NOT_A_DAY), ("uuid_", NOT_AN_ID))
_LIMITS: Final = (
    ("ge", "must be {} or more"),
    ("gt", "must be more than {}"),
    ("le", "must be {} or less"),
    ("lt", "must be less than {}"),
    ("multiple_of", "must be a multiple of {}"),
)
_UUID: Final = "[0-9a-f-]{36}"
_PATTERNS: Final = {
    f"^{_UUID}$": NOT_AN_ID,
    "^[0-9a-f]{64}$": "must be a SHA-256 in 64 digits, 0-9 and a-f",
    r"^\d{4}-\d{2}-\d{2}$": NOT_A_DAY,
    "^[A-Z][A-Z0-9]{1,7}$": "must be the code of a site: 2 to 8 capital letters and digits, such as LAB",
    "^[a-z0-9_]{2,40}$": "must be a coded word of 2 to 40 small letters, digits and underlines, such as found_warm",
}
"""What a text of a frequent pattern is; of any other the pattern is told."""
_SPOKEN: Final = 10
"""So many faults are spelt out in the sentence; `errors` lists each."""
_NAMED: Final = 100
"""Characters of an unknown name that a refusal repeats."""
_VERBS: Final = ("must ", "is ", "has ", "have ", "holds ", "lies ", "names ", "cannot ")


def words_of(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, to stand after its name. `error` is one of the validation library's."""
    kind, limits = str(error["type"]), error.get("ctx") or {}
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "string_pattern_mismatch":
        return words_of_pattern(str(limits.get("pattern", "")))
    if kind in ("enum", "literal_error"):
        return f"must be {_plain(limits, 'expected')}"
    if kind == "union_tag_invalid":
        return f"must have as {_plain(limits, 'discriminator')} one of {_plain(limits, 'expected_tags')}"
    if kind.endswith(("too_short", "too_long")):
        return _length(kind, limits)
    for name, said in _LIMITS:
        if name in limits:
            limit = limits[name]
            return said.format(limit.isoformat() if isinstance(limit, datetime) else limit)
    return next((said for start, said in _SORTS if kind.startswith(start)), UNTOLD)


def _plain(limits: Mapping[str, Any], name: str) -> str:
    return str(limits.get(name, "")).replace("'", "")


def _length(kind: str, limits: Mapping[str, Any]) -> str:
    parts = "members" if limits.get("field_type") in ("List", "Dictionary", "Set", "Tuple") else "characters"
    if kind.endswith("too_long"):
        return f"must have at most {limits['max_length']} {parts}"
    return "must not be empty" if limits["min_length"] == 1 else f"must have at least {limits['min_length']} {parts}"


def words_of_pattern(pattern: str) -> str:
    """Say what a text of a pattern is: a code in words, and any other by the pattern itself."""
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    known = [prefix for prefix in re.findall(r"\b[A-Z]{2}\b", pattern.partition("-")[0]) if prefix in PREFIXES]
    if not known:
        return f"must match the pattern {pattern}"
    things = " or ".join(dict.fromkeys(PREFIXES[prefix] for prefix in known))
    shown = " or ".join(format_code(prefix, 2026 if prefix in DATED else None, 1) for prefix in known)
    return f"must be the code of {things} as it is printed, such as {shown}{' or a UUID' if _UUID in pattern else ''}"


_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})


def refusal_of_errors(found: Iterable[Mapping[str, Any]]) -> MalformedRequest:
    """Say of each value that the validation library found wrong what to send instead; the values are not repeated."""
    errors = []
    for one in found:
        parts = [str(part)[:_NAMED] for part in one["loc"]]
        inside = parts[1:] if parts and parts[0] in _PLACES else parts
        errors.append({"field": ".".join(inside) or "body", "problem": words_of(one)})
    return refusal_of_fields(errors)


def refusal_of_fields(errors: list[dict[str, str]]) -> MalformedRequest:
    """Build the refusal of a request from its fields and what is wrong with each."""
    said = [f"{one['field']}{_joined(one['problem'])}" for one in errors[:_SPOKEN]]
    more = [] if len(errors) <= _SPOKEN else [f"{len(errors) - _SPOKEN} more are listed in errors"]
    return MalformedRequest("; ".join([*said, *more]) + ".", errors=errors)


def _joined(words: str) -> str:
    """Put a rule of several fields, which is a sentence of its own, behind a colon."""
    return f" {words}" if words.startswith(_VERBS) else f": {words}"
