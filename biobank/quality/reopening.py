"""Reopening a rejection: two people of quality, over an investigation that is finished.

Nothing else turns a rejected unit round: no decision about it or its lot, no lifted hold, no later result. It goes back to
quarantine, and quality then decides about it as about any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.holds import Lifting, lift
from biobank.custody.ledger import Appended
from biobank.custody.models import hold
from biobank.custody.queries import last_event_at
from biobank.custody.recording import Circumstances, Move, head_of, record
from biobank.custody.states import HoldScope, Quality, StreamKind
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.decisions import Deciding, answer_of, lot_to_decide, specimens_to_decide
from biobank.quality.events import Reopened
from biobank.quality.lot_tests import refusals_of_failed
from biobank.quality.models import deviation
from biobank.quality.models import deviation_subject as subject_table
from biobank.quality.schemas import DecidedSpecimen, Reason, Recorded, Token
from biobank.specimens.models import lot_test


class NotRejected(Conflict):
    """There is no rejection to reopen."""

    code = "not_rejected"
    title = "Not rejected"


class InvestigationMissing(Conflict):
    """A rejection is reopened over an investigation that is finished: a closed deviation that names it."""

    code = "investigation_missing"
    title = "Not investigated"


class ReopenRequest(Circumstances):
    """What the investigation found lets the rejection be reopened."""

    deviation: str = Field(pattern=r"^DV-[0-9A-Z]{7}$", description="The closed deviation whose investigation this rests on.")
    reason: Reason
    signature: Token = None
    pending_act: UUID | None = Field(default=None, description="The proposal that this completes, as the second person.")


class ReopenedAnswer(Recorded):
    """The units that were rejected and are in quarantine again; how many holds for a failed test ended."""

    status: str = "done"
    items: list[DecidedSpecimen]
    holds_lifted: int


@dataclass(frozen=True)
class Rejection:
    """What may be reopened: the rejected units, as quality decides about them, and the holds its failed tests placed."""

    subject: str
    site: str | None
    deciding: Deciding
    holds: Sequence["Row[Any]"]

    def refusals(self) -> list[Refusal]:
        """Return why it may not be reopened, whatever the investigation says; empty when it may."""
        found: list[Refusal] = []
        if not self.deciding.specimens and not self.holds:
            found.append(NotRejected(f"Nothing of {self.subject} is rejected.", subject=self.subject))
        found += self.deciding.dependence()
        for unit in self.deciding.specimens:
            found += refusals_of_failed(unit, self.deciding.tests[unit.lot_code])
        return found


def rejection_of(session: Session, actor: Actor, code: str, *, lock: bool = False) -> Rejection:
    """Read what is rejected of a specimen or a lot; raise NotFound, NotPermitted, NothingToDecide."""
    if code.startswith("LT-"):
        every = lot_to_decide(session, actor, code, lock=lock)
        rows = session.execute(
            select(hold)
            .join(lot_test, lot_test.c.hold_id == hold.c.id)
            .where(hold.c.scope_id == code, hold.c.lifted_at.is_(None))
            .order_by(hold.c.placed_at)
        ).all()
    else:
        every, rows = specimens_to_decide(session, actor, [code], lock=lock), []
    units = [one for one in every.specimens if one.projection.quality == Quality.REJECTED.value]
    site = every.specimens[0].home_site_code or every.specimens[0].projection.site_code
    return Rejection(code, site, every.about(units), rows)


def investigation_refusal(session: Session, rejection: Rejection, code: str) -> Refusal | None:
    """Return why deviation `code` is no finished investigation of this rejection, or None."""
    lots = {one.lot_code for one in rejection.deciding.specimens if one.lot_code is not None}
    about = {rejection.subject, *lots, *(one.code for one in rejection.deciding.specimens)}
    named = select(subject_table.c.subject_id).where(
        subject_table.c.deviation_code == code, subject_table.c.subject_id.in_(sorted(about))
    )
    row = session.execute(select(deviation.c.closed_at).where(deviation.c.code == code, named.exists())).first()
    if row is not None and row.closed_at is not None:
        return None
    return InvestigationMissing(
        f"Name the deviation whose investigation of {rejection.subject} is closed: {code} does not name it, or is open.",
        subject=rejection.subject,
    )


@two_person(
    "specimen.reopen",
    "Reopen a rejection",
    "I have read the investigation, and agree that the rejection is reopened.",
    ReopenRequest,
)
def reopen(session: Session, act: Act, code: str, request: ReopenRequest) -> ReopenedAnswer | Proposed:
    """Put what was rejected of a specimen or a lot back into quarantine, or propose it; two people of quality sign.

    Raises NotFound, NotPermitted, NothingToDecide, NotRejected, InvestigationMissing, TestFailed, NotIndependent,
    and what `two_sign` raises.
    """
    rejection = rejection_of(session, act.actor, code, lock=True)
    raise_first(rejection.refusals())
    refusal = investigation_refusal(session, rejection, request.deviation)
    if refusal is not None:
        raise refusal
    step = two_sign(
        session,
        act,
        "specimen.reopen",
        code,
        {"deviation": request.deviation, "reason": request.reason},
        request,
        Permission.QUALITY_DECIDE,
        site=rejection.site,
    )
    if isinstance(step, Proposed):
        return step
    event = Reopened(
        deviation=request.deviation,
        reason=request.reason,
        signatures=step.signatures,
    )
    units = rejection.deciding.specimens
    appended = record(session, act, [Move(one, event) for one in units], request) if units else []
    appended += [_lift(session, act, rejection, row, request, step) for row in rejection.holds]
    return ReopenedAnswer(**answer_of(act, appended).model_dump(), holds_lifted=len(rejection.holds))


def _lift(session: Session, act: Act, rejection: Rejection, row: "Row[Any]", request: ReopenRequest, step: Completed) -> Appended:
    """Lift a hold that a failed test placed; the second person's signature stands under it."""
    placed = bytes(row.placed_event)
    head = head_of(
        session,
        act,
        request,
        subject=rejection.deciding.donor,
        site=rejection.site,
        last=last_event_at(session, StreamKind.LOT, rejection.subject),
        relies_on=(placed,),
    )
    lifting = Lifting(row.id, placed, request.reason, str(step.second_signature), rejection.subject)
    return lift(session, lifting, HoldScope.LOT, rejection.subject, head, donor_code=rejection.deciding.donor)
