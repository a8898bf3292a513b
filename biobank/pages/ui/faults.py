"""What is wrong with something typed, as a sentence that says what to type.

The validation library speaks to programmers ("String should match pattern …"). No word of it reaches a page: every kind of its
errors has a sentence here, and a text that must look a certain way is explained by what its pattern stands for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from biobank.acts.malformed import PREFIXES
from biobank.foundation.terms import words

SHAPES: tuple[tuple[str, str], ...] = (
    (r"^[0-9a-f]{64}$", "choose the file"),
    (r"^[0-9a-f-]{36}$", "go back to the page that led here and open this form again"),
    (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "go back to the page that led here and open this form again"),
    (r"^[A-Z][A-Z0-9]{1,7}$", "type the code of a site: 2 to 8 capital letters and digits, such as LAB"),
    (r"^[a-z][a-z0-9._-]{1,39}$", "type small letters, digits, dots or hyphens, such as tess.ngata"),
    (r"^[^@\s]{1,64}@[^@\s]{1,190}$", "type an e-mail address, such as name@example.org"),
    (r"^\+?[0-9][0-9 ()/.-]{2,38}$", "type a telephone number, such as +44 20 7946 0123"),
    (r"^\d{4}-\d{2}-\d{2}$", "enter a day, such as 31 May 1970"),
    (r"^[A-Za-z0-9_+/-]{1,64}$", "type a time zone, such as Europe/London"),
    (r"^[A-Z0-9_-]{2,40}$", "type capital letters and digits without spaces, such as COURIER-7"),
    (r"^[A-Z0-9][A-Z0-9_.-]{0,39}$", "type capital letters and digits without spaces, such as CITY-HOSPITAL"),
    (r"^[A-Z]{2}$", "type the two letters that the codes begin with"),
    (r"^[A-Za-z0-9-]+$", "scan a code, or type it as it stands on the label"),
    (r"^[A-Z0-9-]{3,40}$", "scan a code, or type it as it stands on the label"),
    (r"^[\x20-\x7e]+$", "scan the label again"),
    (r"^[A-Za-z0-9+/]+={0,2}$", "choose the file again"),
)
"""Pattern → what to type. Patterns of codes and of terms are read from the pattern itself."""

KINDS: Mapping[str, str] = {
    "missing": "this is needed",
    "string_type": "this is needed",
    "enum": "choose one of the list",
    "literal_error": "choose one of the list",
    "bool_parsing": "choose yes or no",
    "bool_type": "choose yes or no",
    "int_parsing": "type a whole number",
    "int_type": "type a whole number",
    "int_from_float": "type a whole number",
    "int_parsing_size": "type a smaller number",
    "float_parsing": "type a number",
    "finite_number": "type a number",
    "decimal_parsing": "type a number",
    "date_from_datetime_parsing": "choose a day",
    "date_parsing": "choose a day",
    "date_type": "choose a day",
    "datetime_parsing": "choose a day and a time",
    "datetime_from_date_parsing": "choose a day and a time",
    "datetime_type": "choose a day and a time",
    "datetime_object_invalid": "choose a day and a time",
    "timezone_aware": "choose a day and a time",
    "uuid_parsing": "go back to the page that led here and open this form again",
    "uuid_type": "go back to the page that led here and open this form again",
    "list_type": "type one code a line",
}
"""Kinds of error whose sentence does not depend on a limit."""


_UNITS = ("_mc", "_ul", "_nl", "_bp", "_ppm", "_milli", "_s")


def plain_name(name: str) -> str:
    """Return a member's name as words, for a field that no page has named: without the unit that the wire has in it."""
    if name.endswith("_sha256"):
        return words(name.removesuffix("_sha256"))
    return words(next((name.removesuffix(unit) for unit in _UNITS if name.endswith(unit)), name))


def sentence_of(error: ErrorDetails) -> str:
    """Return what to type instead, without a capital and without a full stop."""
    limits, kind = error.get("ctx", {}), error["type"]
    if kind in KINDS:
        return KINDS[kind]
    if kind == "string_pattern_mismatch":
        return shape_of(str(limits.get("pattern", "")))
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    for name, said in (
        ("min_length", "type at least {} characters" if kind.startswith("string") else "give at least {}"),
        ("max_length", "type at most {} characters" if kind.startswith("string") else "give at most {}"),
        ("ge", "type {} or more"),
        ("le", "type {} or less"),
        ("gt", "type more than {}"),
        ("lt", "type less than {}"),
    ):
        if name in limits:
            return _in_limits(said, limits[name])
    return "this cannot be read; look at it again"


def _in_limits(said: str, limit: Any) -> str:
    if isinstance(limit, datetime):
        return "choose a day and a time that can be right"
    if limit == 1 and said.startswith(("type at least", "give at least")):
        return "this is needed"
    return said.format(f"{limit:,}" if isinstance(limit, int) else limit)


def shape_of(pattern: str) -> str:
    """Return what a text of `pattern` looks like to the one who types it."""
    named = dict(SHAPES).get(pattern.replace("\\\\", "\\"))
    if named is not None:
        return named
    if codes := re.findall(r"\b[A-Z]{2}\b", pattern.partition("-")[0]):
        listed = " or ".join(dict.fromkeys(codes))
        return f"scan the code of {PREFIXES.get(codes[0], 'it')}; it begins with {listed}"
    if "a-z0-9_" in pattern and "A-Z" not in pattern:
        return "use a few plain words of letters and digits, such as found warm"
    if "A-Za-z0-9" in pattern:
        return "use letters, digits and simple punctuation such as - . /"
    return "use visible characters on one line"


def faults_of(error: ValidationError, labels: Mapping[str, str]) -> dict[str, str]:
    """Return field name → sentence that begins with the field's label; what is no field of a form stands under ""."""
    faults: dict[str, str] = {}
    for one in error.errors(include_input=False, include_url=False):
        name = next((part for part in one["loc"] if isinstance(part, str)), "")
        sentence = sentence_of(one)
        said = f"{labels.get(name) or plain_name(name)}: {sentence}." if name else f"{sentence[:1].upper()}{sentence[1:]}."
        faults.setdefault(name, said)
    return faults


def is_day(info: FieldInfo) -> bool:
    """Say whether a text field holds a day of the calendar."""
    return any(one == r"^\d{4}-\d{2}-\d{2}$" for one in _patterns(info.annotation, info.metadata))


def is_term(info: FieldInfo) -> bool:
    """Say whether a text field holds a term: words in small letters with underlines between them."""
    return any("a-z0-9_" in one and "A-Z" not in one for one in _patterns(info.annotation, info.metadata))


def _patterns(annotation: Any, metadata: Sequence[Any]) -> Iterator[str]:
    yield from (str(one.pattern) for one in metadata if getattr(one, "pattern", None))
    for part in get_args(annotation):
        yield from _patterns(part, getattr(part, "metadata", [part]))


def term_of(typed: str) -> str:
    """Return typed words as the record keeps a term: "Found warm" is found_warm."""
    return re.sub(r"[\s-]+", "_", typed.strip().lower()).strip("_")
