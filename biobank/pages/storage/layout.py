"""The layout builder: rooms, tanks, racks and boxes, several alike at once, with a look at the plan before anything is made."""

import hashlib
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import act_page, fields_of, parse
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again
from biobank.people.queries import list_sites
from biobank.storage.layout import LayoutPlan, in_words, lay_out
from biobank.storage.queries import read_container

router = APIRouter(include_in_schema=False)

OUTER = ("kind", "name", "how_many", "first_number")
INNER = ("inner_kind", "inner_name", "inner_count")
PLACES = ("rows", "cols")
KEPT = ("purpose", "temperature_class", "highest_mc", "isolated")
LABELS = {
    "parent": "In (scan the tank or rack)",
    "kind": "What",
    "how_many": "How many alike",
    "first_number": "Numbered from",
    "inner_kind": "In each of them",
    "inner_name": "Called",
    "inner_count": "How many in each",
    "rows": "Rows of places",
    "cols": "Columns of places",
    "temperature_class": "How cold",
    "highest_mc": "Warmest allowed",
    "isolated": "Kept apart",
}
INSIDE = {"room": "tank", "tank": "rack", "freezer": "shelf", "rack": "box", "shelf": "box"}
"""What is usually added to a container of a kind."""


@router.get("/storage/new")
async def show_new(
    request: Request, reading: PageReading, parent: Annotated[str, Query(max_length=20, pattern=r"^[A-Z0-9-]*$")] = ""
) -> Response:
    """Draw the builder; inside a place, with what is usually added there."""
    return await _draw(request, reading, parent)


async def _draw(
    request: Request,
    reading: PageReading,
    parent: str,
    refusal: Refusal | None = None,
    typed: Form | None = None,
    plan: LayoutPlan | None = None,
) -> Response:
    actor = request.state.actor
    actor.require(Permission.STORAGE_MANAGE, at=ANYWHERE)
    sites = (await reading(list_sites, active=True)).items
    own = [(one.code, f"{one.code} · {one.name}") for one in sites if actor.may(Permission.STORAGE_MANAGE, at=one.code)]
    values: Any = typed
    if typed is None:
        values = {"site": own[0][0] if len(own) == 1 else "", "kind": "tank"}
        if parent:
            place = await reading(read_container, parent)
            kind = INSIDE.get(place.kind, "box")
            values = {
                "site": place.site,
                "parent": parent,
                "kind": kind,
                "name": kind.capitalize(),
                "purpose": place.purpose,
                "temperature_class": place.temperature_class or "",
                "highest_mc": _celsius(place.highest_mc),
            } | ({"rows": "9", "cols": "9"} if kind == "box" else {})
    fields = fields_of(
        LayoutPlan, "site", "parent", *OUTER, *INNER, *PLACES, *KEPT, values=values, labels=LABELS, options={"site": own}
    )
    fields = [replace(one, kind="scan", accepts="BX") if one.name == "parent" else one for one in fields]
    hidden = {} if plan is None else {"seen": _mark(plan)}
    return act_page(
        request,
        refusal,
        title="Lay out",
        subject="Storage",
        back=f"/storage/{parent}" if parent else "/storage",
        trail=[("Storage", "/storage"), ("Lay out", None)],
        fields=fields,
        hidden=hidden,
        draft=plan is None,
        lead="For example 4 racks with 9 boxes of 9 × 9 each. You see what would be made before it is.",
        plan=[] if plan is None else in_words(plan),
        submit="Show the plan" if plan is None else "Make it",
        icon="search" if plan is None else "plus",
    )


def _mark(plan: LayoutPlan) -> str:
    """What stands in the form for the plan that was seen: another plan is shown again before it is made."""
    return hashlib.sha256(plan.model_dump_json().encode()).hexdigest()


def _celsius(millidegrees: int | None) -> str:
    return "" if millidegrees is None else f"{millidegrees / 1000:g}"


@router.post("/storage/new")
async def build(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Show the plan; sent again unchanged, make it."""
    form = performing.form
    parent = form.get("parent", "")

    async def act() -> Response:
        given: dict[str, Any] = {}
        if parent:
            given["parent"] = scanned_code(form, "parent", performing.bank.settings, Prefix.CONTAINER)
        plan = parse(LayoutPlan, form, request.state.zone, "site", *OUTER, *INNER, *PLACES, *KEPT, **given)
        if form.get("seen") != _mark(plan):
            return await _draw(request, reading, parent, typed=form, plan=plan)
        made = await performing(lay_out, plan)
        text = f"{made['containers']} containers with {made['positions']} places. Print their labels next."
        first = made["items"][0]
        place = given.get("parent") or first["code"]
        return await performing.done(f"/storage/{place}", "Laid out.", text)

    return await or_again(act(), lambda refusal: _draw(request, reading, parent, refusal, form))
