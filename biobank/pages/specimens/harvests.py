"""Recording a harvest when its containers are closed, and a harvest as people see it.

The kit (or, without one, the donor) is scanned first; then the containers, one row each. Every label of the kit that is on no
container is ticked as left over, one by one: a label that nobody can account for is how two people's tissue gets mixed up.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.states import State
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging
from biobank.foundation.terms import counted, words
from biobank.pages.people.site_choices import Choices, among, only
from biobank.pages.specimens.run_forms import typed_amount, typed_what
from biobank.pages.specimens.specimen_rows import SPECIMEN_COLUMNS, specimen_rows
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import KitCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, fields_of, parse_labelled
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import draw_rows, parse_rows
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import PageReading, see
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens import harvests, kits
from biobank.specimens.amounts import what_choices
from biobank.specimens.harvest_queries import describe_harvest, list_harvests
from biobank.specimens.harvest_schemas import (
    ContainerCollected,
    ContainerTaken,
    HarvestList,
    HarvestPublic,
    KitPublic,
    RecordHarvest,
)
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.specimens.materials import MaterialName as M
from biobank.specimens.preparations import GROWTH_FACTORS, PREPARED, Prepared
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import SpecimenList
from biobank.specimens.taking import sites_of

router = APIRouter(include_in_schema=False)

TAKEN = [name for name, entry in MATERIALS.items() if entry.harvested]
ABOUT = ("site", "home_site", "method", "anatomical_site", "transport_medium", "started_at")
WAY = ("method", "anatomical_site", "side")
COUNTS = ("follicular_units", "follicles", "transected")
PLATELETS = ("blood_platelets_per_ul", "product_platelets_per_ul", "not_counted")
PREPARATION = ("material", "prepared_with", "spins", *PLATELETS)
ROWS = 4
SPIN = re.compile(r"(?P<force>[0-9]{1,6}) ?(?:g|x ?g|× ?g) ?(?:for|x|×|/)? ?(?P<minutes>[0-9]{1,4}) ?min(?:utes)?", re.IGNORECASE)
LABELS = {
    "site": "Where",
    "home_site": "For the bank",
    "method": "Taken by",
    "anatomical_site": "Taken from",
    "transport_medium": "Transport medium",
    "started_at": "First material left the body at",
}
PREPARATION_LABELS = {
    "material": "What was prepared",
    "prepared_with": "Centrifuge or system",
    "blood_platelets_per_ul": "Platelets of the blood",
    "product_platelets_per_ul": "Platelets of the product",
    "not_counted": "Why they were not counted",
}
WAY_LABELS = {"method": "Taken by", "anatomical_site": "Taken from", "side": "Side"}


def read_harvests(session: Session, actor: Actor, asked: Wanted) -> HarvestList:
    """Read one page of the harvests that the address asks for."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    return list_harvests(session, actor, of_donor=asked.of["donor"], site=asked.of["site"], paging=asked.paging)


Listing(
    address="/harvests",
    title="Harvests",
    lead="What was taken from donors, with the kit it was put into.",
    key="harvest",
    columns=[
        Column("harvest", "Harvest", "code", sort="harvest"),
        Column("donor", "Donor", "code", sort="donor"),
        Column("method", "Method", "words"),
        Column("site", "At", "plain_code"),
        Column("started_at", "Started", "when", sort="started_at"),
        Column("recorded_by", "By", "plain_code"),
        Column("home_site", "Bank", "plain_code", usual=False),
    ],
    read=read_harvests,
    default="-started_at",
    filters=[Filter("donor", "Donor code", "code"), Filter("site", "Site", "code")],
    links=[Link("Record a harvest", "/harvests/new", "tray", Permission.HARVEST_RECORD, main=True)],
    empty="No harvests",
    hint="A harvest is recorded when its containers are closed.",
).on(router)


@dataclass(frozen=True)
class Taking:
    """What the form of a harvest reads: the kit if there is one, where the actor may record, the banks it may be for."""

    kit: KitPublic | None
    sites: Choices
    banks: Choices

    @property
    def waiting(self) -> list[str]:
        """The labels of the kit that are on nothing yet."""
        return [] if self.kit is None else [one.specimen for one in self.kit.labels if one.status == "waiting"]

    def takes(self, prefix: Prefix) -> bool:
        """Say whether the kit has labels of this kind; without a kit, anything may be taken."""
        return self.kit is None or any(one.specimen.startswith(prefix.value) for one in self.kit.labels)


def _taking(session: Session, actor: Actor, asked: Asked) -> Taking:
    actor.require(Permission.HARVEST_RECORD, at=ANYWHERE)
    code = "" if "start" in asked.form else asked.form.get("kit", "")
    if code == kits.BOUND:
        kit = kits.bound_kit(session, actor, asked.form.get("donor", ""))
    else:
        kit = kits.describe_kit(session, actor, code) if code else None
    sites = list_sites(session, actor, active=True).items
    return Taking(kit, among(sites, actor, Permission.HARVEST_RECORD), among(sites, actor, None, kind="bank"))


def _draw(at: Opened[Taking]) -> ActForm:
    """The form of a harvest; without a kit and a donor, what to scan first."""
    kit, donor = at.read.kit, at.form.get("donor", "")
    code = kit.kit if kit else ""
    if "start" in at.form or not (code or donor):
        fields = fields_of(RecordHarvest, "kit", "donor", values=at.form, labels={"kit": "Kit", "donor": "Donor, without a kit"})
        return ActForm(
            title="Record",
            subject="Harvest",
            lead="Scan the kit. Without one, scan the donor's code.",
            fields=[replace(one, required=False) for one in fields],
            more=[],
            hidden={"start": "yes"},
            submit="Go on",
            icon="arrow",
        )
    waiting = at.read.waiting
    hair, fat = at.read.takes(Prefix.HAIR_FOLLICLE), at.read.takes(Prefix.ADIPOSE)
    values = at.filled(
        donor=kit.donor if kit else None,
        home_site=kit.home_site if kit else only(at.read.banks),
        site=kit.site if kit else only(at.read.sites),
        method="lipoaspiration" if not hair else "",
    )
    rows = draw_rows(
        "containers",
        "Containers",
        "Container",
        lambda row: _container_fields(row, kit, hair, fat),
        at.form if at.sent else None,
        at_least=min(len(waiting), 12) or ROWS,
        hint="One row for each closed container. How and from where it was filled: for the whole visit above, or in its row.",
    )
    prepared = draw_rows(
        "preparations",
        "Preparation of PRP or PRF",
        "Preparation",
        _preparation_fields,
        at.form if at.sent else None,
        at_least=len(PREPARED),
        hint="Only when a container holds PRP or PRF. Platelets are asked of PRP alone.",
    )
    left_over = Field(
        "unused",
        "Labels left over: destroyed now",
        "choices",
        at.form.all_of("unused"),
        options=[(one, one) for one in waiting],
        hint="Tick each label of the kit that is on no container, with the label in your hand.",
    )
    return ActForm(
        title="Record a harvest",
        subject=code or donor,
        lead="When the containers are closed. Scan the label of each, say what is in it and how much.",
        back=f"/kits/{code}" if code else f"/donors/{donor}",
        trail=[("Harvests", "/harvests"), ("Record", None)],
        fields=fields_of(
            RecordHarvest,
            "donor",
            *ABOUT,
            values=values,
            labels=LABELS,
            options={
                "site": at.read.sites,
                "home_site": at.read.banks,
                "anatomical_site": places_choices(hair, fat, "Each container says"),
            },
        ),
        also=[left_over] if waiting else [],
        rows=[rows, prepared],
        draft=True,
        hidden={"kit": code} if code else {},
        submit="Record the harvest",
        icon="tray",
    )


def _container_fields(row: Any, kit: KitPublic | None, hair: bool, fat: bool) -> list[Field]:
    what = row.get("what") or ("lipoaspirate:ul_raw" if not hair else "intact_follicles:follicles" if not fat else "")
    fields = [
        Field("what", "What is in it", "select", what, options=what_choices(TAKEN)),
        Field("amount", "Amount", "text", row.get("amount", ""), hint="In the unit of the choice beside it."),
        *fields_of(
            ContainerCollected,
            *WAY,
            values=row,
            labels=WAY_LABELS,
            options={"anatomical_site": places_choices(hair, fat, "As the visit says")},
        ),
    ]
    if kit is not None:
        fields.insert(0, Field("specimen", "Label on it", "scan", row.get("specimen", ""), accepts="HF AD"))
    if hair:
        fields += fields_of(ContainerCollected, *COUNTS, values=row)
    return fields


def _preparation_fields(row: Any) -> list[Field]:
    what, *platelets = fields_of(Prepared, "material", "prepared_with", *PLATELETS, values=row, labels=PREPARATION_LABELS)
    hint = "Force in g and minutes of each, in their order: 160 g 10 min, 400 g 10 min."
    empty = [("", "None"), *((name.value, words(name)) for name in PREPARED)]
    device, *counts = platelets
    return [replace(what, options=empty), device, Field("spins", "Spins", "text", row.get("spins", ""), hint=hint), *counts]


async def _record(at: Acting[Taking]) -> Done | Response:
    """Record it and show what came into being; or go on from the first scan."""
    form = at.form
    if "start" in form:
        name, prefix = ("kit", Prefix.KIT) if "kit" in form else ("donor", Prefix.DONOR)
        form.know("kit", "donor")
        return see(f"/harvests/new?{name}={at.scanned(name, prefix)}")
    given: dict[str, Any] = {"donor": at.scanned("donor", Prefix.DONOR), "unused": form.all_of("unused")}
    if "kit" in form:
        given["kit"] = at.scanned("kit", Prefix.KIT)
    if "transport_medium" in form:
        given["transport_medium"] = at.scanned("transport_medium", Prefix.REAGENT_LOT)
    given["containers"] = parse_rows(form, "containers", ("specimen", "amount"), lambda row: _container(at, row))
    given["preparations"] = parse_rows(form, "preparations", PREPARATION, lambda row: _preparation(at, row), needed=False)
    typed = [name for name in ABOUT if name not in given]
    made = await at.performing(harvests.record_harvest, at.parse(RecordHarvest, *typed, *CIRCUMSTANCES, **given))
    said = " ".join([f"{counted(len(made['specimens']), 'new specimen')}.", *made["warnings"]])
    return Done(f"/harvests/{made['harvest']}", "The harvest is recorded.", said)


def _container(at: Acting[Taking], row: Form) -> ContainerCollected:
    given: dict[str, Any] = {}
    if "specimen" in row:
        given["specimen"] = scanned_code(row, "specimen", at.bank.settings, Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE)
    given["material"], given["unit"] = typed_what(row, "What is in it")
    given["amount"] = typed_amount(row, given["unit"])
    return parse_labelled(ContainerCollected, row, at.zone, (*WAY, *COUNTS), given, WAY_LABELS)


def _preparation(at: Acting[Taking], row: Form) -> Prepared:
    given: dict[str, Any] = {"spins": typed_spins(row.get("spins", ""))}
    if "prepared_with" in row:
        given["prepared_with"] = scanned_code(row, "prepared_with", at.bank.settings, Prefix.EQUIPMENT)
    return parse_labelled(Prepared, row, at.zone, ("material", *PLATELETS), given, PREPARATION_LABELS)


def typed_spins(text: str) -> list[dict[str, int]]:
    """Read `160 g 10 min, 400 g 10 min`; raise FormFault with how it is typed."""
    found = [SPIN.fullmatch(part.strip()) for part in text.replace(";", ",").split(",")]
    spins = [{"force_g": int(one["force"]), "minutes": int(one["minutes"])} for one in found if one is not None]
    if len(spins) != len(found):
        raise FormFault({"spins": "Spins: type the force in g and the minutes of each, such as 160 g 10 min, 400 g 10 min."})
    return spins


def places_choices(hair: bool, fat: bool, empty: str) -> list[tuple[str, str]]:
    """Return the places of the body to choose from: those of the materials that the kit has labels for, and of blood."""
    shown = {M.INTACT_FOLLICLES: hair, M.LIPOASPIRATE: fat, M.PRP: True}
    places = sites_of([material for material, wanted in shown.items() if wanted])
    return [("", empty), *((place, words(place)) for place in places)]


ActPage(
    address="/harvests/new",
    asks=("kit", "donor"),
    reads=_taking,
    form=_draw,
    labels=LABELS,
    model=RecordHarvest,
    acts=_record,
).on(router)


CONTAINER_COLUMNS = [
    Column("specimen", "Specimen", "code"),
    Column("material", "Material", "words"),
    Column("amount", "Amount"),
    Column("method", "Taken by", "words"),
    Column("place", "Taken from"),
    Column("started_at", "Left the body", "when"),
    Column("prepared", "Prepared"),
]


def container_row(one: ContainerTaken) -> dict[str, Any]:
    """A container as the table shows it."""
    side = "" if one.side is None else f", {words(one.side).lower()}"
    return one.model_dump() | {
        "amount": amount_text(one.amount, one.unit),
        "place": f"{words(one.anatomical_site)}{side}",
        "prepared": "" if one.preparation is None else one.preparation.said,
    }


def _medium(named: str) -> str:
    """Return a medium as a link to its entry; older harvests name one in words."""
    return code_markup(named) if named.startswith("RG-") else words(named)


@router.get("/harvests/{code}")
async def show_harvest(request: Request, code: KitCode, reading: PageReading) -> Response:
    """Draw a harvest and the specimens it gave."""

    def query(session: Session, actor: Actor) -> tuple[HarvestPublic, SpecimenList, list[ActionLink]]:
        harvest = describe_harvest(session, actor, code)
        acts = []
        with suppress(NotFound):
            kits.describe_kit(session, actor, code)
            acts.append(ActionLink("Its kit and labels", f"/kits/{code}", "tray"))
        if actor.may(Permission.QUALITY_DECIDE, at=harvest.home_site):
            acts.append(ActionLink("It is another person's (two people)", f"/harvests/{code}/reattribute", "pen"))
        found = list_specimens(session, actor, words=code, paging=Paging(limit=100))
        waiting = [one.code for one in found.items if one.state == State.COLLECTED]
        if waiting and harvest.site != harvest.home_site and actor.may(Permission.SHIPMENT_RECORD, at=harvest.site):
            what = urlencode({"to_site": harvest.home_site, "specimens": " ".join(waiting)})
            acts.insert(0, ActionLink("Send them to the bank", f"/shipments/new?{what}", "truck", "get", "main"))
        return harvest, found, acts

    harvest, specimens, acts = await reading.agreeing(query)
    return render(
        request,
        "dossier.html",
        kind="Harvest",
        code=code,
        trail=[("Harvests", "/harvests"), (code, None)],
        acts=acts,
        facts=[
            ("Donor", code_markup(harvest.donor)),
            ("At", harvest.site),
            ("For the bank", harvest.home_site),
            ("Transport medium", None if harvest.transport_medium is None else _medium(harvest.transport_medium)),
            ("Started", when(harvest.started_at, request.state.zone)),
            ("Recorded", when(harvest.recorded_at, request.state.zone)),
            ("By", harvest.recorded_by),
            ("Identification", "Two people" if harvest.identification else "None"),
            ("PRP and PRF", GROWTH_FACTORS if any(one.preparation for one in harvest.containers) else None),
        ],
        tables=[
            (
                "Containers, as they were filled",
                CONTAINER_COLUMNS,
                [container_row(one) for one in harvest.containers],
                "No containers",
                "Nothing was collected.",
            ),
            (
                "Specimens",
                SPECIMEN_COLUMNS,
                specimen_rows(specimens.items, request.state.actor),
                "No specimens",
                "Nothing was collected.",
            ),
        ],
    )
