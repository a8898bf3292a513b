"""Collection kits as people see them: the list, preparing one, and one kit with its labels."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.scanned import scanned_codes
from biobank.pages.ui.session import PagePerforming, PageReading, or_again, see
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.people.schemas import SitePublic
from biobank.specimens import kits
from biobank.specimens.harvest_queries import describe_harvest
from biobank.specimens.harvest_schemas import KitList, KitPublic, PrepareKit

router = APIRouter(include_in_schema=False)

KitCode = Annotated[str, Path(pattern=r"^KT-[0-9A-Z]{7}$")]
KIT = ("site", "home_site", "hair_labels", "adipose_labels", "expires_at")
GOOD_FOR = timedelta(days=30)
"""The proposed life of a kit; its media say how long it really is."""

LABELS = [Column("specimen", "Label", "plain_code"), Column("status", "What became of it", "chip")]


def read_kits(session: Session, actor: Actor, asked: Wanted) -> KitList:
    """Read one page of the kits that the address asks for."""
    _require_any(actor)
    unused = None if asked.of["unused"] is None else asked.of["unused"] == "true"
    return kits.list_kits(session, actor, site=asked.of["site"], unused=unused, paging=asked.paging)


def row_of(kit: KitPublic) -> Mapping[str, Any]:
    """Return the cells of one kit."""
    return kit.model_dump() | {"labels": len(kit.labels)}


Listing(
    address="/kits",
    title="Kits",
    lead="A kit carries labels whose codes exist already. It is for one harvest.",
    key="kit",
    columns=[
        Column("kit", "Kit", "code", sort="kit"),
        Column("status", "State", "chip"),
        Column("site", "For", "plain_code"),
        Column("labels", "Labels", "number"),
        Column("donor", "Donor", "code"),
        Column("expires_at", "Expires", "when", sort="expires_at"),
        Column("prepared_at", "Prepared", "when", sort="prepared_at"),
        Column("home_site", "Bank", "plain_code", usual=False),
    ],
    read=read_kits,
    row=row_of,
    default="-prepared_at",
    filters=[Filter("unused", "Used", "choice", [("true", "Not used yet"), ("false", "Used")]), Filter("site", "Site", "code")],
    quick=[("Not used yet", {"unused": "true"})],
    links=[Link("Prepare a kit", "/kits/new", "plus", Permission.KIT_MANAGE, main=True)],
    empty="No kits",
    hint="A kit is prepared in the laboratory before the donor comes.",
).on(router)


def _require_any(actor: Actor) -> None:
    if not actor.may(Permission.KIT_MANAGE, at=ANYWHERE):
        actor.require(Permission.HARVEST_RECORD, at=ANYWHERE)


@router.get("/kits/new")
async def show_new(request: Request, reading: PageReading) -> Response:
    """Draw the form that prepares a kit."""
    return await _draw_new(request, reading)


async def _draw_new(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    actor: Actor = request.state.actor
    actor.require(Permission.KIT_MANAGE, at=ANYWHERE)
    sites = (await reading(list_sites, active=True)).items
    banks = [one for one in sites if one.kind == "bank" and actor.may(Permission.KIT_MANAGE, at=one.code)]
    expires = (now() + GOOD_FOR).astimezone(request.state.zone).strftime("%Y-%m-%dT23:59")
    values = (
        typed
        if typed is not None
        else {
            "home_site": banks[0].code if len(banks) == 1 else "",
            "hair_labels": "0",
            "adipose_labels": "2",
            "expires_at": expires,
        }
    )
    labels = {
        "site": "For use at",
        "home_site": "Prepared for the bank",
        "hair_labels": "Labels for hair follicles",
        "adipose_labels": "Labels for fat",
        "expires_at": "Expires",
        "media_lots": "Lots of its media (RG codes)",
    }
    return act_page(
        request,
        refusal,
        title="Prepare",
        subject="Kit",
        lead="The labels get their codes now. Print them next, put them into the kit, and send it to the clinic.",
        back="/kits",
        trail=[("Kits", "/kits"), ("Prepare", None)],
        fields=fields_of(
            PrepareKit,
            *KIT,
            "media_lots",
            values=values,
            labels=labels,
            options={"site": site_options(sites), "home_site": site_options(banks)},
        ),
        more=fields_of(PrepareKit, *CIRCUMSTANCES, values=typed),
        submit="Prepare the kit",
        icon="tray",
        draft=True,
    )


def site_options(sites: list[SitePublic]) -> list[tuple[str, str]]:
    """Return sites as choices of a form."""
    return [(one.code, f"{one.code} · {one.name}") for one in sites]


@router.post("/kits/new")
async def prepare(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Prepare it and lead to its labels."""

    async def act() -> Response:
        media = scanned_codes(performing.form, "media_lots", performing.bank.settings, Prefix.REAGENT_LOT)
        body = parse(PrepareKit, performing.form, request.state.zone, *KIT, *CIRCUMSTANCES, media_lots=media)
        made = (await performing(kits.prepare_kit, body))["kit"]
        text = "Print its labels next."
        return await performing.done(f"/kits/{made['kit']}", f"{made['kit']} is prepared.", text)

    return await or_again(act(), lambda refusal: _draw_new(request, reading, refusal, performing.form))


@router.get("/kits/{code}")
async def show_kit(request: Request, code: KitCode, reading: PageReading) -> Response:
    """Draw a kit with its labels; a harvest that had no kit has a code of this kind too, and a page of its own."""

    def query(session: Session, actor: Actor) -> tuple[KitPublic | None, bool]:
        try:
            kit: KitPublic | None = kits.describe_kit(session, actor, code)
        except NotFound:
            describe_harvest(session, actor, code)
            return None, True
        return kit, kit is not None and kit.status == "used"

    kit, harvested = await reading(query)
    if kit is None:
        return see(f"/harvests/{code}")
    actor: Actor = request.state.actor
    return render(
        request,
        "kit.html",
        kit=kit,
        columns=LABELS,
        acts=acts_of_kit(actor, kit, harvested),
        facts=[
            ("For use at", kit.site),
            ("Bank", kit.home_site),
            ("Expires", when(kit.expires_at, request.state.zone)),
            ("Donor", None if kit.donor is None else code_markup(kit.donor)),
            ("Media", ", ".join(kit.media_lots) or None),
            ("Prepared", f"by {kit.prepared_by}"),
            ("State", words(kit.status)),
        ],
    )


def acts_of_kit(actor: Actor, kit: KitPublic, harvested: bool) -> list[ActionLink]:
    """Return the buttons of a kit for a login."""
    acts = []
    if harvested:
        acts.append(ActionLink("What was harvested with it", f"/harvests/{kit.kit}", "tray"))
    elif kit.status != "expired":
        if actor.may(Permission.HARVEST_RECORD, at=kit.site):
            acts.append(ActionLink("Record the harvest", f"/harvests/new?kit={kit.kit}", "tray", "get", "main"))
        if actor.may(Permission.DONOR_IDENTIFY, at=kit.site) and kit.donor is not None:
            href = f"/donors/{kit.donor}/identify?purpose=harvest&kit={kit.kit}"
            acts.append(ActionLink("Identify the donor again", href, "person-check"))
    if actor.may(Permission.KIT_MANAGE, at=kit.home_site) or actor.may(Permission.LABEL_PRINT, at=(kit.site, kit.home_site)):
        acts.append(ActionLink("Print its labels", f"/labels/batch?selection=kit&of={kit.kit}", "print"))
    acts.append(ActionLink("Label of the kit itself", f"/labels/{kit.kit}", "print"))
    return acts
