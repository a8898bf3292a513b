"""What places may read: the list of classes and sites, and setting limits of a container or of a class at a site, signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.paging import Listed
from biobank.foundation.terms import counted, words
from biobank.pages.monitoring.said import limits_in_words
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.forms import fields_of, measure_of
from biobank.pages.ui.listing import Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.storage.limits import NAMES, PlaceLimitsPublic, SetPlaceLimits, limits_of_place, list_class_limits, set_place_limits
from biobank.storage.queries import get_container

router = APIRouter(include_in_schema=False)

LABELS = {
    "container": "Container (scan it)",
    "site": "Site",
    "temperature_class": "Class of places",
    "lowest_mc": "Coldest allowed",
    "highest_mc": "Warmest allowed",
    "lowest_level_ppm": "Lowest nitrogen level",
    "rise_mc_per_min": "Fastest warming",
    "fall_ppm_per_h": "Fastest fall of the level",
}


def read_limits(session: Session, actor: Actor, _asked: Wanted) -> Listed[PlaceLimitsPublic]:
    """Read the limits of every class of places, and what sites set."""
    found = list_class_limits(session, actor).items
    return Listed(items=found, total=len(found))


Listing(
    address="/place-limits",
    title="What places may read",
    lead="A place is judged by the strictest of its class, its site, itself and everything it stands in. A reading outside puts "
    "everything inside on hold.",
    columns=[
        Column("what", "Places", sort="what"),
        Column("whose", "Set by", sort="whose"),
        Column("may", "May read", "sentences"),
        Column("source", "Source", sort="source"),
    ],
    read=read_limits,
    row=lambda one: {
        "key": f"{one.temperature_class} {one.site or ''}",
        "what": words(one.temperature_class),
        "whose": one.site or "Registry",
        "may": limits_in_words(one),
        "source": one.source,
    },
    key="key",
    default="what",
    links=[Link("Set limits for a class", "/place-limits/new", "pen", Permission.QUALITY_DECIDE)],
    whole=True,
).on(router)


@dataclass(frozen=True)
class _Now:
    """The sites to choose from; of a container what it may read now, and its own limits as they are typed."""

    sites: Choices
    said: str = ""
    own: Mapping[str, str] = field(default_factory=dict)


def _sites_and_now(session: Session, actor: Actor, asked: Asked) -> _Now:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    sites = own_sites(session, actor, Permission.QUALITY_DECIDE)
    container = asked.form.get("container", "")
    if asked.sent or not container:
        return _Now(sites)
    row = get_container(session, actor, container.upper())
    own = {name: _typed(name, getattr(row, name)) for name in NAMES}
    return _Now(sites, limits_in_words(limits_of_place(session, row.code)), own)


def _typed(name: str, value: int | None) -> str:
    measure = measure_of(name)
    return "" if value is None or measure is None else f"{value / measure.per:g}"


def _draw(at: Opened[_Now]) -> ActForm:
    sites, now = at.read.sites, at.read.said
    about = ("container",) if at.form.get("container") else ("site", "temperature_class")
    return ActForm(
        title="Set limits of places",
        subject="Storage",
        submit="Sign and set",
        icon="pen",
        lead="Stricter than what stands without it, never looser; what is left out has no limit of its own. "
        "Two of quality sign what lets a place read more than before."
        + (f" With everything around it, this container may now read: {now}." if now else ""),
        fields=fields_of(
            SetPlaceLimits,
            *about,
            *NAMES,
            values=at.filled(**at.read.own, site=only(sites)),
            labels=LABELS,
            options={"site": sites},
            needed=about,
        ),
        statement="You set what this place may read. Outside it, everything inside is put on hold; what it read last is judged "
        "by it now.",
        said="I decide these limits.",
        back="/place-limits",
        trail=[("Storage", "/storage"), ("What places may read", "/place-limits"), ("Set limits", None)],
    )


def _set(_at: Opened[Any], body: SetPlaceLimits, answer: dict[str, Any]) -> Done:
    where = "/place-limits" if body.container is None else f"/storage/{body.container.upper()}"
    if answer["status"] == "pending":
        return proposed(where)
    what = "Limits set." if body.container is not None else f"Set for {words(body.temperature_class).lower()} at {body.site}."
    met = answer["excursions"]
    if not met:
        return Done(where, what)
    held = counted(answer["held"], "specimen")
    return Done(where, what, f"What was read last lies outside them: {', '.join(met)}, {held} on hold.", "care")


ActPage(
    address="/place-limits/new",
    asks=("container",),
    reads=_sites_and_now,
    form=_draw,
    model=SetPlaceLimits,
    names=("container", "site", "temperature_class", *NAMES),
    labels=LABELS,
    scans={"container": (Prefix.CONTAINER,)},
    meaning=Meaning.DECIDED,
    use_case=set_place_limits,
    args=lambda at: ((at.form.get("container") or at.form.get("site", "")).upper(),),
    after=_set,
).on(router)
