"""Scoping in SQL: what the actor may know of, by the sites a row names."""

from typing import Any

from sqlalchemy import ColumnElement, or_, select, true

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.snapshots import custody
from biobank.donors.models import Donor
from biobank.foundation.db import table_of
from biobank.specimens.models import Specimen

specimen = table_of(Specimen)
donor = table_of(Donor)


def at_sites_of(actor: Actor, *places: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that one of the columns `places` is a site where the actor may read specimens."""
    sites = actor.sites_with(Permission.SPECIMEN_READ)
    return true() if sites is None else or_(*(place.in_(sorted(sites)) for place in places))


def specimens_at_sites_of(actor: Actor) -> ColumnElement[bool]:
    """Return the condition on custody ⋈ specimen ⟕ donor under which the actor may know of a specimen.

    The same three sites as `Snapshot.sites`: where it is, where it is kept, where its donor is cared for.
    """
    return at_sites_of(actor, custody.c.site_code, specimen.c.home_site_code, donor.c.clinic_site_code)


def lots_at_sites_of(actor: Actor, lot_code: ColumnElement[Any], *places: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for a lot: one of `places`, or any of its specimens is at a site of the actor's."""
    sites = actor.sites_with(Permission.SPECIMEN_READ)
    if sites is None:
        return true()
    mine = sorted(sites)
    kept = (
        select(specimen.c.code)
        .join(custody, custody.c.code == specimen.c.code)
        .where(specimen.c.lot_code == lot_code, or_(custody.c.site_code.in_(mine), specimen.c.home_site_code.in_(mine)))
    )
    return or_(*(place.in_(mine) for place in places), kept.exists())
