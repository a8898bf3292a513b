"""Treatment withdrawals as people see them: the list, and one withdrawal with its steps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import rules
from biobank.custody.schemas import EventPublic
from biobank.custody.states import TERMINAL, Condition
from biobank.foundation import clock
from biobank.foundation.terms import words
from biobank.pages.ui.addresses import WithdrawalCode
from biobank.pages.ui.entries import entry_of
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column, DrawnStep
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.pages.withdrawals.requests import route_words
from biobank.specimens.materials import amount_text, material_of
from biobank.withdrawals import queries
from biobank.withdrawals.case import Case
from biobank.withdrawals.described import describe, waits
from biobank.withdrawals.final_label_rules import unlabelled
from biobank.withdrawals.given_before import entering_refusals
from biobank.withdrawals.indication import indication_refusals
from biobank.withdrawals.next_acts import COUNT, PRINT, acts_off_the_way
from biobank.withdrawals.schemas import ItemPublic, WithdrawalDetail, WithdrawalList
from biobank.withdrawals.standing import read_standing
from biobank.withdrawals.step_rules import begin_refusals
from biobank.withdrawals.steps import STEPS
from biobank.withdrawals.thawed_counts import uncounted
from biobank.withdrawals.workflow import Route, Step, WithdrawalState, next_steps

router = APIRouter(include_in_schema=False)

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
        Link("The bedside, by cause", "/withdrawals/compliance", "person-check", Permission.WITHDRAWAL_READ),
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
    enters_paper: bool = False
    """Whether this login may enter what two people wrote on a sheet that was fetched."""
    given_before: bool = False
    """Whether something stands against giving what two people released, which may have come after it was given."""
    waits: Sequence[str] = ()
    """What it waits for, whether or not something stands against that."""
    may_ask: bool = False
    """Whether this login may ask for cells at its clinic."""
    reads_why: bool = False
    """Whether this login may read why it was asked for."""
    off_the_way: Sequence[tuple[str, str]] = ()
    """What it waits for and this login may do that is no step of the withdrawal, with the tube."""
    handled: Sequence[EventPublic] = ()
    """What was done with its tubes on the way that is no event of its own: thawed, counted, labelled."""
    undone: frozenset[str] = frozenset()
    """The kinds of it that one of its tubes still waits for."""


def read_whole(session: Session, actor: Actor, code: str, bank: Bank) -> Whole:
    """Read both at one instant, and which steps this login may take now: first those that the withdrawal waits for."""
    standing = read_standing(session, actor, code, bank)
    case = standing.case
    withdrawal = describe(session, bank, standing)
    events = queries.history_of_case(session, case).items
    wanted = next_steps(case.state, case.route, case.items, again=bool(standing.changed))
    order = dict.fromkeys([*wanted, *STEPS])
    sheet = any(event.kind == "withdrawal.paper_check_fetched" for event in events)
    enters = sheet and not begin_refusals(actor, Step.CHECK, case)
    reads_why = not indication_refusals(actor, case)
    offered = [name for name in order if name in standing.offered]
    before = not entering_refusals(standing)
    return Whole(
        withdrawal,
        events,
        offered,
        wanted,
        enters,
        before,
        waits(standing),
        actor.may(Permission.WITHDRAWAL_REQUEST, at=case.clinic),
        reads_why,
        acts_off_the_way(standing),
        queries.handled_for(session, case),
        frozenset(_not_handled(case)),
    )


def _not_handled(case: Case) -> Iterator[str]:
    """Yield the kinds of what is done with tubes on the way that one of them still waits for."""
    if any(item.condition is Condition.FROZEN and item.state not in TERMINAL for item in case.items):
        yield "specimen.thawed"
    if uncounted(case, case.tubes):
        yield "specimen.viability_measured"
    if unlabelled(case):
        yield "specimen.final_label_applied"


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
            | {name: "Yes" if getattr(item, name) else None for name in ("picked", "confirmed")}
            | {"administered": given_words(item)}
            for item in withdrawal.items
        ],
        waits=whole.waits,
        clocks=clocks_of(withdrawal.items),
        now=clock.now(),
        item_columns=ITEM_COLUMNS,
        entries=[
            entry_of(event, lambda _kind: None, request.state.actor, withdrawal.clinic_site) for event in reversed(whole.events)
        ],
    )


def clocks_of(items: Sequence[ItemPublic]) -> list[ItemPublic]:
    """Return the tubes that are out of the cold for good and not given yet, the first to run out first."""
    running = [one for one in items if one.usable_until is not None and one.condition == Condition.THAWED]
    return sorted(running, key=lambda one: (one.usable_until, one.specimen))


def given_words(item: ItemPublic) -> str | None:
    """Say whether a tube was given, and what came after it that stood against it when it was entered."""
    if not item.administered:
        return None
    later = ", ".join(words(one).lower() for one in item.came_after)
    return f"Yes, entered after: {later}" if later else "Yes"


OFF_THE_WAY = {COUNT: "/specimens/{tube}/assay", PRINT: "/labels/{tube}?reason=final_label"}
"""Where the acts are taken that are no step of the withdrawal itself."""
OFF_SAID = {COUNT: ("Count what was thawed", "flask"), PRINT: ("Print the final label", "print")}


def acts_of(whole: Whole) -> list[ActionLink]:
    """Return the steps that may be taken now by this login; the main one is what the withdrawal waits for."""
    withdrawal = whole.withdrawal
    acts: list[ActionLink] = []
    for name, tube in whole.off_the_way:
        label, icon = OFF_SAID[name]
        said = f"{label}: {tube}" if len(withdrawal.items) > 1 else label
        acts.append(ActionLink(said, OFF_THE_WAY[name].format(tube=tube), icon, "get", "plain" if acts else "main"))
    for name in whole.acts:
        page = STEPS[name]
        weight = "grave" if page.grave else "plain" if acts or name not in whole.wanted else "main"
        href = f"/withdrawals/{withdrawal.code}/{name}"
        acts.append(ActionLink(page.label, href, page.icon, "get", weight))  # type: ignore[arg-type]  # weights above
    if withdrawal.approved_at is not None:
        acts.append(ActionLink("Outcomes planned and measured", f"/withdrawals/{withdrawal.code}/outcomes", "log"))
    if whole.enters_paper:
        for what, name in (("Enter a check from paper", "check"), ("Enter an administration from paper", "administer")):
            acts.append(ActionLink(what, f"/withdrawals/{withdrawal.code}/{name}-from-paper", "pen", "get", "plain"))
    if whole.given_before:
        acts.append(ActionLink("It was given before", f"/withdrawals/{withdrawal.code}/given-before", "pen", "get", "plain"))
    grown = next((event for event in whole.events if event.kind == "withdrawal.expanded"), None)
    if grown is not None:
        acts.append(ActionLink("What came out of the run", f"/lots/{grown.body['lot']}", "vial", "get", "main"))
        if whole.may_ask:
            asked = urlencode({"donor": withdrawal.donor, "material": withdrawal.material})
            acts.append(ActionLink("Ask for what was grown", f"/withdrawals/new?{asked}", "return", "get", "plain"))
    if whole.reads_why:
        acts.append(ActionLink("Read why it was asked for", f"/withdrawals/{withdrawal.code}/indication", "search"))
    return acts


PICKED, GIVEN, COUNTED = "Pick, scanned by two people", "Administration", "Count after the thaw"
AT_THE_BANK = (
    ("Thaw", ("specimen.thawed",)),
    (COUNTED, ("specimen.viability_measured",)),
    ("Final label", ("specimen.final_label_applied",)),
)
_BEFORE_ISSUE = (
    ("Request", ("withdrawal.requested",)),
    ("Approval by quality, signed", ("withdrawal.approved",)),
    (PICKED, ("withdrawal.picked", "withdrawal.pick_confirmed")),
)
_AFTER_ISSUE = (
    ("Bedside check by two people", ("withdrawal.bedside_check_passed",)),
    (GIVEN, ("withdrawal.administered",)),
    ("Outcome", ("withdrawal.outcome_recorded", "withdrawal.closed")),
)
_TRAVEL = (("Issue", ("withdrawal.issued",)), ("Receipt at the clinic", ("withdrawal.received",)))
ORDER: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]] = {
    Route.SHIP_FROZEN: (*_BEFORE_ISSUE, *_TRAVEL, ("Thaw at the chair", ("specimen.thawed",)), *_AFTER_ISSUE),
    Route.THAW_AND_SHIP: (*_BEFORE_ISSUE, *AT_THE_BANK, *_TRAVEL, *_AFTER_ISSUE),
    Route.SHIP_FRESH: (*_BEFORE_ISSUE, *_TRAVEL, *_AFTER_ISSUE),
    Route.EXPAND: (*_BEFORE_ISSUE, ("Thaw", ("specimen.thawed",)), ("New run", ("withdrawal.expanded",))),
}
"""The steps of each route, with the kinds of event that say they were taken."""
assert all(kind in rules.by_kind for steps in ORDER.values() for _, kinds in steps for kind in kinds)


def _whole(title: str, kinds: Sequence[str], whole: Whole) -> bool:
    """Say whether a step that each tube takes was taken by all of them."""
    withdrawal = whole.withdrawal
    if title == PICKED:
        return withdrawal.state not in ("approved", "picking") or all(one.confirmed for one in withdrawal.items)
    if title == GIVEN:
        return withdrawal.state not in ("issued", "in_transit", "delivered")
    return whole.undone.isdisjoint(kinds)


def drawn_steps(whole: Whole) -> list[DrawnStep]:
    """Return the steps with who and when; the first that has no event is the present one."""
    withdrawal = whole.withdrawal
    stopped = withdrawal.state in ("rejected", "cancelled")
    over = stopped or withdrawal.state in ("closed", "expanded")
    steps: list[DrawnStep] = []
    for title, kinds in ORDER[withdrawal.route]:
        if title == COUNTED and not material_of(withdrawal.material).assays:
            continue
        done = [event for event in (*whole.events, *whole.handled) if event.kind in kinds]
        if done and {event.kind for event in done} >= set(kinds[:1]) and _whole(title, kinds, whole):
            hands = tuple(dict.fromkeys(event.by for event in done))
            steps.append(DrawnStep(title, "done", hands, datetime.fromisoformat(done[-1].occurred_at)))
        else:
            waiting = any(step.state == "now" for step in steps)
            steps.append(DrawnStep(title, "skipped" if over else "waiting" if waiting else "now"))
    if stopped:
        last = whole.events[-1]
        steps.append(DrawnStep(words(withdrawal.state), "stopped", (last.by,), datetime.fromisoformat(last.occurred_at)))
    return steps
