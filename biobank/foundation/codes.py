"""Codes: what is printed on every tube, box, band and badge, and how to read it back.

Grammar (without the hyphens, which are for human eyes only)::

    code   = prefix [year] body check
    prefix = two letters, see `Prefix`
    year   = two digits, exactly for the prefixes in `DATED` (hair, adipose, unidentified, withdrawal)
    body   = six Crockford base-32 characters (0-9 A-Z without I L O U): 30 bits
    check  = one ISO 7064 MOD 37,36 character (0-9 A-Z, all 36) over prefix + year + body

The body is a number from a sequence sent through a keyed permutation, so that two neighbours in a rack look nothing
alike. The permutation is tweaked by prefix and year: the first hair specimen and the first adipose specimen of a year
do not share a body, which matters to a person who compares the big characters only. Being hard to guess is no aim: a
code opens no door.

Reading is forgiving where it is safe: letter case, spaces and hyphens never matter; in the body, and only there, the
Crockford aliases are understood (I and L are 1, O is 0). The check character may be any of the 36, so an alias there
would turn one valid code into another and is not applied.

What the check character promises, counted over every state of the algorithm in `tests/foundation/test_codes.py`: every single
wrong character is caught, and 99.84 % of the swaps of two neighbours (45,288 of 45,360 cases).

A label of ours may say after its code which print it is: a hyphen and two base-32 characters, which label of that code it is
(`HF26-MC061ET-02`). Only a scan is read with it (`resolve_payload`), so that nothing that takes a code drops it unseen; labels
without it are read as ever.

A code carries no personal data and no state. Worked vectors, which pin the permutation for ever:

>>> format_code("HF", 2026, 1)
'HF26-MC061ET'
>>> format_code("AD", 2026, 1)
'AD26-KH0KJQL'
>>> format_code("DN", None, 123456)
'DN-SQF5SS9'
>>> format_code("WD", 2027, 2**30 - 1)
'WD27-GVP600Y'
>>> parse_code("hf26 mco6iet").text
'HF26-MC061ET'
>>> label_text(parse_code("HF26-MC061ET"), 35)
'HF26-MC061ET-13'
>>> resolve_payload("HTTPS://BANK.EXAMPLE/S/HF26-MC061ET-13", "bank.example").print_number
35
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from stdnum.iso7064 import mod_37_36

from biobank.foundation.errors import Conflict, MalformedRequest
from biobank.foundation.scanned_text import LONGEST_SCAN, tidy, unescaped


class Prefix(StrEnum):
    """What a code names."""

    HAIR_FOLLICLE = "HF"
    ADIPOSE = "AD"
    UNIDENTIFIED = "UN"
    KIT = "KT"
    LOT = "LT"
    DONOR = "DN"
    WRISTBAND = "WB"
    POSITION = "PS"
    CONTAINER = "BX"
    SHIPMENT = "SH"
    WITHDRAWAL = "WD"
    DEVIATION = "DV"
    EXCURSION = "EX"
    ALARM = "AL"
    BENCH_SESSION = "BS"
    SENSOR = "SE"
    WEBHOOK = "WH"
    CLIENT = "AC"
    REAGENT_LOT = "RG"
    EQUIPMENT = "EQ"
    BADGE = "US"
    COMMAND = "CM"


DATED: Final = frozenset({Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED, Prefix.WITHDRAWAL})
"""Prefixes whose codes carry a two-digit year."""

SPECIMENS: Final = frozenset({Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED})
"""Prefixes that stand on something a person's cells are in."""

NUMBERS: Final = 2**30
"""How many codes one prefix (and year) has; numbers run from 0 to NUMBERS - 1."""

MOST_PRINTS: Final = 2**10 - 1
"""How many labels of one code can say which of them they are."""

BODY_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECK_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BODY_LENGTH: Final = 6
_BODY_VALUE: Final = {character: value for value, character in enumerate(BODY_ALPHABET)} | {"I": 1, "L": 1, "O": 0}

# Changing the key, the number of rounds or the round function would issue the codes of existing tubes a second time.
_PERMUTATION_KEY: Final = bytes.fromhex("8d1f6a0be2745c93b1d04f27a86e39c5")
_ROUNDS: Final = 6
_HALF_BITS: Final = 15
_HALF_MASK: Final = (1 << _HALF_BITS) - 1

_SEPARATORS: Final = re.compile(r"[ _-]+")
_KIND: Final = 2
_SHAPE: Final = re.compile(r"([A-Z]{2})()([0-9A-Z]{6})([0-9A-Z])([0-9A-Z]{2})?")
_DATED_SHAPE: Final = re.compile(r"([A-Z]{2})([0-9]{2})([0-9A-Z]{6})([0-9A-Z])([0-9A-Z]{2})?")
_WELL_AFTER: Final = re.compile(r"-[0-9A-Za-z]{7}(?:\s+[0-9A-Za-z]{2}|[0-9A-Za-z]{2})$")
"""A code with its hyphens and then two characters behind a blank or nothing: a well or a slip. A gun that sends blanks for
hyphens sends no hyphen."""
_LONGEST_HOST: Final = 253
_HOST_LABEL: Final = r"[A-Z0-9](?:[A-Z0-9-]*[A-Z0-9])?"
_HOST: Final = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*(?::[0-9]{{1,5}})?")
_ADDRESS: Final = re.compile(r"(?:https?:/{0,2}|//)?([^/]*)(/.*)?", re.ASCII | re.IGNORECASE)
_SCAN_PATH: Final = re.compile(r"/+S/+([^/?#]*)/*(?:[?#].*)?", re.ASCII | re.IGNORECASE)
_ADDED: Final = re.compile(r"[&;][A-Z_.-]{1,30}=.*", re.ASCII | re.IGNORECASE)
"""What a program appends to an address without a question mark."""
_IS_ADDRESS: Final = re.compile(r"://|/S/", re.ASCII | re.IGNORECASE)
_AFTER_CODE: Final = re.compile(r"[/?#].*|[.,;:]+$")
_FRAMED: Final = re.compile(
    r"[!-/:-@\[-`{-~]{0,3}([A-Za-z]{2}(?:[0-9]{2})?)[!-/:-@\[-`{-~ßÖö°§´·•]([0-9A-Za-z]{7})"
    r"(?:[!-/:-@\[-`{-~ßÖö°§´·•]([0-9A-Za-z]{2}))?[!-/:-@\[-`{-~]{0,3}"
)
"""A code between marks (`*AD26-…*`), or with what another keyboard's layout makes of its hyphen; the check character decides."""


class MalformedCode(MalformedRequest):
    """The text does not have the shape of any code."""

    code: ClassVar[str] = "malformed_code"
    title: ClassVar[str] = "Not a code"


class CheckCharacterWrong(MalformedCode):
    """The text has the shape of a code and its last character disagrees with the rest: it was misread or mistyped.

    `prefix`: what a code of this shape names, which is hardly what was misread.
    """

    prefix: Prefix | None = None
    code: ClassVar[str] = "check_character_wrong"
    title: ClassVar[str] = "Misread code"


class PrintedLabel(MalformedCode):
    """The text of a label that says which print it is stands where a bare code belongs."""

    code: ClassVar[str] = "label_instead_of_code"
    title: ClassVar[str] = "A label's text, not a code"


class ForeignLabel(Conflict):
    """The label points to a host that is not and never was ours: it is another bank's tube, whatever the code says."""

    code: ClassVar[str] = "foreign_label"
    title: ClassVar[str] = "Another organisation's label"


@dataclass(frozen=True, slots=True)
class Code:
    """A well-formed code; build it with `parse_code` or `make_code`, which know the check character.

    `year` is the two-digit year as printed, None for the prefixes without one. `print_number` is what a scanned label says of
    itself, None where it says nothing; it is no part of the code.
    """

    prefix: Prefix
    year: int | None
    body: str
    check: str
    print_number: int | None = field(default=None, compare=False)

    @property
    def head(self) -> str:
        """The part before the hyphen, such as `HF26` or `KT`."""
        return self.prefix.value if self.year is None else f"{self.prefix.value}{self.year:02d}"

    @property
    def tail(self) -> str:
        """The part after the hyphen: body and check character."""
        return self.body + self.check

    @property
    def text(self) -> str:
        """The code as it is printed and stored."""
        return f"{self.head}-{self.tail}"

    @property
    def label(self) -> str:
        """What the scanned label said: the code, and which print of it that label says to be."""
        return label_text(self, self.print_number)

    def __str__(self) -> str:
        return self.text


def format_code(prefix: str, year: int | None, number: int) -> str:
    """Return the printed code of the `number`-th thing of its kind: `make_code(...)` as text."""
    return make_code(prefix, year, number).text


def make_code(prefix: str, year: int | None, number: int) -> Code:
    """Build a code.

    :param year: calendar year (2000-2099) or its last two digits for the prefixes in `DATED`; None for all others
    :param number: 0 to NUMBERS - 1, from the sequence of this prefix and year
    :raises ValueError: an argument is outside its range; the caller is wrong, not the user
    """
    kind = Prefix(prefix)
    if not 0 <= number < NUMBERS:
        raise ValueError(f"the number of a code must be from 0 to {NUMBERS - 1}, not {number}")
    if (kind in DATED) != (year is not None):
        raise ValueError(f"{kind.value} codes {'need a' if kind in DATED else 'carry no'} year")
    if year is not None:
        if not (0 <= year <= 99 or 2000 <= year <= 2099):
            raise ValueError(f"the year of a code must be from 2000 to 2099, not {year}")
        year %= 100
    draft = Code(kind, year, "", "")
    value = _permute(number, draft.head)
    body = "".join(BODY_ALPHABET[value >> shift & 31] for shift in range(5 * (_BODY_LENGTH - 1), -1, -5))
    return Code(kind, year, body, mod_37_36.calc_check_digit(draft.head + body))


def number_of(code: Code) -> int:
    """Return the sequence number a code was made from: the inverse of `make_code`."""
    value = 0
    for character in code.body:
        value = value << 5 | _BODY_VALUE[character]
    return _unpermute(value, code.head)


def parse_code(text: str) -> Code:
    """Read a code in any case, with any spaces and hyphens, with Crockford aliases in its body.

    :raises MalformedCode: no code has this shape
    :raises CheckCharacterWrong: the shape is right and the check character is not
    :raises PrintedLabel: it says which print it is, which only a scan may
    """
    code = read_label(text)
    if code.print_number is not None:
        raise PrintedLabel(
            f"This is what a label of {code.text} says, with the number of its print. Where a code is asked for, type"
            f" {code.text}."
        )
    return code


def read_label(text: str) -> Code:
    """Read a code or the text of a label that says which print it is; raise as `parse_code`."""
    if len(text) > LONGEST_SCAN:
        raise MalformedCode("This is far too long to be a code; scan the label itself.")
    bare = _SEPARATORS.sub("", tidy(text))
    # str.upper() would also turn other scripts' letters into ours (the Turkish dotless i into I).
    shape = _DATED_SHAPE if bare[:_KIND].upper() in DATED else _SHAPE
    match = shape.fullmatch(bare.upper()) if bare.isascii() else None
    if match is None or match[1] not in _PREFIXES:
        raise MalformedCode("This is not a code of ours; a code looks like HF26-MC061ET or DN-SQF5SS9.")
    if any(character not in _BODY_VALUE for character in match[3]):
        raise MalformedCode("A code has no letter U between the hyphen and the check character; read it again.")
    body = "".join(BODY_ALPHABET[_BODY_VALUE[character]] for character in match[3])
    if match[5] is not None and _WELL_AFTER.search(tidy(text)):
        raise MalformedCode("This is a code and something after it; scan or type the code itself.")
    number = None if match[5] is None else _print_number(match[5])
    code = Code(Prefix(match[1]), int(match[2]) if match[2] else None, body, match[4], number)
    if mod_37_36.calc_check_digit(code.head + code.body) != code.check:
        misread = CheckCharacterWrong("The check character does not match: one character is wrong. Scan or type it again.")
        misread.prefix = code.prefix
        raise misread
    return code


def is_code(text: str) -> bool:
    """Say whether `parse_code` would accept the text."""
    try:
        parse_code(text)
    except MalformedCode:
        return False
    return True


def is_label(text: str) -> bool:
    """Say whether the text is a code, or what a label of one says (`read_label`)."""
    try:
        read_label(text)
    except MalformedCode:
        return False
    return True


def canonical_host(host: str) -> str:
    """Return a host (and port) as it is printed in payloads: upper case, no final dot, no default port.

    :raises ValueError: not a host name; scheme, path, underscore and non-ASCII (write those as `xn--`) are refused
    """
    name = host.strip().upper().replace(".:", ":").removesuffix(":443").removesuffix(".") if host.isascii() else ""
    if len(name) > _LONGEST_HOST or _HOST.fullmatch(name) is None:
        raise ValueError("a label host is a bare name such as bank.example or bank.example:8443, no scheme or path")
    return name


def label_text(code: Code, print_number: int | None) -> str:
    """Return what a label says: its code, and which print of that code it is.

    :raises ValueError: the number is not from 1 to MOST_PRINTS
    """
    if print_number is None:
        return code.text
    if not 1 <= print_number <= MOST_PRINTS:
        raise ValueError(f"the number of a print must be from 1 to {MOST_PRINTS}, not {print_number}")
    return f"{code.text}-{BODY_ALPHABET[print_number >> 5]}{BODY_ALPHABET[print_number & 31]}"


def _print_number(text: str) -> int:
    if any(character not in _BODY_VALUE for character in text):
        raise MalformedCode("The end of this label cannot be read; scan it again.")
    return _BODY_VALUE[text[0]] << 5 | _BODY_VALUE[text[1]]


def payload_url(host: str, code: Code | str, print_number: int | None = None) -> str:
    """Return `HTTPS://HOST/S/<code>` in upper case, which keeps a QR symbol in its small alphanumeric mode.

    :raises ValueError: `host` is not a host name
    :raises MalformedCode: `code` is text and not a code
    """
    known = code if isinstance(code, Code) else parse_code(code)
    return f"HTTPS://{canonical_host(host)}/S/{label_text(known, print_number)}"


def is_ours(text: str, host: str, former_hosts: Collection[str] = ()) -> bool:
    """Say whether what a scanner sent reads as a code or a label address of this bank (`resolve_payload`)."""
    try:
        resolve_payload(text, host, former_hosts)
    except (ForeignLabel, MalformedCode):
        return False
    return True


def resolve_payload(text: str, host: str, former_hosts: Collection[str] = ()) -> Code:
    """Read what a scanner sent: a bare code, or a label address of this bank, with whatever the way here added (`tidy`).

    Which print the label says it is stands in the answer's `print_number`; whether that print still stands, the bank is asked
    (`specimens/scanned_labels.py`).

    :param host: the host printed today
    :param former_hosts: hosts that older labels carry
    :raises ForeignLabel: an address on any other host, even if its code would parse
    :raises MalformedCode: neither a code nor one of our label addresses
    :raises CheckCharacterWrong: a misread code
    """
    said = tidy(text) if len(text) <= LONGEST_SCAN else text
    if "://" not in said:
        said = unescaped(said)
    if len(text) > LONGEST_SCAN or not _IS_ADDRESS.search(said):
        return _within_marks(said)
    match = _ADDRESS.fullmatch(said)
    authority, path = (match[1], match[2] or "") if match else ("", "")
    scanned = _SCAN_PATH.fullmatch(unescaped(path))
    ours = {canonical_host(name) for name in (host, *former_hosts)}
    if match and not authority:
        raise ForeignLabel("This address is not whole: it names no bank. Scan the label again.")
    if said.lower().startswith("http:"):
        authority = authority.removesuffix(":80")
    if _canonical_authority(authority) not in ours:
        if scanned is None or not is_label(scanned[1]):
            raise ForeignLabel("This is an address of somebody else, not a label of this bank. Scan the label of this bank.")
        raise ForeignLabel("This label's address is not one of this bank's; set the tube aside cold and call quality.")
    if scanned is None:
        raise MalformedCode("This address is this bank's and is not a label; scan the square code on the label.")
    return _within_marks(_ADDED.sub("", scanned[1]))


def _within_marks(text: str) -> Code:
    """Read a label's text that may stand between marks or before what ends a sentence."""
    framed = _FRAMED.fullmatch(text)
    return read_label(framed[1] + framed[2] + (framed[3] or "") if framed else _AFTER_CODE.sub("", text))


def _canonical_authority(authority: str) -> str | None:
    """Return the canonical form of a scanned authority; None for one with user names, escapes or anything unusual."""
    try:
        return canonical_host(authority)
    except ValueError:
        return None


def _permute(value: int, tweak: str) -> int:
    """Send a 30-bit number through the Feistel network: a bijection whatever the round function is."""
    left, right = value >> _HALF_BITS, value & _HALF_MASK
    for number in range(_ROUNDS):
        left, right = right, left ^ _round(number, right, tweak)
    return left << _HALF_BITS | right


def _unpermute(value: int, tweak: str) -> int:
    left, right = value >> _HALF_BITS, value & _HALF_MASK
    for number in reversed(range(_ROUNDS)):
        left, right = right ^ _round(number, left, tweak), left
    return left << _HALF_BITS | right


def _round(number: int, half: int, tweak: str) -> int:
    message = bytes((number,)) + half.to_bytes(2, "big") + tweak.encode("ascii")
    digest = hashlib.blake2s(message, digest_size=2, key=_PERMUTATION_KEY).digest()
    return int.from_bytes(digest, "big") & _HALF_MASK


_PREFIXES: Final = frozenset(prefix.value for prefix in Prefix)
