"""Within which temperatures tubes travel: the limits of the places that may keep them, as the sites at both ends set them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.shipping.shipment_queries import kinds_inside
from biobank.specimens.materials import material_of
from biobank.storage.limits import PlaceLimits, class_limits
from biobank.storage.rules import CRYOGENIC, SUITABLE


def limits_of_shipment(session: Session, row: Any) -> PlaceLimits:
    """Return the temperatures within which a shipment (its row) travels; its tubes are asked only where nobody said a class."""
    tubes = [] if row.temperature_class is not None else kinds_inside(session, row.code)
    return limits_of_travel(class_limits(session, {row.from_site, row.to_site}), row.temperature_class, tubes)


def limits_by_hand(session: Session, tubes: Collection[Snapshot], site: str | None) -> PlaceLimits:
    """Return the temperatures within which tubes are carried to a site without a shipment."""
    sites = {site, *(tube.home_site_code for tube in tubes)}
    classes = class_limits(session, {one for one in sites if one is not None})
    return limits_of_travel(classes, None, [(tube.material, tube.projection.condition) for tube in tubes])


def limits_of_travel(
    classes: Mapping[str, PlaceLimits], temperature_class: str | None, tubes: Iterable[tuple[str, str]]
) -> PlaceLimits:
    """Return the temperatures within which tubes travel: those of the class they were sent as. Pure.

    `classes`: the limits of each class (`storage/limits.py`); `tubes`: material and condition of each. Where no class was said,
    each may be what some place may be that could keep it; what is frozen must be colder than the warmest of these may read, for
    nobody said that it was to be as warm as that.
    """
    if temperature_class is not None:
        return _harmful(classes, temperature_class)
    found = PlaceLimits()
    for material, condition in sorted(set(tubes)):
        suitable = SUITABLE[Condition(condition)]
        names = suitable & material_of(material).classes_for(Condition(condition)) or suitable
        kept = [_harmful(classes, name) for name in names]
        warmest = max((one.highest_mc for one in kept if one.highest_mc is not None), default=None)
        if warmest is not None and condition == Condition.FROZEN:
            warmest -= 1
        coldest = min((one.lowest_mc for one in kept if one.lowest_mc is not None), default=None)
        found = found.with_stricter(PlaceLimits(lowest_mc=coldest, highest_mc=warmest))
    return found


def _harmful(classes: Mapping[str, PlaceLimits], name: str) -> PlaceLimits:
    """Limits that harm when they are passed: what is frozen takes no harm from being colder."""
    return replace(classes[name], lowest_mc=None) if name in CRYOGENIC else classes[name]
