"""Sites as an administrator sees them: laboratories and clinics, adding one, changing one."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import act_page, fields_of, parse
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people import sites
from biobank.people.queries import list_sites, read_site
from biobank.people.schemas import SiteChange, SiteCreate

router = APIRouter(include_in_schema=False)

SiteCode = Annotated[str, Path(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
SITE = ("code", "name", "kind", "timezone")
LABELS = {"code": "Code (2 to 8 capitals and digits)", "timezone": "Time zone, such as Europe/London"}
COLUMNS = [
    Column("site", "Site"), Column("name", "Name"), Column("kind", "Kind", "words"), Column("timezone", "Time zone"),
    Column("state", "State", "chip"),
]  # fmt: skip


@router.get("/sites")
async def show_sites(request: Request, reading: PageReading) -> Response:
    """List the places of work."""
    found = await reading(list_sites)
    actor: Actor = request.state.actor
    adds = actor.may(Permission.SITE_MANAGE, at=EVERYWHERE)
    rows = [one.model_dump() | {"state": "active" if one.active else "disabled", "href": f"/sites/{one.code}", "act": "Change",
                                "about": one.code, "site": one.code} for one in found.items]  # fmt: skip
    rows = [
        row if actor.may(Permission.SITE_MANAGE, at=row["site"])
        else {name: value for name, value in row.items() if name not in ("href", "act", "about")}
        for row in rows
    ]  # fmt: skip
    acts = [
        ActionLink("Add a site", "/sites/new", "plus", "get", "main"),
        ActionLink("Lay out its storage", "/storage/new", "tank"),
    ]
    return render(
        request, "dossier.html", kind="Sites", code=None, trail=[("Sites", None)], acts=acts if adds else [],
        tables=[("Places of work", COLUMNS, rows, "No sites", "Add the first one.")], facts=[("Sites", len(rows))],
        note="A code stands in events for ever: it is never changed and never used again.",
    )  # fmt: skip


@router.get("/sites/new")
async def show_new(request: Request, reading: PageReading) -> Response:
    """Draw the form that adds one."""
    return await _draw_new(request, reading)


async def _draw_new(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    request.state.actor.require(Permission.SITE_MANAGE, at=EVERYWHERE)
    zones = {one.timezone for one in (await reading(list_sites)).items}
    values = typed if typed is not None else {"timezone": zones.pop() if len(zones) == 1 else ""}
    return act_page(
        request, refusal, title="Add", subject="Site", lead="A bank keeps specimens; a clinic sees donors.", back="/sites",
        trail=[("Sites", "/sites"), ("Add", None)], fields=fields_of(SiteCreate, *SITE, values=values, labels=LABELS),
        submit="Add the site", icon="plus", draft=True,
    )  # fmt: skip


@router.post("/sites/new")
async def create(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Add it."""

    async def act() -> Response:
        body = parse(SiteCreate, performing.form, request.state.zone, *SITE)
        await performing(sites.create_site, body)
        return await performing.done("/sites", f"{body.code} is added.", "Lay out its storage and give people roles there.")

    return await or_again(act(), lambda refusal: _draw_new(request, reading, refusal, performing.form))


@router.get("/sites/{code}")
async def show_site(request: Request, code: SiteCode, reading: PageReading) -> Response:
    """Draw the form that changes a site, with what it is now."""
    return await _draw_site(request, reading, code)


async def _draw_site(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Form | None = None
) -> Response:
    request.state.actor.require(Permission.SITE_MANAGE, at=code)
    now = await reading(read_site, code)
    values: Any = typed if typed is not None else now.model_dump()
    return act_page(
        request, refusal, title="Change", subject=code, lead="Shut, a site takes nothing in; what is there stays on record.",
        back="/sites", trail=[("Sites", "/sites"), (code, None)], submit="Change the site", icon="pen",
        fields=fields_of(SiteChange, "name", "timezone", "active", values=values,
                         labels=LABELS | {"active": "In use"}, needed=("name", "timezone", "active")),
    )  # fmt: skip


@router.post("/sites/{code}")
async def change(request: Request, code: SiteCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Change it."""

    async def act() -> Response:
        body = parse(SiteChange, performing.form, request.state.zone, "name", "timezone", "active")
        await performing(sites.change_site, code, body)
        return await performing.done("/sites", f"{code} is changed.")

    return await or_again(act(), lambda refusal: _draw_site(request, reading, code, refusal, performing.form))
