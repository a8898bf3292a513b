"""Treatment withdrawals as people see them: the list, one withdrawal with its steps, the form of a step that needs no more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import rules
from biobank.custody.schemas import EventPublic
from biobank.foundation import clock
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.entries import entry_of
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column, DrawnStep
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.pages.withdrawals.requests import route_words
from biobank.people.queries import list_sites
from biobank.specimens.materials import amount_text
from biobank.withdrawals import queries
from biobank.withdrawals.case import find_row, read_case
from biobank.withdrawals.schemas import WithdrawalDetail, WithdrawalList
from biobank.withdrawals.step_rules import offered, read_grounds
from biobank.withdrawals.steps import STEPS, StepPage
from biobank.withdrawals.workflow import WithdrawalState, next_steps

router = APIRouter(include_in_schema=False)
"""In this order: steps that have a page of their own come before the page that draws any step as a form."""

WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
StepName = Annotated[str, Path(pattern=r"^[a-z]{2,20}$")]
Sha256 = Annotated[str, Query(max_length=64, pattern=r"^([0-9a-f]{64})?$")]

ITEM_COLUMNS = [
    Column("specimen", "Tube", "code"),
    Column("state", "State", "chip"),
    Column("condition", "Condition", "chip"),
    Column("amount", "Amount"),
    Column("picked", "Picked"),
    Column("confirmed", "Second scan"),
    Column("administered", "Given"),
]


def read_withdrawals(session: Session, actor: Actor, asked: Wanted) -> WithdrawalList:
    """Read one page of the withdrawals that the address asks for."""
    return queries.list_withdrawals(session, actor, donor=asked.of["donor"], state=asked.of["state"], paging=asked.paging)


Listing(
    address="/withdrawals",
    title="Treatment withdrawals",
    lead="A person's own cells on their way back to that person.",
    columns=[
        Column("code", "Withdrawal", "code", sort="code"),
        Column("donor", "Donor", "code", sort="donor"),
        Column("material", "Material", "words"),
        Column("route", "Route", "words"),
        Column("state", "State", "chip"),
        Column("clinic_site", "Clinic", "plain_code"),
        Column("needed_at", "Needed", "when", sort="needed_at", usual=False),
        Column("requested_at", "Requested", "when", sort="requested_at"),
    ],
    read=read_withdrawals,
    default="-requested_at",
    filters=[
        Filter("state", "State", "choice", [(one.value, words(one.value)) for one in WithdrawalState]),
        Filter("donor", "Donor code", "code"),
    ],
    links=[
        Link("Waiting for a decision", "/withdrawals/queue", "pen", Permission.WITHDRAWAL_APPROVE, main=True),
        Link("Request a withdrawal", "/withdrawals/new", "return", Permission.WITHDRAWAL_REQUEST, main=True),
    ],
    empty="No withdrawals match",
    hint="A clinician requests one from the donor's page.",
).on(router)


@dataclass(frozen=True)
class Whole:
    """A withdrawal with its own events."""

    withdrawal: WithdrawalDetail
    events: list[EventPublic]
    acts: Sequence[str] = ()
    wanted: Sequence[str] = ()


def read_whole(session: Session, actor: Actor, code: str, bank: Bank) -> Whole:
    """Read both at one instant, and which steps this login may take now: first those that the withdrawal waits for."""
    case = read_case(session, find_row(session, actor, code))
    releases = queries.releases_of(session, code)
    found = read_grounds(session, bank, [case.donor], clock.now())[case.donor]
    grounds = replace(found, releases={one["specimen_code"]: one for one in releases})
    withdrawal = queries.describe_case(session, case, releases)
    events = queries.history_of_case(session, case).items
    wanted = next_steps(case.state, case.route, case.items)
    possible = offered(actor, case, grounds)
    order = dict.fromkeys([*wanted, *STEPS])
    return Whole(withdrawal, events, [name for name in order if name in possible], wanted)


@router.get("/withdrawals/{code}")
async def show_withdrawal(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw one withdrawal."""
    whole = await reading.agreeing(read_whole, code, reading.bank)
    withdrawal = whole.withdrawal
    return render(
        request,
        "withdrawal.html",
        withdrawal=withdrawal,
        facts=[
            ("Donor and recipient", code_markup(withdrawal.donor)),
            ("Material", words(withdrawal.material)),
            ("Route", route_words(withdrawal.route)),
            ("Clinic", withdrawal.clinic_site),
            ("Needed", when(withdrawal.needed_at, request.state.zone)),
        ],
        steps=drawn_steps(whole),
        acts=acts_of(whole),
        items=[
            item.model_dump()
            | {"amount": amount_text(item.amount, item.unit)}
            | {name: "Yes" if getattr(item, name) else None for name in ("picked", "confirmed", "administered")}
            for item in withdrawal.items
        ],
        item_columns=ITEM_COLUMNS,
        entries=[entry_of(event, lambda _kind: None) for event in reversed(whole.events)],
    )


def acts_of(whole: Whole) -> list[ActionLink]:
    """Return the steps that may be taken now by this login; the main one is what the withdrawal waits for."""
    withdrawal = whole.withdrawal
    acts: list[ActionLink] = []
    for name in whole.acts:
        page = STEPS[name]
        weight = "grave" if page.grave else "plain" if acts or name not in whole.wanted else "main"
        href = f"/withdrawals/{withdrawal.code}/{name}"
        acts.append(ActionLink(page.label, href, page.icon, "get", weight))  # type: ignore[arg-type]  # weights above
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
async def show_step(
    request: Request, code: WithdrawalCode, step: StepName, reading: PageReading, logger_sha256: Sha256 = ""
) -> Response:
    """Draw the form of a step. `logger_sha256` names a temperature record that was attached a moment ago."""
    typed = {"logger_sha256": logger_sha256} if logger_sha256 else None
    return await _draw_step(request, reading, code, step, typed=typed)


async def _draw_step(
    request: Request,
    reading: PageReading,
    code: str,
    step: str,
    refusal: Refusal | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Response:
    page = _page(step)
    withdrawal = await reading(queries.describe_withdrawal, code)
    options = {"site": await _sites(reading)} if "site" in page.names else {}
    fields = fields_of(page.model, *page.names, values=typed, labels=page.labels, options=options)
    attaches = "logger_sha256" in page.names
    return act_page(
        request,
        refusal,
        title=page.label,
        subject=code,
        lead=page.lead,
        back=f"/withdrawals/{code}",
        trail=[("Withdrawals", "/withdrawals"), (code, f"/withdrawals/{code}"), (page.label, None)],
        fields=fields,
        more=fields_of(page.model, *CIRCUMSTANCES, values=typed),
        hidden={"expected_seq": str(withdrawal.seq)},
        submit=f"Sign: {page.label.lower()}" if page.meaning else page.label,
        icon=page.icon,
        grave=page.grave,
        statement=_statement(page, withdrawal) if page.meaning else None,
        meaning=(page.meaning.value, page.said) if page.meaning else None,
        attach=f"/attachments/new?donor={withdrawal.donor}&back=/withdrawals/{code}/{step}" if attaches else None,
    )


async def _sites(reading: PageReading) -> list[tuple[str, str]]:
    found = await reading(list_sites, active=True)
    return [(one.code, f"{one.code} · {one.name}") for one in found.items if one.kind == "bank"] or [
        (one.code, one.code) for one in found.items
    ]


def _statement(page: StepPage, withdrawal: WithdrawalDetail) -> str:
    tubes = ", ".join(withdrawal.specimens)
    route = route_words(withdrawal.route).lower()
    return f"{page.label}: withdrawal {withdrawal.code} of {tubes} for {withdrawal.donor}, route: {route}."


@router.post("/withdrawals/{code}/{step}")
async def take_step(
    request: Request, code: WithdrawalCode, step: StepName, performing: PagePerforming, reading: PageReading
) -> Response:
    """Take the step, signed where it must be."""
    page = _page(step)

    async def act() -> Response:
        names = (*page.names, *CIRCUMSTANCES, "expected_seq")
        body = parse(page.model, performing.form, request.state.zone, *names, **page.given)
        if page.meaning is not None:
            body = body.model_copy(update={"signature": await performing.sign(page.meaning)})
        answer = await performing(page.use_case, code, body)
        next_up = f"Next: {answer['waits_for'][0]}." if answer["waits_for"] else ""
        return await performing.done(f"/withdrawals/{code}", f"Done: {page.label.lower()}.", next_up)

    return await or_again(act(), lambda refusal: _draw_step(request, reading, code, step, refusal, performing.form))
