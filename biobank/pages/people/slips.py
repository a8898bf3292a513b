"""The slip with half a one-time code: drawn once by each of the two who signed, printed, sealed and handed over unread."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, OwnPage
from biobank.people.slips import draw_slip, read_slip

router = APIRouter(include_in_schema=False)


def _reads(session: Session, actor: Actor, asked: Asked) -> Any:
    return read_slip(session, actor, asked.path["slip"])


async def _draw(at: Acting[Any]) -> OwnPage:
    drawn = await at.performing.disclose(draw_slip, at.path["slip"])
    return OwnPage("slip.html", slip=drawn)


ActPage(
    address="/slips/{slip}",
    reads=_reads,
    form=lambda at: ActForm(
        title="Half of a one-time code",
        subject=at.read.code,
        submit="Draw the slip",
        icon="print",
        lead="Your half of the code is shown once. Have the printer and an envelope ready, print the slip, and seal it unread. "
        "Its owner needs the other half too, which the other person who signed draws.",
        back=f"/users/{at.read.code}",
        trail=[("Users", "/users"), (at.read.code, f"/users/{at.read.code}"), ("One-time code", None)],
    ),
    model=BaseModel,
    acts=_draw,
).on(router)
