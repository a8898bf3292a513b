"""Everything quality needs to decide about a request, in one view: donor, consent, law, verdict, holds, amounts, term,
deviations, and whether the log keeps its promise. What the signature would be refused for is said before it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, select, text
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import load
from biobank.donors.consents import consents_given
from biobank.donors.models import Donor
from biobank.foundation import clock
from biobank.foundation.db import table_of
from biobank.foundation.errors import Refusal
from biobank.transparency.queries import seal_lag_s
from biobank.withdrawals.approving import Grounds, approval_refusals, consents_of
from biobank.withdrawals.case import Case, came_back, find_row, item_table, visible, withdrawal
from biobank.withdrawals.consents import DonorNotTreated
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.workflow import Step, WithdrawalState

_donor = table_of(Donor)

_DEVIATIONS = text(
    """
    SELECT d.code, d.severity, d.topic, d.opened_at, s.subject_id
    FROM deviation d JOIN deviation_subject s ON s.deviation_code = d.code
    WHERE d.closed_at IS NULL AND s.subject_id = ANY(:about) ORDER BY d.opened_at
    """
)
_SEQS = text("SELECT stream_id, seq FROM stream_head WHERE stream_kind = 'withdrawal' AND stream_id = ANY(:codes)")


@dataclass(frozen=True)
class OpenDeviation:
    """A deviation that is open and names the withdrawal, its donor, a tube, its lot or its place."""

    code: str
    severity: str
    topic: str
    opened_at: datetime


@dataclass(frozen=True)
class Review:
    """A request with what stands for and against it.

    `refusals`: every reason why the approval would be refused now; `consent`: the one of them about treatment consent, if any;
    `lag_s`: age of the oldest unsealed event.
    """

    case: Case
    grounds: Grounds
    refusals: Sequence[Refusal]
    deviations: Sequence[OpenDeviation]
    lag_s: float

    @property
    def consent(self) -> Refusal | None:
        """The first reason why treatment consent does not cover the tubes."""
        found = consents_of(self.case, self.grounds)[1]
        return next((one for one in found if not isinstance(one, DonorNotTreated)), None)

    @property
    def against(self) -> list[str]:
        """Return why a signature would be refused now, one sentence each; empty when nothing stands against it."""
        return [refusal.detail for refusal in self.refusals]

    def is_usable(self, tube: Snapshot) -> bool:
        """Say whether nothing stands against this tube."""
        return not any(refusal.members.get("subject") == tube.code for refusal in self.refusals)


def read_review(session: Session, actor: Actor, code: str, bank: Bank) -> Review:
    """Read what there is to decide about a withdrawal; raise NotPermitted for those who do not decide."""
    row = find_row(session, actor, code)
    review = _reviews(session, actor, [row], bank)[0]
    refusal = step_permission_refusal(actor, Step.APPROVE, review.case)
    if refusal is not None:
        raise refusal
    return review


def read_queue(session: Session, actor: Actor, bank: Bank, limit: int = 20) -> list[Review]:
    """Return the requests that wait for a decision: what is needed first, then what was asked first."""
    actor.require(Permission.WITHDRAWAL_APPROVE, at=ANYWHERE)
    rows = session.execute(
        select(withdrawal)
        .where(visible(actor, Permission.WITHDRAWAL_APPROVE), withdrawal.c.state == WithdrawalState.REQUESTED.value)
        .order_by(withdrawal.c.needed_at.asc().nulls_last(), withdrawal.c.requested_at)
        .limit(limit)
    ).mappings()
    return _reviews(session, actor, rows.all(), bank)


def _reviews(session: Session, actor: Actor, rows: Sequence[RowMapping], bank: Bank) -> list[Review]:
    """Read everything about several withdrawals: the same statements however many there are."""
    at = clock.now()
    codes = [row["code"] for row in rows]
    donors = {row["donor_code"] for row in rows}
    items: dict[str, list[str]] = {code: [] for code in codes}
    for item in session.execute(select(item_table).where(item_table.c.withdrawal_code.in_(codes))):
        items[item.withdrawal_code].append(item.specimen_code)
    tubes = load(session, [tube for several in items.values() for tube in several], holds=True)
    undecided = came_back(session, tubes)
    seqs = dict(session.execute(_SEQS, {"codes": codes}).all())
    statuses = dict(session.execute(select(_donor.c.code, _donor.c.status).where(_donor.c.code.in_(sorted(donors)))).all())
    consents = consents_given(session, donors, "treatment", at)
    deviations = _deviations_about(session, rows, items, tubes)
    lag = seal_lag_s(session, at)
    answer: list[Review] = []
    for row in rows:
        code, donor = row["code"], row["donor_code"]
        its = {tube: tubes[tube] for tube in sorted(items[code])}
        case = Case(row, seqs.get(code, 0), its, {}, frozenset(), undecided & its.keys(), statuses[donor])
        grounds = Grounds(at, statuses[donor], consents[donor], lag > bank.settings.merge_delay_s)
        refusals = approval_refusals(actor, case, grounds)
        answer.append(Review(case, grounds, refusals, deviations[code], lag))
    return answer


def _deviations_about(
    session: Session, rows: Sequence[RowMapping], items: Mapping[str, Sequence[str]], tubes: Mapping[str, Snapshot]
) -> dict[str, list[OpenDeviation]]:
    """Return the open deviations about each withdrawal: naming it, its donor, a tube, or a tube's lot or box."""
    about: dict[str, set[str]] = {}
    for row in rows:
        its = [tubes[tube] for tube in items[row["code"]]]
        named = {row["code"], row["donor_code"], *items[row["code"]]}
        named |= {tube.lot_code for tube in its if tube.lot_code is not None}
        named |= {tube.projection["container_code"] for tube in its if tube.projection["container_code"] is not None}
        about[row["code"]] = named
    found = session.execute(_DEVIATIONS, {"about": sorted(set().union(*about.values()))}).all() if rows else []
    return {
        code: list(dict.fromkeys(OpenDeviation(*one[:4]) for one in found if one.subject_id in named))
        for code, named in about.items()
    }
