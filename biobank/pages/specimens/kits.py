"""Collection kits as people see them: the list, preparing one, and one kit with its labels."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.clock import now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound
from biobank.foundation.terms import words
from biobank.labels.things import KIT_PRINTERS
from biobank.pages.people.site_choices import Choices, among, only
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import KitCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading, see
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens import kits
from biobank.specimens.harvest_queries import describe_harvest
from biobank.specimens.harvest_schemas import KitList, KitPublic, PrepareKit

router = APIRouter(include_in_schema=False)

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


Sites = tuple[Choices, Choices]
"""Where a kit may be used, and the banks for which the actor may prepare one."""


def _sites(session: Session, actor: Actor, _asked: Asked) -> Sites:
    actor.require(Permission.KIT_MANAGE, at=ANYWHERE)
    sites = list_sites(session, actor, active=True).items
    return among(sites, actor, None), among(sites, actor, Permission.KIT_MANAGE, kind="bank")


def _draw_new(at: Opened[Sites]) -> ActForm:
    sites, banks = at.read
    expires = (now() + GOOD_FOR).astimezone(at.zone)
    return ActForm(
        title="Prepare",
        subject="Kit",
        submit="Prepare the kit",
        icon="tray",
        lead="The labels get their codes now. Print them next, put them into the kit, and send it to the clinic.",
        values={
            "home_site": only(banks),
            "hair_labels": "0",
            "adipose_labels": "2",
            "expires_at": f"{expires:%Y-%m-%dT23:59}",
        },
        options={"site": sites, "home_site": banks},
        draft=True,
    )


ActPage(
    address="/kits/new",
    again=("site", "home_site", "hair_labels", "adipose_labels", "expires_at", "media_lots"),
    reads=_sites,
    form=_draw_new,
    labels={
        "site": "For use at",
        "home_site": "Prepared for the bank",
        "hair_labels": "Labels for hair follicles",
        "adipose_labels": "Labels for fat",
        "expires_at": "Expires",
        "media_lots": "Lots of its media",
    },
    model=PrepareKit,
    names=("site", "home_site", "hair_labels", "adipose_labels", "expires_at", "media_lots"),
    scans={"media_lots": (Prefix.REAGENT_LOT,)},
    use_case=kits.prepare_kit,
    after=lambda _at, _body, answer: Done(
        f"/kits/{answer['kit']['kit']}", f"{answer['kit']['kit']} is prepared.", "Print its labels next."
    ),
).on(router)


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
        "dossier.html",
        kind="Kit",
        code=code,
        chip=kit.status,
        trail=[("Kits", "/kits"), (code, None)],
        tables=[("Labels", LABELS, [one.model_dump() for one in kit.labels], "", "")],
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
    if any(actor.may(one, at=kit.home_site) for one in KIT_PRINTERS):
        acts.append(ActionLink("Print its labels", f"/labels/batch?selection=kit&of={kit.kit}", "print"))
    acts.append(ActionLink("Label of the kit itself", f"/labels/{kit.kit}", "print"))
    return acts
