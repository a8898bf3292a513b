"""Routes of custody: read the chain, correct it, see what may happen next, see what was refused."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.custody import performer_confirmations, queries, reversal, service
from biobank.custody.near_misses import MissCounts, Span, miss_counts
from biobank.custody.performer_confirmations import ConfirmationState, Confirmed, ConfirmRequest, NamedPerformerList
from biobank.custody.reversal import AmendRequest, ReversalDone, ReverseRequest
from biobank.custody.schemas import (
    AllowedEvents,
    AttemptList,
    CustodyHistory,
    EventAnswer,
)
from biobank.foundation import clock
from biobank.foundation.paging import Cursor, Paging

router = APIRouter(prefix="/api/v1", tags=["custody"])
AfterSeq = Annotated[int, Query(ge=0, le=2**31 - 1)]
SpecimenPath = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]


@router.get("/specimens/{code}/custody")
async def read_custody(
    code: str, reading: Reading, after: AfterSeq = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> CustodyHistory:
    """The chain of custody of one specimen, oldest first."""
    return await reading(queries.history_of, code, after, limit)


@router.get("/specimens/{code}/allowed-events")
async def read_allowed_events(code: str, reading: Reading) -> AllowedEvents:
    """What the caller may do with this specimen now."""
    return await reading(service.describe_allowed, code, reading.bank)


@router.post("/specimens/{code}/reverse")
async def reverse_event(code: SpecimenPath, request: ReverseRequest, performing: Performing) -> ReversalDone | Proposed:
    """Undo the latest change of state. A terminal state takes two people of quality: `status` is `pending` after the first."""
    return await performing(reversal.reverse, code, request)


@router.post("/specimens/{code}/amend", status_code=201)
async def amend_event(code: SpecimenPath, request: AmendRequest, performing: Performing) -> EventAnswer:
    """Correct a field of an earlier event that changed no state; the event stays as it is, the correction beside it."""
    return await performing(reversal.amend, code, request)


@router.post("/confirmations", status_code=201)
async def confirm_performed(request: ConfirmRequest, performing: Performing) -> Confirmed:
    """Say, signed, whether entries that name you in `performed` were your work."""
    return await performing(performer_confirmations.confirm_performed, request)


@router.get("/confirmations")
async def read_named_hands(
    reading: Reading,
    user: Annotated[str | None, Query(pattern=r"^US-[0-9A-Z]{7}$")] = None,
    state: ConfirmationState = ConfirmationState.OPEN,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> NamedPerformerList:
    """Entries that name a colleague who has not confirmed yet (or who has, or who disputes it): yours, or the bank's for
    those who read its log."""
    return await reading(performer_confirmations.list_hands, user=user, state=state, after=after, limit=limit)


@router.get("/attempt-counts")
async def read_attempt_counts(
    reading: Reading, days: Annotated[int, Query(ge=1, le=3650)] = 90, each: Span = Span.WEEK
) -> MissCounts:
    """How often each step was refused, or a rule set aside, by place and time: near misses and overrides."""
    return await reading(miss_counts, clock.now() - timedelta(days=days), each)


@router.get("/attempts")
async def read_attempts(
    reading: Reading,
    subject: str | None = None,
    code: str | None = None,
    evidence: bool | None = None,
    before: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AttemptList:
    """Refusals that were kept: near misses and evidence, newest first."""
    return await reading(queries.attempts, subject=subject, code=code, evidence=evidence, paging=Paging(before, limit))
