"""The small parts that resources are made of, in the shape of a release."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from biobank.foundation.clock import rfc3339
from biobank.foundation.terms import words
from biobank.interchange.naming import Naming
from biobank.specimens.materials import Unit

Resource = dict[str, Any]
"""A resource or a part of one, as plain JSON."""

UCUM: Final = "http://unitsofmeasure.org"
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    Unit.FOLLICULAR_UNITS: ("follicular units", "{follicular_units}"),
    Unit.FOLLICLES: ("follicles", "{follicles}"),
    Unit.UL_RAW: ("µL, raw", "uL"),
    Unit.UL_WASHED: ("µL, washed", "uL"),
    Unit.UL: ("µL", "uL"),
    Unit.CELLS: ("cells", "{cells}"),
    Unit.PARTICLES: ("particles", "{particles}"),
    Unit.ITEM: ("item", "{item}"),
}
"""Unit → what people read, and its UCUM code (in braces: a count, which UCUM leaves to the writer)."""


class Release(StrEnum):
    """The releases of FHIR that are spoken."""

    R4 = "R4"
    R5 = "R5"

    @property
    def version(self) -> str:
        """The version as HL7 numbers it."""
        return {"R4": "4.0.1", "R5": "5.0.0"}[self.value]


def slim(**members: Any) -> Resource:
    """Return the members that say something: None and what is empty are left out. A trailing underscore is dropped (`class_`)."""
    return {name.rstrip("_"): value for name, value in members.items() if value not in (None, [], {}, "")}


def instant(at: datetime | None) -> str | None:
    """Return an instant as FHIR writes it, UTC with milliseconds."""
    return None if at is None else rfc3339(at)


@dataclass(frozen=True)
class Saying:
    """A release, and how the bank names what is its own."""

    release: Release
    naming: Naming

    @property
    def r5(self) -> bool:
        """Whether this is R5."""
        return self.release is Release.R5

    def identifier(self, kind: str, value: str) -> Resource:
        """Return one of the bank's codes as an Identifier."""
        return {"system": self.naming.codes_of(kind), "value": value}

    def concept(self, table: str, word: str | None, text: str | None = None) -> Resource | None:
        """Return a word of one of the bank's lists as a CodeableConcept; None for none."""
        if word is None:
            return None
        return slim(coding=[self.coding(table, word)], text=text)

    def coding(self, table: str, word: str) -> Resource:
        """Return a word of one of the bank's lists as a Coding."""
        return {"system": self.naming.terms(table), "code": word, "display": words(word)}

    def codeable(self, table: str, word: str | None) -> Resource | None:
        """Return a word where R5 wants a CodeableReference and R4 a CodeableConcept."""
        concept = self.concept(table, word)
        return {"concept": concept} if self.r5 and concept is not None else concept

    def reference(self, kind: str, code: str | None) -> Resource | None:
        """Return a reference to a resource of this server; None for none."""
        return None if code is None else {"reference": f"{kind}/{code}"}

    def references(self, kind: str, codes: Iterable[str] | None) -> list[Resource]:
        """Return references to several."""
        return [{"reference": f"{kind}/{code}"} for code in codes or ()]

    def site(self, code: str | None) -> Resource | None:
        """Return a reference to a site."""
        return self.reference("Location", None if code is None else f"site-{code}")

    def person(self, badge: str | None) -> Resource | None:
        """Return who acted, by badge: no person of the bank is named. A program is a device."""
        if badge is None:
            return None
        kind = "Practitioner" if badge.startswith("US-") else "Device"
        return {"type": kind, "identifier": self.identifier("user", badge)}

    def quantity(self, amount: int | float | None, unit: str | None) -> Resource | None:
        """Return an amount in one of the bank's units."""
        if amount is None or unit is None:
            return None
        shown, code = _UNITS[unit]
        return {"value": amount, "unit": shown, "system": UCUM, "code": code}

    def percent(self, basis_points: int) -> Resource:
        """Return basis points as per cent."""
        return {"value": basis_points / 100, "unit": "%", "system": UCUM, "code": "%"}

    def count(self, number: int, of: str) -> Resource:
        """Return a number of counted things."""
        return {"value": number, "unit": of, "system": UCUM, "code": f"{{{of}}}"}

    def extension(self, name: str, **value: Any) -> list[Resource]:
        """Return a member that FHIR does not have, as an extension; nothing where there is no value."""
        return [{"url": self.naming.extension(name), **value}] if all(one is not None for one in value.values()) else []
