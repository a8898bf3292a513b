"""One hand-over: who gives what to whom, and the receiver's yes or no."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import drawn, fields_of, parse
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.shipping import handovers
from biobank.shipping.handover_queries import read_handover
from biobank.shipping.schemas import AcceptRequest, DeclineRequest, HandoverPublic

router = APIRouter(include_in_schema=False)

REASONS = [
    ("not_here", "They are not here"),
    ("not_as_offered", "They are not what was offered"),
    ("damaged", "Something is broken or unreadable"),
    ("too_warm", "They are too warm"),
    ("not_now", "I cannot take them now"),
]


@router.get("/handovers/{handover_id}")
async def show_handover(request: Request, handover_id: UUID, reading: PageReading) -> Response:
    """Draw a hand-over."""
    return await _draw(request, reading, handover_id)


async def _draw(request: Request, reading: PageReading, handover_id: UUID, refusal: Refusal | None = None) -> Response:
    one: HandoverPublic = await reading.agreeing(read_handover, handover_id)
    actor: Actor = request.state.actor
    mine = one.to_id == actor.code if one.to_kind == "user" else actor.may(Permission.HANDOVER_TAKE, at=one.to_id)
    stands = one.status == "offered"
    giver = one.offered_by == actor.code
    by_receipt = stands and giver and one.to_kind == "courier"
    return render(
        request,
        "handover.html",
        one=one,
        may_accept=stands and mine and not giver and one.to_kind != "courier",
        may_take_back=stands and giver,
        receipt=fields_of(AcceptRequest, "evidence", needed=("evidence",)) if by_receipt else [],
        reasons=REASONS,
        **drawn(refusal),
    )


@router.post("/handovers/{handover_id}/accept")
async def accept(request: Request, handover_id: UUID, performing: PagePerforming, reading: PageReading) -> Response:
    """Take everything over."""

    async def act() -> Response:
        body = parse(AcceptRequest, performing.form, request.state.zone, "evidence")
        answer = await performing(handovers.accept, handover_id, body)
        count = len(answer["specimens"])
        if answer["to_kind"] == "courier":
            return await performing.done(f"/handovers/{handover_id}", f"{answer['to_id']} holds them now.", answer["evidence"])
        return await performing.done(
            "/", f"You hold {count} {'tube' if count == 1 else 'tubes'} now.", f"From {answer['from_id']}."
        )

    return await or_again(act(), lambda refusal: _draw(request, reading, handover_id, refusal))


@router.post("/handovers/{handover_id}/decline")
async def decline(request: Request, handover_id: UUID, performing: PagePerforming, reading: PageReading) -> Response:
    """Say no, or take one's own offer back."""

    async def act() -> Response:
        asked = performing.form.get("reason", "")
        reason = asked if asked in dict(REASONS) else "taken_back"
        answer = await performing(handovers.decline, handover_id, DeclineRequest(reason=reason))
        return await performing.done("/", "The hand-over is ended.", f"{answer['from_id']} still holds everything.", kind="note")

    return await or_again(act(), lambda refusal: _draw(request, reading, handover_id, refusal))
