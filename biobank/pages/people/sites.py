"""Sites as an administrator sees them: laboratories and clinics, adding one, changing one."""

from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.paging import Listed
from biobank.pages.people.jurisdictions import law_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.people import sites
from biobank.people.queries import list_sites, read_site
from biobank.people.schemas import SiteChange, SiteCreate, SitePublic

router = APIRouter(include_in_schema=False)

CHANGED = ("name", "timezone", "active")
LABELS = {
    "code": "Code (2 to 8 capitals and digits)",
    "timezone": "Time zone",
    "active": "In use",
}


def read_sites(session: Session, actor: Actor, asked: Wanted) -> Listed[dict[str, Any]]:
    """Read the places of work; who may change one is led there by its code."""
    state, kind = asked.of["state"], asked.of["kind"]
    found = list_sites(session, actor, active=None if state is None else state == "active").items
    rows = [
        one.model_dump()
        | {"site": _named(actor, one.code), "state": "active" if one.active else "disabled", "law": law_of(one.jurisdiction)}
        for one in found
        if kind in (None, one.kind)
    ]
    return Listed(items=rows, total=len(rows))


def _named(actor: Actor, code: str) -> str:
    may = actor.may(Permission.SITE_MANAGE, at=code)
    return Markup('<a href="/sites/{0}">{0}</a>').format(code) if may else code


Listing(
    address="/sites",
    title="Sites",
    lead="Places of work. A code stands in events for ever: it is never changed and never used again.",
    key="code",
    columns=[
        Column("site", "Site", sort="site"),
        Column("name", "Name", sort="name"),
        Column("kind", "Kind", "words", sort="kind"),
        Column("timezone", "Time zone", sort="timezone"),
        Column("law", "Works under the law of", sort="law"),
        Column("state", "State", "chip", sort="state"),
    ],
    read=read_sites,
    row=lambda row: row,
    default="site",
    filters=[
        Filter("state", "State", "choice", [("active", "Active"), ("disabled", "Disabled")]),
        Filter("kind", "Kind", "choice", [("bank", "Bank"), ("clinic", "Clinic")]),
    ],
    links=[
        Link("Lay out storage", "/storage/new", "tank", Permission.STORAGE_MANAGE),
        Link("Add a site", "/sites/new", "plus", Permission.SITE_MANAGE, main=True, everywhere=True),
    ],
    empty="No sites",
    hint="Add the first one.",
    whole=True,
).on(router)


def _proposed_zone(session: Session, actor: Actor, _asked: Asked) -> str:
    """Propose the time zone that every site so far has."""
    actor.require(Permission.SITE_MANAGE, at=EVERYWHERE)
    zones = {one.timezone for one in list_sites(session, actor).items}
    return zones.pop() if len(zones) == 1 else ""


ActPage(
    address="/sites/new",
    again=("kind", "timezone"),
    reads=_proposed_zone,
    model=SiteCreate,
    names=("code", "name", "kind", "timezone"),
    labels=LABELS,
    form=lambda at: ActForm(
        title="Add",
        subject="Site",
        submit="Add the site",
        icon="plus",
        draft=True,
        values={"timezone": at.read},
        lead="A bank keeps specimens; a clinic sees donors.",
    ),
    given=lambda at: {"code": at.form["code"].upper()} if "code" in at.form else {},
    use_case=sites.create_site,
    after=lambda _at, body, _answer: Done("/sites", f"{body.code} is added.", "Lay out its storage and give people roles there."),
).on(router)


def _site(session: Session, actor: Actor, asked: Asked) -> SitePublic:
    actor.require(Permission.SITE_MANAGE, at=asked.code)
    return read_site(session, actor, asked.code)


ActPage(
    address="/sites/{code}",
    reads=_site,
    model=SiteChange,
    names=CHANGED,
    needed=CHANGED,
    labels=LABELS,
    form=lambda at: ActForm(
        title="Change",
        submit="Change the site",
        icon="pen",
        values=at.read.model_dump(),
        back="/sites",
        trail=[("Sites", "/sites"), (at.code, None)],
        lead="Shut, a site takes nothing in; what is there stays on record. It works under the law of: "
        f"{law_of(at.read.jurisdiction)} (quality states that).",
    ),
    use_case=sites.change_site,
    after=lambda at, _body, _answer: Done("/sites", f"{at.code} is changed."),
).on(router)
