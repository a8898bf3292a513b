"""Sensors as people see them: the list with who was heard last, one with what it reads, and every act on its account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import counted, words
from biobank.monitoring.sensor_readings import answer_doubts, answering_refusals
from biobank.monitoring.sensor_schemas import (
    AnswerSensorDoubts,
    ChangeSensor,
    GrantSensorKey,
    MakeSensor,
    SensorDetail,
    SensorList,
    SensorPublic,
    WithdrawSensor,
)
from biobank.monitoring.sensors import (
    STATES,
    change_sensor,
    draw_key,
    drawing_refusals,
    get_sensor,
    grant_key,
    list_sensors,
    make_sensor,
    managing_refusals,
    with_places,
    withdraw_sensor,
)
from biobank.pages.monitoring.said import MEASURED, UNITS
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Needs, Opened, OwnPage
from biobank.pages.ui.addresses import SensorCode
from biobank.pages.ui.filters import quantity_text
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

READS = [
    Column("container", "Place", "code"),
    Column("reading", "What it reads"),
    Column("last_at", "Latest value of", "when"),
    Column("since", "Reads it since", "when"),
]
DOUBTS = [
    Column("at", "When", "when"),
    Column("container", "Place", "code"),
    Column("said", "What it sent"),
    Column("why", "Why it is doubted"),
]
NAMES = ("containers", "measures", "silent_after_min")
LABELS = {
    "name": "Name, as it stands on the instrument",
    "containers": "Places that it reads (scan them)",
    "measures": "What it reads there",
    "silent_after_min": "Alarm after how many minutes without a value",
}


def read_sensors(session: Session, actor: Actor, asked: Wanted) -> SensorList:
    """Read one page of the sensors that the address asks for."""
    of = asked.of
    return list_sensors(session, actor, state=of["state"], site=of["site"], container=of["container"], paging=asked.paging)


def row_of(one: SensorPublic) -> Mapping[str, Any]:
    """Return the cells of one sensor."""
    return one.model_dump() | {"places": ", ".join(one.containers), "minutes": f"{one.silent_after_min} min"}


Listing(
    address="/sensors",
    title="Sensors",
    lead="Instruments that send their readings by themselves. One that is silent for too long raises an alarm.",
    columns=[
        Column("code", "Sensor", "code"),
        Column("name", "Name", sort="name"),
        Column("places", "Reads"),
        Column("last_heard_at", "Latest value of", "when"),
        Column("minutes", "Alarm after"),
        Column("state", "State", "chip"),
        Column("site", "Site", "plain_code"),
        Column("made_at", "Made", "when", sort="made_at", usual=False),
    ],
    read=read_sensors,
    row=row_of,
    default="-made_at",
    filters=[
        Filter("state", "State", "choice", [(one, words(one)) for one in STATES]),
        Filter("container", "Place", "code"),
        Filter("site", "Site", "code"),
    ],
    links=[Link("Add a sensor", "/sensors/new", "plus", Permission.SENSOR_MANAGE)],
    empty="No sensors",
    hint="Readings are typed by hand or come as a logger's file.",
).on(router)


@dataclass(frozen=True)
class _Seen:
    one: SensorDetail
    managing: list[Refusal]
    drawing: list[Refusal]
    answering: list[Refusal]


def _see(session: Session, actor: Actor, code: str) -> _Seen:
    row = get_sensor(session, actor, code)
    one = with_places(session, row)
    return _Seen(
        one,
        managing_refusals(actor, row),
        drawing_refusals(actor, row, now()),
        answering_refusals(actor, row, len(one.doubts)),
    )


def _acts(seen: _Seen) -> list[ActionLink]:
    here, acts = f"/sensors/{seen.one.code}", []
    if not seen.answering:
        acts.append(ActionLink("Say whether its values are so", f"{here}/answer", "question", "get", "main"))
    if not seen.drawing:
        acts.append(ActionLink("Show its new key, once", f"{here}/draw", "lock", "get", "main"))
    if not seen.managing:
        acts.append(ActionLink("Give it a new key", f"{here}/key", "lock"))
        acts.append(ActionLink("Change what it reads", f"{here}/change", "pen"))
        acts.append(ActionLink("Withdraw it", f"{here}/withdraw", "octagon"))
    return acts


@router.get("/sensors/{code}")
async def show_sensor(request: Request, code: SensorCode, reading: PageReading) -> Response:
    """Draw one sensor: what it reads, when it was heard, what it sent that can hardly be right."""
    seen = await reading.agreeing(_see, code)
    one = seen.one
    doubts = [
        item.model_dump() | {"said": quantity_text(item.value, UNITS[item.reading]), "why": words(item.doubt)}
        for item in one.doubts
    ]
    return render(
        request,
        "sensor.html",
        one=one,
        acts=_acts(seen),
        reads=[item.model_dump() | {"reading": MEASURED[item.reading]} for item in one.reads],
        columns=READS,
        doubts=doubts,
        doubt_columns=DOUBTS,
    )


ActPage(
    address="/sensors/new",
    reads=Needs(Permission.SENSOR_MANAGE),
    asks=("containers",),
    form=lambda _at: ActForm(
        title="Add a sensor",
        submit="Add it",
        icon="plus",
        lead="It gets an account without a key. A key takes two people and is given on its page.",
        options={"measures": list(MEASURED.items())},
    ),
    model=MakeSensor,
    names=("name", *NAMES),
    again=NAMES,
    labels=LABELS,
    scans={"containers": (Prefix.CONTAINER,)},
    use_case=make_sensor,
    args=lambda _at: (),
    after=lambda _at, _body, made: Done(f"/sensors/{made['code']}", "Added.", "Now two people give it a key."),
).on(router)


def _to_manage(session: Session, actor: Actor, asked: Asked) -> SensorDetail:
    row = get_sensor(session, actor, asked.code)
    asked.opens(managing_refusals(actor, row))
    return with_places(session, row)


def _proposed(at: Opened[Any], _body: Any, answer: dict[str, Any]) -> Done:
    if answer["status"] == "pending":
        return Done(f"/sensors/{at.code}", "Proposed.", "It waits for a second person of quality or administration.", "note")
    return Done(f"/sensors/{at.code}", "Done.")


ActPage(
    address="/sensors/{code}/key",
    reads=_to_manage,
    form=lambda at: ActForm(
        title="Give a sensor a new key",
        submit="Sign and propose",
        lead=f"{at.read.name}. The second person sees the key, once, and puts it into the instrument. "
        "A key that it has works until then.",
        statement=f"You propose a new key for {at.code}.",
        said="I decide that this instrument gets a new key.",
    ),
    model=GrantSensorKey,
    meaning=Meaning.DECIDED,
    use_case=grant_key,
    after=_proposed,
).on(router)

ActPage(
    address="/sensors/{code}/change",
    reads=_to_manage,
    form=lambda at: ActForm(
        title="Change what a sensor reads",
        submit="Sign and propose",
        lead=f"{at.read.name}: all that it reads from now on.",
        values={
            "containers": at.read.containers,
            "measures": sorted({one.reading for one in at.read.reads}),
            "silent_after_min": at.read.silent_after_min,
        },
        options={"measures": list(MEASURED.items())},
        statement=f"You propose what {at.code} reads.",
        said="I decide what this instrument reads.",
    ),
    model=ChangeSensor,
    names=NAMES,
    labels=LABELS,
    scans={"containers": (Prefix.CONTAINER,)},
    meaning=Meaning.DECIDED,
    use_case=change_sensor,
    after=_proposed,
).on(router)

ActPage(
    address="/sensors/{code}/withdraw",
    reads=_to_manage,
    form=lambda at: ActForm(
        title="Withdraw a sensor",
        submit="Sign and propose",
        grave=True,
        lead=f"{at.read.name}: its key opens nothing any more, and nobody waits for its values.",
        statement=f"You propose to withdraw {at.code}.",
        said="I decide that this instrument sends nothing any more.",
    ),
    model=WithdrawSensor,
    names=("reason",),
    labels={"reason": "Why"},
    meaning=Meaning.DECIDED,
    use_case=withdraw_sensor,
    after=_proposed,
).on(router)


def _to_draw(session: Session, actor: Actor, asked: Asked) -> Any:
    row = get_sensor(session, actor, asked.code)
    asked.opens(drawing_refusals(actor, row, now()))
    return row


async def _draw(at: Acting[Any]) -> OwnPage:
    drawn = await at.performing.disclose(draw_key, at.code)
    return OwnPage(
        "machine_key.html",
        drawn=drawn,
        care="Put it into the instrument's settings and nowhere else. Whoever has it can send readings in this sensor's name.",
        facts=[("Sensor", drawn.code), ("Sent as the header", "Sensor-Key"), ("To", "/api/v1/sensor-readings")],
        back=f"/sensors/{at.code}",
        done="It is in the instrument",
    )


ActPage(
    address="/sensors/{code}/draw",
    reads=_to_draw,
    form=lambda at: ActForm(
        title="Show its new key",
        submit="Show it now",
        icon="lock",
        lead=f"The key of {at.read.name} is shown once. Have the instrument's settings open. The key before it ends now.",
    ),
    model=BaseModel,
    acts=_draw,
).on(router)


def _to_answer(session: Session, actor: Actor, asked: Asked) -> SensorDetail:
    row = get_sensor(session, actor, asked.code)
    one = with_places(session, row)
    asked.opens(answering_refusals(actor, row, len(one.doubts)))
    return one


ActPage(
    address="/sensors/{code}/answer",
    reads=_to_answer,
    form=lambda at: ActForm(
        title="Say whether its values are so",
        submit="Say it",
        icon="check",
        lead=f"{counted(len(at.read.doubts), 'value')} of {at.read.name} can hardly be right and did nothing yet. Look at the "
        "instrument and at the place. What is so counts as read by you; outside the limits, everything inside is put on hold.",
        options={"answer": [("right", "They are so"), ("wrong", "They were wrong")]},
        labels={"answer": "What it sent", "reason_text": "What you saw"},
    ),
    model=AnswerSensorDoubts,
    names=("answer", "reason_text"),
    more=(),
    use_case=answer_doubts,
    after=lambda at, _body, done: Done(
        f"/sensors/{at.code}", f"{counted(done['answered'], 'value')} answered.", f"{done['left']} wait." if done["left"] else ""
    ),
).on(router)
