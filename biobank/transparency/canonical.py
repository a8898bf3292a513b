"""Canonical JSON: the bytes that are hashed, sealed and exported (profile ``custody/v1`` of RFC 8785).

An entry is encoded once, when it is recorded. After that only its bytes count: they are stored, hashed and handed
out as they are, and nobody re-serialises a parsed row to find out what was signed. The profile is narrower than
RFC 8785 so that every language's plain JSON writer agrees on the bytes:

* objects, arrays, strings, integers, booleans and null; **no floating point** (a measure is an integer with its unit
  in the name);
* integers within +-(2^53 - 1), the range every JSON reader keeps exact (RFC 7493 section 2.2);
* member names are ASCII, so that sorting by UTF-16 unit, by code point and by byte are one order;
* strings are valid Unicode in NFC, made of characters that the writer's Unicode version knows. Normalisation of an
  assigned character never changes in later versions, so what is NFC today stays NFC for every later verifier.

Inside the profile ``orjson`` with sorted keys writes RFC 8785; the guard refuses everything outside it.
Byte for byte description: docs/custody-log.md section 2.
"""

from __future__ import annotations

import unicodedata
from typing import Final, TypeAlias

import orjson

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | bool | None"

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest integer every JSON implementation keeps exact (RFC 7493 section 2.2)."""

MAX_ENTRY_BYTES: Final = 65_535
"""Longest entry in bytes: the length prefix of a tlog-tiles entry bundle is 16 bits wide."""

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects. No entry needs more, and a reader without a limit can be made to crash."""


class CanonicalError(ValueError):
    """Base of everything this module raises."""


class ProfileError(CanonicalError):
    """A value lies outside the profile ``custody/v1``.

    ``path`` names the place (``$.body.temperature``) and ``why`` the rule. The offending value itself is never part
    of the message: it may be personal.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        self._segments: list[str] = []
        super().__init__(why)

    def within(self, segment: str) -> None:
        """Note, while the error travels outwards, the member or element it came through."""
        self._segments.append(segment)

    @property
    def path(self) -> str:
        """Where the value stands, from the outermost value ``$`` inwards."""
        return "$" + "".join(reversed(self._segments))

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class NotCanonicalError(CanonicalError):
    """Bytes are not the one canonical encoding of an object in the profile."""


def encode(value: JsonValue) -> bytes:
    """Return the canonical bytes of ``value``.

    Raises ProfileError when the value holds anything the profile does not allow, including subclasses of the plain
    types (an enum member, a model): what is encoded must be what was meant.
    """
    _guard(value, MAX_DEPTH, True)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parse(data: bytes) -> dict[str, JsonValue]:
    """Return the object whose canonical encoding is exactly ``data``.

    Every other spelling of the same object is refused: white space, member order, repeated members, needless
    escapes. Raises NotCanonicalError for those and for bytes that are not JSON, ProfileError for values outside the
    profile. Characters newer than this machine's Unicode tables are let through (their writer knew them).
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        # orjson's message quotes nothing of the document, but its exception object holds all of it.
        raise NotCanonicalError(f"not JSON: {exc.msg} at byte {exc.pos}") from None
    if type(value) is not dict:
        raise NotCanonicalError("the outermost value is not an object")
    _guard(value, MAX_DEPTH, False)
    if orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != data:
        raise NotCanonicalError("not the canonical spelling of this object")
    return value


def _guard(value: object, depth: int, writing: bool) -> None:
    """Raise ProfileError unless ``value`` lies inside the profile.

    Exact types only, hence ``type(...) is``. This runs for every entry recorded, so the common leaves come first.
    """
    if type(value) is str:
        if not value.isascii():
            _guard_text(value, writing)
    elif type(value) is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise ProfileError("an integer beyond 2^53 - 1 is not exact in every JSON reader")
    elif value is None or value is True or value is False:
        return
    elif type(value) is dict:
        _guard_members(value, depth, writing)
    elif type(value) is list:
        _guard_elements(value, depth, writing)
    else:
        raise ProfileError(
            f"{type(value).__name__} is not part of the profile (objects, arrays, strings, integers, booleans, null)"
        )


def _guard_members(value: dict[object, object], depth: int, writing: bool) -> None:
    if depth == 0:
        raise ProfileError(f"nested deeper than {MAX_DEPTH} levels")
    name: object = None
    try:
        for name, member in value.items():
            if type(name) is not str or not name.isascii():
                break
            # What makes up most of an entry, without the cost of a call.
            kind = type(member)
            if kind is str:
                if member.isascii():  # type: ignore[attr-defined]  # mypy does not narrow by `kind`
                    continue
            elif member is None or kind is bool or (kind is int and abs(member) <= MAX_SAFE_INTEGER):  # type: ignore[arg-type]
                continue
            _guard(member, depth - 1, writing)
        else:
            return
    except ProfileError as exc:
        exc.within(f".{name}")
        raise
    raise ProfileError("a member name is not an ASCII string")


def _guard_elements(value: list[object], depth: int, writing: bool) -> None:
    if depth == 0:
        raise ProfileError(f"nested deeper than {MAX_DEPTH} levels")
    index = 0
    try:
        for index in range(len(value)):
            _guard(value[index], depth - 1, writing)
    except ProfileError as exc:
        exc.within(f"[{index}]")
        raise


def _guard_text(text: str, writing: bool) -> None:
    categories = {unicodedata.category(character) for character in text}
    if "Cs" in categories:
        raise ProfileError("the string holds half of a surrogate pair and is not valid Unicode")
    if "Cn" in categories:
        if writing:
            raise ProfileError("the string holds a character that Unicode has not assigned")
        return  # newer than our tables: their writer judged its normal form, we cannot
    if not unicodedata.is_normalized("NFC", text):
        raise ProfileError("the string is not in Unicode normal form C")
