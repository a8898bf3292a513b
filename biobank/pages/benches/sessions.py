"""One bench session, and the list of all: what was handled and stopped there, its labels, what is held with it and why."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.benches import queries, service
from biobank.benches.schemas import BenchSessionList, BenchSessionPublic, BenchSessionSummary, CloseBench
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.addresses import BenchSessionCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import fields_of
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

CLEAR = {"workstation": "Scan the workstation's label", "cleared": "I have looked: nothing of another person is there"}
HANDLED = [
    Column("specimen", "Specimen", "code"),
    Column("what", "What was done", "words"),
    Column("run", "In run"),
    Column("at", "When", "when"),
    Column("by", "By", "plain_code"),
]
STOPS = [Column("at", "When", "when"), Column("sentence", "What was stopped"), Column("by", "By", "plain_code")]
LABELS = [Column("link", "Batch"), Column("state", "Accounted for")]
HOLDS = [
    Column("kind", "Hold", "words"),
    Column("reason", "Why", "words"),
    Column("placed_at", "Since", "when"),
    Column("placed_by", "By", "plain_code"),
    Column("lifted_at", "Lifted", "when"),
]
HELD = [Column("code", "Specimen", "code")]


def read_sessions(session: Session, actor: Actor, asked: Wanted) -> BenchSessionList:
    """Read one page of the sessions that the address asks for."""
    of = asked.of
    open_only = {"open": True, "closed": False}.get(of["state"] or "")
    return queries.list_sessions(
        session, actor, workstation=of["workstation"], of_donor=of["donor"], open_only=open_only, paging=asked.paging
    )


def row_of(one: BenchSessionSummary) -> Mapping[str, Any]:
    """Return the cells of one session."""
    return one.model_dump()


Listing(
    address="/bench-sessions",
    title="Bench sessions",
    lead="Each is one person's material at one workstation, from one line clearance to the next.",
    columns=[
        Column("code", "Session", "code"),
        Column("name", "Workstation", sort="workstation"),
        Column("donor", "Open for", "code"),
        Column("state", "State", "chip"),
        Column("handled", "Handled", "number"),
        Column("opened_at", "Opened", "when", sort="opened_at"),
        Column("closed_at", "Closed", "when"),
        Column("opened_by", "By", "plain_code", usual=False),
        Column("site", "At", "plain_code", usual=False),
    ],
    read=read_sessions,
    row=row_of,
    default="-opened_at",
    filters=[
        Filter("state", "State", "choice", [("open", "Open"), ("closed", "Closed")]),
        Filter("workstation", "Workstation", "code"),
        Filter("donor", "Donor code", "code"),
    ],
    empty="No bench sessions",
    hint="A session begins when a workstation is cleared and opened for one person.",
).on(router)


def acts_of(actor: Actor, one: BenchSessionSummary) -> list[ActionLink]:
    """What the actor may do with a session that is not closed; the use cases ask the same."""
    if one.closed_at is not None or not actor.may(Permission.PROCESSING_RECORD, at=one.site):
        return []
    return [
        ActionLink("Scan what is handled there", f"/scan?do=bench&place={one.workstation}", "scan", weight="main"),
        ActionLink("Record a run", f"/processings/new?workstation={one.workstation}", "flask"),
        ActionLink("Clear and close it", f"/bench-sessions/{one.code}/close", "check"),
    ]


def _run(one: Any) -> Any:
    return None if one.used_in is None else Markup('<a href="/processings/{}">{}</a>').format(one.used_in, one.used_in[:8])


def _batch(one: Any) -> Any:
    return Markup('<a href="/labels/batches/{}">{}</a>').format(one.batch, f"Batch {one.batch}")


@router.get("/bench-sessions/{code}")
async def show_session(request: Request, code: BenchSessionCode, reading: PageReading) -> Response:
    """Draw a session."""
    one = await reading(queries.describe_session, code)
    zone = request.state.zone

    def by(at: Any, who: str | None, second: str | None) -> Any:
        if at is None:
            return None
        return Markup("{}, {}").format(when(at, zone), who if second is None else f"{who} and {second}")

    facts: list[tuple[str, Any]] = [
        ("Workstation", Markup('<a href="/workstations/{}">{}</a>').format(one.workstation, f"{one.name} ({one.workstation})")),
        ("Open for" if one.closed_at is None else "Was open for", code_markup(one.donor)),
        ("At", one.site),
        ("Cleared and opened", by(one.opened_at, one.opened_by, one.opened_second)),
        ("Not closed in its time", None if one.timed_out_at is None else when(one.timed_out_at, zone)),
        ("Cleared and closed", by(one.closed_at, one.closed_by, one.closed_second) or "Not yet"),
    ]
    handled = [each.model_dump() | {"run": _run(each)} for each in one.items]
    labels = [{"link": _batch(each), "state": "Yes" if each.reconciled else "Not yet"} for each in one.labels]
    holds = [each.model_dump() for each in one.holds]
    tables: list[Any] = [
        ("What was handled there", HANDLED, handled, "Nothing yet", "Runs, labels and scans that name the workstation."),
        ("Stopped: another person's material", STOPS, [each.model_dump() for each in one.stops], "Nothing was stopped", ""),
        ("Labels printed for it", LABELS, labels, "None", "Labels that were printed for this workstation."),
        ("Holds on everything of it", HOLDS, holds, "None", "If one of these is in doubt, all of them are held."),
    ]
    if one.held:
        tables.append(("Held by these now", HELD, [{"code": each} for each in one.held], "Nothing", ""))
    acts = acts_of(request.state.actor, one)
    acts += [
        ActionLink(f"Lift the {words(each.kind).lower()} hold", f"/holds/{each.id}/lift", "check")
        for each in one.holds
        if each.lifted_at is None and request.state.actor.may(Permission.HOLD_LIFT, at=one.site)
    ]
    return render(
        request,
        "dossier.html",
        kind="Bench session",
        code=one.code,
        chip=one.state,
        facts=[(label, value) for label, value in facts if value is not None],
        tables=tables,
        acts=acts,
        trail=[("Workstations", "/workstations"), (one.name, f"/workstations/{one.workstation}"), (one.code, None)],
    )


def _one(session: Session, actor: Actor, asked: Asked) -> tuple[BenchSessionPublic, bool]:
    one = queries.describe_session(session, actor, asked.code)
    actor.require(Permission.PROCESSING_RECORD, at=one.site)
    return one, service.needs_two(session, one.site)


def _draw_close(at: Opened[tuple[BenchSessionPublic, bool]]) -> ActForm:
    one, two = at.read
    left = [str(each.batch) for each in one.labels if not each.reconciled]
    lead = f"Everything of {one.donor} leaves {one.name}. Look, then scan its label."
    if left:
        lead += f" First say what became of the labels of batch {', '.join(left)}."
    if two:
        lead += " A second person looks as well and signs."
    return ActForm(
        title="Clear and close",
        lead=lead,
        fields=fields_of(CloseBench, "workstation", "cleared", values=at.filled(), labels=CLEAR),
        back=f"/bench-sessions/{one.code}",
        trail=[("Workstations", "/workstations"), (one.name, f"/workstations/{one.workstation}"), ("Clear and close", None)],
        statement=f"You clear {one.name} and close {one.code}." if two else None,
        said="I have looked at this workstation myself, and nothing of another person is there.",
    )


def _closed(at: Opened[Any], _body: Any, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "pending":
        return proposed(f"/bench-sessions/{at.code}")
    return Done(f"/workstations/{at.read[0].workstation}", "The workstation is clear and closed.")


ActPage(
    address="/bench-sessions/{code}/close",
    reads=_one,
    form=_draw_close,
    labels=CLEAR,
    model=CloseBench,
    names=("workstation", "cleared"),
    more=(),
    scans={"workstation": (Prefix.EQUIPMENT,)},
    meaning=lambda at, _body: Meaning.WITNESSED if at.read[1] else None,
    use_case=service.close_bench,
    after=_closed,
).on(router)
