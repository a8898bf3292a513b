"""The single-failure report: the donors whose whole stock one tank, one room or one site would take with it if it failed."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Text, column, func, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.models import custody
from biobank.custody.states import State
from biobank.foundation.paging import Listed, Paging, read_page

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
_STOCK: Final = (
    select(
        custody.c.donor_code.label("donor"),
        func.count().label("units"),
        *(func.min(_DOWN.c[name]).label(name) for name in ("site", "room", "tank")),
        *((func.count(_DOWN.c[name].distinct()) == 1).label(f"one_{name}") for name in ("site", "room", "tank")),
    )
    .join(_DOWN, _DOWN.c.code == custody.c.container_code)
    .where(custody.c.state.in_(_HELD), custody.c.donor_code.is_not(None))
    .group_by(custody.c.donor_code)
    .subquery()
)


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
