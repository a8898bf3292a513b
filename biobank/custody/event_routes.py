"""The routes that record observations. They take the union of every direct kind of event, whichever package owns it."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from biobank.acts.web import Performing
from biobank.custody import service
from biobank.custody.scan_path import observing
from biobank.custody.scan_path.middleware import ScanRoute
from biobank.custody.schemas import BatchAnswer, BatchEventRequest, EventAnswer, EventRequest, request_union

BATCH_LIMIT = 5000


def event_routes() -> tuple[APIRouter, tuple[ScanRoute, ...]]:
    """Build the routes and the fast ways beside them; call this once every package has registered its kinds of event."""
    router = APIRouter(prefix="/api/v1", tags=["custody"])
    any_event: Any = request_union(EventRequest)
    batch_item: Any = request_union(BatchEventRequest)

    class EventBatch(BaseModel):
        """Up to 5,000 observations, each naming its specimen."""

        model_config = ConfigDict(extra="forbid")

        events: list[batch_item] = Field(min_length=1, max_length=BATCH_LIMIT)

    @router.post("/specimens/{code}/events", status_code=201)
    async def record_event(code: str, request: any_event, performing: Performing) -> EventAnswer:
        """Record one observation. Use cases (store, issue, administer …) have calls of their own."""
        return await performing(service.record_event, code, request)

    @router.post("/custody-events", status_code=201)
    async def record_batch(batch: EventBatch, performing: Performing) -> BatchAnswer:
        """Record observations of up to 5,000 specimens, all or nothing."""
        return await performing(service.record_batch, batch.events)

    return router, (ScanRoute.beside(router.routes, record_event, observing.observe),)
