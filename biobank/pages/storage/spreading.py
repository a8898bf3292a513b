"""Storing tubes where they fit: the places are chosen so that no single tank takes a donor's whole stock; and the site's rule."""

from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.snapshots import get_all_visible
from biobank.foundation.errors import MalformedRequest
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.storage.schemas import WhereItFitsRequest
from biobank.storage.service import store_where_it_fits
from biobank.storage.spreading import (
    PlacesSuggested,
    PlaceSuggested,
    SplitStorageList,
    SplitStorageRequest,
    list_split_storage,
    set_split_storage,
    suggest_places,
)

router = APIRouter(include_in_schema=False)

MOST = 50
"""Tubes whose places one page shows: as many as can be ticked on a list."""


def _plan(session: Session, actor: Actor, asked: Asked) -> PlacesSuggested | None:
    actor.require(Permission.STORAGE_RECORD, at=ANYWHERE)
    if asked.sent:
        return None
    codes = asked.form.all_of("specimens")
    if not 0 < len(codes) <= MOST:
        raise MalformedRequest(f"Choose 1 to {MOST} specimens on the list of specimens first.")
    at = {one.projection.site_code for one in get_all_visible(session, actor, codes)}
    site = at.pop() if len(at) == 1 else None
    if site is None:
        raise MalformedRequest("They are not at one site. Choose the tubes of one site.")
    return suggest_places(session, actor, site, codes)


def said_of(one: PlaceSuggested) -> str:
    """Say in words where one tube goes, and what of its donor is where then."""
    where = f"{one.specimen} → {' › '.join(one.path)}, {one.label}"
    return f"{where} (of its donor: {one.beside} in that tank before it, {one.elsewhere} in others)"


def _draw_plan(at: Opened[PlacesSuggested | None]) -> ActForm:
    plan = at.read
    together = plan is not None and not plan.spread
    return ActForm(
        title="Store where they fit",
        subject="Storage",
        submit="They are there: record it",
        icon="tank",
        lead="This site keeps a donor's units together: quality decided not to spread them."
        if together
        else "Put each tube where it says. A donor's units are spread over tanks, so that no single failure takes them all.",
        plan=[] if plan is None else [said_of(one) for one in plan.items],
        hidden={
            "site": at.form.get("site", "") if plan is None else plan.site,
            "places": at.form.get("places", "")
            if plan is None
            else " ".join(f"{one.specimen}={one.position}={one.seq}" for one in plan.items),
        },
        back="/specimens",
        trail=[("Specimens", "/specimens"), ("Store where they fit", None)],
    )


def _places(at: Acting[PlacesSuggested | None]) -> dict[str, Any]:
    told = [one.split("=") for one in at.form.get("places", "").split()]
    if any(len(one) != 3 for one in told):
        raise MalformedRequest("The places cannot be read. Choose the tubes on the list of specimens again.")
    return {"placements": [{"specimen": code, "position": slot, "expected_seq": seq} for code, slot, seq in told]}


def _stored(_at: Opened[Any], _body: WhereItFitsRequest, answer: dict[str, Any]) -> Done:
    boxes = sorted({one["container"] for one in answer["items"]})
    return Done("/specimens", f"Stored: {len(answer['items'])} in {', '.join(boxes)}.")


ActPage(
    address="/specimens/store-where-they-fit",
    asks=("specimens",),
    reads=_plan,
    form=_draw_plan,
    model=WhereItFitsRequest,
    names=("site",),
    given=_places,
    use_case=store_where_it_fits,
    args=lambda _at: (),
    after=_stored,
).on(router)


def _rules(session: Session, actor: Actor, _asked: Asked) -> tuple[Choices, SplitStorageList]:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    return own_sites(session, actor, Permission.QUALITY_DECIDE), list_split_storage(session, actor)


SPREAD = [("true", "Spread a donor's units over tanks"), ("false", "Keep a donor's units together")]


def _draw_rules(at: Opened[tuple[Choices, SplitStorageList]]) -> ActForm:
    sites, rules = at.read
    said = "; ".join(f"{one.site or 'usual'}: {dict(SPREAD)[str(one.spread).lower()].lower()}" for one in rules.items)
    return ActForm(
        title="Split storage",
        subject="Storage",
        submit="Sign and set",
        icon="pen",
        lead=f"What the bank proposes when it chooses places. What stands: {said}.",
        values=at.filled(site=only(sites)),
        options={"site": sites, "spread": SPREAD},
        labels={"spread": "When the bank chooses places"},
        statement="You set whether automatic placing at this site spreads each donor's units over tanks.",
        said="I decide this for the site.",
        back="/all-in-one-place",
        trail=[("Storage", "/storage"), ("All in one place", "/all-in-one-place"), ("Split storage", None)],
    )


ActPage(
    address="/split-storage",
    reads=_rules,
    form=_draw_rules,
    model=SplitStorageRequest,
    names=("site", "spread"),
    labels={"spread": "When the bank chooses places"},
    meaning=Meaning.DECIDED,
    use_case=set_split_storage,
    args=lambda _at: (),
    after=lambda _at, body, _answer: Done("/all-in-one-place", f"Set for {body.site}."),
).on(router)
