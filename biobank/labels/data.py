"""What one label says."""

from dataclasses import dataclass, fields
from datetime import date
from typing import Final

from biobank.foundation.codes import Code
from biobank.labels.statements import Statement
from biobank.labels.typeface import TextUnprintable, check_printable

LONGEST_TEXT: Final = 120
"""Characters in one text of a label; more is a paragraph and belongs on the accompanying sheet."""

FIELDS: Final = frozenset(
    {
        *("code", "head", "tail", "recipient", "print"),
        *("material", "passage", "amount", "unit", "banked", "expires", "storage"),
        *("title", "location", "facility"),
    }
)
"""The names a template may use between braces; see `LabelData.texts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelData:
    """The content of one label. It never holds a name, a birth date or anything else that says who the person is.

    :ivar code: what the label is stuck on
    :ivar material: short name, such as `ADSC` or `SVF`
    :ivar passage: culture passage, printed as `P2`
    :ivar amount: quantity with its unit, such as `1.0 mL`
    :ivar unit_number: this tube's number among `unit_count` of its lot, printed as `3 of 12`
    :ivar banked_on: date of banking, printed ISO 8601
    :ivar expires_on: last day of use
    :ivar storage: storage temperature in words, such as `below -150 °C`
    :ivar title: name of a box, kind of kit, role on a badge
    :ivar location: where a box or position is, such as `T1 / R3 / B07`
    :ivar facility: name and address of the bank
    :ivar recipient: the donor's code (`DN-…`), who is also the recipient
    :ivar print_serial: number of this print in the print ledger, printed as `#1234`
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
    storage: str = ""
    title: str = ""
    location: str = ""
    facility: str = ""
    recipient: Code | None = None
    print_serial: int | None = None
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
            "banked": "" if self.banked_on is None else self.banked_on.isoformat(),
            "expires": "" if self.expires_on is None else self.expires_on.isoformat(),
            "storage": self.storage,
            "title": self.title,
            "location": self.location,
            "facility": self.facility,
            "recipient": "" if self.recipient is None else self.recipient.text,
            "print": "" if self.print_serial is None else f"#{self.print_serial}{copy}",
        }
