"""Routes of a bank that closes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.quality import closing
from biobank.quality.closing import (
    AcceptClosing,
    AnnounceClosing,
    CarryOutClosing,
    ClosingDetail,
    ClosingDone,
    ClosingList,
    WithdrawClosing,
)

Limit = Annotated[int, Query(ge=1, le=500)]

router = APIRouter(prefix="/api/v1/closings", tags=["quality"])


@router.post("", status_code=201)
async def announce_closing(request: AnnounceClosing, performing: Performing) -> ClosingDone:
    """Announce that everything a bank keeps goes to another one: quality, signed "decided"."""
    return await performing(closing.announce_closing, request)


@router.get("")
async def list_closings(reading: Reading, after: Cursor | None = None, limit: Limit = 100) -> ClosingList:
    """Closings, the newest first."""
    return await reading(closing.list_closings, paging=Paging(after, limit))


@router.get("/{closing_id}")
async def read_closing(closing_id: UUID, reading: Reading) -> ClosingDetail:
    """One closing: its set, and what stands in its way now."""
    return await reading(closing.read_closing, closing_id)


@router.post("/{closing_id}/acceptance")
async def accept_closing(closing_id: UUID, request: AcceptClosing, performing: Performing) -> ClosingDone:
    """Record that the other bank accepted the set, by its own paper: quality, signed "decided"."""
    return await performing(closing.accept_closing, closing_id, request)


@router.post("/{closing_id}/transfer")
async def carry_out_closing(closing_id: UUID, request: CarryOutClosing, performing: Performing) -> ClosingDone | Proposed:
    """Hand everything over: two people of quality, signed "decided", on the other bank's receipt."""
    return await performing(closing.carry_out_closing, closing_id, request)


@router.post("/{closing_id}/withdraw")
async def withdraw_closing(closing_id: UUID, request: WithdrawClosing, performing: Performing) -> ClosingDone:
    """Take an announcement back: the bank keeps what it has."""
    return await performing(closing.withdraw_closing, closing_id, request)
