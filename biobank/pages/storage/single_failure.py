"""The single-failure report as a list: whose whole stock one tank, room or site would take with it; as CSV like any list."""

from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.storage.single_failure import AtRisk, AtRiskList, Within, donors_at_risk

router = APIRouter(include_in_schema=False)

_WITHIN: dict[str, Within] = {"tank": "tank", "room": "room", "site": "site"}


def _read(session: Session, actor: Actor, asked: Wanted) -> AtRiskList:
    within = _WITHIN[asked.of["within"] or "tank"]
    return donors_at_risk(session, actor, within=within, site=asked.of["site"], paging=asked.paging)


def _row(one: AtRisk) -> dict[str, Any]:
    return one.model_dump() | {"within": one.within.capitalize(), "stands": None if one.within == "site" else one.place}


Listing(
    address="/all-in-one-place",
    title="All in one place",
    lead="Donors whose whole stock would be lost if one tank, one room or one site failed.",
    key="donor",
    columns=[
        Column("donor", "Donor", "code", sort="donor"),
        Column("units", "Units in store", "number", sort="units"),
        Column("within", "All in one"),
        Column("stands", "Place", "code"),
        Column("site", "Site", "plain_code"),
    ],
    read=_read,
    row=_row,
    default="-units",
    filters=[
        Filter("within", "All in one", "choice", [("tank", "Tank"), ("room", "Room"), ("site", "Site")]),
        Filter("site", "Site", "code"),
    ],
    links=[Link("Split storage", "/split-storage", "pen", Permission.QUALITY_DECIDE)],
    empty="Every donor's stock stands in more than one place",
    hint="Choose a room or a site to see what depends on it.",
).on(router)
