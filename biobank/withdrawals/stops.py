"""What stands against a withdrawal, whoever would take its next step, and that those who wait for it are told.

It is what its steps themselves would answer about the donor, the consents and the tubes that are still to go: one list for the
page, for Today and for the notice. A hold comes by many ways, and a time of use is over by itself; so the worker looks, and the
log says when it saw that the withdrawal stood still, and that it could go on.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.timers import timer
from biobank.custody.entry import parse_entry
from biobank.custody.locks import locked
from biobank.custody.recording import NOW
from biobank.custody.states import TERMINAL, State, StreamKind
from biobank.donors.models import donor
from biobank.foundation.errors import IllegalTransition, Refusal
from biobank.transparency.models import event
from biobank.withdrawals.approvals import ApprovalOutdated
from biobank.withdrawals.case import Case, read_cases, read_tubes, record_on_case
from biobank.withdrawals.case_columns import CASE_COLUMNS
from biobank.withdrawals.events import Administered, Reserved
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.step_rules import Grounds, read_grounds, usage_of
from biobank.withdrawals.stop_events import GoesOn, Stopped
from biobank.withdrawals.workflow import BEFORE_ISSUE, WithdrawalState

S = WithdrawalState
BEFORE = frozenset({S.REQUESTED, S.APPROVED, S.PICKING})
GOING = BEFORE | {S.ISSUED, S.DELIVERED}
"""Where something is still to be given."""
AT_ONCE = 200


def stops_of(case: Case, grounds: Grounds, *, lagging: bool = False) -> list[Refusal]:
    """Return what stands against going on with it now, whoever would; empty when it goes on or nothing is to be given. Pure.

    Before the issue all its tubes leave together; afterwards each is given by itself, and where it is says its own step.
    """
    if case.state in BEFORE:
        return usage_of(case, grounds, case.tubes, Reserved, BEFORE_ISSUE[case.route], lagging=lagging)
    to_give = [item.specimen for item in case.items if item.away] if case.state in GOING else []
    if not to_give:
        return []
    found = usage_of(case, grounds, to_give, Administered, None, lagging=lagging)
    return [one for one in found if not isinstance(one, IllegalTransition)]


def stop_words(case: Case, found: Collection[Refusal]) -> list[str]:
    """Return what is said before the next step of a withdrawal that these stand against. Pure.

    What the next step itself is about is not said twice: a tube that is gone, quality that looks at it again.
    """
    gone = {item.specimen for item in case.items if item.state is State.MISSING or item.state in TERMINAL}
    others = [one for one in found if not isinstance(one, ApprovalOutdated | IllegalTransition)]
    said = [one.detail for one in others if one.members.get("subject") not in gone]
    return [f"It is stopped: {one}" for one in dict.fromkeys(said)]


def stopped_now(session: Session, bank: Bank, case: Case, at: datetime) -> list[str]:
    """Return `stop_words` of a withdrawal as it stands at `at`; nothing where nothing is to be given any more."""
    if case.state not in GOING:
        return []
    return stop_words(case, stops_of(case, read_grounds(session, bank, [case.donor], at)[case.donor]))


@timer(every=timedelta(seconds=30))
def tell_what_stopped(session: Session, act: Act) -> int:
    """Put on record which withdrawals stand still, and which go on again, since the last look; tell, and return how many."""
    going = withdrawal.c.state.in_([state.value for state in GOING])
    codes = session.execute(select(withdrawal.c.code).where(going).order_by(withdrawal.c.code)).scalars().all()
    changed = [code for first in range(0, len(codes), AT_ONCE) for code in _changed(session, act, codes[first : first + AT_ONCE])]
    if not changed:
        return 0
    its = select(withdrawal.c.code).join(donor, donor.c.code == withdrawal.c.donor_code).where(withdrawal.c.code.in_(changed))
    session.execute(locked(its.order_by(donor.c.code, withdrawal.c.code), donor, withdrawal))
    read_tubes(session, changed, lock=True)
    now = _changed(session, act, changed)
    for case, because in now.values():
        record_on_case(session, act, case, Stopped(because=because) if because else GoesOn(), NOW)
    return len(now)


def _changed(session: Session, act: Act, codes: Sequence[str]) -> dict[str, tuple[Case, tuple[str, ...]]]:
    """Return those of these withdrawals of which the log says something else than is so now, with what stands against each."""
    rows = session.execute(
        select(*CASE_COLUMNS)
        .join(donor, donor.c.code == withdrawal.c.donor_code)
        .where(withdrawal.c.code.in_(codes))
        .order_by(withdrawal.c.code)
    )
    cases, _ = read_cases(session, rows.mappings().all(), act.at)
    grounds = read_grounds(session, act.bank, {case.donor for case in cases}, act.at)
    said = _said(session, codes)
    found = {}
    for case in cases:
        because = tuple(sorted({one.code for one in stops_of(case, grounds[case.donor])}))
        if because != said.get(case.code, ()):
            found[case.code] = (case, because)
    return found


def _said(session: Session, codes: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return what the log said last of what stands against each."""
    rows = session.execute(
        select(event.c.stream_id, event.c.entry)
        .where(
            event.c.stream_kind == StreamKind.WITHDRAWAL.value,
            event.c.stream_id.in_(codes),
            event.c.kind.in_(["withdrawal.stopped", "withdrawal.goes_on"]),
        )
        .ext(distinct_on(event.c.stream_id))
        .order_by(event.c.stream_id, event.c.seq.desc())
    )
    return {row.stream_id: tuple(parse_entry(bytes(row.entry))["body"].get("because", ())) for row in rows}
