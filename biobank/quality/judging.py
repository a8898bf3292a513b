"""Judging an adverse reaction or event: how serious it is, what caused it, and whether the cause may be in the material.

A judgement that lets go is signed by two of quality: one that is milder than what stands, and the first of a serious event that
takes it for less, or its cause for no matter of the material. What stands of an event that nobody judged yet is the worst that it
may be. One of quality alone makes it graver, and that holds at once.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import PendingActOver, Proposed, propose_or_complete, proposer_of, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_of_user
from biobank.custody.recording import Circumstances, acknowledge
from biobank.custody.snapshots import load
from biobank.foundation.errors import raise_first
from biobank.quality.adverse import (
    AdverseAnswer,
    Causality,
    Seriousness,
    find_adverse,
    judging_refusals,
    public_of,
    sites_of_adverse,
    units_about,
)
from biobank.quality.adverse_holds import hold_concerned
from biobank.quality.dispositions import UNCAUSED, units_of_withdrawals
from biobank.quality.incident_events import AdverseAssessed
from biobank.quality.models import adverse_event
from biobank.quality.schemas import Reason, Token
from biobank.quality.streams import record_on_stream

CLEAR = "adverse.clear"


class AssessAdverse(Circumstances):
    """Quality's judgement; the latest counts."""

    seriousness: Seriousness
    causality: Causality = Field(description="How likely it is that the material or its handling caused it.")
    in_lot: bool = Field(description="The cause may be in the material, so that other units of its lot are concerned.")
    reason: Reason
    signature: Token = None
    pending_act: UUID | None = Field(default=None, description="The judgement of another that this completes.")


class AdverseAssessedAnswer(AdverseAnswer):
    """How it stands now."""

    status: Literal["done"] = "done"


def clears(row: Any, request: AssessAdverse) -> bool:
    """Say whether a judgement lets go of something that stands: two of quality sign it. Pure. `row`: how the event stands."""
    judged = row.causality != "not_assessed"
    if not judged and row.seriousness != "serious":
        return False
    less_serious = row.seriousness == "serious" and request.seriousness == "not_serious"
    uncaused = request.causality in UNCAUSED and row.causality not in UNCAUSED
    not_in_lot = row.in_lot is not False and not request.in_lot
    return less_serious or uncaused or not_in_lot


@two_person(
    CLEAR,
    "Judge an adverse event milder",
    "I have read what was seen and how it was judged, and agree with the milder judgement.",
    AssessAdverse,
)
def assess_adverse(session: Session, act: Act, code: str, request: AssessAdverse) -> AdverseAssessedAnswer | Proposed:
    """Judge it: quality of its clinic or of a bank that keeps its units, signed "decided"; nobody who gave, checked, recorded or
    made what it is about. Two sign what lets go (`clears`). Where the cause may be in the lot, the lot is held now if it is not.

    Raises NotFound, NotPermitted, NotIndependent, PendingActOver and what `use_signature` and `propose_or_complete` raise.
    """
    row = find_adverse(session, act.actor, code, lock=True)
    judged_at = sites_of_adverse(session, code, row.site_code)
    act.require(Permission.DEVIATION_DECIDE, at=judged_at, subject=code)
    items, units = units_of_withdrawals.get(), units_about(session, code)
    beside = session.execute(select(items.c.specimen_code).where(items.c.withdrawal_code == row.withdrawal_code)).scalars()
    tubes = load(session, {*units, *beside}, lock=True)
    raise_first(judging_refusals(session, act.actor, code))
    judged = {"seriousness": request.seriousness, "causality": request.causality, "in_lot": request.in_lot}
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    signatures: tuple[str, ...] = (str(signature.id),)
    if clears(row, request):
        first = _first(session, act, request, code)
        step = propose_or_complete(
            session,
            act,
            CLEAR,
            code,
            {**judged, "reason": request.reason},
            signature,
            request.pending_act,
            hands=request.performed_by,
            needs=Permission.DEVIATION_DECIDE,
            first_needs=Permission.DEVIATION_DECIDE,
            site=act.actor.first_site(Permission.DEVIATION_DECIDE, judged_at),
            first_site=first.first_site(Permission.DEVIATION_DECIDE, judged_at),
        )
        if isinstance(step, Proposed):
            return step
        raise_first(judging_refusals(session, first, code))
        signatures = (str(step.first_signature), str(step.second_signature))
    event = AdverseAssessed(**judged, reason=request.reason, signatures=signatures)
    assessed = record_on_stream(
        session, act, code, event, request, site=row.site_code, donor_code=row.donor_code, relies_on=(bytes(row.event_hash),)
    )
    # A report belongs to what it said: what is graver than was reported is reported anew, within its own days.
    graver = row.reported_at is not None and request.seriousness == "serious" and row.seriousness != "serious"
    anew = {"reported_at": None, "reported_to": None, "reference": None} if graver else {}
    session.execute(update(adverse_event).where(adverse_event.c.deviation_code == code).values(**judged, **anew))
    caused = request.causality not in UNCAUSED and (row.kind == "reaction" or request.seriousness == "serious")
    held = hold_concerned(
        session,
        act,
        [tubes[one] for one in units] if request.in_lot else (),
        tubes.values() if request.in_lot or caused else (),
        row.site_code,
        assessed.leaf_hash,
    )
    now = find_adverse(session, act.actor, code)
    return AdverseAssessedAnswer(**public_of(now), held=len(held), receipt=acknowledge(act, [assessed, *held]))


def _first(session: Session, act: Act, request: AssessAdverse, code: str) -> Actor:
    """Return who judges it first: whoever acts, or whose judgement this completes. Raises PendingActOver."""
    if request.pending_act is None:
        return act.actor
    proposer = proposer_of(session, request.pending_act)
    first = None if proposer is None else actor_of_user(session, proposer)
    if first is None:
        raise PendingActOver("The one who proposed this may no longer do so. It must be proposed again.", subject=code)
    return first
