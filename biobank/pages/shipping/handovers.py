"""Hand-overs as people see them: what waits for me, and offering what I hold. One hand-over has a page of its own."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Cursor, Paging
from biobank.pages.shipping import handover, shipments
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, act_page, fields_of, parse
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.shipping import handover_queries, handovers
from biobank.shipping.schemas import HandoverList, HandoverPublic, HandoverRequest

router = APIRouter(include_in_schema=False)
ROUTERS = (router, handover.router, shipments.router)

COLUMNS = [
    Column("tubes", "Tubes"),
    Column("from_id", "From", "plain_code"),
    Column("to_id", "To", "plain_code"),
    Column("status", "State", "chip"),
    Column("offered_at", "Offered", "when"),
    Column("expires_at", "Until", "when"),
]
OFFERED = ("specimens", "to_kind", "to_id", "expires_in_minutes")
KINDS = (("user", "A person (badge)"), ("site", "A site (anyone who receives there)"), ("courier", "A courier"))


@router.get("/handovers")
async def show_handovers(request: Request, reading: PageReading, cursor: Cursor | None = None) -> Response:
    """List hand-overs: first what waits for me."""

    def query(session: Session, actor: Actor) -> tuple[HandoverList, HandoverList]:
        return (
            handover_queries.list_handovers(session, actor, waiting="me", paging=Paging(limit=50)),
            handover_queries.list_handovers(session, actor, paging=Paging(cursor, 50)),
        )

    mine, every = await reading(query)
    actor: Actor = request.state.actor
    return render(
        request, "handovers.html", mine=[_row(one) for one in mine.items], rows=[_row(one) for one in every.items],
        columns=COLUMNS, next_cursor=every.next, may_offer=actor.may(Permission.SPECIMEN_READ, at=ANYWHERE),
        may_ship=actor.may(Permission.SHIPMENT_RECORD, at=ANYWHERE),
    )  # fmt: skip


def _row(one: HandoverPublic) -> dict[str, Any]:
    tubes = one.specimens
    return one.model_dump() | {"tubes": ", ".join(tubes[:3]) + (f" and {len(tubes) - 3} more" if len(tubes) > 3 else "")}


@router.get("/handovers/new")
async def show_new(
    request: Request,
    _reading: PageReading,
    specimens: Annotated[str, Query(max_length=400, pattern=r"^[A-Za-z0-9 -]*$")] = "",
) -> Response:
    """Draw the offer."""
    return _draw_new(request, {"specimens": specimens.replace(" ", "\n")})


def _draw_new(request: Request, typed: Mapping[str, Any], refusal: Refusal | None = None) -> Response:
    return act_page(
        request,
        refusal,
        title="Offer",
        subject="Hand-over",
        lead="You keep custody until the receiver accepts with their own login.",
        back="/handovers",
        trail=[("Hand-overs", "/handovers"), ("Offer", None)],
        fields=fields_of(
            HandoverRequest, *OFFERED, values=typed, options={"to_kind": KINDS},
            labels={"specimens": "Tubes", "to_kind": "To whom", "to_id": "Badge, site or courier code",
                    "expires_in_minutes": "Minutes the offer stands"},
        ),
        more=fields_of(HandoverRequest, *CIRCUMSTANCES, values=typed),
        submit="Offer",
        icon="hand",
    )  # fmt: skip


@router.post("/handovers/new")
async def offer(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Offer what was scanned."""
    form = performing.form

    async def act() -> Response:
        tubes = form.all_of("specimens")
        if not tubes:
            raise FormFault({"specimens": "Tubes: scan at least one."})
        seen = await reading(shipments.as_seen, tubes, reading.bank.settings)
        names = (*OFFERED[1:], *CIRCUMSTANCES)
        body = parse(HandoverRequest, form, request.state.zone, *names, specimens=seen)
        answer = await performing(handovers.offer, body)
        return await performing.done(f"/handovers/{answer['id']}", "Offered.", "It is yours until it is accepted.")

    async def again(refusal: Refusal) -> Response:
        return _draw_new(request, form, refusal)

    return await or_again(act(), again)
