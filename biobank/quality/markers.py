"""Results of markers of infection: entered from the report by clinic or laboratory, confirmed by another person of quality.

What follows from them on labels and papers is `donors/markers.py: evaluate`. A reactive result keeps everything of the donor
apart from the moment it is entered; quality lifts that only when it finds that no reactive result stands.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field
from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import SecondPersonMustDiffer
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import WHOLE
from biobank.custody.chronology import BeforeItExisted
from biobank.custody.recording import AHEAD, Circumstances, Instant, acknowledge
from biobank.custody.states import HoldScope
from biobank.donors.identity import keep_document
from biobank.donors.markers import (
    MARKERS,
    NEAR,
    MarkerName,
    MarkerResult,
    MarkerState,
    decide_result,
    keep_result,
)
from biobank.donors.models import donor_marker
from biobank.donors.service import keep_apart
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.kept_files import FileHash
from biobank.quality.events import IsolationDecided, MarkerDecided, MarkerEntered
from biobank.quality.holds import Scope, find_scope
from biobank.quality.independence import Capacity, touches_of_entries
from biobank.quality.schemas import Reason
from biobank.quality.stored_files import require_stored
from biobank.quality.streams import record_on_stream
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import Use, findings_of, keep_warnings
from biobank.specimens.harvest_queries import oldest_record
from biobank.specimens.shapes import Named
from biobank.storage.queries import kept_with_others


class SampledLater(Conflict):
    """A sample cannot have been drawn later than now."""

    code = "sampled_later"
    title = "Sample in the future"


class MarkerDecidedAlready(Conflict):
    """Quality decided about this result before."""

    code = "marker_decided"
    title = "Decided already"


class EnterMarker(Circumstances):
    """One result as its report says it."""

    marker: MarkerName
    result: MarkerResult = Field(description="Of history and examination: reactive when a risk was found.")
    sampled_at: Instant = Field(description="When the sample was drawn, or the donor was examined.")
    laboratory: Named = Field(description="A laboratory of the registers.")
    kit: Named = Field(description="Test kit or method, of the registers.")
    report_sha256: FileHash = Field(description="The report, stored before: POST /attachments.")


class DecideMarker(Circumstances):
    """Whether the result is what its report says; signed by quality, never by who entered it."""

    confirmed: bool
    reason: Reason | None = Field(default=None, description="Why it was entered wrongly.")
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class MarkerPublic(BaseModel):
    """One result and where its confirmation stands."""

    id: UUID
    marker: MarkerName
    result: MarkerResult
    state: MarkerState
    sampled_at: datetime
    laboratory: str
    kit: str
    report_sha256: str
    entered_by: str
    entered_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class MarkerList(BaseModel):
    """The results of a donor, newest sample first."""

    donor: str
    kept_apart: bool
    items: list[MarkerPublic]


class MarkerRecorded(BaseModel):
    """A result as it stands now, and our signature."""

    donor: str
    marker: MarkerPublic
    kept_apart: bool
    to_move: int = Field(description="Stored tubes of the donor that may not stand where they do: tasks of their sites.")
    receipt: str


def use_of(site: str, request: EnterMarker) -> Use:
    """Return what a result names of the registers. What came is recorded: only a name that stands in none is refused."""
    named: dict[RegisterKind, str] = {"laboratory": request.laboratory, "test_method": request.kit}
    return Use(site=site, used_at=request.sampled_at, people=(), named=named, keeping=True)


def _require_of_its_time(session: Session, code: str, request: EnterMarker) -> None:
    """Raise BeforeItExisted for a sample so old that it says nothing of any material: then the date is wrong.

    A reactive result says something of the person, whatever its age.
    """
    if request.result == "reactive":
        return
    oldest = oldest_record(session, code)
    if oldest is not None and request.sampled_at < oldest - NEAR:
        raise BeforeItExisted(
            f"{code}: a sample of {rfc3339(request.sampled_at)} says nothing of this material: the oldest record of the donor is "
            f"of {rfc3339(oldest)}, and a result counts for {NEAR.days} days around the taking. Check the date.",
            subject=code,
        )


def enter_marker(session: Session, act: Act, code: str, request: EnterMarker) -> MarkerRecorded:
    """Enter a result from its report.

    Raises NotFound, NotPermitted, DonorErased, SampledLater, AttachmentUnknown, BeforeItExisted,
    NotInRegister.
    """
    scope = find_scope(session, act.actor, HoldScope.DONOR, code, lock=True)
    row = get_visible_donor(session, act.actor, code)
    act.require(Permission.HARVEST_RECORD, at=scope.sites, subject=code)
    require_not_erased(row)
    if request.sampled_at - act.at > AHEAD:
        raise SampledLater("The sample cannot have been drawn later than now. Check the date on the report.", subject=code)
    require_stored(session, [request.report_sha256])
    _require_of_its_time(session, code, request)
    site = act.actor.first_site(Permission.HARVEST_RECORD, scope.sites)
    warned = findings_of(session, use_of(site or row.clinic_site_code, request), now=act.at)
    told = request.model_dump(mode="json", include={"marker", "result", "sampled_at", "laboratory", "kit"})
    commit = keep_document(session, act, code, "marker", told)
    result = uuid4()
    event = MarkerEntered(marker=str(result), told=commit.hex(), report_sha256=request.report_sha256)
    done = [record_on_stream(session, act, code, event, request, site=site, donor_code=code)]
    kept_apart = row.kept_apart
    if request.result == "reactive" and keep_apart(session, code, True):
        kept_apart = True
        decided = IsolationDecided(kept_apart=True, reason="reactive_result")
        done.append(record_on_stream(session, act, code, decided, request, site=site, donor_code=code))
    values = {
        "id": result,
        "donor_code": code,
        "marker": request.marker.value,
        "result": request.result,
        "state": "entered",
        "sampled_at": request.sampled_at,
        "laboratory": request.laboratory,
        "kit": request.kit,
        "told_commit": commit,
        "report_sha256": request.report_sha256,
        "entered_by": act.actor.code,
        "entered_at": act.at,
        "entered_event": done[0].leaf_hash,
    }
    keep_result(session, values)
    keep_warnings(session, act, warned, request, used_in=str(result), site=site or row.clinic_site_code)
    return MarkerRecorded(
        donor=code,
        marker=_public(_row(session, code, result)),
        kept_apart=kept_apart,
        to_move=len(kept_with_others(session, WHOLE, donor=code)),
        receipt=acknowledge(act, done),
    )


def decision_refusals(session: Session, actor: Actor, scope: Scope, row: "Row[Any]") -> list[Refusal]:
    """Return why this person may not decide about a result now; the page shows them, the use case raises the first."""
    found: list[Refusal] = []
    no_right = actor.refusal(Permission.QUALITY_DECIDE, at=scope.sites, subject=scope.id)
    if no_right is not None:
        found.append(no_right)
    if row.state != "entered":
        found.append(MarkerDecidedAlready("Quality decided about this result before.", subject=scope.id))
    entered = touches_of_entries(session, [bytes(row.entered_event)], Capacity.RECORDED, scope.id)
    if any(actor.code in one.logins for one in entered):
        found.append(SecondPersonMustDiffer("You entered this result. Another person compares it with its report."))
    return found


def decide_marker(session: Session, act: Act, code: str, marker: UUID, request: DecideMarker) -> MarkerRecorded:
    """Confirm a result, or say that it was entered wrongly. Raises NotFound and what `decision_refusals` returns."""
    scope = find_scope(session, act.actor, HoldScope.DONOR, code, lock=True)
    row = _row(session, code, marker)
    raise_first(decision_refusals(session, act.actor, scope, row))
    signature = use_signature(session, act, request.signature, Meaning.REVIEWED)
    event = MarkerDecided(
        marker=str(marker),
        entered=bytes(row.entered_event).hex(),
        confirmed=request.confirmed,
        reason=request.reason,
        signature=str(signature.id),
    )
    site = act.actor.first_site(Permission.QUALITY_DECIDE, scope.sites)
    relies_on = (bytes(row.entered_event),)
    done = record_on_stream(session, act, code, event, request, site=site, donor_code=code, relies_on=relies_on)
    state = "confirmed" if request.confirmed else "rejected"
    decide_result(
        session,
        row,
        {"state": state, "decided_by": act.actor.code, "decided_at": act.at, "decided_event": done.leaf_hash},
    )
    kept_apart = get_visible_donor(session, act.actor, code).kept_apart
    return MarkerRecorded(
        donor=code,
        marker=_public(_row(session, code, marker)),
        kept_apart=kept_apart,
        to_move=len(kept_with_others(session, WHOLE, donor=code)),
        receipt=acknowledge(act, [done]),
    )


def list_markers(session: Session, actor: Actor, code: str) -> MarkerList:
    """Answer GET /donors/{code}/markers. Raises NotFound."""
    row = get_visible_donor(session, actor, code)
    actor.require(Permission.DONOR_READ, at=find_scope(session, actor, HoldScope.DONOR, code).sites, subject=code)
    rows = session.execute(
        select(donor_marker)
        .where(donor_marker.c.donor_code == code)
        .order_by(donor_marker.c.sampled_at.desc(), donor_marker.c.id)
    )
    return MarkerList(donor=code, kept_apart=row.kept_apart, items=[_public(one) for one in rows])


def marker_to_decide(session: Session, actor: Actor, code: str, marker: UUID) -> tuple[MarkerPublic, list[Refusal]]:
    """Return a result and what stands against this person's deciding about it, for the page."""
    scope = find_scope(session, actor, HoldScope.DONOR, code)
    row = _row(session, code, marker)
    return _public(row), decision_refusals(session, actor, scope, row)


def sentence_of(one: MarkerPublic) -> str:
    """Say a result in words."""
    said = {"negative": "negative", "reactive": "reactive", "indeterminate": "indeterminate"}
    if one.marker is MarkerName.HISTORY_AND_EXAMINATION:
        said = {"negative": "no risk found", "reactive": "a risk was found", "indeterminate": "not conclusive"}
    return f"{MARKERS[one.marker].title}: {said[one.result]}, sample of {rfc3339(one.sampled_at)[:10]}"


def _row(session: Session, code: str, marker: UUID) -> "Row[Any]":
    row = session.execute(select(donor_marker).where(donor_marker.c.donor_code == code, donor_marker.c.id == marker)).first()
    if row is None:
        raise NotFound(f"{code} has no such result.", subject=code)
    return row


def _public(row: "Row[Any]") -> MarkerPublic:
    return MarkerPublic(**{name: getattr(row, name) for name in MarkerPublic.model_fields})
