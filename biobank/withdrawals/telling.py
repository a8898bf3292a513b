"""Who is told how a withdrawal goes on: whoever asked for it; when it is called off or stands still, whoever holds its tubes too.

What was told leaves by itself: when the withdrawal went on to the next news or was closed, and when its reader took a step of it.
What a reader has to do next is no news but a task of Today (`next_acts.py`).
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_that_may
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import load
from biobank.custody.states import CustodianKind, State
from biobank.donors.allergies import allergy_recorded
from biobank.quality.notices import HOLDS, TREATS, Told, end_notices, keep_notices, standing_in
from biobank.withdrawals.events import Approved, Cancelled, Closed, Expanded, Given, Rejected, SentOut
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as item_table
from biobank.withdrawals.outcome_events import GivingUndone
from biobank.withdrawals.stop_events import GoesOn, Stopped
from biobank.withdrawals.workflow import WithdrawalState

NEWS: Mapping[type[Event], str] = {
    Approved: "withdrawal_approved",
    Rejected: "withdrawal_rejected",
    SentOut: "withdrawal_issued",
    Cancelled: "withdrawal_cancelled",
    Expanded: "withdrawal_expanded",
    Given: "withdrawal_given",
    GivingUndone: "withdrawal_giving_undone",
    Stopped: "withdrawal_stopped",
    GoesOn: "withdrawal_goes_on",
}
"""What whoever waits is told of, and the reason that a notice about it has."""

TO_HOLDERS = frozenset({NEWS[Cancelled], NEWS[Stopped], NEWS[GoesOn]})
"""What whoever has a tube of it in hand is told too: it goes back into the cold, or on."""
UNDERWAY = frozenset({WithdrawalState.APPROVED, WithdrawalState.PICKING, WithdrawalState.ISSUED, WithdrawalState.DELIVERED})
"""Approved, and something is still to be given."""

READY = "withdrawal_ready"
"""Everything was done that its issue waits for."""


ALLERGY = "withdrawal_allergy"
"""An allergy of the recipient's was recorded while approved cells are on their way."""


@allergy_recorded.give
def tell_of_allergy(session: Session, act: Act, donor: str, by: bytes) -> None:
    """Tell those who treat the donor, and quality of the banks that keep the cells, about every withdrawal that was approved and
    not given. What was told of it before stays.
    """
    open_ones = select(withdrawal).where(withdrawal.c.donor_code == donor, withdrawal.c.state.in_(sorted(UNDERWAY)))
    for row in session.execute(open_ones.order_by(withdrawal.c.code)).mappings().all():
        tubes = select(item_table.c.specimen_code).where(item_table.c.withdrawal_code == row["code"])
        units = load(session, session.execute(tubes).scalars().all())
        found: dict[str, Told] = {}
        for permission, sites, rank in (
            (Permission.WITHDRAWAL_ADMINISTER, {row["clinic_site_code"]}, TREATS),
            (Permission.WITHDRAWAL_APPROVE, {unit.keeper for unit in units.values() if unit.keeper is not None}, HOLDS),
        ):
            for login in frozenset().union(*logins_that_may(session, permission, sites).values()) - {act.actor.code}:
                found.setdefault(login, Told(login, rank, frozenset(units)))
        people = [one for _, one in sorted(found.items())]
        clinic = row["clinic_site_code"]
        keep_notices(session, act, people, reason=ALLERGY, about=row["code"], deviation=None, site=clinic, made=by)


def tell(session: Session, act: Act, row: Mapping[Any, Any], tubes: Mapping[str, Snapshot], reason: str, by: bytes) -> None:
    """Tell those who wait for the withdrawal (its `row`) what became of it by the event `by`; what they were told before ends.

    Whoever did it themselves is not told; for a login that was ended, whoever treats at the clinic now.
    """
    end_notices(session, act, row["code"], by)
    units = frozenset(tubes)
    asked = standing_in(session, {row["requested_by"]}, [row["donor_code"]]).get(row["requested_by"], {row["requested_by"]})
    told = {login: Told(login, TREATS, units) for login in asked}
    if reason in TO_HOLDERS:
        told = _holding(tubes) | told
    people = [one for login, one in sorted(told.items()) if login != act.actor.code]
    keep_notices(session, act, people, reason=reason, about=row["code"], deviation=None, site=row["clinic_site_code"], made=by)


def follow(session: Session, act: Act, row: Mapping[Any, Any], tubes: Mapping[str, Snapshot], event: Event, by: bytes) -> None:
    """Do what an event of a withdrawal asks of its notices: tell, or end what its reader or nobody waits for any more."""
    reason = NEWS.get(type(event))
    if reason is not None:
        tell(session, act, row, tubes, reason, by)
    else:
        end_notices(session, act, row["code"], by, to=None if isinstance(event, Closed) else act.actor.code)


def _holding(tubes: Mapping[str, Snapshot]) -> dict[str, Told]:
    """Who has the tubes in hand, with what each of them has."""
    hands: dict[str, set[str]] = {}
    for code, tube in tubes.items():
        if tube.state is not State.STORED and tube.projection.custodian_kind == CustodianKind.USER.value:
            hands.setdefault(str(tube.projection.custodian_id), set()).add(code)
    return {login: Told(login, HOLDS, frozenset(its)) for login, its in hands.items() if login.startswith("US-")}
