"""Sites as an administrator sees them: laboratories and clinics, adding one, changing one."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.people import sites
from biobank.people.queries import list_sites, read_site
from biobank.people.schemas import SiteChange, SiteCreate, SitePublic

router = APIRouter(include_in_schema=False)

CHANGED = ("name", "timezone", "active")
LABELS = {
    "code": "Code (2 to 8 capitals and digits)",
    "timezone": "Time zone, such as Europe/London",
    "active": "In use",
}
COLUMNS = [
    Column("site", "Site"),
    Column("name", "Name"),
    Column("kind", "Kind", "words"),
    Column("timezone", "Time zone"),
    Column("state", "State", "chip"),
]


@router.get("/sites")
async def show_sites(request: Request, reading: PageReading) -> Response:
    """List the places of work."""
    found = await reading(list_sites)
    actor: Actor = request.state.actor
    adds = actor.may(Permission.SITE_MANAGE, at=EVERYWHERE)
    rows = [
        one.model_dump()
        | {
            "state": "active" if one.active else "disabled",
            "href": f"/sites/{one.code}",
            "act": "Change",
            "about": one.code,
            "site": one.code,
        }
        for one in found.items
    ]
    rows = [
        row
        if actor.may(Permission.SITE_MANAGE, at=row["site"])
        else {name: value for name, value in row.items() if name not in ("href", "act", "about")}
        for row in rows
    ]
    acts = [
        ActionLink("Add a site", "/sites/new", "plus", "get", "main"),
        ActionLink("Lay out its storage", "/storage/new", "tank"),
    ]
    return render(
        request,
        "dossier.html",
        kind="Sites",
        code=None,
        trail=[("Sites", None)],
        acts=acts if adds else [],
        tables=[("Places of work", COLUMNS, rows, "No sites", "Add the first one.")],
        facts=[("Sites", len(rows))],
        note="A code stands in events for ever: it is never changed and never used again.",
    )


def _proposed_zone(session: Session, actor: Actor, _asked: Asked) -> str:
    """Propose the time zone that every site so far has."""
    actor.require(Permission.SITE_MANAGE, at=EVERYWHERE)
    zones = {one.timezone for one in list_sites(session, actor).items}
    return zones.pop() if len(zones) == 1 else ""


ActPage(
    address="/sites/new",
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
        lead="Shut, a site takes nothing in; what is there stays on record.",
    ),
    use_case=sites.change_site,
    after=lambda at, _body, _answer: Done("/sites", f"{at.code} is changed."),
).on(router)
