"""The slip with a one-time code: drawn once, by the person who completed the act, printed, sealed and handed over unread."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import Session

from biobank.auth import one_time
from biobank.auth.actor import Actor
from biobank.auth.passwords import hash_password
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, OwnPage
from biobank.people.slips import draw_slip, read_slip

router = APIRouter(include_in_schema=False)


def _reads(session: Session, actor: Actor, asked: Asked) -> Any:
    return read_slip(session, actor, asked.path["slip"])


async def _draw(at: Acting[Any]) -> OwnPage:
    plain = one_time.new_code()
    hashed = (await hash_password(one_time.as_typed(plain))).stored
    drawn = await at.performing.disclose(draw_slip, at.path["slip"], plain, hashed)
    return OwnPage("slip.html", slip=drawn)


ActPage(
    address="/slips/{slip}",
    reads=_reads,
    form=lambda at: ActForm(
        title="One-time code",
        subject=at.read.code,
        submit="Draw the slip",
        icon="print",
        lead="The code is shown once. Have the printer and an envelope ready, print the slip, and seal it unread.",
        back=f"/users/{at.read.code}",
        trail=[("Users", "/users"), (at.read.code, f"/users/{at.read.code}"), ("One-time code", None)],
    ),
    model=BaseModel,
    acts=_draw,
).on(router)
