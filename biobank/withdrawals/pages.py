"""Treatment withdrawals as people see them: the list, the request, one withdrawal with its steps and the form of the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank import clock
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import rules
from biobank.custody.schemas import EventPublic
from biobank.errors import NotFound, Refusal
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.viability.shown import dose_text
from biobank.web.entries import entry_of
from biobank.web.filters import code as code_markup
from biobank.web.filters import when
from biobank.web.forms import CIRCUMSTANCES, act_page, drawn, fields_of, parse
from biobank.web.parts import Act, Column
from biobank.web.parts import Step as DrawnStep
from biobank.web.session import PagePerforming, PageReading, or_again
from biobank.web.templating import render
from biobank.web.words import words
from biobank.withdrawals import queries, service
from biobank.withdrawals.schemas import Feasibility, WithdrawalDetail, WithdrawalRequest
from biobank.withdrawals.steps import STEPS, StepPage
from biobank.withdrawals.workflow import WithdrawalState

router = APIRouter(include_in_schema=False)

WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
DonorText = Annotated[str, Query(max_length=20, pattern=r"^[A-Za-z0-9-]*$")]
StepName = Annotated[str, Path(pattern=r"^[a-z]{2,20}$")]
REQUESTED = ("donor", "material", "route", "specimens", "units", "needed_at", "indication")

COLUMNS = [
    Column("code", "Withdrawal", "code"),
    Column("donor", "Donor", "code"),
    Column("material", "Material", "words"),
    Column("route", "Route", "words"),
    Column("state", "State", "chip"),
    Column("clinic_site", "Clinic", "plain_code"),
    Column("requested_at", "Requested", "when"),
]
ITEM_COLUMNS = [
    Column("specimen", "Tube", "code"),
    Column("state", "State", "chip"),
    Column("condition", "Condition", "chip"),
    Column("amount", "Amount"),
    Column("picked", "Picked"),
    Column("confirmed", "Second scan"),
    Column("administered", "Given"),
]


@router.get("/withdrawals")
async def show_withdrawals(
    request: Request,
    reading: PageReading,
    donor: DonorText = "",
    state: Annotated[str, Query(max_length=20, pattern=r"^[a-z_]*$")] = "",
    cursor: Annotated[str | None, Query(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")] = None,
) -> Response:
    """List withdrawals, newest first."""
    found = await reading(
        queries.list_withdrawals, donor=donor.upper() or None, state=state or None, after=cursor, limit=50
    )  # fmt: skip
    return render(
        request, "withdrawals.html", rows=found.items, columns=COLUMNS, next_cursor=found.next,
        chosen={"donor": donor, "state": state}, states=[(one.value, words(one.value)) for one in WithdrawalState],
        may_request=request.state.actor.may(Permission.WITHDRAWAL_REQUEST),
    )  # fmt: skip


@router.get("/withdrawals/new")
async def show_new(request: Request, reading: PageReading, donor: DonorText = "") -> Response:
    """Draw the request; with a donor it shows what could be asked for and why the rest could not."""
    return await _draw_new(request, reading, typed={"donor": donor.upper()} if donor else {})


async def _draw_new(
    request: Request,
    reading: PageReading,
    *,
    typed: Mapping[str, str],
    chosen: list[str] | None = None,
    refusal: Refusal | None = None,
) -> Response:
    request.state.actor.require(Permission.WITHDRAWAL_REQUEST)
    feasible: Feasibility | None = None
    if "donor" in typed:
        try:
            feasible = await reading(queries.feasibility, typed["donor"])
        except NotFound as unknown:
            refusal = refusal or unknown
    materials = [(name, MATERIALS[name].title) for name in sorted(MATERIALS)]
    if feasible is not None:
        held = {item.material for item in feasible.items}
        materials = [pair for pair in materials if pair[0] in held] or materials
    values = {"units": "1"} | ({"material": materials[0][0]} if len(materials) == 1 else {}) | dict(typed)
    return render(
        request,
        "withdrawal_new.html",
        fields=fields_of(
            WithdrawalRequest, "donor", "material", "route", values=values, options={"material": materials},
            labels={"route": "How the cells reach the chair"},
        ),
        last=fields_of(
            WithdrawalRequest, "units", "needed_at", "indication", values=values,
            labels={"units": "How many tubes, when none is chosen", "needed_at": "When they are needed"},
        ),
        tubes=[
            item.model_dump()
            | {"amount": amount_text(item.amount, item.unit), "dose": item.dose and dose_text(item.dose)}
            for item in (feasible.items if feasible else [])
        ],
        together=None if feasible is None or feasible.dose.dose is None else dose_text(feasible.dose.dose),
        together_of=0 if feasible is None else feasible.dose.vials,
        chosen=chosen or [],
        consent=feasible.consent if feasible else None,
        **drawn(refusal),
    )  # fmt: skip


@router.post("/withdrawals/new")
async def request_withdrawal(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Ask for a person's own cells back."""

    async def act() -> Response:
        body = parse(WithdrawalRequest, performing.form, request.state.zone, *REQUESTED)
        answer = await performing(service.request_withdrawal, body)
        return await performing.done(f"/withdrawals/{answer['code']}", "Requested.", "Quality looks at it next.")

    tubes = performing.form.all_of("specimens")
    return await or_again(
        act(), lambda refusal: _draw_new(request, reading, typed=performing.form, chosen=tubes, refusal=refusal)
    )  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """A withdrawal with its own events."""

    withdrawal: WithdrawalDetail
    events: list[EventPublic]


def read_whole(session: Session, actor: Actor, code: str) -> Whole:
    """Read both at one instant."""
    withdrawal = queries.describe_withdrawal(session, actor, code)
    return Whole(withdrawal, queries.history_of(session, actor, code, max(0, withdrawal.seq - 200)).items)


@router.get("/withdrawals/{code}")
async def show_withdrawal(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw one withdrawal."""
    whole = await reading.agreeing(read_whole, code)
    withdrawal = whole.withdrawal
    return render(
        request,
        "withdrawal.html",
        withdrawal=withdrawal,
        facts=[
            ("Donor and recipient", code_markup(withdrawal.donor)),
            ("Material", words(withdrawal.material)),
            ("Route", words(withdrawal.route)),
            ("Clinic", withdrawal.clinic_site),
            ("Needed", when(withdrawal.needed_at, request.state.zone)),
        ],
        steps=drawn_steps(whole),
        acts=acts_of(withdrawal, request.state.actor),
        items=[
            item.model_dump()
            | {"amount": amount_text(item.amount, item.unit)}
            | {name: "Yes" if getattr(item, name) else None for name in ("picked", "confirmed", "administered")}
            for item in withdrawal.items
        ],
        item_columns=ITEM_COLUMNS,
        entries=[entry_of(event, lambda _kind: None) for event in reversed(whole.events)],
    )


def acts_of(withdrawal: WithdrawalDetail, actor: Actor) -> list[Act]:
    """Return the steps that may be taken now by this login; the first is the next."""
    acts: list[Act] = []
    for name, page in STEPS.items():
        may = actor.may(page.permission) or (name == "cancel" and actor.may(Permission.WITHDRAWAL_APPROVE))
        if may and page.offered(withdrawal):
            weight = "grave" if page.grave else "plain" if acts else "main"
            href = f"/withdrawals/{withdrawal.code}/{name}"
            acts.append(Act(page.label, href, page.icon, "get", weight))  # type: ignore[arg-type]  # weights above
    return acts


_ORDER = (
    ("Request", ("withdrawal.requested",)),
    ("Approval by quality, signed", ("withdrawal.approved",)),
    ("Pick, scanned by two people", ("withdrawal.picked", "withdrawal.pick_confirmed")),
    ("Issue", ("withdrawal.issued",)),
    ("Receipt at the clinic", ("withdrawal.received",)),
    ("Bedside check by two people", ("withdrawal.bedside_check_passed",)),
    ("Administration", ("withdrawal.administered",)),
    ("Outcome", ("withdrawal.outcome_recorded", "withdrawal.closed")),
)
assert all(kind in rules.by_kind for _, kinds in _ORDER for kind in kinds)


def drawn_steps(whole: Whole) -> list[DrawnStep]:
    """Return the steps with who and when; the first that has no event is the present one."""
    withdrawal = whole.withdrawal
    stopped = withdrawal.state in ("rejected", "cancelled")
    over = stopped or withdrawal.state == "closed"
    steps: list[DrawnStep] = []
    for title, kinds in _ORDER:
        done = [event for event in whole.events if event.kind in kinds]
        if done and {event.kind for event in done} >= set(kinds[:1]):
            hands = tuple(dict.fromkeys(event.by for event in done))
            steps.append(DrawnStep(title, "done", hands, datetime.fromisoformat(done[-1].occurred_at)))
        else:
            waiting = any(step.state == "now" for step in steps)
            steps.append(DrawnStep(title, "skipped" if over else "waiting" if waiting else "now"))
    if stopped:
        last = whole.events[-1]
        steps.append(DrawnStep(words(withdrawal.state), "stopped", (last.by,), datetime.fromisoformat(last.occurred_at)))
    return steps


def _page(name: str) -> StepPage:
    page = STEPS.get(name)
    if page is None:
        raise NotFound("A withdrawal has no such step.")
    return page


@router.get("/withdrawals/{code}/{step}")
async def show_step(request: Request, code: WithdrawalCode, step: StepName, reading: PageReading) -> Response:
    """Draw the form of a step."""
    return await _draw_step(request, reading, code, step)


async def _draw_step(
    request: Request,
    reading: PageReading,
    code: str,
    step: str,
    refusal: Refusal | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    page = _page(step)
    withdrawal = await reading(queries.describe_withdrawal, code)
    return act_page(
        request,
        refusal,
        title=page.label,
        subject=code,
        lead=page.lead,
        back=f"/withdrawals/{code}",
        trail=[("Withdrawals", "/withdrawals"), (code, f"/withdrawals/{code}"), (page.label, None)],
        fields=fields_of(page.model, *page.names, values=typed, labels=page.labels),
        more=fields_of(page.model, *CIRCUMSTANCES, values=typed),
        hidden={"expected_seq": str(withdrawal.seq)},
        submit=f"Sign: {page.label.lower()}" if page.meaning else page.label,
        icon=page.icon,
        grave=page.grave,
        statement=_statement(page, withdrawal) if page.meaning else None,
        meaning=(page.meaning.value, page.said) if page.meaning else None,
    )


def _statement(page: StepPage, withdrawal: WithdrawalDetail) -> str:
    tubes = ", ".join(withdrawal.specimens)
    route = words(withdrawal.route).lower()
    return f"{page.label}: withdrawal {withdrawal.code} of {tubes} for {withdrawal.donor}, route: {route}."


@router.post("/withdrawals/{code}/{step}")
async def take_step(
    request: Request, code: WithdrawalCode, step: StepName, performing: PagePerforming, reading: PageReading
) -> Response:
    """Take the step, signed where it must be."""
    page = _page(step)

    async def act() -> Response:
        given = dict(page.given)
        if step == "administer":
            given["release"] = await _release(reading, code)
        names = (*page.names, *CIRCUMSTANCES, "expected_seq")
        body = parse(page.model, performing.form, request.state.zone, *names, **given)
        if page.meaning is not None:
            body = body.model_copy(update={"signature": await performing.sign(page.meaning)})
        answer = await performing(page.use_case, code, body)
        next_up = f"Next: {answer['waits_for'][0]}." if answer["waits_for"] else ""
        return await performing.done(f"/withdrawals/{code}", f"Done: {page.label.lower()}.", next_up)

    return await or_again(act(), lambda refusal: _draw_step(request, reading, code, step, refusal, performing.form))


async def _release(reading: PageReading, code: str) -> Any:
    """Return the open bedside release; raise NotFound when two people have not agreed within the last minutes."""
    withdrawal = await reading(queries.describe_withdrawal, code)
    still = [r for r in withdrawal.releases if r.consumed_at is None and r.killed_at is None and r.expires_at > clock.now()]
    if not still:
        raise NotFound("There is no open bedside release. Two people check wristband and product first.", subject=code)
    return still[-1].id
