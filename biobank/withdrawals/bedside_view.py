"""What the bedside page may say to one person: never the other's scans, only that they scanned, when, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.queries import logins_of_persons
from biobank.custody.entry import parse_entry
from biobank.custody.states import State
from biobank.people.resets import Reset, resets_in_case
from biobank.transparency.models import event
from biobank.withdrawals.case import streams_of
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.release_rules import release_refusal
from biobank.withdrawals.releases import check_table
from biobank.withdrawals.standing import Standing
from biobank.withdrawals.workflow import Step

Stage = Literal["start", "waiting", "your_turn", "released", "stopped", "given"]

_SAID = (
    "withdrawal.bedside_check_opened",
    "withdrawal.bedside_check_passed",
    "withdrawal.bedside_check_failed",
    "withdrawal.administered",
)


@dataclass(frozen=True)
class OpenRelease:
    """A release that may be used now, with what is in the tube."""

    id: str
    specimen: str
    first: str
    second: str
    expires_at: datetime
    amount: int
    unit: str


@dataclass(frozen=True)
class BedsideView:
    """Where the bedside stands. `mark` changes with every event of the withdrawal: a page that shows another is old.

    `at` and `by` tell of the last scan; `until` how long the first person's scans wait; `differing` what did not belong
    together; `left` how many tubes are at the clinic and not given; `resets` whose password was reset of late, of those who act
    in the case and of the one who looks.
    """

    code: str
    donor: str
    mark: int
    stage: Stage
    at: datetime | None
    by: str | None
    until: datetime | None
    differing: Sequence[str]
    held: Sequence[str]
    releases: Sequence[OpenRelease]
    left: int
    resets: Sequence[Reset]


def stage_of(last: str | None, *, open_checks: Sequence[str], releases: int, left: int, actor: str) -> Stage:
    """Return what a person is told. Pure.

    `last`: kind of the last bedside event; `open_checks`: every login of those who opened a check that still waits; `releases`:
    how many may be used now; `left`: tubes not given yet; `actor`: who asks. A stop stands until somebody begins again.
    """
    if last == "withdrawal.bedside_check_failed":
        return "stopped"
    if releases:
        return "released"
    if open_checks:
        return "waiting" if actor in open_checks else "your_turn"
    return "given" if last == "withdrawal.administered" and not left else "start"


def read_bedside(session: Session, standing: Standing) -> BedsideView:
    """Read the bedside of a withdrawal, for those who give its tubes. Raises NotPermitted."""
    actor, case, now = standing.actor, standing.case, standing.grounds.at
    code = case.code
    refusal = step_permission_refusal(actor, Step.CHECK, case)
    if refusal is not None:
        raise refusal
    checks = session.execute(
        select(check_table.c.first_checker, check_table.c.expires_at).where(
            check_table.c.withdrawal_code == code,
            check_table.c.ended_at.is_(None),
            check_table.c.superseded_at.is_(None),
            check_table.c.expires_at > now,
        )
    ).all()
    releases = [
        OpenRelease(
            str(row["id"]),
            row["specimen_code"],
            row["first_checker"],
            row["second_checker"],
            row["expires_at"],
            case.tubes[row["specimen_code"]].projection.amount,
            case.tubes[row["specimen_code"]].unit,
        )
        for row in standing.releases
        if release_refusal(row, row["specimen_code"], now) is None
    ]
    last = _last_said(session, code)
    left = sum(item.away and item.state is State.DELIVERED for item in case.items)
    return BedsideView(
        code=code,
        donor=case.donor,
        mark=case.seq,
        stage=stage_of(
            None if last is None else last["kind"],
            open_checks=sorted(frozenset().union(*logins_of_persons(session, {c.first_checker for c in checks}).values())),
            releases=len(releases),
            left=left,
            actor=actor.code,
        ),
        at=None if last is None else datetime.fromisoformat(last["recorded_at"]),
        by=None if last is None else last["by"],
        until=min((c.expires_at for c in checks), default=None),
        differing=() if last is None else last["body"].get("differing", ()),
        held=() if last is None else last["body"].get("held", ()),
        releases=releases,
        left=left,
        resets=resets_in_case(session, streams_of(case), actor.code),
    )


def _last_said(session: Session, code: str) -> dict[str, Any] | None:
    row = session.execute(
        select(event.c.entry)
        .where(event.c.stream_kind == "withdrawal", event.c.stream_id == code, event.c.kind.in_(_SAID))
        .order_by(event.c.seq.desc())
        .limit(1)
    ).first()
    return None if row is None else parse_entry(bytes(row.entry))
