"""What was given before something was recorded, or ran out, that stands against it now, entered afterwards by two people.

Live entries are refused then, and rightly: nobody may begin. But what was given is in the patient, and the log says so. Whoever
gave it proposes it, with when it began and ended; somebody of quality of the bank that keeps the cells, who had no hand in them,
compares that with the check at the bedside and signs. The release, the band and every rule are judged as of the time at which the
giving began, by what is known of that time now; the entry bears what came after, quality's signature stands under an entry of
its own, and a critical deviation is opened. Nothing of this lets a giving begin.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy import func, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import PendingActOver, Proposed, propose_or_complete, proposer_of, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_of_user
from biobank.custody.chronology import OutOfOrder
from biobank.custody.recording import ImplausibleTime
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal, Refused, raise_first
from biobank.quality.independence import Capacity, Touch, independence_refusals, touches_of_entries
from biobank.quality.schemas import Token
from biobank.withdrawals.administering import Giving, open_giving, write_giving
from biobank.withdrawals.against_a_stop import told_of_it
from biobank.withdrawals.events import GivenBeforeConfirmed
from biobank.withdrawals.given_then import judged_then, ran_out_since
from biobank.withdrawals.paper_checks import require_same_day
from biobank.withdrawals.release_rules import NoRelease, ReleaseExpired
from biobank.withdrawals.releases import check_table
from biobank.withdrawals.schemas import AdministerRequest, WithdrawalAnswer
from biobank.withdrawals.standing import Standing
from biobank.withdrawals.step_rules import administer_refusals, begin_refusals
from biobank.withdrawals.workflow import Step

ACT = "withdrawal.given_before"
SAID = ("product", "given", "residue", "loss", "residue_went", "volume_ul", "anatomical_site", "reaction", "paper")


class NothingCameAfter(Conflict):
    """Nothing stands against it now: it is entered as any giving."""

    code = "nothing_came_after"
    title = "Enter it as any giving"


class GivenBefore(AdministerRequest):
    """What was given, when it began (`started_at`) and when it ended (`occurred_at`). The second person sends the same."""

    came_after: str | None = Field(default=None, max_length=400, pattern=r"^[a-z0-9_, ]+$", description="As was proposed.")
    signature: Token = None
    pending_act: UUID | None = None

    @model_validator(mode="after")
    def _both_times(self) -> Self:
        if self.occurred_at is None:
            raise ValueError("say when the giving ended")
        return self


class GivenBeforeAnswer(WithdrawalAnswer):
    """It is on record that it was given, with what came after."""

    status: str = "done"
    came_after: list[str]


@two_person(
    ACT,
    "Enter what was given before it was known",
    "I have compared the check at the bedside and the times with what was recorded since, and it was given before.",
    GivenBefore,
    grave=True,
)
def enter_given_before(session: Session, act: Act, code: str, request: GivenBefore) -> GivenBeforeAnswer | Proposed | Refused:
    """Propose that a tube was given before something came that stands against it, or complete that as somebody of quality.

    Raises NothingCameAfter, OutOfOrder, ImplausibleTime, NotIndependent, what stood against it at its own time, and what
    `use_signature` and `propose_or_complete` raise.
    """
    first = _first(session, act, request, code)
    # Who proposed it has signed it: the sentence is the same for both halves, and needs none of theirs.
    told = {"late_entry": True, "reason_text": "Entered by two people after something was recorded that came later."}
    given = request.model_copy(update=told)
    opened = open_giving(session, act, code, given, first)
    if isinstance(opened, Refused):
        return opened
    if opened.ended > act.at:
        raise ImplausibleTime("It is not over yet by the time that you state. What has not ended can still be stopped.")
    ran_out = opened.ran_out(act) if request.paper is None else ()
    case, product, rule = opened.case, opened.product, administer_refusals
    try:
        judged = judged_then(session, act, case, opened.grounds, product, opened.started, rule, first, ran_out)
    except Refusal as against:
        return told_of_it(session, act, case, product, request, against)
    opened.require_way(request.paper)
    if not judged.came_after:
        raise NothingCameAfter(
            f"Nothing was recorded since that stands against {opened.product}. Enter it as any giving.", subject=opened.product
        )
    _require_nothing_later(session, opened)
    if request.pending_act is None:
        require_same_day(act, opened.product, given)
    else:
        raise_first(independence_refusals(act.actor, opened.product, _hands(session, opened)))
    signature = use_signature(session, act, request.signature, Meaning.REVIEWED)
    step = propose_or_complete(
        session,
        act,
        ACT,
        code,
        _body(request, judged.came_after),
        signature,
        request.pending_act,
        hands=request.performed_by,
        needs=Permission.QUALITY_DECIDE,
        first_needs=Permission.WITHDRAWAL_ADMINISTER,
        site=opened.case.tubes[opened.product].keeper,
        first_site=opened.case.clinic,
    )
    if isinstance(step, Proposed):
        return step
    confirmed = GivenBeforeConfirmed(
        specimen=opened.product,
        release=str(request.release),
        came_after=judged.came_after,
        first_by=step.first_user,
        first_signature=str(step.first_signature),
        second_signature=str(step.second_signature),
    )
    answer = write_giving(session, replace(act, actor=first), opened, given, judged, confirmed=(act, confirmed))
    return GivenBeforeAnswer(**answer.model_dump(), came_after=list(judged.came_after))


def entering_refusals(standing: Standing) -> list[Refusal]:
    """Return why there is nothing for this login to enter as given before: the use case judges what is said. Pure."""
    case, unused = standing.case, [one for one in standing.releases if one["consumed_at"] is None]
    found = begin_refusals(standing.actor, Step.ADMINISTER, case)
    if not unused:
        return [*found, NoRelease(f"Nothing of {case.code} was checked at the bedside that was not given.", subject=case.code)]
    against = {one.code for tube in unused for one in standing.refusals_of("administer", tube["specimen_code"])}
    within = timedelta(minutes=standing.giving_entered_within_minutes)
    ran_out = [one for tube in unused for one in ran_out_since(case, tube, tube["specimen_code"], standing.grounds.at, within)]
    if not ran_out and against <= {NoRelease.code, ReleaseExpired.code}:
        found.append(NothingCameAfter(f"Nothing stands against {case.code} now. Enter it as any giving.", subject=case.code))
    return found


def _first(session: Session, act: Act, request: GivenBefore, code: str) -> Actor:
    """Return who says that it was given: whose rights, hands and form the rules are asked about, in both halves."""
    if request.pending_act is None:
        return act.actor
    proposer = proposer_of(session, request.pending_act)
    first = None if proposer is None else actor_of_user(session, proposer)
    if first is None:
        raise PendingActOver("The one who proposed this may no longer do so. It must be proposed again.", subject=code)
    return first


def _body(request: GivenBefore, came_after: tuple[str, ...]) -> dict[str, object]:
    """What both sign; the second of them with what stands against it, as it was when the first did."""
    whole = request.model_dump(mode="json", include={*SAID, "release"})
    times = {"started_at": rfc3339(request.started_at), "occurred_at": rfc3339(request.occurred_at or request.started_at)}
    return whole | times | {"came_after": ", ".join(came_after)}


def _hands(session: Session, opened: Giving) -> list[Touch]:
    """Return who had to do with the unit, and the hands behind both halves of its check: none of them confirms it."""
    assert opened.release is not None, "no release is a refusal"
    checked = [bytes(opened.release["made_event"]), bytes(opened.release["opened_event"])]
    touches = opened.case.findings[opened.product].touches
    return [*touches, *touches_of_entries(session, checked, Capacity.CHECKED, opened.product)]


def _require_nothing_later(session: Session, opened: Giving) -> None:
    """Raise OutOfOrder when the tube was scanned at the bedside after the giving is said to have begun: it was there then."""
    c = check_table.c
    again = session.execute(
        select(func.max(func.coalesce(c.ended_at, c.opened_at))).where(
            c.withdrawal_code == opened.case.code,
            c.specimen_code == opened.product,
            or_(c.opened_at > opened.started, c.ended_at > opened.started),
        )
    ).scalar()
    if again is not None:
        raise OutOfOrder(
            f"{opened.product} was scanned at the bedside at {rfc3339(again)}, after the giving is said to have begun. Check the "
            "date and the time.",
            subject=opened.product,
            where_now=opened.case.tubes[opened.product].where_now,
        )
