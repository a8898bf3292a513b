"""The outcome protocol as people see it: what is due, one plan with its results, planning, recording, a photograph."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from markupsafe import Markup
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.web import BankDep
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.errors import NotPermitted
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.addresses import WithdrawalCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import day_said
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.spreadsheets import as_csv
from biobank.pages.ui.templating import render
from biobank.quality.attachments import read_file
from biobank.withdrawals import outcomes, photographs
from biobank.withdrawals.case import find_row
from biobank.withdrawals.outcome_figures import OutcomeFigures, figures_refusals, take_figures
from biobank.withdrawals.outcome_schemas import (
    OutcomeProtocol,
    PlanMeasure,
    PlannedMeasure,
    PlannedMeasureList,
    RecordMeasure,
    TakeBackMeasure,
)
from biobank.withdrawals.outcomes import planning_refusals, read_protocol, result_refusals, taking_back_refusals
from biobank.withdrawals.photographs import ReadPhotograph

router = APIRouter(include_in_schema=False)

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Unit = Annotated[str, Path(pattern=r"^[A-Z]{2}\d\d-[0-9A-Z]{7}$")]
STATUS = [
    ("due", "Due"),
    ("not_done", "Not done"),
    ("planned", "Planned"),
    ("measured", "Measured"),
    ("taken_back", "Taken back"),
]
PLAN = {
    "measure": "What is measured, in a few words",
    "unit": "In which unit or on which scale",
    "low": "Lower end of the scale",
    "high": "Upper end of the scale",
    "due_days": "Days after the giving",
    "window_days": "For how many more days it may be taken",
    "photograph": "A photograph goes with it",
}
RESULT = {
    "value": "What was measured",
    "not_done": "Or why it was not done, in a few words",
    "photograph_sha256": "Photograph (PNG or JPEG)",
    "measured_at": "When it was taken",
    "corrects": "Only to correct a result: why it is wrong",
}
COLUMNS = [
    Column("what", "What"),
    Column("specimen", "Unit given", "code"),
    Column("day", "Day"),
    Column("status", "State", "words"),
    Column("result", "Result"),
    Column("measured_at", "Taken", "when"),
    Column("recorded_by", "By", "plain_code"),
    Column("off", "Off the plan"),
]


def read_measures(session: Session, actor: Actor, asked: Wanted) -> PlannedMeasureList:
    """Read one page of the measures that the address asks for."""
    return outcomes.list_measures(session, actor, status=asked.of["status"], paging=asked.paging)


def row_of(one: PlannedMeasure) -> Mapping[str, Any]:
    """Return the cells of one measure; no figure stands in a list."""
    return one.model_dump() | {"href": f"/withdrawals/{one.withdrawal}/outcomes", "key": f"{one.id}{one.specimen}"}


Listing(
    address="/outcomes",
    title="Planned measures",
    lead="What is to be measured after cells were given, and what was not done in its days.",
    key="key",
    columns=[
        Column("measure", "What", "words"),
        Column("withdrawal", "Withdrawal", "code"),
        Column("specimen", "Unit given", "code"),
        Column("due_on", "Day", "day", sort="due_at"),
        Column("until", "Until", "day"),
        Column("status", "State", "words"),
    ],
    read=read_measures,
    row=row_of,
    default="due_at",
    filters=[Filter("status", "State", "choice", STATUS)],
    quick=[("Due", {"status": "due"}), ("Not done", {"status": "not_done"})],
    empty="Nothing is planned",
    hint="The clinician plans measures at the withdrawal, once it is approved.",
).on(router)


def _days(first: date, last: date) -> str:
    return day_said(first) if first == last else f"{day_said(first)} to {day_said(last)}"


def _cells(one: PlannedMeasure, protocol: OutcomeProtocol, *, records: bool, back: Collection[UUID]) -> dict[str, Any]:
    scale = f"{one.low} to {one.high} {words(one.unit).lower()}"
    day = "when given" if one.due_on is None or one.until is None else _days(one.due_on, one.until)
    hidden = one.status == "measured" and one.value is None
    figure = None if one.value is None else f"{one.value} {words(one.unit).lower()}"
    off: Any = None if one.taken_back_because is None else words(one.taken_back_because)
    result = "kept, for those who treat or decide" if hidden else words(one.not_done) if one.not_done else figure
    here = f"/withdrawals/{protocol.withdrawal}"
    if one.id in back:
        off = Markup('<a href="{}/outcomes/{}/take-back">Take it back</a>').format(here, one.id)
    later = ", ".join(words(one).lower() for one in one.came_after)
    href, act = None, ""
    if one.photograph_sha256 is not None:
        href, act = f"{here}/photographs/{one.photograph_sha256}", "Look at the photograph"
    elif records and one.specimen is not None and one.status not in ("planned", "taken_back"):
        href, act = f"{here}/outcomes/{one.id}/{one.specimen}", "Record"
    return {
        "what": f"{words(one.measure)} ({scale})",
        "specimen": one.specimen,
        "day": f"{day}, day {one.due_days}" + (f". Given before it was known, entered after: {later}" if later else ""),
        "status": one.status,
        "result": result,
        "measured_at": one.measured_at,
        "recorded_by": one.recorded_by,
        "href": href,
        "act": act,
        "about": words(one.measure),
        "off": off,
    }


def _may_be_taken_back(actor: Actor, row: Any, items: Sequence[PlannedMeasure]) -> frozenset[UUID]:
    """Return the measures that this login may take off the plan now."""
    units: dict[UUID, list[PlannedMeasure]] = {}
    for one in items:
        units.setdefault(one.id, []).append(one)
    return frozenset(measure for measure, its in units.items() if not taking_back_refusals(actor, row, its))


def _read_with_rights(
    session: Session, actor: Actor, code: str, keystore: Any
) -> tuple[OutcomeProtocol, bool, str | None, Collection[UUID]]:
    row = find_row(session, actor, code)
    against = planning_refusals(actor, row)
    plans = None if not against else against[0].detail
    protocol = read_protocol(session, actor, keystore, code)
    records = not result_refusals(actor, row["clinic_site_code"], code)
    return protocol, records, plans, _may_be_taken_back(actor, row, protocol.items)


@router.get("/withdrawals/{code}/outcomes")
async def show_outcomes(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw the plan of a withdrawal with what came of it."""
    protocol, records, against, back = await reading.agreeing(_read_with_rights, code, reading.bank.keystore)
    actor: Actor = request.state.actor
    acts = []
    if actor.may(Permission.WITHDRAWAL_REQUEST, at=None) or against is None:
        acts.append(ActionLink("Plan a measure", f"/withdrawals/{code}/outcomes/plan", "pen", refused=against))
    if any(one.value is not None for one in protocol.items):
        acts.append(ActionLink("Take the figures as a file", f"/withdrawals/{code}/outcomes/figures", "download"))
    return render(
        request,
        "dossier.html",
        kind="Outcome protocol",
        code=code,
        trail=[("Withdrawals", "/withdrawals"), (code, f"/withdrawals/{code}"), ("Outcomes", None)],
        facts=[
            ("Donor and recipient", code_markup(protocol.donor)),
            ("Measures planned", len({one.id for one in protocol.items})),
        ],
        acts=acts,
        tables=[
            (
                "Measures",
                COLUMNS,
                [_cells(one, protocol, records=records, back=back) for one in protocol.items],
                "Nothing is planned",
                "The clinician plans what is measured once the withdrawal is approved.",
            )
        ],
        note="What was not taken in its days is not done; it is never a zero. Figures are for those who treat or decide.",
    )


def _to_plan(session: Session, actor: Actor, asked: Asked) -> str:
    row = find_row(session, actor, asked.code)
    asked.opens(planning_refusals(actor, row))
    return asked.code


def _trail(code: str, last: str) -> list[tuple[str, str | None]]:
    here = f"/withdrawals/{code}"
    return [("Withdrawals", "/withdrawals"), (code, here), ("Outcomes", f"{here}/outcomes"), (last, None)]


ActPage(
    address="/withdrawals/{code}/outcomes/plan",
    reads=_to_plan,
    form=lambda at: ActForm(
        title="Plan a measure",
        submit="Plan it",
        icon="pen",
        lead="It is asked for after each unit that is given, on the day you say. Plan one after the other.",
        back=f"/withdrawals/{at.code}/outcomes",
        trail=_trail(at.code, "Plan"),
    ),
    model=PlanMeasure,
    names=("measure", "unit", "low", "high", "due_days", "window_days", "photograph"),
    labels=PLAN,
    more=(),
    use_case=outcomes.plan_measure,
    after=lambda at, body, _answer: Done(
        f"/withdrawals/{at.code}/outcomes", "Planned.", f"{words(body.measure)} is on the plan."
    ),
).on(router)


def _to_take_back(session: Session, actor: Actor, asked: Asked) -> PlannedMeasure:
    row, units = find_row(session, actor, asked.code), outcomes.planned_for(session, asked.code, asked.path["measure"])
    asked.opens(taking_back_refusals(actor, row, units))
    return units[0]


FIGURES = [
    Column("measure", "What", "words"),
    Column("specimen", "Unit given", "code"),
    Column("due_days", "Days after the giving", "number"),
    Column("measured_at", "Taken", "when"),
    Column("value", "Figure", "number"),
    Column("unit", "Unit or scale", "words"),
    Column("low", "From", "number"),
    Column("high", "To", "number"),
    Column("recorded_by", "By", "plain_code"),
]


def _to_take(session: Session, actor: Actor, asked: Asked) -> str:
    row = find_row(session, actor, asked.code)
    asked.opens(figures_refusals(actor, row["clinic_site_code"], asked.code))
    return asked.code


async def _take(at: Acting[str]) -> Response:
    """Send the figures as a file; that they were taken is recorded first, and nobody keeps the answer."""
    taken = await at.performing.disclose(take_figures, at.code)
    if not isinstance(taken, OutcomeFigures):
        raise NotPermitted("They were not sent.", subject=at.code)
    rows = [one.model_dump() for one in taken.items]
    return as_csv(f"/withdrawals/{at.code}/figures", FIGURES, rows, at.zone, whole=True)


ActPage(
    address="/withdrawals/{code}/outcomes/figures",
    reads=_to_take,
    form=lambda at: ActForm(
        title="Take the figures as a file",
        submit="Take the file",
        icon="person-check",
        lead="They are of a patient. That you took them is recorded under your name.",
        back=f"/withdrawals/{at.code}/outcomes",
        trail=_trail(at.code, "Figures"),
        more=(),
    ),
    model=BaseModel,
    acts=_take,
).on(router)

# Before the page of a unit's result, whose address has any code there.
ActPage(
    address="/withdrawals/{code}/outcomes/{measure}/take-back",
    params={"measure": UUID},
    reads=_to_take_back,
    form=lambda at: ActForm(
        title="Take a measure back",
        submit="Take it back",
        icon="undo",
        lead=f"{words(at.read.measure)} on day {at.read.due_days} is not asked for any more. That it was planned is kept.",
        back=f"/withdrawals/{at.code}/outcomes",
        trail=_trail(at.code, "Take back"),
    ),
    model=TakeBackMeasure,
    names=("reason",),
    labels={"reason": "Why"},
    more=(),
    use_case=outcomes.take_back_measure,
    after=lambda at, _body, _answer: Done(
        f"/withdrawals/{at.code}/outcomes", "Taken back.", f"{words(at.read.measure)} is off the plan."
    ),
).on(router)


def _to_record(session: Session, actor: Actor, asked: Asked) -> tuple[PlannedMeasure, Mapping[Any, Any]]:
    row = find_row(session, actor, asked.code)
    asked.opens(result_refusals(actor, row["clinic_site_code"], asked.code))
    return outcomes.planned(session, asked.code, asked.path["measure"], asked.path["unit"])[0], row


def _draw_result(at: Opened[tuple[PlannedMeasure, Mapping[Any, Any]]]) -> ActForm:
    plan, row = at.read
    scale = f"{plan.low} to {plan.high} {words(plan.unit).lower()}"
    return ActForm(
        title="Record a measure",
        submit="Record it",
        icon="pen",
        lead=f"{words(plan.measure)}, {scale}, after {plan.specimen} was given: {plan.due_on} to {plan.until}.",
        back=f"/withdrawals/{at.code}/outcomes",
        trail=_trail(at.code, "Record"),
        attach={"donor": row["donor_code"], "site": row["clinic_site_code"]},
    )


ActPage(
    address="/withdrawals/{code}/outcomes/{measure}/{unit}",
    params={"measure": UUID, "unit": Unit},
    reads=_to_record,
    form=_draw_result,
    model=RecordMeasure,
    names=("value", "not_done", "photograph_sha256", "measured_at", "corrects"),
    labels=RESULT,
    more=(),
    given=lambda at: {"measure": at.path["measure"], "specimen": at.path["unit"]},
    args=lambda at: (at.code,),
    use_case=outcomes.record_measure,
    after=lambda at, _body, _answer: Done(f"/withdrawals/{at.code}/outcomes", "Recorded."),
).on(router)


def _to_look(session: Session, actor: Actor, asked: Asked) -> str:
    photographs.find_photograph(session, actor, asked.code, asked.path["sha256"])
    return str(asked.path["sha256"])


ActPage(
    address="/withdrawals/{code}/photographs/{sha256}",
    params={"sha256": Sha256},
    reads=_to_look,
    form=lambda at: ActForm(
        title="Look at a photograph",
        submit="Look at it",
        icon="person-check",
        lead="It shows a patient. That you look at it is recorded under your name.",
        back=f"/withdrawals/{at.code}/outcomes",
        trail=_trail(at.code, "Photograph"),
    ),
    model=ReadPhotograph,
    more=(),
    given=lambda at: {"photograph_sha256": at.read},
    args=lambda at: (at.code,),
    use_case=photographs.read_photograph,
    after=lambda at, _body, _answer: OwnPage(
        "photograph.html", code=at.code, sha256=at.read, trail=_trail(at.code, "Photograph")
    ),
).on(router)


@router.get("/withdrawals/{code}/photographs/{sha256}/image")
async def send_photograph(code: WithdrawalCode, sha256: Sha256, reading: PageReading, bank: BankDep) -> Response:
    """Send a photograph whose reading was recorded just now."""
    subject, media_type = await reading(photographs.photograph_shown, code, sha256)
    data = await to_thread.run_sync(read_file, bank, sha256, subject)
    return Response(data, media_type=media_type, headers={"Cache-Control": "no-store"})
