"""Scoping in SQL: what the actor may know of, by the sites a row names."""

from typing import Any

from sqlalchemy import ColumnElement, or_, select

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.models import custody
from biobank.donors.models import donor
from biobank.specimens.models import specimen


def at_sites_of(actor: Actor, *places: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that one of the columns `places` is a site where the actor may read specimens."""
    return actor.scope(Permission.SPECIMEN_READ).of(*places)


def specimens_at_sites_of(actor: Actor) -> ColumnElement[bool]:
    """Return the condition on custody ⋈ specimen ⟕ donor under which the actor may know of a specimen.

    The same three sites as `Snapshot.sites`: where it is, where it is kept, where its donor is cared for.
    """
    return at_sites_of(actor, custody.c.site_code, specimen.c.home_site_code, donor.c.clinic_site_code)


def lots_at_sites_of(actor: Actor, lot_code: ColumnElement[Any], *places: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for a lot: one of `places`, or any of its specimens is at a site of the actor's."""
    scope = actor.scope(Permission.SPECIMEN_READ)
    kept = (
        select(specimen.c.code)
        .join(custody, custody.c.code == specimen.c.code)
        .where(specimen.c.lot_code == lot_code, scope.of(custody.c.site_code, specimen.c.home_site_code))
    )
    return or_(scope.of(*places), kept.exists())
