"""The canonical profile against an independent RFC 8785 encoder and against published files."""

import enum
import json
import unicodedata
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.canonical import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    CanonicalError,
    JsonValue,
    NotCanonicalError,
    ProfileError,
    encode,
    parse,
)
from tests.transparency.vectors import vector_path

names = st.text(st.characters(max_codepoint=0x7F), max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=20).map(lambda s: unicodedata.normalize("NFC", s))
scalars = texts | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.booleans() | st.none()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)
objects = st.dictionaries(names, values, max_size=6)


@given(values)
def test_every_value_in_the_profile_is_encoded_as_rfc_8785_says(value: JsonValue) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(objects)
def test_what_was_encoded_is_read_back_equal(value: dict[str, JsonValue]) -> None:
    assert parse(encode(value)) == value


@given(objects, st.randoms(use_true_random=False))
def test_the_order_in_which_members_were_written_does_not_matter(value: dict[str, JsonValue], random: Any) -> None:
    members = list(value.items())
    random.shuffle(members)
    assert encode(dict(members)) == encode(value)


@given(objects)
def test_no_other_spelling_of_an_object_is_accepted(value: dict[str, JsonValue]) -> None:
    canonical = encode(value)
    for other in (
        json.dumps(value).encode(),
        json.dumps(value, indent=1).encode(),
        b" " + canonical,
        canonical + b"\n",
        b"\xef\xbb\xbf" + canonical,
    ):
        if other != canonical:
            with pytest.raises(CanonicalError):
                parse(other)


@given(st.binary(max_size=60))
def test_bytes_that_parse_are_their_own_canonical_form(data: bytes) -> None:
    try:
        value = parse(data)
    except CanonicalError:
        return
    assert encode(value) == data


class Colour(enum.StrEnum):
    """A string that is not a plain string."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"body": {"volume": 1.5}}, "$.body.volume"),
        ({"a": [1, {"b": float("nan")}]}, "$.a[1].b"),
        ({"a": [[], [1.0]]}, "$.a[1][0]"),
        (2**53, "$"),
        ([-(2**53)], "$[0]"),
        ({"\u00e9": 1}, "$"),
        ({"a": {1: 2}}, "$.a"),
        ({"a": "A\u030a"}, "$.a"),
        ({"a": "\ud800"}, "$.a"),
        ({"a": "\uffff"}, "$.a"),
        ({"a": b"bytes"}, "$.a"),
        ({"a": (1, 2)}, "$.a"),
        ({"a": Colour.RED}, "$.a"),
    ],
)
def test_a_value_outside_the_profile_is_refused_and_located(value: Any, path: str) -> None:
    with pytest.raises(ProfileError) as refused:
        encode(value)
    assert refused.value.path == path
    assert str(refused.value).startswith(path + ": ")


def test_the_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(ProfileError) as refused:
        encode({"name": "Jose\u0301 Garcia"})
    assert "Jos" not in str(refused.value)
    with pytest.raises(NotCanonicalError) as unreadable:
        parse(b'{"name":"Jose Garcia"')
    assert "Jos" not in str(unreadable.value)
    assert unreadable.value.__context__ is None or unreadable.value.__suppress_context__


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":9007199254740992}',
        b'{"a":18446744073709551616}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'{"a":"A\xcc\x8a"}',
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b"[]",
        b'"text"',
        b"",
    ],
)
def test_bytes_with_another_spelling_or_outside_the_profile_are_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        parse(data)


def test_nesting_is_allowed_to_the_limit_and_not_beyond() -> None:
    def nested(levels: int) -> dict[str, JsonValue]:
        value: JsonValue = 0
        for level in range(levels):
            value = {"a": value} if level % 2 else [value]
        return {"a": value}

    deepest = nested(MAX_DEPTH - 1)
    assert parse(encode(deepest)) == deepest
    with pytest.raises(ProfileError, match="nested"):
        encode(nested(MAX_DEPTH))
    with pytest.raises(ProfileError, match="nested"):
        parse(rfc8785.dumps(nested(MAX_DEPTH)))


def test_a_character_newer_than_our_unicode_tables_can_be_read_but_not_written() -> None:
    newer = "\U0001fbff"
    assert unicodedata.category(newer) == "Cn", "this Python's Unicode now has it: choose a later unassigned character"
    with pytest.raises(ProfileError, match="not assigned"):
        encode({"a": newer})
    assert parse(rfc8785.dumps({"a": newer})) == {"a": newer}


REFUSED_BY_PROFILE = {
    "french.json": "a member name is not an ASCII string",
    "structures.json": "float",
    "unicode.json": "normal form C",
    "values.json": "float",
    "weird.json": "a member name is not an ASCII string",
}
"""Published files with something the profile leaves out, and what it says about it."""


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_published_rfc_8785_files_agree_or_are_refused_for_a_reason(name: str) -> None:
    source = json.loads(vector_path(f"jcs/input/{name}.json").read_text())
    expected = vector_path(f"jcs/output/{name}.json").read_bytes()
    assert bytes.fromhex(vector_path(f"jcs/outhex/{name}.txt").read_text()) == expected
    assert rfc8785.dumps(source) == expected, "the oracle itself must agree"
    if reason := REFUSED_BY_PROFILE.get(f"{name}.json"):
        with pytest.raises(ProfileError, match=reason):
            encode(source)
    else:
        assert encode(source) == expected
    agreed = sum(agrees_within_the_profile(part) for part in parts(source))
    assert agreed > 0 or name == "unicode", "that file has a single string, and it is not normalised"


def agrees_within_the_profile(part: Any) -> bool:
    try:
        ours = encode(part)
    except ProfileError:
        return False
    assert ours == rfc8785.dumps(part)
    return True


def parts(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value, *(deeper for part in inner for deeper in parts(part))]
