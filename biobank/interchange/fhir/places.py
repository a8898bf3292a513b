"""Sites and containers as locations; instruments, workstations, shippers and sensors as devices."""

from typing import Any, Final

from sqlalchemy import Row, Select, or_, select

from biobank.auth.actor import Actor
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.interchange.fhir.saying import Resource, Saying, slim
from biobank.interchange.fhir.sources import Source, equal, referring
from biobank.monitoring.models import sensor
from biobank.registers.models import register_entry as entry
from biobank.storage.models import storage_container as container
from biobank.storage.queries import SEEING, places_seen

_DEVICES: Final = ("equipment", "workstation", "shipper")
_PHYSICAL: Final = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def _sites(actor: Actor) -> "Select[Any]":
    return select(site).where(places_seen(actor).of(site.c.code))


def _site(say: Saying, row: "Row[Any]") -> Resource:
    return slim(
        resourceType="Location",
        id=f"site-{row.code}",
        identifier=[say.identifier("site", row.code)],
        status="active" if row.active else "inactive",
        name=row.name,
        mode="instance",
        type=[say.concept("site", row.kind)],
        **_form(say, {"coding": [{"system": _PHYSICAL, "code": "si", "display": "Site"}]}),
    )


def _form(say: Saying, concept: Resource) -> Resource:
    return {"form" if say.r5 else "physicalType": concept}


SITES = Source(
    name="site",
    permissions=SEEING,
    rows=_sites,
    key=site.c.code,
    build=_site,
    has_id=equal(site.c.code),
    filters={"identifier": equal(site.c.code)},
)


def _containers(actor: Actor) -> "Select[Any]":
    return select(container).where(places_seen(actor).of(container.c.site_code))


def _container(say: Saying, row: "Row[Any]") -> Resource:
    room = [{"system": _PHYSICAL, "code": "ro", "display": "Room"}] if row.kind == "room" else []
    above = say.reference("Location", row.parent_code) or say.site(row.site_code)
    return slim(
        resourceType="Location",
        id=row.code,
        identifier=[say.identifier("container", row.code)],
        status="active" if row.active else "inactive",
        name=row.name,
        mode="instance",
        type=[say.concept("temperature-class", row.temperature_class)] if row.temperature_class else None,
        partOf=above,
        **_form(say, {"coding": [*room, say.coding("container", row.kind)]}),
    )


CONTAINERS = Source(
    permissions=SEEING,
    rows=_containers,
    key=container.c.code,
    build=_container,
    has_id=equal(container.c.code),
    filters={"identifier": equal(container.c.code), "partof": referring(container.c.parent_code, "Location")},
)


def _devices(actor: Actor) -> "Select[Any]":
    # Registers are read by whoever reads specimens anywhere, as the registers' own list is.
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    return select(entry).where(entry.c.kind.in_(_DEVICES))


def _device(say: Saying, row: "Row[Any]") -> Resource:
    made_by = {"system": "https://www.gs1.org/gtin", "value": row.gtin} if row.gtin else None
    return slim(
        resourceType="Device",
        id=row.key,
        identifier=[say.identifier("equipment", row.key), *([made_by] if made_by else [])],
        status="active" if row.retired_at is None else "inactive",
        lotNumber=row.supplier_lot,
        manufacturer=row.supplier,
        expirationDate=None if row.expires_on is None else row.expires_on.isoformat(),
        location=say.site(row.site_code),
        **_called(say, row.name, row.kind),
    )


def _called(say: Saying, name: str, kind: str) -> Resource:
    concept = say.concept("device", kind)
    if say.r5:
        return {"name": [{"value": name, "type": "user-friendly-name"}], "type": [concept]}
    return {"deviceName": [{"name": name, "type": "user-friendly-name"}], "type": concept}


DEVICES = Source(
    permissions=(Permission.SPECIMEN_READ,),
    rows=_devices,
    key=entry.c.key,
    build=_device,
    has_id=equal(entry.c.key),
    filters={"identifier": lambda text: or_(*(one(text) for one in (equal(entry.c.key), equal(entry.c.gtin))))},
)


def _sensors(actor: Actor) -> "Select[Any]":
    return select(sensor).where(places_seen(actor).of(sensor.c.site_code))


def _sensor(say: Saying, row: "Row[Any]") -> Resource:
    return slim(
        resourceType="Device",
        id=row.code,
        identifier=[say.identifier("sensor", row.code)],
        status="active" if row.withdrawn_at is None else "inactive",
        location=say.site(row.site_code),
        **_called(say, row.name, "sensor"),
    )


SENSORS = Source(
    permissions=SEEING,
    rows=_sensors,
    key=sensor.c.code,
    build=_sensor,
    has_id=equal(sensor.c.code),
    filters={"identifier": equal(sensor.c.code)},
)
