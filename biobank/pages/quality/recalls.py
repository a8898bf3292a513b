"""Recalls as people see them: the list, and one with the set that it froze and who was told."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.terms import words
from biobank.pages.quality.dispositions import UNITS, reached_row
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality import recalls
from biobank.quality.dispositions import undecided
from biobank.quality.recall_ending import closing_refusals
from biobank.quality.schemas import RecallDetail, RecallList, RecallPublic

router = APIRouter(include_in_schema=False)

TOLD = [
    Column("told", "Told", "plain_code"),
    Column("units", "Units", "number"),
    Column("made_at", "Since", "when"),
    Column("state", "State", "chip"),
    Column("acknowledged_at", "Acknowledged", "when"),
]


def read_recalls(session: Session, actor: Actor, asked: Wanted) -> RecallList:
    """Read one page of the recalls."""
    return recalls.list_recalls(session, actor, paging=asked.paging)


def _from(criteria: Mapping[str, Any]) -> str:
    start, value = next((name, criteria[name]) for name in criteria if name not in ("since", "until", "derivatives"))
    return f"{words(start)} {value}"


def row_of(one: RecallPublic) -> Mapping[str, Any]:
    """Return the cells of one recall."""
    state = "closed" if one.closed_at else "open"
    cause = Markup('<a href="/recalls/{}">{}</a>').format(one.id, _from(one.criteria))
    return one.model_dump() | {"cause": cause, "state": state}


Listing(
    address="/recalls",
    title="Recalls",
    lead="What was frozen because of one cause, and who was told.",
    key="id",
    columns=[
        Column("cause", "From"),
        Column("reason", "Why", "words"),
        Column("deviation", "Deviation", "code", sort="deviation"),
        Column("specimens", "Units", "number"),
        Column("started_at", "Started", "when", sort="started_at"),
        Column("started_by", "By", "plain_code"),
        Column("state", "State", "chip"),
        Column("closed_at", "Closed", "when", usual=False),
    ],
    read=read_recalls,
    row=row_of,
    default="-started_at",
    links=[
        Link("Start a recall", "/look-backs", "octagon", Permission.RECALL_START, everywhere=True, main=True),
        Link("Look back", "/look-backs", "search", Permission.LOG_READ, everywhere=True),
    ],
    empty="No recalls",
    hint="A recall starts from a look-back.",
).on(router)


def acts_on(actor: Actor, one: RecallDetail) -> list[ActionLink]:
    """Return what this reader may do about an open recall; what is not possible yet says why."""
    if one.closed_at is not None or not actor.may(Permission.RECALL_START, at=EVERYWHERE):
        return []
    against = closing_refusals(one)
    here = f"/recalls/{one.id}"
    decide = ActionLink("Decide about units", f"{here}/dispositions", "pen", weight="main" if undecided(one.items) else "plain")
    refused = against[0].detail if against else None
    return [decide, ActionLink("Close the recall", f"{here}/close", "check", refused=refused, weight="grave")]


@router.get("/recalls/{recall}")
async def show_recall(request: Request, recall: UUID, reading: PageReading) -> Response:
    """Draw a recall: the set that it froze, what its cause reached since, who was told."""
    one = await reading(recalls.read_recall, recall)
    zone = request.state.zone
    units = [reached_row(unit.model_dump()) | {"hold": "held" if unit.held else "lifted"} for unit in one.items]
    told = [note.model_dump() | {"state": "open" if note.open else "closed"} for note in one.notices]
    facts: list[tuple[str, Any]] = [
        ("From", _from(one.criteria)),
        ("Why", words(one.reason)),
        ("Deviation", code_markup(one.deviation)),
        ("Started", when(one.started_at, zone)),
        ("By", one.started_by),
        ("Units frozen", one.specimens),
        ("Reached since, not frozen", ", ".join(one.reached_since) or "none"),
        ("Not decided yet", len(undecided(one.items))),
        *([] if one.closed_at is None else [("Closed", when(one.closed_at, zone)), ("Closed by", one.closed_by)]),
    ]
    return render(
        request,
        "dossier.html",
        kind="Recall",
        code=one.deviation,
        trail=[("Recalls", "/recalls"), (one.deviation, None)],
        facts=facts,
        chip="closed" if one.closed_at else "open",
        acts=acts_on(request.state.actor, one),
        tables=[
            ("Units", UNITS, units, "No units", ""),
            ("Told by name", TOLD, told, "Nobody", "Nobody holds, received or asked for units of it."),
        ],
    )
