"""What one label says."""

from dataclasses import dataclass, fields
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from biobank.foundation.codes import Code
from biobank.labels.statements import Statement
from biobank.labels.typeface import TextUnprintable, check_printable

LONGEST_TEXT: Final = 120
"""Characters in one text of a label; more is a paragraph and belongs on the accompanying sheet."""

FIELDS: Final = frozenset(
    {
        *("code", "head", "tail", "recipient", "print"),
        *("material", "passage", "amount", "unit", "banked", "expires", "storage"),
        *("banked_short", "expires_short"),
        *("title", "location", "facility"),
        *("donation", "european_donation", "european_product"),
    }
)
"""The names a template may use between braces; see `LabelData.texts`."""


def dated(day: date | None, zone: str, *, short: bool = False) -> str:
    """Write a day with the offset that its zone has on it, which says whose day it is: `2026-03-04 UTC+1`.

    `short`, where there is no room: `2026-03-04+1`, and `2026-03-04Z` where the offset is none.
    """
    if day is None:
        return ""
    offset = datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    apart = f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}" if minutes else ""
    return f"{day.isoformat()}{apart or 'Z'}" if short else f"{day.isoformat()} UTC{apart}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelData:
    """The content of one label. It never holds a name, a birth date or anything else that says who the person is.

    :ivar code: what the label is stuck on
    :ivar material: short name, such as `ADSC` or `SVF`
    :ivar passage: culture passage, printed as `P2`
    :ivar amount: quantity with its unit, such as `1.0 mL`
    :ivar unit_number: this tube's number among `unit_count` of its lot, printed as `3 of 12`
    :ivar banked_on: date of banking, printed ISO 8601 with the offset of its zone
    :ivar expires_on: last day of use
    :ivar zone: the zone of the site whose days they are, such as `Europe/Vienna`
    :ivar storage: storage temperature in words, such as `below -150 °C`
    :ivar title: name of a box, kind of kit, role on a badge
    :ivar location: where a box or position is, such as `T1 / R3 / B07`
    :ivar facility: name and address of the bank
    :ivar donation: ISBT 128 donation number, flags and check character, such as `G1234 17 654321 00 A`
    :ivar european_donation: the first half of a Single European Code, 21 characters
    :ivar european_product: its second half, 19 characters
    :ivar recipient: the donor's code (`DN-…`), who is also the recipient
    :ivar print_serial: number of this print in the print ledger, printed as `#1234`
    :ivar print_number: the how-manyth label of its code this is, which its symbol says; None on a preview
    :ivar copy_number: 1 for the first print; a second print says `#1240-2`, the third `#1251-3`
    :ivar statements: the statements this specimen must carry, most important first
    """

    code: Code
    material: str = ""
    passage: int | None = None
    amount: str = ""
    unit_number: int | None = None
    unit_count: int | None = None
    banked_on: date | None = None
    expires_on: date | None = None
    zone: str = "UTC"
    storage: str = ""
    title: str = ""
    location: str = ""
    facility: str = ""
    donation: str = ""
    european_donation: str = ""
    european_product: str = ""
    recipient: Code | None = None
    print_serial: int | None = None
    print_number: int | None = None
    copy_number: int = 1
    statements: tuple[Statement, ...] = ()

    def __post_init__(self) -> None:
        """:raises TextUnprintable: a text is too long or has characters that the label fonts do not have"""
        texts = [value for field in fields(self) if isinstance(value := getattr(self, field.name), str)]
        for text in (*texts, *(statement.text for statement in self.statements)):
            if len(text) > LONGEST_TEXT:
                raise TextUnprintable(f"A text of {len(text)} characters is too long for a label (at most {LONGEST_TEXT}).")
            check_printable(text)

    def texts(self) -> dict[str, str]:
        """Return the text of every field in FIELDS; an empty text means that there is nothing to print."""
        of_count = f" of {self.unit_count}" if self.unit_count is not None else ""
        copy = f"-{self.copy_number}" if self.copy_number > 1 else ""
        return {
            "code": self.code.text,
            "head": self.code.head,
            "tail": self.code.tail,
            "material": self.material,
            "passage": "" if self.passage is None else f"P{self.passage}",
            "amount": self.amount,
            "unit": "" if self.unit_number is None else f"{self.unit_number}{of_count}",
            "banked": dated(self.banked_on, self.zone),
            "banked_short": dated(self.banked_on, self.zone, short=True),
            "expires": dated(self.expires_on, self.zone),
            "expires_short": dated(self.expires_on, self.zone, short=True),
            "storage": self.storage,
            "title": self.title,
            "location": self.location,
            "facility": self.facility,
            "donation": self.donation,
            "european_donation": self.european_donation,
            "european_product": self.european_product,
            "recipient": "" if self.recipient is None else self.recipient.text,
            "print": "" if self.print_serial is None else f"#{self.print_serial}{copy}",
        }
