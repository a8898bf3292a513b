"""Workstations: for whom each is open, clearing and opening one, and its sessions."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.benches import queries, service
from biobank.benches.schemas import BenchSessionList, OpenBench, WorkstationPublic
from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.foundation.paging import Listed
from biobank.pages.benches.sessions import CLEAR, acts_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.addresses import WorkstationCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

LABELS = CLEAR | {"specimen": "Scan the first tube", "donor": "Or the donor's code, if there is no tube yet"}
SESSIONS = [
    Column("code", "Session", "code"),
    Column("donor", "For", "code"),
    Column("state", "State", "chip"),
    Column("handled", "Handled", "number"),
    Column("opened_at", "Opened", "when"),
    Column("opened_by", "By", "plain_code"),
    Column("closed_at", "Closed", "when"),
]


def read_workstations(session: Session, actor: Actor, _asked: Wanted) -> Listed[WorkstationPublic]:
    """Read every workstation in use that the actor may know of."""
    found = queries.read_workstations(session, actor)
    return Listed[WorkstationPublic](items=found, next=None, total=len(found))


def row_of(one: WorkstationPublic) -> Mapping[str, Any]:
    """Return the cells of one workstation."""
    now = one.open
    return {
        "link": one.name,
        "href": f"/workstations/{one.workstation}",
        "name": one.name,
        "workstation": one.workstation,
        "site": one.site,
        "donor": None if now is None else now.donor,
        "state": None if now is None else now.state,
        "session": None if now is None else now.code,
        "cleared": one.last_cleared_at,
    }


Listing(
    address="/workstations",
    title="Workstations",
    lead="Benches and cabinets, and for whom each is open. One person's material at a time.",
    key="workstation",
    columns=[
        Column("name", "Workstation", sort="name"),
        Column("donor", "Open for", "code", sort="donor"),
        Column("state", "State", "chip", sort="state"),
        Column("session", "Session", "code"),
        Column("cleared", "Last cleared", "when", sort="cleared"),
        Column("site", "At", "plain_code", sort="site"),
        Column("workstation", "Code", "plain_code", sort="workstation"),
    ],
    read=read_workstations,
    row=row_of,
    default="name",
    links=[Link("All sessions", "/bench-sessions", "clock")],
    empty="No workstations",
    hint="Enter a bench or cabinet under “Registers”, print its label, and put it on.",
    whole=True,
).on(router)


@router.get("/workstations/{code}")
async def show_workstation(request: Request, code: WorkstationCode, reading: PageReading) -> Response:
    """Draw a workstation: for whom it is open, what may be done, its sessions."""

    def query(session: Session, actor: Actor) -> tuple[WorkstationPublic, BenchSessionList]:
        return queries.describe_workstation(session, actor, code), queries.list_sessions(session, actor, workstation=code)

    one, sessions = await reading.agreeing(query)
    zone, actor = request.state.zone, request.state.actor
    acts: list[ActionLink] = []
    if one.open is not None:
        acts = acts_of(actor, one.open)
    elif one.site is not None and actor.may(Permission.PROCESSING_RECORD, at=one.site):
        acts = [ActionLink("Clear and open it", f"/workstations/{code}/open", "check", weight="main")]
    facts: list[tuple[str, Any]] = [
        ("At", one.site or "No site: enter it for one first"),
        ("Open for", "Nobody" if one.open is None else code_markup(one.open.donor)),
        ("Last cleared", None if one.last_cleared_at is None else when(one.last_cleared_at, zone)),
        ("Cleared by", "Two people" if one.two_people else "One person; quality may ask for two"),
    ]
    acts.append(ActionLink("In the registers", f"/registers/{code}", "search"))
    history = [each.model_dump() for each in sessions.items]
    return render(
        request,
        "dossier.html",
        kind=one.name,
        code=one.workstation,
        facts=[(label, value) for label, value in facts if value is not None],
        tables=[("Sessions, newest first", SESSIONS, history, "Never opened", "Clear it and open it for one person.")],
        acts=acts,
        trail=[("Workstations", "/workstations"), (one.name, None)],
    )


def _one(session: Session, actor: Actor, asked: Asked) -> WorkstationPublic:
    one = queries.describe_workstation(session, actor, asked.code)
    actor.require(Permission.PROCESSING_RECORD, at=one.site)
    return one


def _draw_open(at: Opened[WorkstationPublic]) -> ActForm:
    one = at.read
    lead = f"{one.name} must be clear: no tube, label or waste of another person. Look, then scan its label."
    if one.two_people:
        lead += " A second person looks as well and signs."
    return ActForm(
        title="Clear and open",
        lead=lead,
        back=f"/workstations/{one.workstation}",
        trail=[("Workstations", "/workstations"), (one.name, f"/workstations/{one.workstation}"), ("Clear and open", None)],
        statement=f"You clear {one.name} and open it for one person." if one.two_people else None,
        said="I have looked at this workstation myself, and nothing of another person is there.",
    )


def _opened(at: Opened[WorkstationPublic], _body: OpenBench, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "pending":
        return proposed(f"/workstations/{at.code}")
    text = f"Only material of {answer['donor']} may be there until it is closed."
    return Done(f"/bench-sessions/{answer['code']}", f"{answer['name']} is open.", text)


ActPage(
    address="/workstations/{code}/open",
    reads=_one,
    form=_draw_open,
    labels=LABELS,
    model=OpenBench,
    names=("workstation", "cleared", "specimen", "donor"),
    more=(),
    scans={"workstation": (Prefix.EQUIPMENT,), "specimen": tuple(SPECIMENS), "donor": (Prefix.DONOR,)},
    tubes=("specimen",),
    meaning=lambda at, _body: Meaning.WITNESSED if at.read.two_people else None,
    use_case=service.open_bench,
    after=_opened,
).on(router)
