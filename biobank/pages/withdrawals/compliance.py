"""How the bedside was kept to, by cause and clinic."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.unfinished.compliance import BedsideCount, bedside_compliance

router = APIRouter(include_in_schema=False)

DAYS = [("7", "A week"), ("30", "30 days"), ("90", "90 days"), ("365", "A year")]


def _read(session: Session, actor: Actor, asked: Wanted) -> Listed[BedsideCount]:
    found = bedside_compliance(session, actor, asked.since("days"))
    return Listed(items=found.items, total=len(found.items))


def _row(one: BedsideCount) -> Mapping[str, Any]:
    return {"key": f"{one.site} {one.cause}", "site": one.site, "cause": words(one.cause), "times": one.times} | {
        "kept": "kept to" if one.kept else "not kept to"
    }


Listing(
    address="/withdrawals/compliance",
    title="The bedside, by cause",
    lead="What was given after two people's scans, and what was stopped, lapsed or late, at each clinic.",
    key="key",
    columns=[
        Column("site", "Clinic", "plain_code", sort="site"),
        Column("cause", "Cause", sort="cause"),
        Column("kept", "Bedside", "chip", sort="kept"),
        Column("times", "Times", "number", sort="times"),
    ],
    read=_read,
    row=_row,
    default="site",
    filters=[Filter("days", "In the last", "choice", DAYS, usual="30")],
    empty="Nothing was given or checked",
    hint="Choose a longer time.",
    whole=True,
).on(router)
