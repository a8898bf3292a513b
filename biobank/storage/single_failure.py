"""Which units of a donor would fail together: the single-failure report, and what automatic placing asks (`spreading.py`)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Integer, Text, cast, column, func, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.models import custody
from biobank.custody.states import Condition, State
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.specimens.models import specimen

Within = Literal["tank", "room", "site"]

# A tank is the outermost container that is no room: what fails as one. What stands in no room, or in no tank, is its own.
_DOWN: Final = (
    text(
        """
    WITH RECURSIVE down AS (
        SELECT code, site_code, CASE WHEN kind = 'room' THEN code END AS room, CASE WHEN kind <> 'room' THEN code END AS tank
        FROM storage_container WHERE parent_code IS NULL
        UNION ALL
        SELECT c.code, c.site_code, COALESCE(d.room, CASE WHEN c.kind = 'room' THEN c.code END),
               COALESCE(d.tank, CASE WHEN c.kind <> 'room' THEN c.code END)
        FROM down d JOIN storage_container c ON c.parent_code = d.code
    )
    SELECT code, site_code AS site, COALESCE(room, tank) AS room, COALESCE(tank, room) AS tank FROM down
    """
    )
    .columns(*(column(name, Text) for name in ("code", "site", "room", "tank")))
    .subquery()
)
_HELD: Final = (State.STORED.value, State.CHECKED_OUT.value)
_SPOTS: Final = (_DOWN.c.site, _DOWN.c.room, _DOWN.c.tank)


def _stock(*where: Any) -> Any:
    """Select how many units of each donor are in each tank: in store, those checked out for a while with them."""
    return (
        select(custody.c.donor_code.label("donor"), *_SPOTS, func.count().label("units"))
        .join(_DOWN, _DOWN.c.code == custody.c.container_code)
        .join(specimen, specimen.c.code == custody.c.code)
        .where(
            custody.c.state.in_(_HELD),
            custody.c.donor_code.is_not(None),
            # What is kept for tests, or can be given to nobody, is no stock.
            specimen.c.purpose == "therapeutic",
            custody.c.quality != "rejected",
            custody.c.condition != Condition.THAWED.value,
            *where,
        )
        .group_by(custody.c.donor_code, *_SPOTS)
    )


def _by_donor() -> Any:
    """Select each donor's units, and whether all of them are in one site, room or tank."""
    by_tank = _stock().subquery()
    return (
        select(
            by_tank.c.donor,
            cast(func.sum(by_tank.c.units), Integer).label("units"),
            *(func.min(by_tank.c[name]).label(name) for name in ("site", "room", "tank")),
            *((func.count(by_tank.c[name].distinct()) == 1).label(f"one_{name}") for name in ("site", "room", "tank")),
        )
        .group_by(by_tank.c.donor)
        .subquery()
    )


_STOCK: Final = _by_donor()


@dataclass(frozen=True)
class Spot:
    """What would fail with a box: its tank, the room that one is in, and the site."""

    site: str
    room: str
    tank: str


def stock_of(session: Session, donors: Collection[str], *, without: Collection[str] = ()) -> dict[str, dict[Spot, int]]:
    """Return how many units of each donor are in which tank, as the report counts them. `without`: units left out."""
    rows = session.execute(_stock(custody.c.donor_code.in_(sorted(donors)), custody.c.code.not_in(sorted(without))))
    found: dict[str, dict[Spot, int]] = {}
    for row in rows:
        found.setdefault(row.donor, {})[Spot(row.site, row.room, row.tank)] = row.units
    return found


def spots_of(session: Session, codes: Collection[str]) -> dict[str, Spot]:
    """Return what would fail with each of these containers."""
    rows = session.execute(select(_DOWN.c.code, *_SPOTS).where(_DOWN.c.code.in_(sorted(codes))))
    return {row.code: Spot(row.site, row.room, row.tank) for row in rows}


class AtRisk(BaseModel):
    """A donor whose whole stock stands in one place."""

    donor: str
    units: int = Field(description="Units in store, those checked out for a while with them.")
    within: Within = Field(description="The smallest of tank, room and site that holds all of it.")
    place: str = Field(description="Code of that tank or room, or the site.")
    site: str


class AtRiskList(Listed[AtRisk]):
    """Donors by code, those with the most units first."""


def donors_at_risk(
    session: Session, actor: Actor, *, within: Within = "tank", site: str | None = None, paging: Paging = Paging()
) -> AtRiskList:
    """Return the donors whose whole stock is in one `within`, at the sites where the actor may read specimens.

    Whether it is the whole stock is judged over all sites, so a unit elsewhere that the reader may not see counts as well.
    """
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    rows = _STOCK.c
    statement = select(_STOCK).where(rows[f"one_{within}"], actor.scope(Permission.SPECIMEN_READ).of(rows.site))
    if site is not None:
        statement = statement.where(rows.site == site)
    orders = {"units": rows.units, "donor": rows.donor}
    page = read_page(session, statement, paging, key=rows.donor, orders=orders, default="-units")
    return AtRiskList(items=[_of(row) for row in page.rows], **page.ends)


def _of(row: Any) -> AtRisk:
    within: Within = "tank" if row.one_tank else "room" if row.one_room else "site"
    return AtRisk(donor=row.donor, units=row.units, within=within, place=getattr(row, within), site=row.site)
