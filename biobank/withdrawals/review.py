"""Everything quality needs to decide about a request, in one view: donor, consent, law, verdict, holds, amounts, term,
deviations, and whether the log keeps its promise. What the signature would be refused for is said before it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, func, text
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Page, Paging, read_page
from biobank.people.resets import Reset, resets_in_case
from biobank.withdrawals.case import Case, case_of, case_rows, find_row, read_tubes, streams_of
from biobank.withdrawals.consents import DonorNotTreated
from biobank.withdrawals.findings import read_findings
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.queries import ORDERS
from biobank.withdrawals.step_rules import Grounds, approval_refusals, consents_of, read_grounds
from biobank.withdrawals.workflow import Step, WithdrawalState

_DEVIATIONS = text(
    """
    SELECT d.code, d.severity, d.topic, d.opened_at, s.subject_id
    FROM deviation d JOIN deviation_subject s ON s.deviation_code = d.code
    WHERE d.closed_at IS NULL AND s.subject_id = ANY(:about) ORDER BY d.opened_at
    """
)


_URGENCY = func.coalesce(withdrawal.c.needed_at, withdrawal.c.requested_at + timedelta(days=36_525))
QUEUE_ORDERS = {**ORDERS, "urgency": _URGENCY}
"""What the queue can be sorted by. Urgency: what is needed first; behind it what names no day, in the order it was asked."""


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

    `refusals`: every reason why the approval would be refused now; `consent`: the one of them about treatment consent, if any.
    """

    case: Case
    grounds: Grounds
    refusals: Sequence[Refusal]
    deviations: Sequence[OpenDeviation]
    resets: Sequence[Reset] = ()
    """Of logins that act in the case; read for one review, not for the queue."""

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
    return replace(review, resets=resets_in_case(session, streams_of(review.case)))


def read_queue(session: Session, actor: Actor, bank: Bank, paging: Paging = Paging()) -> tuple[list[Review], Page]:
    """Return the requests that wait for a decision, what is needed first, and the page of the list that they are."""
    actor.require(Permission.WITHDRAWAL_APPROVE, at=ANYWHERE)
    waiting = case_rows(actor, Permission.WITHDRAWAL_APPROVE).where(withdrawal.c.state == WithdrawalState.REQUESTED.value)
    page = read_page(session, waiting, paging, key=withdrawal.c.code, orders=QUEUE_ORDERS, default="urgency")
    return _reviews(session, actor, [row._mapping for row in page.rows], bank), page


def _reviews(session: Session, actor: Actor, rows: Sequence[RowMapping], bank: Bank) -> list[Review]:
    """Read everything about several withdrawals: the same statements however many there are."""
    at = clock.now()
    codes = [row["code"] for row in rows]
    its: dict[str, list[RowMapping]] = {code: [] for code in codes}
    for tube in read_tubes(session, codes):
        its[tube["withdrawal_code"]].append(tube)
    tubes = load(session, [tube["tube"] for several in its.values() for tube in several], holds=True)
    findings = read_findings(session, tubes, at)
    cases = [case_of(row, its[row["code"]], tubes, findings) for row in rows]
    deviations = _deviations_about(session, cases)
    grounds = read_grounds(session, bank, {case.donor for case in cases}, at)
    answer: list[Review] = []
    for case in cases:
        refusals = approval_refusals(actor, case, grounds[case.donor])
        answer.append(Review(case, grounds[case.donor], refusals, deviations[case.code]))
    return answer


def _deviations_about(session: Session, cases: Sequence[Case]) -> dict[str, list[OpenDeviation]]:
    """Return the open deviations about each withdrawal: naming it, its donor, a tube, or a tube's lot or box."""
    about: dict[str, set[str]] = {}
    for case in cases:
        named = {case.code, case.donor, *case.tubes}
        named |= {tube.lot_code for tube in case.tubes.values() if tube.lot_code is not None}
        named |= {box for tube in case.tubes.values() if (box := tube.projection.container_code) is not None}
        about[case.code] = named
    found = session.execute(_DEVIATIONS, {"about": sorted(set().union(*about.values()))}).all() if cases else []
    return {
        code: list(dict.fromkeys(OpenDeviation(*one[:4]) for one in found if one.subject_id in named))
        for code, named in about.items()
    }
