"""The start page: what waits for the one who is signed in, and how to get to anything else."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.two_person import PendingActPublic, list_pending
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.snapshots import custody
from biobank.custody.states import State
from biobank.quality.holds import list_holds
from biobank.quality.schemas import HoldPublic
from biobank.specimens.scoping import donor, specimen, specimens_at_sites_of
from biobank.web.parts import Column, Stat
from biobank.web.session import PageReading
from biobank.web.templating import render
from biobank.withdrawals.queries import list_withdrawals
from biobank.withdrawals.schemas import WithdrawalPublic
from biobank.withdrawals.workflow import WithdrawalState

router = APIRouter(include_in_schema=False)

P, W = Permission, WithdrawalState

WAITING: Sequence[tuple[Permission, Sequence[WithdrawalState], str]] = (
    (P.WITHDRAWAL_APPROVE, (W.REQUESTED,), "Withdrawals to approve"),
    (P.WITHDRAWAL_PICK, (W.APPROVED, W.PICKING), "Withdrawals to pick and issue"),
    (P.WITHDRAWAL_RECEIVE, (W.ISSUED,), "Withdrawals on their way here"),
    (P.WITHDRAWAL_ADMINISTER, (W.DELIVERED,), "Withdrawals at the bedside"),
)
"""Which states of a withdrawal wait for whom."""

SHOWN: Sequence[tuple[State, str, str]] = (
    (State.IN_TRANSIT, "On their way", "busy"),
    (State.RECEIVED, "Received, not stored", "care"),
    (State.CHECKED_OUT, "Out of their place", "care"),
    (State.MISSING, "Missing", "stop"),
    (State.STORED, "Stored", "good"),
)


@dataclass(frozen=True)
class Today:
    """What the start page shows."""

    stats: list[Stat]
    waiting: list[WithdrawalPublic]
    holds: list[HoldPublic]
    pending: list[PendingActPublic]


def read_today(session: Session, actor: Actor) -> Today:
    """Count and list what exists and the actor may know of."""
    stats: list[Stat] = []
    waiting: list[WithdrawalPublic] = []
    for permission, states, label in WAITING:
        if not actor.may(permission):
            continue
        found = [one for state in states for one in list_withdrawals(session, actor, state=state.value, limit=50).items]
        known = {one.code for one in waiting}
        waiting += [one for one in found if one.code not in known]
        if found:
            stats.append(Stat(label, len(found), f"/withdrawals?state={states[0].value}", "care"))
    holds: list[HoldPublic] = []
    if actor.may(P.SPECIMEN_READ):
        counted = _by_state(session, actor)
        for state, label, tone in SHOWN:
            n = counted.get(state.value, 0)
            if n or state is State.STORED:
                stats.append(Stat(label, n, f"/specimens?state={state.value}", tone))  # type: ignore[arg-type]  # tones above
        holds = list_holds(session, actor, active=True, limit=8).items
    return Today(stats, waiting, holds, list_pending(session, actor, limit=20).items)


def _by_state(session: Session, actor: Actor) -> dict[str, int]:
    whole = specimen.join(custody, custody.c.code == specimen.c.code).outerjoin(donor, donor.c.code == specimen.c.donor_code)
    rows = session.execute(
        select(custody.c.state, func.count().label("n"))
        .select_from(whole)
        .where(specimens_at_sites_of(actor))
        .group_by(custody.c.state)
    )
    return {row.state: row.n for row in rows}


@router.get("/")
async def show_today(request: Request, reading: PageReading) -> Response:
    """Draw the start page."""
    today = await reading(read_today)
    return render(
        request,
        "home.html",
        stats=today.stats,
        waiting=today.waiting,
        waiting_columns=[
            Column("code", "Withdrawal", "code"),
            Column("donor", "Donor", "code"),
            Column("material", "Material", "words"),
            Column("state", "State", "chip"),
            Column("needed_at", "Needed", "when"),
        ],
        holds=today.holds,
        hold_columns=[
            Column("scope_id", "On", "code"),
            Column("kind", "Hold", "words"),
            Column("reason", "Reason", "words"),
            Column("placed_at", "Since", "when"),
        ],
        pending=[p.model_dump() for p in today.pending],
        pending_columns=[Column("act", "Act", "words"), Column("subject", "On", "code"),
                         Column("proposed_by", "Proposed by", "plain_code"),
                         Column("proposed_at", "Since", "when"), Column("expires_at", "Until", "when")],
    )  # fmt: skip
