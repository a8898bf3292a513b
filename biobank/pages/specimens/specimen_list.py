"""The list of specimens: what lies where, what expires when, and what may be done with many at once."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.states import HoldKind, State
from biobank.foundation import clock
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Link, Listing, RowsAct, Wanted, repeated, spaced
from biobank.pages.ui.parts import Column
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import SpecimenList, SpecimenSummary

router = APIRouter(include_in_schema=False)

EXPIRY = [("past", "Expired"), ("month", "This month"), ("quarter", "This quarter"), ("year", "This year")]


def expiry_of(span: str | None, today: date, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return from and before which instant things expire in a calendar span at the site. Pure. What expired already is `past`."""
    if span is None:
        return None, None
    start = datetime.combine(today, time(), zone)
    if span == "past":
        return None, start
    months = {"month": 1, "quarter": 3, "year": 12}[span]
    first = (today.month - 1) // months * months + months
    return start, datetime(today.year + first // 12, first % 12 + 1, 1, tzinfo=zone)


def read_specimens(session: Session, actor: Actor, asked: Wanted) -> SpecimenList:
    """Read one page of the specimens that the address asks for."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    of = asked.of
    since, before = expiry_of(of["expires"], clock.now().astimezone(asked.zone).date(), asked.zone)
    return list_specimens(
        session,
        actor,
        of_donor=of["donor"],
        material=of["material"],
        state=of["state"],
        container=of["container"],
        hold=of["hold"],
        words=of["text"],
        expires_from=since,
        expires_before=before,
        paging=asked.paging,
    )


def row_of(item: SpecimenSummary) -> Mapping[str, Any]:
    """Return the cells of one specimen."""
    held = ", ".join(words(kind) for kind in item.holds) or None
    return item.model_dump() | {"amount": amount_text(item.amount, item.unit), "holds": held}


Listing(
    address="/specimens",
    title="Specimens",
    lead="What the bank keeps: scan a tube, or narrow the list.",
    columns=[
        Column("code", "Code", "code", sort="code"),
        Column("material", "Material", "words"),
        Column("state", "State", "chip"),
        Column("amount", "Amount"),
        Column("donor", "Donor", "code", sort="donor"),
        Column("container", "Box", "code"),
        Column("banked_at", "Banked", "when", sort="banked_at", usual=False),
        Column("expires_at", "Expires", "when", sort="expires_at"),
        Column("holds", "Holds"),
        Column("quality", "Quality", "chip", usual=False),
        Column("condition", "Condition", "chip", usual=False),
        Column("purpose", "Purpose", "words", usual=False),
        Column("site", "Site", "plain_code", usual=False),
        Column("lot", "Lot", "code", usual=False),
        Column("harvest", "Harvest", "code", usual=False),
        Column("reserved_for", "Reserved for", "code", usual=False),
        Column("created_at", "Recorded", "when", sort="created_at", usual=False),
    ],
    read=read_specimens,
    row=row_of,
    default="-created_at",
    filters=[
        Filter("text", "Code begins with"),
        Filter("state", "State", "choice", [(one.value, words(one.value)) for one in State]),
        Filter("material", "Material", "choice", [(name, MATERIALS[name].title) for name in sorted(MATERIALS)]),
        Filter("donor", "Donor code", "code"),
        Filter("container", "In container", "code"),
        Filter("hold", "Hold", "choice", [("any", "Any hold"), *((one.value, words(one.value)) for one in HoldKind)]),
        Filter("expires", "Expires", "choice", EXPIRY),
    ],
    quick=[
        ("Expire this quarter", {"expires": "quarter", "sort": "expires_at"}),
        ("Expired and still stored", {"state": "stored", "expires": "past", "sort": "expires_at"}),
        ("Held", {"hold": "any"}),
    ],
    acts=[
        RowsAct("scan", "Add to the scan list", "scan", spaced("/scan?codes="), Permission.CUSTODY_RECORD),
        RowsAct("run", "Process", "flask", repeated("/processings/new", "specimen"), Permission.PROCESSING_RECORD),
        RowsAct("offer", "Hand over", "hand", spaced("/handovers/new?specimens="), Permission.SPECIMEN_READ),
        RowsAct(
            "basis", "Determine the legal basis", "pen", repeated("/specimens/basis", "specimens"), Permission.QUALITY_DECIDE
        ),
        RowsAct(
            "store",
            "Store where they fit",
            "tank",
            repeated("/specimens/store-where-they-fit", "specimens"),
            Permission.STORAGE_RECORD,
        ),
        RowsAct(
            "decision", "Decide on quality", "check", repeated("/specimens/decision", "specimens"), Permission.QUALITY_DECIDE
        ),
        RowsAct("labels", "Print labels", "print", repeated("/labels/batch", "codes"), Permission.LABEL_PRINT),
        RowsAct("hold", "Place a hold", "octagon", repeated("/specimens/hold", "specimens"), Permission.HOLD_PLACE),
        RowsAct("deviation", "Open a deviation", "triangle", spaced("/deviations/new?about="), Permission.DEVIATION_OPEN),
    ],
    links=[Link("A tube that nobody can name", "/specimens/unidentified/new", "search", Permission.CUSTODY_RECORD)],
    empty="No specimens match",
    hint="Take a filter away, or scan the tube itself.",
).on(router)
