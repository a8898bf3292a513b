"""Routes of custody: record events, read the chain, see what may happen next, see what was refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from biobank import kinds as _kinds  # the union of direct events is whole only when every package has registered
from biobank.acts.lane import Lane
from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.custody import hands, hot, queries, reversal, service
from biobank.custody.hands import Confirmed, ConfirmRequest, HandsState, NamedHandsList
from biobank.custody.reversal import AmendRequest, ReversalDone, ReverseRequest
from biobank.custody.schemas import (
    AllowedEvents,
    AttemptList,
    BatchAnswer,
    BatchEventRequest,
    CustodyHistory,
    EventAnswer,
    EventRequest,
    request_union,
)

assert _kinds.MODULES

router = APIRouter(prefix="/api/v1", tags=["custody"])
Cursor = Annotated[int, Query(ge=0, le=2**31 - 1)]
SpecimenPath = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]

AnyEvent: Any = request_union(EventRequest)
BATCH_LIMIT = 5000
BatchItem: Any = request_union(BatchEventRequest)


class EventBatch(BaseModel):
    """Up to 5,000 observations, each naming its specimen."""

    model_config = ConfigDict(extra="forbid")

    events: list[BatchItem] = Field(min_length=1, max_length=BATCH_LIMIT)


@router.post("/specimens/{code}/events", status_code=201)
async def record_event(code: str, request: AnyEvent, performing: Performing) -> EventAnswer:
    """Record one observation. Use cases (store, issue, administer …) have calls of their own."""
    return await performing(service.record_event, code, request)


LANES = (Lane.beside(router.routes, record_event, hot.observe),)


@router.post("/custody-events", status_code=201)
async def record_batch(batch: EventBatch, performing: Performing) -> BatchAnswer:
    """Record observations of up to 5,000 specimens, all or nothing."""
    return await performing(service.record_batch, batch.events)


@router.get("/specimens/{code}/custody")
async def read_custody(
    code: str, reading: Reading, after: Cursor = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> CustodyHistory:
    """The chain of custody of one specimen, oldest first."""
    return await reading(queries.history_of, code, after, limit)


@router.get("/specimens/{code}/allowed-events")
async def read_allowed_events(code: str, reading: Reading) -> AllowedEvents:
    """What the caller may do with this specimen now."""
    return await reading(service.describe_allowed, code)


@router.post("/specimens/{code}/reverse")
async def reverse_event(code: SpecimenPath, request: ReverseRequest, performing: Performing) -> ReversalDone | Proposed:
    """Undo the latest change of state. A terminal state takes two people of quality: `status` is `pending` after the first."""
    return await performing(reversal.reverse, code, request)


@router.post("/specimens/{code}/amend", status_code=201)
async def amend_event(code: SpecimenPath, request: AmendRequest, performing: Performing) -> EventAnswer:
    """Correct a field of an earlier event that changed no state; the event stays as it is, the correction beside it."""
    return await performing(reversal.amend, code, request)


@router.post("/confirmations", status_code=201)
async def confirm_hands(request: ConfirmRequest, performing: Performing) -> Confirmed:
    """Say, signed, whether entries that name you in `performed` were your work."""
    return await performing(hands.confirm_hands, request)


@router.get("/confirmations")
async def read_named_hands(
    reading: Reading,
    user: Annotated[str | None, Query(pattern=r"^US-[0-9A-Z]{7}$")] = None,
    state: HandsState = HandsState.OPEN,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> NamedHandsList:
    """Entries that name a colleague who has not confirmed yet (or who has, or who disputes it): yours, or the bank's for
    those who read its log."""
    return await reading(hands.list_hands, user=user, state=state, after=after, limit=limit)


@router.get("/attempts")
async def read_attempts(
    reading: Reading,
    subject: str | None = None,
    code: str | None = None,
    evidence: bool | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AttemptList:
    """Refusals that were kept: near misses and evidence, newest first."""
    return await reading(queries.attempts, subject=subject, code=code, evidence=evidence, before=before, limit=limit)
