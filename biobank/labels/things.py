"""Labels of everything that is no specimen yet: places, kits and their pre-printed labels, register entries, wristbands, badges.

A label names the thing by its code and says what it is; never a person. A badge says the roles and no name.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors.markers import Evaluation
from biobank.donors.visibility import get_visible_donor
from biobank.donors.wristbands import active_wristband
from biobank.foundation.clock import now
from biobank.foundation.codes import SPECIMENS, Prefix, parse_code
from biobank.foundation.errors import Conflict, NotFound, NotPermitted
from biobank.labels.data import LabelData
from biobank.labels.events import (
    BadgeLabelled,
    BadgeLabelVerified,
    KitLabelled,
    KitLabelVerified,
    PlaceLabelled,
    PlaceLabelVerified,
    RegisteredLabelled,
    RegisteredLabelVerified,
    ThingLabelled,
    ThingLabelVerified,
    WristbandLabelled,
    WristbandLabelVerified,
)
from biobank.labels.statements import StatementPolicy, required_statements
from biobank.people.queries import get_user, zone_of
from biobank.registers.queries import describe_entry
from biobank.specimens.kits import describe_kit, unknown_kit
from biobank.specimens.models import kit_label, specimen
from biobank.storage.models import storage_position as _position
from biobank.storage.queries import get_container, public_containers


class NoLabelFor(Conflict):
    """Nothing of this kind has a label of its own."""

    code = "no_label_for_this"
    title = "No label for this"


class LabelNotWaiting(Conflict):
    """The pre-printed label was voided: it must not be printed again."""

    code = "kit_label_void"
    title = "Label was voided"


@dataclass(frozen=True)
class Thing:
    """A labelled thing: what its label says, who may print it, and the stream its prints are recorded on."""

    data: LabelData
    labelled: type[ThingLabelled]
    verified: type[ThingLabelVerified]
    stream_id: str
    site: str | None
    printed_by: tuple[Permission, ...]
    donor: str | None = None

    def may_print(self, actor: Actor) -> bool:
        """Say whether the actor may print this label where the thing is."""
        return any(actor.may(p, at=self.site) for p in self.printed_by)

    def require_printer(self, actor: Actor) -> None:
        """Raise NotPermitted unless the actor may print it."""
        if not self.may_print(actor):
            raise NotPermitted(
                f"Your role does not include printing labels of {self.data.code.text}. Ask an administrator if it should.",
                permission=self.printed_by[0].value,
            )


def is_thing(session: Session, code: str) -> bool:
    """Say whether a code's label is not that of a specimen: another prefix, or a kit's label that no harvest used yet."""
    if parse_code(code).prefix not in SPECIMENS:
        return True
    return session.execute(select(specimen.c.code).where(specimen.c.code == code)).first() is None


def thing_of(session: Session, act: Act | None, actor: Actor, code: str) -> Thing:
    """Return the thing a code names.

    Raises NotFound when the actor may not know of it, NoLabelFor, LabelNotWaiting, and WristbandVoid or WristbandExpired for a
    band that must not be put on anyone.
    """
    prefix = parse_code(code).prefix
    if prefix in SPECIMENS:
        return _kit_label_of(session, actor, code)
    match prefix:
        case Prefix.CONTAINER:
            return _container(session, get_container(session, actor, code))
        case Prefix.POSITION:
            return _position_of(session, actor, code)
        case Prefix.KIT:
            return _kit(session, actor, code)
        case Prefix.REAGENT_LOT | Prefix.EQUIPMENT:
            return _registered(session, actor, code)
        case Prefix.WRISTBAND:
            return _wristband(session, act, actor, code)
        case Prefix.BADGE:
            return _badge(session, actor, code)
    raise NoLabelFor(
        f"{code} has no label of its own. Labels exist for specimens, places, kits, reagents, equipment, wristbands and badges."
    )


_PLACE = (Permission.LABEL_PRINT, Permission.STORAGE_MANAGE)


def _container(session: Session, row: "Row[Any]") -> Thing:
    (public,) = public_containers(session, [row])
    data = LabelData(
        code=parse_code(row.code), title=row.name, location=" / ".join(public.path[:-1]), storage=_words(row.temperature_class)
    )
    return Thing(data, PlaceLabelled, PlaceLabelVerified, row.code, row.site_code, _PLACE)


def _position_of(session: Session, actor: Actor, code: str) -> Thing:
    row = session.execute(select(_position).where(_position.c.code == code)).first()
    if row is None:
        raise NotFound(f"There is no storage position {code} that you may see. Scan its label again.", subject=code)
    box = get_container(session, actor, row.container_code)
    (public,) = public_containers(session, [box])
    data = LabelData(code=parse_code(code), title=row.label, location=" / ".join([*public.path[1:], row.label]))
    return Thing(data, PlaceLabelled, PlaceLabelVerified, box.code, box.site_code, _PLACE)


KIT_PRINTERS = (Permission.KIT_MANAGE, Permission.LABEL_PRINT)


def _kit(session: Session, actor: Actor, code: str) -> Thing:
    kit = describe_kit(session, actor, code)
    zone = zone_of(session, kit.site)
    data = LabelData(
        code=parse_code(code),
        title="Harvest kit",
        location=kit.site,
        expires_on=kit.expires_at.astimezone(zone).date(),
        zone=zone.key,
    )
    return Thing(data, KitLabelled, KitLabelVerified, code, kit.home_site, KIT_PRINTERS)


def _registered(session: Session, actor: Actor, code: str) -> Thing:
    entry = describe_entry(session, actor, code)
    if entry.retired_at is not None:
        raise LabelNotWaiting(f"{code} was taken out of use. Nothing gets its label any more.", subject=code)
    data = LabelData(
        code=parse_code(code),
        title=entry.name,
        location=" / ".join(filter(None, (entry.site, entry.supplier_lot))),
        expires_on=entry.expires_on,
        zone="UTC" if entry.site is None else zone_of(session, entry.site).key,
    )
    return Thing(data, RegisteredLabelled, RegisteredLabelVerified, code, entry.site, KIT_PRINTERS)


def _kit_label_of(session: Session, actor: Actor, code: str) -> Thing:
    """A label that is printed before the harvest: the code and what is true of every container of this bank."""
    row = session.execute(select(kit_label).where(kit_label.c.specimen_code == code)).first()
    if row is None:
        raise NotFound(f"There is no specimen {code} that you may see. Scan the label again.", subject=code)
    try:
        kit = describe_kit(session, actor, row.kit_code)
    except NotFound:
        raise unknown_kit(row.kit_code) from None
    if row.voided_at is not None:
        raise LabelNotWaiting(f"{code} was recorded as unused and destroyed. Prepare a new kit for new labels.", subject=code)
    data = LabelData(code=parse_code(code), statements=required_statements(Evaluation(), StatementPolicy()))
    return Thing(data, KitLabelled, KitLabelVerified, kit.kit, kit.home_site, KIT_PRINTERS)


def _wristband(session: Session, act: Act | None, actor: Actor, code: str) -> Thing:
    band = active_wristband(session, code, now() if act is None else act.at)
    get_visible_donor(session, actor, band.donor_code)
    zone = zone_of(session, band.site_code)
    data = LabelData(
        code=parse_code(code),
        recipient=parse_code(band.donor_code),
        expires_on=band.expires_at.astimezone(zone).date(),
        zone=zone.key,
    )
    by = (Permission.DONOR_IDENTIFY, Permission.LABEL_PRINT)
    return Thing(data, WristbandLabelled, WristbandLabelVerified, band.donor_code, band.site_code, by, band.donor_code)


def _badge(session: Session, actor: Actor, code: str) -> Thing:
    row, grants = get_user(session, actor, code)
    if not row.active:
        raise NotFound(f"The login {code} is not active; it has no badge.", subject=code)
    roles = ", ".join(sorted({grant.role.value.replace("_", " ") for grant in grants})) or "no role"
    places = ", ".join(sorted({grant.site or "all sites" for grant in grants}))
    data = LabelData(code=parse_code(code), title=roles.capitalize(), location=places)
    return Thing(data, BadgeLabelled, BadgeLabelVerified, code, None, (Permission.USER_MANAGE,))


def _words(temperature_class: str | None) -> str:
    return "" if temperature_class is None else temperature_class.replace("_", " ").replace("minus ", "-").replace("ln2", "LN2")
