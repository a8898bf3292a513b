"""Who read how many identities, by day."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.donors.identity_reads import NEAR_PERCENT, IdentityReadingList, IdentityReadings, list_identity_readings
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column

router = APIRouter(include_in_schema=False)

_DAYS = {"7": "The last week", "31": "The last month", "366": "The last year"}


def read_readings(session: Session, actor: Actor, asked: Wanted) -> IdentityReadingList:
    """Read one page of the days that the address asks for."""
    days = int(asked.of["days"] or "366")
    return list_identity_readings(session, actor, by=asked.of["by"], days=days, zone=asked.zone.key, paging=asked.paging)


def row_of(one: IdentityReadings) -> Mapping[str, Any]:
    """Return the cells of one login's day."""
    return one.model_dump() | {"href": f"/log?actor={one.user}&kind=donor.identity_read"}


Listing(
    address="/identity-readings",
    title="Identities read",
    lead="Of how many people each login read who they are, by day. How many a person may read within an hour is set by the "
    f"bank; from {NEAR_PERCENT} of a hundred of them on, quality is called.",
    key="day",
    columns=[
        Column("day", "Day", "day", sort="day"),
        Column("user", "Login", "plain_code", sort="user"),
        Column("people", "People", "number", sort="people"),
        Column("readings", "Readings", "number"),
        Column("last_at", "Last", "when"),
        Column("site", "Clinic", "plain_code"),
    ],
    read=read_readings,
    row=row_of,
    default="-day",
    filters=[
        Filter("days", "How far back", "choice", list(_DAYS.items()), usual="31"),
        Filter("by", "Login", "code"),
    ],
    links=[Link("Alarms", "/alarms", "triangle")],
    empty="Nobody read an identity",
    hint="Each reading is in the log, and is counted here.",
).on(router)
