"""Alarms as people see them: the list, one with its steps, looking after one, making one quiet for a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlalchemy import Row
from sqlmodel import Session

from biobank.alarms.queries import STATES, get_alarm, list_alarms, with_steps
from biobank.alarms.schemas import AcknowledgeAlarm, AlarmDetail, AlarmList, AlarmPublic, AlarmStepPublic, SilenceAlarm
from biobank.alarms.service import (
    MOST_SILENCE,
    acknowledge_alarm,
    acknowledging_refusals,
    answering_refusals,
    silence_alarm,
)
from biobank.auth.actor import Actor
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.monitoring.queries import get_excursion
from biobank.pages.alarms.said import CAUSES, href_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import AlarmCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import day_and_time
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.storage.queries import get_container, public_containers

router = APIRouter(include_in_schema=False)

STEPS = [
    Column("at", "When", "when"),
    Column("what", "Step"),
    Column("by", "By", "plain_code"),
    Column("said", "With it"),
]


def read_alarms(session: Session, actor: Actor, asked: Wanted) -> AlarmList:
    """Read one page of the alarms that the address asks for."""
    of = asked.of
    return list_alarms(session, actor, state=of["state"], cause=of["cause"], site=of["site"], paging=asked.paging)


def row_of(one: AlarmPublic) -> Mapping[str, Any]:
    """Return the cells of one alarm."""
    return one.model_dump() | {"what": CAUSES[one.cause], "about": href_of(one)}


Listing(
    address="/alarms",
    title="Alarms",
    lead="What is wrong right now and who looks after it. An alarm is over when its cause is gone.",
    columns=[
        Column("code", "Alarm", "code"),
        Column("what", "What is wrong"),
        Column("about", "About"),
        Column("raised_at", "Since", "when", sort="raised_at"),
        Column("state", "State", "chip"),
        Column("acknowledged_by", "Looked after by", "code"),
        Column("quiet_until", "Quiet until", "when"),
        Column("site", "Site", "plain_code"),
        Column("resolved_at", "Over", "when", usual=False),
    ],
    read=read_alarms,
    row=row_of,
    default="-raised_at",
    filters=[
        Filter("state", "State", "choice", [(one, words(one)) for one in STATES], usual="open"),
        Filter("cause", "What is wrong", "choice", list(CAUSES.items())),
        Filter("site", "Site", "code"),
    ],
    links=[Link("Who is called", "/rotas", "users")],
    empty="No alarms",
    hint="Nothing is wrong that the bank knows of.",
).on(router)


@dataclass(frozen=True)
class _Seen:
    """An alarm, the place it is about if it is about one, and why the reader may not answer it now."""

    one: AlarmDetail
    place: Markup | None
    acknowledging: list[Refusal]
    answering: list[Refusal]


def _see(session: Session, actor: Actor, code: str) -> _Seen:
    row = get_alarm(session, actor, code)
    return _Seen(
        with_steps(session, row),
        _place(session, actor, row),
        acknowledging_refusals(session, actor, row),
        answering_refusals(session, actor, row),
    )


def _place(session: Session, actor: Actor, row: "Row[Any]") -> Markup | None:
    """Return where the place of an excursion is, in names, with its code."""
    if row.cause != "excursion":
        return None
    try:
        code = get_excursion(session, actor, row.subject).container_code
        (place,) = public_containers(session, [get_container(session, actor, code)])
    except NotFound:
        return None
    return Markup("{} {}").format(" · ".join(place.path), code_markup(code))


def _said(step: AlarmStepPublic, at: Any) -> Mapping[str, Any]:
    parts = [f"called {', '.join(words(one) for one in step.told)}" if step.told else ""]
    parts += [
        f"quiet until {day_and_time(step.until, at)}" if step.until else "",
        words(step.reason).lower() if step.reason else "",
    ]
    return {"at": step.at, "what": words(step.step), "by": step.by, "said": ", ".join(filter(None, parts))}


@router.get("/alarms/{code}")
async def show_alarm(request: Request, code: AlarmCode, reading: PageReading) -> Response:
    """Draw one alarm: what is wrong, who looks after it, every step."""
    seen = await reading.agreeing(_see, code)
    acts = []
    if not seen.acknowledging:
        acts.append(ActionLink("I look after it", f"/alarms/{code}/acknowledge", "hand", "get", "main"))
    if not seen.answering:
        acts.append(ActionLink("Make it quiet for a time", f"/alarms/{code}/silence", "clock", "get", "plain"))
    return render(
        request,
        "alarm.html",
        one=seen.one,
        what=CAUSES[seen.one.cause],
        about=href_of(seen.one),
        place=seen.place,
        acts=acts,
        why=[refusal.detail for refusal in seen.answering],
        steps=[_said(step, request.state.zone) for step in seen.one.steps],
        columns=STEPS,
    )


def _to_acknowledge(session: Session, actor: Actor, asked: Asked) -> "Row[Any]":
    row = get_alarm(session, actor, asked.code)
    asked.opens(acknowledging_refusals(session, actor, row))
    return row


def _to_silence(session: Session, actor: Actor, asked: Asked) -> "Row[Any]":
    row = get_alarm(session, actor, asked.code)
    asked.opens(answering_refusals(session, actor, row))
    return row


ActPage(
    address="/alarms/{code}/acknowledge",
    reads=_to_acknowledge,
    form=lambda at: ActForm(
        title="Look after an alarm",
        submit="I look after it",
        icon="hand",
        lead=f"{CAUSES[at.read.cause]}. Your name and the time are recorded, and nobody else is called for two hours. "
        "If the cause is still there then, it calls again.",
    ),
    model=AcknowledgeAlarm,
    use_case=acknowledge_alarm,
    after=lambda at, _body, _done: Done(f"/alarms/{at.code}", "You look after it."),
).on(router)


def _draw_silence(at: Opened[Any]) -> ActForm:
    hours = int(MOST_SILENCE.total_seconds()) // 3600
    return ActForm(
        title="Make an alarm quiet for a time",
        submit="Make it quiet",
        icon="clock",
        lead=f"{CAUSES[at.read.cause]}. It calls nobody until the time you say, at most {hours} hours from now, "
        "and comes back then if the cause is still there.",
    )


ActPage(
    address="/alarms/{code}/silence",
    reads=_to_silence,
    form=_draw_silence,
    model=SilenceAlarm,
    names=("until", "reason"),
    labels={"until": "Quiet until", "reason": "Why"},
    use_case=silence_alarm,
    after=lambda at, _body, _done: Done(f"/alarms/{at.code}", "It is quiet until then.", kind="care"),
).on(router)
