"""Everything quality needs to decide about a request, in one view: donor, consent, law, verdict, holds, amounts, term,
deviations, and whether the log keeps its promise. What the signature would be refused for is said before it is asked for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import RowMapping, func
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.two_person import PendingActPublic, pending_about
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Page, Paging, read_page
from biobank.people.resets import Reset, resets_in_case
from biobank.specimens.warm_time import without_limit
from biobank.withdrawals.case import Case, case_rows, find_row, read_cases, streams_of
from biobank.withdrawals.consents import DonorNotTreated
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.picture import (
    OpenDeviation,
    case_subjects,
    deviations_about,
    proposal_of,
    read_picture,
    units_of_donor,
)
from biobank.withdrawals.queries import ORDERS
from biobank.withdrawals.seen import Picture, PictureAnswer
from biobank.withdrawals.service import APPROVE_BY_TWO
from biobank.withdrawals.step_rules import Grounds, approval_refusals, changed_since, consents_of, read_grounds
from biobank.withdrawals.workflow import Step, WithdrawalState

_URGENCY = func.coalesce(withdrawal.c.needed_at, withdrawal.c.requested_at + timedelta(days=36_525))
QUEUE_ORDERS = {**ORDERS, "urgency": _URGENCY}
"""What the queue can be sorted by. Urgency: what is needed first; behind it what names no day, in the order it was asked."""


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
    """Of logins that act in the case; read for one review, not for the queue. So is the picture."""
    picture: Picture | None = None
    pending: PendingActPublic | None = None
    """What one of quality signed of it already, where it takes two."""
    without_limit: Sequence[str] = ()
    """Tubes whose time out of the cold nothing limits."""

    @property
    def consent(self) -> Refusal | None:
        """The first reason why treatment consent does not cover the tubes."""
        found = consents_of(self.case, self.grounds)[1]
        return next((one for one in found if not isinstance(one, DonorNotTreated)), None)

    @property
    def changed(self) -> list[str]:
        """What an approval that was given does not stand for any more."""
        return changed_since(self.case, self.grounds)

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
    taken = units_of_donor(session, code)
    reviews, tubes = _reviews(session, actor, [row], bank, taken)
    review = reviews[0]
    refusal = step_permission_refusal(actor, Step.APPROVE, review.case)
    if refusal is not None:
        raise refusal
    at, secrets = review.grounds.at, bank.settings.secrets
    picture = read_picture(session, actor, review.case, review.grounds, at, tubes, taken, review.deviations, secrets)
    pending = pending_about(session, actor, APPROVE_BY_TWO, code, proposal_of(picture)) if picture.remains.takes_two else None
    resets, unlimited = resets_in_case(session, streams_of(review.case)), without_limit(session, review.case.tubes.values())
    return replace(review, resets=resets, picture=picture, pending=pending, without_limit=unlimited)


def read_picture_of(session: Session, actor: Actor, code: str, bank: Bank) -> PictureAnswer:
    """Answer GET /withdrawals/{code}/picture: what quality signs over; raise NotPermitted for those who do not decide."""
    picture = read_review(session, actor, code, bank).picture
    assert picture is not None, "a review of one request has its picture"
    return PictureAnswer(picture=picture, sha256=picture.sha256, parts=picture.parts)


def read_queue(session: Session, actor: Actor, bank: Bank, paging: Paging = Paging()) -> tuple[list[Review], Page]:
    """Return the requests that wait for a decision, what is needed first, and the page of the list that they are."""
    actor.require(Permission.WITHDRAWAL_APPROVE, at=ANYWHERE)
    waiting = case_rows(actor, Permission.WITHDRAWAL_APPROVE).where(withdrawal.c.state == WithdrawalState.REQUESTED.value)
    page = read_page(session, waiting, paging, key=withdrawal.c.code, orders=QUEUE_ORDERS, default="urgency")
    return _reviews(session, actor, [row._mapping for row in page.rows], bank)[0], page


def _reviews(
    session: Session, actor: Actor, rows: Sequence[RowMapping], bank: Bank, also: Collection[str] = ()
) -> tuple[list[Review], dict[str, Snapshot]]:
    """Read everything about several withdrawals: the same statements however many there are.

    Returns the snapshots too, with those of the specimens `also`; only with one withdrawal.
    """
    at = clock.now()
    cases, tubes = read_cases(session, rows, at, also)
    deviations = deviations_about(session, {case.code: case_subjects(case) for case in cases})
    grounds = read_grounds(session, bank, {case.donor for case in cases}, at)
    answer: list[Review] = []
    for case in cases:
        refusals = approval_refusals(actor, case, grounds[case.donor])
        answer.append(Review(case, grounds[case.donor], refusals, deviations[case.code]))
    return answer, tubes
