"""The layout builder: rooms, tanks, racks and boxes, several alike at once, with a look at the plan before anything is made."""

import hashlib
from dataclasses import replace

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import counted
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import Field, fields_of
from biobank.storage.layout import LayoutPlan, in_words, lay_out
from biobank.storage.queries import places_holding_others, read_container
from biobank.storage.schemas import ContainerPublic

router = APIRouter(include_in_schema=False)

ASKED = (
    *("site", "parent", "kind", "name", "how_many", "first_number"),
    *("inner_kind", "inner_name", "inner_count", "rows", "cols"),
    *("purpose", "temperature_class", "isolated"),
)
LABELS = {
    "parent": "In",
    "kind": "What",
    "how_many": "How many alike",
    "first_number": "Numbered from",
    "inner_kind": "In each of them",
    "inner_name": "Called",
    "inner_count": "How many in each",
    "rows": "Rows of places",
    "cols": "Columns of places",
    "temperature_class": "How cold",
    "isolated": "Kept apart",
}
INSIDE = {"room": "tank", "tank": "rack", "freezer": "shelf", "rack": "box", "shelf": "box"}
"""What is usually added to a container of a kind."""


OFFERED = 100
"""So many places are offered by name; where there are more, the label of the tank or rack is scanned."""

Read = tuple[Choices, ContainerPublic | None, Choices | None]


def _sites_and_place(session: Session, actor: Actor, asked: Asked) -> Read:
    """Read where the actor lays out storage, the place that the address names, and what there is to lay out in."""
    actor.require(Permission.STORAGE_MANAGE, at=ANYWHERE)
    parent = "" if asked.sent else asked.form.get("parent", "")
    place = read_container(session, actor, parent) if parent else None
    around = places_holding_others(session, actor, OFFERED)
    named = None if around is None else [(one.code, " · ".join(one.path)) for one in around]
    return own_sites(session, actor, Permission.STORAGE_MANAGE), place, named


def _proposed(sites: Choices, place: ContainerPublic | None) -> dict[str, str]:
    if place is None:
        return {"site": only(sites), "kind": "tank"}
    kind = INSIDE.get(place.kind, "box")
    return {
        "site": place.site,
        "kind": kind,
        "name": kind.capitalize(),
        "purpose": place.purpose,
        "temperature_class": place.temperature_class or "",
    } | ({"rows": "9", "cols": "9"} if kind == "box" else {})


def _draw(at: Opened[Read], plan: LayoutPlan | None = None) -> ActForm:
    sites, place, around = at.read
    fields = fields_of(LayoutPlan, *ASKED, values=at.filled(**_proposed(sites, place)), labels=LABELS, options={"site": sites})
    parent = at.form.get("parent")
    return ActForm(
        title="Lay out",
        subject="Storage",
        back=f"/storage/{parent}" if parent else "/storage",
        fields=[_around(one, around) if one.name == "parent" else one for one in fields if one.name != "parent" or around != []],
        hidden={} if plan is None else {"seen": _mark(plan)},
        draft=True,
        lead="For example 4 racks with 9 boxes of 9 × 9 each. You see what would be made before it is.",
        plan=[] if plan is None else in_words(plan),
        submit="Show the plan" if plan is None else "Make it",
        icon="search" if plan is None else "plus",
        once=plan is None,
    )


def _around(field: Field, around: Choices | None) -> Field:
    """Ask for the place around: by name, or by its label."""
    if around is not None:
        return replace(field, kind="select", options=around, hint="Nothing chosen: it stands by itself at the site.")
    return replace(field, kind="scan", accepts="BX", hint="Scan the label of the tank or rack.")


def _mark(plan: LayoutPlan) -> str:
    """What stands in the form for the plan that was seen: another plan is shown again before it is made."""
    return hashlib.sha256(plan.model_dump_json().encode()).hexdigest()


async def _build(at: Acting[Read]) -> Done | ActForm:
    """Show the plan; sent again unchanged, make it."""
    plan = await LAYOUT.body_of(at)
    if at.form.get("seen") != _mark(plan):
        return _draw(at, plan)
    made = await at.performing(lay_out, plan)
    text = f"{counted(made['containers'], 'container')} with {counted(made['positions'], 'place')}. Print their labels next."
    return Done(f"/storage/{plan.parent or made['items'][0]['code']}", "Laid out.", text)


LAYOUT = ActPage(
    address="/storage/new",
    asks=("parent",),
    again=("site", "parent", "kind", "purpose", "temperature_class", "rows", "cols"),
    reads=_sites_and_place,
    form=_draw,
    model=LayoutPlan,
    names=ASKED,
    labels=LABELS,
    scans={"parent": (Prefix.CONTAINER,)},
    acts=_build,
)
LAYOUT.on(router)
