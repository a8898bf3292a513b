"""Codes of ISBT 128 and of the EU on a label: of the bank's own registration, of this specimen's own identifiers, or not at all.

They are printed for people, and not as a symbol: a donation number names everything of one donation, so a scanner that took it
for the label's own symbol would not know which container it holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.labels.data import LabelData
from biobank.labels.template import DONATION, EUROPEAN, Template
from biobank.specimens.foreign_codes import ISBT_128, SEC, parse_donation_number, parse_european_code
from biobank.specimens.schemas import AliasPublic

T = TypeVar("T")


class NotRegistered(Conflict):
    """The label would say a code of a registration that this bank does not have."""

    code: ClassVar[str] = "not_registered"
    title: ClassVar[str] = "Not registered for these codes"


class NoNumberOfOurs(Conflict):
    """The specimen has no identifier of the bank's own registration, or more than one."""

    code: ClassVar[str] = "no_number_of_ours"
    title: ClassVar[str] = "It has no such number"


@dataclass(frozen=True)
class House:
    """What labels say of the bank itself: the host of its addresses, and under what it is registered."""

    host: str
    facility: str | None
    establishment: str | None

    @classmethod
    def of(cls, settings: Settings) -> "House":
        """Take it from the settings."""
        return cls(settings.host_name, settings.isbt_facility, settings.sec_establishment)


def registration_refusals(template: Template, house: House) -> list[Refusal]:
    """Return why a template says codes of a registration that this bank does not have. Pure."""
    found: list[Refusal] = []
    if template.fields >= DONATION and house.facility is None:
        found.append(
            NotRegistered(
                f"{template.name} says an ISBT 128 number, and this bank has no registration with ICCBBA in its settings. "
                "Choose another label, or have BIOBANK_ISBT_FACILITY set."
            )
        )
    if EUROPEAN & template.fields and house.establishment is None:
        found.append(
            NotRegistered(
                f"{template.name} says a Single European Code, and this bank has no establishment of the EU in its settings. "
                "Choose another label, or have BIOBANK_SEC_ESTABLISHMENT set."
            )
        )
    return found


def require_registered(template: Template, house: House) -> None:
    """Raise the first of `registration_refusals`."""
    raise_first(registration_refusals(template, house))


def offered(templates: Iterable[Template], house: House) -> list[Template]:
    """Return those that this bank may print."""
    return [one for one in templates if not registration_refusals(one, house)]


def identified(data: LabelData, template: Template, aliases: Sequence[AliasPublic], house: House) -> LabelData:
    """Return what the label says with the codes that its template asks for. Raises NotRegistered, NoNumberOfOurs."""
    require_registered(template, house)
    if template.fields >= DONATION:
        numbers = {parse_donation_number(one.value) for one in aliases if one.issuer == ISBT_128}
        said = {one.printed for one in numbers if one.facility == house.facility}
        data = replace(data, donation=_only(said, data, f"ISBT 128 donation number of {house.facility}"))
    if EUROPEAN & template.fields:
        codes = {parse_european_code(one.value) for one in aliases if one.issuer == SEC}
        ours = {one.printed for one in codes if one.country + one.establishment == house.establishment}
        donation, product = _only(ours, data, f"Single European Code of {house.establishment}")
        data = replace(data, european_donation=donation, european_product=product)
    return data


def _only(found: set[T], data: LabelData, what: str) -> T:
    if len(found) != 1:
        has = "no" if not found else "more than one"
        raise NoNumberOfOurs(
            f"{data.code.text} has {has} {what}. Add it to its identifiers first, or choose another label.",
            subject=data.code.text,
        )
    return found.pop()
