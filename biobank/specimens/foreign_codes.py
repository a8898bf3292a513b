"""Identifiers by which others name a donation or a product: ISBT 128 and the Single European Code, read and checked. Pure.

A donation number of ISBT 128 is a facility, a year and a number (13 characters); two flag characters or a check character may
follow (ICCBBA ST-001, 6.2.2). The check character is ISO/IEC 7064 MOD 37-2, written out (`K`) or as flags 60 to 96. Worked:
`G123417654321` has the check character `A` and the flags `70`.

The Single European Code has 40 characters and no check character (2006/86/EC, Annex VII): only its form can be checked.

Tables of facilities and products belong to ICCBBA and to the EU; none is kept here. Who prints ISBT 128 registers with ICCBBA:
labels say such a code only of the bank's own registration (`labels/registered.py`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final

from stdnum.iso7064 import mod_37_2

from biobank.foundation.errors import MalformedRequest

ISBT_128: Final = "isbt_128"
SEC: Final = "sec"

_DIN: Final = re.compile(r"=?([A-NP-Z1-9][0-9A-Z]{4})([0-9]{2})([0-9]{6})([0-9]{2}|[0-9A-Z*])?", re.ASCII)
_SEC: Final = re.compile(r"(?:SEC:?)?([A-Z]{2})([0-9A-Z]{6})([0-9A-Z]{13})([ABE])([0-9A-Z]{7})([0-9A-Z]{3})([0-9]{8})", re.ASCII)
_TYPE_3: Final = 60
"""Flags from here on are the check character's value."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*"


class ForeignCodeWrong(MalformedRequest):
    """The identifier is of a kind that can be checked, and it is not right: a character is missing or was read wrongly."""

    code: ClassVar[str] = "foreign_code_wrong"
    title: ClassVar[str] = "This identifier is not right"


@dataclass(frozen=True)
class DonationNumber:
    """An ISBT 128 donation number. `checked`: a check character was there, and agreed."""

    facility: str
    year: str
    number: str
    checked: bool
    flags: str = "00"

    @property
    def printed(self) -> str:
        """As it is printed for people: parted, then its flags, then the check character that is typed with it."""
        whole = self.facility + self.year + self.number
        return f"{self.facility} {self.year} {self.number} {self.flags} {check_character(whole)}"


@dataclass(frozen=True)
class EuropeanCode:
    """A Single European Code. `expires`: None where the code says that there is no date."""

    country: str
    establishment: str
    donation: str
    system: str
    product: str
    split: str
    expires: date | None

    @property
    def printed(self) -> tuple[str, str]:
        """As it is printed for people: the sequence of the donation, and that of the product."""
        day = "0" * 8 if self.expires is None else f"{self.expires:%Y%m%d}"
        return f"{self.country}{self.establishment}{self.donation}", f"{self.system}{self.product}{self.split}{day}"


def parse_donation_number(text: str) -> DonationNumber:
    """Read a donation number as it is scanned or printed; raise ForeignCodeWrong."""
    found = _DIN.fullmatch(re.sub(r"[ -]", "", text.upper()))
    if found is None:
        raise ForeignCodeWrong(
            "An ISBT 128 donation number has five characters for the facility, two digits for the year, six more. Scan it again."
        )
    facility, year, number, rest = found.groups()
    given = None
    if rest is not None and len(rest) == 1:
        given = rest
    elif rest is not None and _TYPE_3 <= int(rest) < _TYPE_3 + len(_ALPHABET):
        given = _ALPHABET[int(rest) - _TYPE_3]
    if given is not None and given != check_character(facility + year + number):
        raise ForeignCodeWrong("The check character of this donation number does not agree with it. Read or scan it again.")
    flags = rest if rest is not None and len(rest) == 2 and int(rest) < _TYPE_3 else "00"
    return DonationNumber(facility, year, number, given is not None, flags)


def check_character(number: str) -> str:
    """Return the check character of the 13 characters of a donation number."""
    return str(mod_37_2.calc_check_digit(number))


def parse_european_code(text: str) -> EuropeanCode:
    """Read a Single European Code, with or without the letters SEC and blanks; raise ForeignCodeWrong."""
    found = _SEC.fullmatch(re.sub(r"\s", "", text.upper()))
    if found is None:
        raise ForeignCodeWrong("A Single European Code has 21 characters for the donation and 19 for the product. Scan it again.")
    *names, day = found.groups()
    country, establishment, donation, system, product, split = names
    return EuropeanCode(country, establishment, donation, system, product, split, None if day == "0" * 8 else _day(day))


def _day(text: str) -> date:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ForeignCodeWrong("This Single European Code ends in a date that there is not. Scan it again.") from None


_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {ISBT_128: parse_donation_number, SEC: parse_european_code}


def require_readable(issuer: str, value: str) -> None:
    """Raise ForeignCodeWrong for an identifier that says it is ISBT 128's or a Single European Code and is not right."""
    check = _CHECKS.get(issuer)
    if check is not None:
        check(value)
