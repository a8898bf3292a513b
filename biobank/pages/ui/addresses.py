"""What stands in the address of a page: the pattern of each code, and the way back that an address implies."""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path

SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
LotCode = Annotated[str, Path(pattern=r"^LT-[0-9A-Z]{7}$")]
ContainerCode = Annotated[str, Path(pattern=r"^BX-[0-9A-Z]{7}$")]
WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
ShipmentCode = Annotated[str, Path(pattern=r"^SH-[0-9A-Z]{7}$")]
KitCode = Annotated[str, Path(pattern=r"^KT-[0-9A-Z]{7}$")]
ExcursionCode = Annotated[str, Path(pattern=r"^EX-[0-9A-Z]{7}$")]
AlarmCode = Annotated[str, Path(pattern=r"^AL-[0-9A-Z]{7}$")]
SensorCode = Annotated[str, Path(pattern=r"^SE-[0-9A-Z]{7}$")]
ClientCode = Annotated[str, Path(pattern=r"^AC-[0-9A-Z]{7}$")]
WebhookCode = Annotated[str, Path(pattern=r"^WH-[0-9A-Z]{7}$")]
DeviationCode = Annotated[str, Path(pattern=r"^DV-[0-9A-Z]{7}$")]
UserCode = Annotated[str, Path(pattern=r"^US-[0-9A-Z]{7}$")]
BenchSessionCode = Annotated[str, Path(pattern=r"^BS-[0-9A-Z]{7}$")]
WorkstationCode = Annotated[str, Path(pattern=r"^EQ-[0-9A-Z]{7}$")]
EntryKey = Annotated[str, Path(pattern=r"^((RG|EQ)-[0-9A-Z]{7}|[0-9a-f-]{36})$")]
SiteCode = Annotated[str, Path(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]

SET_UP = "/set-up"
AFTER_IT = "then"
"""The parameter of an address by which a page that acts leads back to setting the bank up (`then=set-up`)."""

ONE_MORE = "one_more"
"""The button of a form that does its act and opens it again, filled with what the next one has in common."""

PLACES: Mapping[str, tuple[str, Any]] = {
    "specimens": ("Specimens", SpecimenCode),
    "donors": ("Donors", DonorCode),
    "lots": ("Lots", LotCode),
    "storage": ("Storage", ContainerCode),
    "withdrawals": ("Withdrawals", WithdrawalCode),
    "shipments": ("Shipments", ShipmentCode),
    "deviations": ("Deviations", DeviationCode),
    "adverse-events": ("Adverse events", DeviationCode),
    "excursions": ("Excursions", ExcursionCode),
    "users": ("Users", UserCode),
    "sites": ("Sites", SiteCode),
    "alarms": ("Alarms", AlarmCode),
    "sensors": ("Sensors", SensorCode),
    "api-clients": ("API clients", ClientCode),
    "webhooks": ("Events sent to other systems", WebhookCode),
    "handovers": ("Hand-overs", UUID),
    "kits": ("Kits", KitCode),
    "registers": ("Registers", EntryKey),
    "workstations": ("Workstations", WorkstationCode),
    "bench-sessions": ("Bench sessions", BenchSessionCode),
    "harvests": ("Harvests", KitCode),
    "processings": ("Processing", UUID),
    "viability": ("Viability", str),
    "pending": ("Waiting for a second person", UUID),
}
"""First part of an address → what the list there is called, and the code of a thing on it."""


def parameters_of(address: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return name → type of what stands in braces: `own`, the code of the list it lies under, or a UUID."""
    of_list = PLACES.get(address.split("/")[1], ("", UUID))[1]
    names = re.findall(r"{(\w+)}", address)
    return {name: own.get(name, of_list if name == "code" else UUID) for name in names}


def crumbs_of(address: str, path: Mapping[str, Any], title: str) -> tuple[str, list[tuple[str, str | None]]]:
    """Return the page before an act's page, and the breadcrumb that leads to it."""
    parts = address.split("/")[1:]
    label, _ = PLACES.get(parts[0], (parts[0].capitalize(), None))
    trail: list[tuple[str, str | None]] = [(label, f"/{parts[0]}")]
    back = f"/{parts[0]}"
    if len(parts) > 2 and parts[1] == "{code}":
        back = f"/{parts[0]}/{path['code']}"
        trail.append((str(path["code"]), back))
    return back, [*trail, (title, None)]


def coming_back(href: str) -> str:
    """Return an address whose page leads back to setting the bank up, once its act is done or left."""
    before, mark, part = href.partition("#")
    return f"{before}{'&' if '?' in before else '?'}{AFTER_IT}=set-up{mark}{part}"
