"""The start page: what waits for the one who is signed in, and how to get to anything else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.auth.sessions import BELL
from biobank.custody.models import custody
from biobank.custody.states import State
from biobank.donors.models import donor
from biobank.foundation.terms import Tone
from biobank.pages.today import Task, Trouble, read_tasks, read_troubles
from biobank.pages.ui.parts import ActionLink, Stat
from biobank.pages.ui.session import PageReading, Visiting
from biobank.pages.ui.templating import render
from biobank.specimens.models import specimen
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.viability.records import count_alarms

router = APIRouter(include_in_schema=False)

P = Permission

COUNTED: Sequence[tuple[State, str, Tone]] = (
    (State.COLLECTED, "Collected, not received", "busy"),
    (State.IN_TRANSIT, "On their way", "busy"),
    (State.RECEIVED, "Received, not stored", "care"),
    (State.IN_PROCESS, "Being processed", "busy"),
    (State.CHECKED_OUT, "Out of their place", "care"),
    (State.MISSING, "Missing", "stop"),
    (State.STORED, "Stored", "good"),
)

BEGINNINGS: Sequence[tuple[Permission, str, str, str]] = (
    (P.STORAGE_RECORD, "Scan tubes", "/scan", "scan"),
    (P.DONOR_REGISTER, "Register a donor", "/donors/new", "donor"),
    (P.HARVEST_RECORD, "Record a harvest", "/harvests/new", "tray"),
    (P.KIT_MANAGE, "Kits", "/kits", "box"),
    (P.QUALITY_DECIDE, "Registers", "/registers", "tray"),
    (P.PROCESSING_RECORD, "Processing and lots", "/processings", "flask"),
    (P.WITHDRAWAL_REQUEST, "Request a withdrawal", "/withdrawals/new", "return"),
    (P.LOG_READ, "Read the log", "/log", "log"),
    (P.SITE_MANAGE, "Set up the bank", "/set-up", "home"),
    (P.STORAGE_MANAGE, "Look after storage", "/storage", "tank"),
    (P.STORAGE_MANAGE, "Import an old inventory", "/imports/new", "log"),
    (P.USER_MANAGE, "Look after users", "/users", "users"),
    (P.SITE_MANAGE, "Sites", "/sites", "home"),
    (P.SITE_MANAGE, "Label templates and print rules", "/labels", "print"),
)
"""What each role begins most often; those the login may do stand beside the list."""


LIKE_SHOWN = 3
"""So many tasks of one kind stand on the page by themselves; the rest opens under them."""


@dataclass(frozen=True)
class Today:
    """What the start page shows."""

    tasks: list[Task]
    troubles: list[Trouble]
    stats: list[Stat]


def read_today(session: Session, actor: Actor, bank: Bank) -> Today:
    """Read everything the start page shows to the actor."""
    return Today(read_tasks(session, actor, bank), read_troubles(session, actor), _stats(session, actor))


def _stats(session: Session, actor: Actor) -> list[Stat]:
    if not actor.may(P.SPECIMEN_READ, at=ANYWHERE):
        return []
    joined = specimen.join(custody, custody.c.code == specimen.c.code).outerjoin(donor, donor.c.code == specimen.c.donor_code)
    # Whoever reads everywhere is asked for no site: an index of custody alone has every state.
    whole = custody if actor.scope(P.SPECIMEN_READ).everywhere else joined
    rows = session.execute(
        select(custody.c.state, func.count().label("n"))
        .select_from(whole)
        .where(specimens_at_sites_of(actor))
        .group_by(custody.c.state)
    )
    counted = {row.state: row.n for row in rows}
    stats = [
        Stat(label, counted.get(state.value, 0), f"/specimens?state={state.value}", tone)
        for state, label, tone in COUNTED
        if counted.get(state.value) or state is State.STORED
    ]
    if alarms := count_alarms(session):
        hint = "The 90 % interval holds under 80 %"
        stats.append(Stat("Viability forecasts that do not hold", alarms, "/viability", "stop", hint))
    return stats


def alike(tasks: Sequence[Task]) -> list[list[Task]]:
    """Put tasks of one kind and urgency together, where the first of them stands. Pure."""
    kinds: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        kinds.setdefault((task.urgency, task.what), []).append(task)
    return list(kinds.values())


def rings(tasks: Sequence[Task], bell: Collection[str]) -> int:
    """Return how many lines the bell counts: what presses, and of the rest what its owner chose. Pure."""
    return sum(one.urgency in bell or one.urgency not in BELL for one in tasks)


@router.get("/tasks/now")
async def count_tasks(page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer how many lines wait on Today, for the bell of every page: it asks while somebody looks, and not every page pays."""
    tasks = await reading(read_tasks, reading.bank)
    return JSONResponse({"waiting": rings(tasks, page.bell)}, headers={"Cache-Control": "no-store"})


@router.get("/")
async def show_today(request: Request, page: Visiting, reading: PageReading) -> Response:
    """Draw the start page."""
    today = await reading(read_today, reading.bank)
    actor: Actor = request.state.actor
    beginnings = [
        ActionLink(label, href, icon) for permission, label, href, icon in BEGINNINGS if actor.may(permission, at=ANYWHERE)
    ]
    return render(
        request,
        "home.html",
        tasks=alike(today.tasks),
        waiting=rings(today.tasks, page.bell),
        like_shown=LIKE_SHOWN,
        troubles=today.troubles,
        stats=today.stats,
        beginnings=beginnings,
    )
