"""Whom a withdrawal waits for: the next act of each open one that this login may take now.

A step is the next by `workflow.next_acts`, and taken by whom `step_rules` does not refuse it: what the page offers and the use
case enforces. Left out beside them is whose part is done: who signed first where it takes two, and who read first at the bedside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.two_person import latest_proposers
from biobank.auth.actor import Actor
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import Event
from biobank.custody.models import custody
from biobank.custody.recording import refusals_of_recording
from biobank.custody.states import TERMINAL
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.labels.events import Labelled
from biobank.specimens.events import ViabilityMeasured
from biobank.transparency.models import event
from biobank.withdrawals.bedside import open_checks
from biobank.withdrawals.case import Case, case_rows
from biobank.withdrawals.final_label_rules import unprinted
from biobank.withdrawals.gate import RIGHTS, step_permission_refusal
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as item_table
from biobank.withdrawals.service import APPROVE_BY_TWO
from biobank.withdrawals.standing import Standing, read_standings
from biobank.withdrawals.step_rules import ONE_TUBE, own_approval
from biobank.withdrawals.stops import stops_of
from biobank.withdrawals.thawed_counts import NotCounted, uncounted
from biobank.withdrawals.workflow import OVER, Step, WithdrawalState, next_acts, next_steps

MOST = 300
"""So many open withdrawals are asked at once; behind them stand those that wait for their outcome only, and the least urgent."""

STOPPED = "stopped"
"""What is said of a withdrawal that stands still, to those who would take its next step or may call it off."""

NOT_ASKED_OF_THE_LOG = frozenset({"pick", "confirm", "label", "expand", "receive", "return", "outcome"})
"""Steps that wait for no seal."""

COUNT = "count"
PRINT = "print"
"""The acts among them that are no steps of the withdrawal: the count after the thaw, on the tube's own page, and printing its
final label, on the page of its labels."""


@dataclass(frozen=True)
class NextAct:
    """The next act of a withdrawal, by the name of its step, `COUNT`, `PRINT` or `STOPPED`.

    `second`: another did the first half of it; `why`: what stands against it, in a word each.
    """

    name: str
    withdrawal: str
    donor: str
    material: str
    needed_at: datetime | None
    tube: str | None
    second: bool = False
    why: Sequence[str] = ()


@dataclass(frozen=True)
class _Halves:
    """Who did the first half of what takes two: by withdrawal who signed, by withdrawal and tube who read at the bedside."""

    signed: dict[str, frozenset[str]]
    read: dict[tuple[str, str], frozenset[str]]

    def of(self, name: str, code: str, tube: str | None) -> frozenset[str]:
        """Every login of whoever did the first half of this step; none when nobody did."""
        if name == "approve":
            return self.signed.get(code, frozenset())
        return self.read.get((code, tube or ""), frozenset()) if name == "check" else frozenset()


def acts_waiting_for(session: Session, actor: Actor, bank: Bank) -> list[NextAct]:
    """Return one act for each open withdrawal whose next step the actor may take now, what is needed first at the head.

    The same statements however many are open. An approval that was signed over a picture that has changed since still waits for
    another than its signer.
    """
    if not any(actor.may(right.permission, at=ANYWHERE) for rights in RIGHTS.values() for right in rights):
        return []
    last = case((withdrawal.c.state.in_([WithdrawalState.ADMINISTERED, WithdrawalState.RETURNED]), 1), else_=0)
    urgency = func.coalesce(withdrawal.c.needed_at, withdrawal.c.requested_at)
    rows = (
        session.execute(case_rows(actor).where(_open()).order_by(last, urgency, withdrawal.c.code).limit(MOST)).mappings().all()
    )
    if not rows:
        return []
    codes = [row["code"] for row in rows]
    at = clock.now()
    reading = [check for check in open_checks(session, codes) if check.expires_at >= at]
    halves = _Halves(
        latest_proposers(session, APPROVE_BY_TWO, codes),
        {(check.withdrawal_code, check.specimen_code): frozenset(check.readers) for check in reading},
    )
    standings = read_standings(session, actor, rows, bank)
    acts = [found for standing in standings if (found := next(_acts(standing, halves), None)) is not None]
    return [*acts, *(stopped for standing in standings for stopped in _stopped(standing))]


def _open() -> ColumnElement[bool]:
    """What is not over, and what is closed while a tube that left for it is not accounted for: it turned up afterwards."""
    came_back = select(event.c.leaf_hash).where(
        event.c.stream_kind == "specimen",
        event.c.stream_id == item_table.c.specimen_code,
        event.c.kind == "specimen.returned",
        event.c.recorded_at > withdrawal.c.approved_at,
    )
    outstanding = (
        select(item_table.c.specimen_code)
        .join(custody, custody.c.code == item_table.c.specimen_code)
        .where(
            item_table.c.withdrawal_code == withdrawal.c.code,
            custody.c.state.not_in([state.value for state in TERMINAL]),
            ~came_back.exists(),
        )
    )
    closed = and_(withdrawal.c.state == WithdrawalState.CLOSED.value, outstanding.exists())
    return or_(withdrawal.c.state.not_in([state.value for state in OVER]), closed)


def _acts(standing: Standing, halves: _Halves) -> Iterator[NextAct]:
    case, login = standing.case, standing.actor.code
    for name, tube in _waited_for(standing):
        before = halves.of(name, case.code, tube)
        if login not in before and not _refused(standing, name, tube):
            row = case.row
            yield NextAct(name, case.code, case.donor, row["material"], row["needed_at"], tube, second=bool(before))


def _stopped(standing: Standing) -> Iterator[NextAct]:
    case, against = standing.case, stops_of(standing.case, standing.grounds)
    if against and concerned(standing):
        row, why = case.row, dict.fromkeys(one.title for one in against)
        yield NextAct(STOPPED, case.code, case.donor, row["material"], row["needed_at"], None, why=tuple(why))


def _waited_for(standing: Standing) -> Sequence[tuple[str, str | None]]:
    """The steps that it waits for; instead of a final label that waits for it, the count or the print."""
    case = standing.case
    return [what_comes_first(case, name, tube) for name, tube in _next(standing)]


def _next(standing: Standing) -> list[tuple[str, str | None]]:
    case = standing.case
    return next_acts(case.state, case.route, case.items, again=bool(standing.changed))


def what_comes_first(case: Case, name: str, tube: str | None) -> tuple[str, str | None]:
    """What comes before a final label is put on: the count after the thaw, then the print."""
    if name != "label" or tube is None:
        return name, tube
    if any(isinstance(one, NotCounted) for one in uncounted(case, [tube])):
        return COUNT, tube
    return (PRINT if unprinted(case, tube) else name), tube


def stopped_by(standing: Standing) -> list[Refusal]:
    """Return why the withdrawal is taken on by nobody now, whoever would. The log's lag stands against what it is asked at."""
    case = standing.case
    lagging = standing.grounds.lagging and not NOT_ASKED_OF_THE_LOG.issuperset(
        next_steps(case.state, case.route, case.items, again=bool(standing.changed))
    )
    return stops_of(case, standing.grounds, lagging=lagging)


def concerned(standing: Standing) -> bool:
    """Say whether this login would take the next step, or may call the withdrawal off: who mends what stands against it."""
    case = standing.case
    steps = {
        Step.PICK if name == "confirm" else Step(name)
        for name in next_steps(case.state, case.route, case.items, again=bool(standing.changed))
    }
    return any(step_permission_refusal(standing.actor, step, case) is None for step in {*steps, Step.CANCEL})


OFF_THE_WAY: Mapping[str, type[Event]] = {COUNT: ViabilityMeasured, PRINT: Labelled}


def acts_off_the_way(standing: Standing) -> list[tuple[str, str]]:
    """Return the acts that it waits for and this login may take now that are no step of the withdrawal, each with its tube."""
    found = _waited_for(standing)
    return [(name, tube) for name, tube in found if name in OFF_THE_WAY and tube is not None and may_take(standing, name, tube)]


def may_take(standing: Standing, name: str, tube: str) -> bool:
    """Say whether this login may take an act of `OFF_THE_WAY` with a tube now: a count by whoever approved counts for nothing."""
    case = standing.case
    own = own_approval(standing.actor, case, tube, "count") if name == COUNT else []
    return not [*own, *refusals_of_recording(standing.actor, OFF_THE_WAY[name], case.tubes[tube])]


def _refused(standing: Standing, name: str, tube: str | None) -> bool:
    if name in OFF_THE_WAY and tube is not None:
        return not may_take(standing, name, tube)
    return bool(standing.refusals_of(name, tube) if tube is not None and name in ONE_TUBE else standing.refusals(name))
