"""Blocking the places of a box, keeping them for one donor, opening them again."""

import re

from fastapi import APIRouter

from biobank.foundation.codes import Prefix
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Done, Opened
from biobank.storage.schemas import ContainerPublic, SlotsRequest
from biobank.storage.slots import mark_slots

router = APIRouter(include_in_schema=False)

MARKS = [("blocked", "Nothing may be put there"), ("kept", "Only tubes of one donor"), ("open", "Any tube again")]


def _draw(at: Opened[ContainerPublic]) -> ActForm:
    return ActForm(
        title="Block or keep places",
        submit="Record it",
        icon="octagon",
        lead=f"Places of {at.read.name}, such as A1 B7. A place with a tube in it is marked after the tube was moved.",
        trail=trail_of(at.read, "Block or keep places"),
        options={"mark": MARKS},
        labels={"mark": "What becomes of them", "reason": "Why they are blocked", "kept_for": "Kept for (scan the donor)"},
    )


def _positions(at: Opened[ContainerPublic]) -> dict[str, list[str]]:
    return {"positions": [one for one in re.split(r"[\s,;]+", at.form.get("positions", "").strip()) if one]}


ActPage(
    address="/storage/{code}/slots",
    reads=about_place,
    form=_draw,
    model=SlotsRequest,
    names=("positions", "mark", "reason", "kept_for"),
    scans={"kept_for": (Prefix.DONOR,)},
    labels={"positions": "Places"},
    given=_positions,
    use_case=mark_slots,
    after=lambda at, body, _answer: Done(f"/storage/{at.code}", "Recorded.", f"{len(body.positions)} places."),
).on(router)
