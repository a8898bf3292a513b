"""Hand-overs as people see them: what waits for me, and offering what I hold. One hand-over has a page of its own."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation import clock
from biobank.foundation.paging import Paging
from biobank.pages.shipping import shipments
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.shipping import handover_queries, handovers
from biobank.shipping.onward import refusals_onward
from biobank.shipping.schemas import HandoverList, HandoverPublic, HandoverRequest
from biobank.specimens.resolving import Resolved, resolve_all

router = APIRouter(include_in_schema=False)

KINDS = (("user", "A person (badge)"), ("site", "A site (anyone who receives there)"), ("courier", "A courier"))


def read_handovers(session: Session, actor: Actor, asked: Wanted) -> HandoverList:
    """Read one page of the hand-overs that the address asks for."""
    waiting: Any = asked.of["waiting"]
    return handover_queries.list_handovers(session, actor, waiting=waiting, specimen=asked.of["specimen"], paging=asked.paging)


def row_of(one: HandoverPublic) -> Mapping[str, Any]:
    """Return the cells of one hand-over; its tubes lead to it, because it has no code."""
    tubes = one.specimens
    said = ", ".join(tubes[:3]) + (f" and {len(tubes) - 3} more" if len(tubes) > 3 else "")
    return one.model_dump() | {"tubes": Markup('<a href="/handovers/{}">{}</a>').format(one.id, said)}


COLUMNS = [
    Column("tubes", "Tubes"),
    Column("from_id", "From", "plain_code"),
    Column("to_id", "To", "plain_code"),
    Column("status", "State", "chip"),
    Column("offered_at", "Offered", "when", sort="offered_at"),
    Column("expires_at", "Until", "when", sort="expires_at"),
]


def read_mine(session: Session, actor: Actor) -> dict[str, Any]:
    """Read what waits for the reader; it stands above the list."""
    mine = handover_queries.list_handovers(session, actor, waiting="me", paging=Paging(limit=50))
    return {"mine": [row_of(one) for one in mine.items], "mine_columns": COLUMNS}


Listing(
    address="/handovers",
    title="Hand-overs",
    lead="Custody changes when the receiver accepts, not before.",
    key="id",
    columns=COLUMNS,
    read=read_handovers,
    row=row_of,
    default="-offered_at",
    template="handovers.html",
    more=read_mine,
    filters=[Filter("waiting", "Waiting for", "choice", [("me", "Me")]), Filter("specimen", "Tube", "code")],
    links=[Link("Offer tubes", "/handovers/new", "hand", Permission.SPECIMEN_READ, main=True)],
    empty="No hand-overs",
    hint="Offer a tube that you hold; it is yours until somebody accepts it.",
).on(router)


def _read_offer(session: Session, actor: Actor, asked: Asked) -> list[str]:
    """Return what stands against taking the tubes that the address names to somewhere else, a sentence each."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    named = asked.form.all_of("specimens")
    if asked.sent or not named:
        return []
    found = resolve_all(session, actor, named, asked.bank.settings, holds=True).values()
    tubes = [one.specimen for one in found if isinstance(one, Resolved) and one.specimen is not None]
    against = refusals_onward(session, asked.bank, clock.now(), tubes)
    return [f"It stays here, with somebody of this place: {one.detail}" for one in against]


ActPage(
    address="/handovers/new",
    asks=("specimens",),
    reads=_read_offer,
    model=HandoverRequest,
    names=("specimens", "to_kind", "to_id", "expires_in_minutes"),
    labels={
        "specimens": "Tubes",
        "to_kind": "To whom",
        "to_id": "Badge, site or courier code",
        "expires_in_minutes": "Minutes the offer stands",
    },
    form=lambda at: ActForm(
        title="Offer",
        subject="Hand-over",
        icon="hand",
        options={"to_kind": KINDS},
        lead=" ".join(["You keep custody until the receiver accepts with their own login.", *at.read]),
    ),
    given=shipments.tubes_seen,
    use_case=handovers.offer,
    after=lambda _at, _body, answer: Done(f"/handovers/{answer['id']}", "Offered.", "It is yours until it is accepted."),
).on(router)
