"""Blocking the places of a box, keeping them for one donor, opening them again."""

import re

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import Prefix
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.storage.queries import read_container
from biobank.storage.schemas import ContainerPublic, SlotsRequest
from biobank.storage.slots import mark_slots

router = APIRouter(include_in_schema=False)

MARKS = [("blocked", "Nothing may be put there"), ("kept", "Only tubes of one donor"), ("open", "Any tube again")]


def _box(session: Session, actor: Actor, asked: Asked) -> ContainerPublic:
    box = read_container(session, actor, asked.code)
    actor.require(Permission.STORAGE_RECORD, at=box.site)
    return box


def _draw(at: Opened[ContainerPublic]) -> ActForm:
    return ActForm(
        title="Block or keep places",
        submit="Record it",
        icon="octagon",
        lead=f"Places of {at.read.name}, such as A1 B7. A place with a tube in it is marked after the tube was moved.",
        trail=[("Storage", "/storage"), (at.read.name, f"/storage/{at.code}"), ("Block or keep places", None)],
        options={"mark": MARKS},
        labels={"mark": "What becomes of them", "reason": "Why they are blocked", "kept_for": "Kept for (scan the donor)"},
    )


def _positions(at: Opened[ContainerPublic]) -> dict[str, list[str]]:
    return {"positions": [one for one in re.split(r"[\s,;]+", at.form.get("positions", "").strip()) if one]}


ActPage(
    address="/storage/{code}/slots",
    reads=_box,
    form=_draw,
    model=SlotsRequest,
    names=("positions", "mark", "reason", "kept_for"),
    scans={"kept_for": (Prefix.DONOR,)},
    labels={"positions": "Places"},
    given=_positions,
    use_case=mark_slots,
    after=lambda at, body, _answer: Done(f"/storage/{at.code}", "Recorded.", f"{len(body.positions)} places."),
).on(router)
