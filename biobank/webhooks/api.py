"""Routes of subscriptions."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import CodePath, Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.webhooks import queries, service
from biobank.webhooks.schemas import (
    DeliveryList,
    MakeSecret,
    MakeWebhook,
    OpenWebhook,
    ShownSecret,
    TrialAsked,
    Undelivered,
    WebhookAnswer,
    WebhookList,
    WebhookPublic,
)

router = APIRouter(prefix="/api/v1", tags=["webhooks"])
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/webhooks", status_code=201)
async def make_webhook(body: MakeWebhook, performing: Performing) -> WebhookAnswer:
    """Name another system that is to be told of events. Nothing is sent before it has a secret and two people opened it."""
    return await performing(service.make_webhook, body)


@router.get("/webhooks")
async def list_webhooks(
    reading: Reading,
    state: Literal["not_opened", "open", "stopped", "withdrawn"] | None = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> WebhookList:
    """Subscriptions of what the caller may export, the latest made first."""
    return await reading(queries.list_webhooks, state=state, paging=Paging(after, limit))


@router.get("/webhooks/{code}")
async def read_webhook(code: CodePath, reading: Reading) -> WebhookPublic:
    """One subscription: what it is sent, how far it is."""
    return await reading(queries.read_webhook, code.upper())


@router.get("/webhooks/{code}/deliveries")
async def list_deliveries(
    code: CodePath,
    reading: Reading,
    state: Literal["waiting", "delivered", "undeliverable", "left_out", "withheld", "failed"] | None = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> DeliveryList:
    """What is or was on its way to it, the latest first; delivered ones for two weeks."""
    return await reading(queries.list_deliveries, code.upper(), state=state, paging=Paging(after, limit))


@router.post("/webhooks/{code}/secret")
async def make_webhook_secret(code: CodePath, body: MakeSecret, performing: Performing, response: Response) -> ShownSecret:
    """Make a new secret and show it, this once. The one before signs too for a day. The answer is never kept."""
    response.headers["Cache-Control"] = "no-store"
    return await performing.unkept(service.make_secret, code.upper(), body)


@router.post("/webhooks/{code}/open")
async def open_webhook(code: CodePath, body: OpenWebhook, performing: Performing) -> WebhookAnswer | Proposed:
    """Let events go, by two people who may export them. Whoever completes it owns it: their rights bound what is sent."""
    return await performing(service.open_webhook, code.upper(), body)


@router.post("/webhooks/{code}/stop")
async def stop_webhook(code: CodePath, performing: Performing) -> WebhookAnswer:
    """Send nothing until it goes on. Nothing is lost meanwhile."""
    return await performing(service.stop_webhook, code.upper())


@router.post("/webhooks/{code}/resume")
async def resume_webhook(code: CodePath, performing: Performing) -> WebhookAnswer:
    """Go on where it stopped."""
    return await performing(service.resume_webhook, code.upper())


@router.post("/webhooks/{code}/withdraw")
async def withdraw_webhook(code: CodePath, performing: Performing) -> WebhookAnswer:
    """End it: nothing is sent to it any more."""
    return await performing(service.withdraw_webhook, code.upper())


@router.post("/webhooks/{code}/trial", status_code=202)
async def send_trial(code: CodePath, performing: Performing) -> TrialAsked:
    """Send a signed message without an event, to see whether it arrives; its delivery says what became of it."""
    return await performing(service.send_trial, code.upper())


@router.post("/webhooks/{code}/send-again")
async def send_again(code: CodePath, body: Undelivered, performing: Performing) -> WebhookPublic:
    """Try what was given up anew."""
    return await performing(service.send_again, code.upper(), body)


@router.post("/webhooks/{code}/leave-out")
async def leave_out(code: CodePath, body: Undelivered, performing: Performing) -> WebhookAnswer:
    """Give events up for good, so that what follows in their streams goes on."""
    return await performing(service.leave_out, code.upper(), body)
