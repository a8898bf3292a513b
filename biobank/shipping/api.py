"""Routes of hand-overs and shipments."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from biobank.acts.web import Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.shipping import arrivals, handover_queries, handovers, shipment_queries, shipments
from biobank.shipping.schemas import (
    AcceptRequest,
    DeclineRequest,
    HandoverAnswer,
    HandoverList,
    HandoverPublic,
    HandoverRequest,
    ShipmentAnswer,
    ShipmentArrival,
    ShipmentDetail,
    ShipmentList,
    ShipmentReceiveRequest,
    ShipmentRefuseRequest,
    ShipmentRequest,
)

router = APIRouter(prefix="/api/v1", tags=["shipping"])
CODE = r"^[A-Z0-9-]+$"
ShipmentPath = Annotated[str, Path(pattern=r"^SH-[0-9A-Z]{7}$")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/handovers", status_code=201)
async def offer(request: HandoverRequest, performing: Performing) -> HandoverAnswer:
    """Offer specimens you hold; you keep custody until the receiver accepts."""
    return await performing(handovers.offer, request)


@router.get("/handovers")
async def list_handovers(
    reading: Reading,
    waiting: Literal["me"] | None = None,
    specimen: Annotated[str | None, Query(min_length=3, max_length=20, pattern=CODE)] = None,
    before: Cursor | None = None,
    limit: Limit = 100,
) -> HandoverList:
    """Hand-overs you may know of, newest first; `waiting=me` for what you can accept now."""
    return await reading(handover_queries.list_handovers, waiting=waiting, specimen=specimen, paging=Paging(before, limit))


@router.get("/handovers/{handover_id}")
async def read_handover(handover_id: UUID, reading: Reading) -> HandoverPublic:
    """One hand-over."""
    return await reading.agreeing(handover_queries.read_handover, handover_id)


@router.post("/handovers/{handover_id}/accept")
async def accept(handover_id: UUID, request: AcceptRequest, performing: Performing) -> HandoverAnswer:
    """Take over everything offered, with your own login; for a courier, record its acceptance."""
    return await performing(handovers.accept, handover_id, request)


@router.post("/handovers/{handover_id}/decline")
async def decline(handover_id: UUID, request: DeclineRequest, performing: Performing) -> HandoverAnswer:
    """Say no, or take your own offer back. The giver still holds everything."""
    return await performing(handovers.decline, handover_id, request)


@router.post("/shipments", status_code=201)
async def dispatch(request: ShipmentRequest, performing: Performing) -> ShipmentAnswer:
    """Give specimens to a courier, for another site."""
    return await performing(shipments.dispatch, request)


@router.get("/shipments")
async def list_shipments(
    reading: Reading,
    site: Annotated[str | None, Query(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] = None,
    status: shipment_queries.Status | None = None,
    specimen: Annotated[str | None, Query(min_length=3, max_length=20, pattern=CODE)] = None,
    before: Cursor | None = None,
    limit: Limit = 100,
) -> ShipmentList:
    """Shipments from or to where you work, newest first."""
    return await reading(
        shipment_queries.list_shipments, site=site, status=status, specimen=specimen, paging=Paging(before, limit)
    )


@router.get("/shipments/{code}")
async def read_shipment(code: ShipmentPath, reading: Reading) -> ShipmentDetail:
    """One shipment with its manifest and what of it is still underway."""
    return await reading.agreeing(shipment_queries.read_shipment, code)


@router.post("/shipments/{code}/receive")
async def receive(code: ShipmentPath, request: ShipmentReceiveRequest, performing: Performing) -> ShipmentArrival:
    """Compare what arrived with the manifest and receive what belongs."""
    return await performing(arrivals.receive, code, request)


@router.post("/shipments/{code}/refuse")
async def refuse(code: ShipmentPath, request: ShipmentRefuseRequest, performing: Performing) -> ShipmentAnswer:
    """Record that specimens were not accepted and are back at the sender."""
    return await performing(arrivals.refuse, code, request)
