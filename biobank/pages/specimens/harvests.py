"""Recording a harvest when its containers are closed, and a harvest as people see it.

The kit (or, without one, the donor) is scanned first; then the containers, one row each. Every label of the kit that is on no
container is ticked as left over, one by one: a label that nobody can account for is how two people's tissue gets mixed up.
"""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.specimens.kits import site_options
from biobank.pages.specimens.specimen_rows import SPECIMEN_COLUMNS, specimen_rows
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.rows import draw_rows, parse_rows, wants_rows
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again, see
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens import harvests, kits
from biobank.specimens.amounts import read_amount, read_what, what_choices
from biobank.specimens.harvest_queries import describe_harvest, list_harvests
from biobank.specimens.harvest_schemas import ContainerCollected, HarvestList, HarvestPublic, KitPublic, RecordHarvest
from biobank.specimens.materials import MATERIALS
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import SpecimenList

router = APIRouter(include_in_schema=False)

HarvestCode = Annotated[str, Path(pattern=r"^KT-[0-9A-Z]{7}$")]
AnyCode = Annotated[str, Query(max_length=20, pattern=r"^[A-Z0-9-]*$")]
TAKEN = [name for name, entry in MATERIALS.items() if entry.harvested]
ABOUT = ("site", "home_site", "method", "anatomical_site", "transport_medium", "started_at")
COUNTS = ("follicular_units", "follicles", "transected")
ROWS = 4
TRAIL: list[tuple[str, str | None]] = [("Harvests", "/harvests"), ("Record", None)]
LABELS = {
    "site": "Where",
    "home_site": "For the bank",
    "anatomical_site": "Taken from",
    "transport_medium": "Transport medium",
    "started_at": "First material left the body at",
}


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


@router.get("/harvests/new")
async def show_new(request: Request, reading: PageReading, kit: AnyCode = "", donor: AnyCode = "") -> Response:
    """Draw the form; without a kit and a donor, what to scan first."""
    actor: Actor = request.state.actor
    actor.require(Permission.HARVEST_RECORD, at=ANYWHERE)
    return await _draw(request, reading, kit, donor) if kit or donor else _draw_start(request)


def _draw_start(request: Request, refusal: Refusal | None = None, typed: Any = None) -> Response:
    fields = fields_of(RecordHarvest, "kit", "donor", values=typed, labels={"kit": "Kit", "donor": "Donor, without a kit"})
    return act_page(
        request,
        refusal,
        title="Record",
        subject="Harvest",
        lead="Scan the kit. Without one, scan the donor's code.",
        back="/harvests",
        trail=TRAIL,
        fields=[replace(one, required=False) for one in fields],
        hidden={"start": "yes"},
        submit="Go on",
        icon="arrow",
    )


async def _draw(
    request: Request, reading: PageReading, code: str, donor: str, refusal: Refusal | None = None, typed: Form | None = None
) -> Response:
    kit = await reading(kits.describe_kit, code) if code else None
    sites = (await reading(list_sites, active=True)).items
    actor: Actor = request.state.actor
    own = [one for one in sites if actor.may(Permission.HARVEST_RECORD, at=one.code)]
    banks = [one for one in sites if one.kind == "bank"]
    hair = kit is None or any(label.specimen.startswith("HF") for label in kit.labels)
    fat = kit is None or any(label.specimen.startswith("AD") for label in kit.labels)
    values: Any = (
        typed
        if typed is not None
        else {
            "donor": donor or (kit.donor if kit else None),
            "home_site": banks[0].code if len(banks) == 1 else "",
            "site": own[0].code if len(own) == 1 else "",
            "method": "lipoaspiration" if not hair else "",
            "anatomical_site": "abdomen" if not hair else "scalp" if not fat else "",
        }
        | ({"site": kit.site, "home_site": kit.home_site} if kit else {})
    )
    waiting = [label.specimen for label in kit.labels if label.status == "waiting"] if kit else []
    rows = draw_rows(
        "containers",
        "Containers",
        "Container",
        lambda row: _container_fields(row, kit, hair, fat),
        typed,
        at_least=min(len(waiting), 12) or ROWS,
        hint="One row for each closed container. Rows left empty do not count.",
    )
    fields = fields_of(
        RecordHarvest,
        "donor",
        *ABOUT,
        values=values,
        labels=LABELS,
        options={"site": site_options(own), "home_site": site_options(banks)},
    )
    if waiting:
        ticked = typed.all_of("unused") if typed is not None else []
        fields.append(
            Field(
                "unused",
                "Labels left over: destroyed now",
                "choices",
                ticked,
                options=[(one, one) for one in waiting],
                hint="Tick each label of the kit that is on no container, with the label in your hand.",
            )
        )
    return act_page(
        request,
        refusal,
        title="Record a harvest",
        subject=code or donor,
        lead="When the containers are closed. Scan the label of each, say what is in it and how much.",
        back=f"/kits/{code}" if code else f"/donors/{donor}",
        trail=TRAIL,
        fields=fields,
        rows=[rows],
        draft=True,
        more=fields_of(RecordHarvest, *CIRCUMSTANCES, values=typed),
        hidden={"kit": code} if code else {},
        submit="Record the harvest",
        icon="tray",
    )


def _container_fields(row: Any, kit: KitPublic | None, hair: bool, fat: bool) -> list[Field]:
    what = row.get("what") or ("lipoaspirate:ul_raw" if not hair else "intact_follicles:follicles" if not fat else "")
    fields = [
        Field("what", "What is in it", "select", what, options=what_choices(TAKEN)),
        Field("amount", "Amount", "text", row.get("amount", ""), hint="In the unit of the choice beside it."),
    ]
    if kit is not None:
        fields.insert(0, Field("specimen", "Label on it", "scan", row.get("specimen", ""), accepts="HF AD"))
    if hair:
        fields += fields_of(ContainerCollected, *COUNTS, values=row)
    return fields


@router.post("/harvests/new")
async def record(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Record it and show what came into being; or go on from the first scan."""
    form, settings = performing.form, performing.bank.settings
    code, donor = form.get("kit", ""), form.get("donor", "")

    async def start() -> Response:
        if code:
            return see(f"/harvests/new?kit={scanned_code(form, 'kit', settings, Prefix.KIT)}")
        return see(f"/harvests/new?donor={scanned_code(form, 'donor', settings, Prefix.DONOR)}")

    async def act() -> Response:
        names = [*ABOUT, *CIRCUMSTANCES]
        given: dict[str, Any] = {"donor": scanned_code(form, "donor", settings, Prefix.DONOR), "unused": form.all_of("unused")}
        if code:
            given["kit"] = scanned_code(form, "kit", settings, Prefix.KIT)
        given["containers"] = parse_rows(
            form, "containers", ("specimen", "amount"), lambda row: _container(request, row, settings)
        )
        body = parse(RecordHarvest, form, request.state.zone, *names, **given)
        made = await performing(harvests.record_harvest, body)
        said = f"{len(made['specimens'])} specimens came into being."
        return await performing.done(f"/harvests/{made['harvest']}", "The harvest is recorded.", said)

    if "start" in form:

        async def again(refusal: Refusal) -> Response:
            return _draw_start(request, refusal, form)

        return await or_again(start(), again)
    if wants_rows(form):
        return await _draw(request, reading, code, donor, typed=form)
    return await or_again(act(), lambda refusal: _draw(request, reading, code, donor, refusal, form))


def _container(request: Request, row: Form, settings: Any) -> ContainerCollected:
    given: dict[str, Any] = {}
    if "specimen" in row:
        given["specimen"] = scanned_code(row, "specimen", settings, Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE)
    try:
        given["material"], given["unit"] = read_what(row.get("what", ""))
    except ValueError as error:
        raise FormFault({"what": f"What is in it: {error}"}) from None
    try:
        given["amount"] = read_amount(row.get("amount", ""), given["unit"])
    except ValueError as error:
        raise FormFault({"amount": f"Amount: {error}"}) from None
    return parse(ContainerCollected, row, request.state.zone, *COUNTS, **given)


@router.get("/harvests/{code}")
async def show_harvest(request: Request, code: HarvestCode, reading: PageReading) -> Response:
    """Draw a harvest and the specimens it gave."""

    def query(session: Session, actor: Actor) -> tuple[HarvestPublic, SpecimenList, bool]:
        harvest = describe_harvest(session, actor, code)
        try:
            kits.describe_kit(session, actor, code)
        except NotFound:
            return harvest, list_specimens(session, actor, words=code, paging=Paging(limit=100)), False
        return harvest, list_specimens(session, actor, words=code, paging=Paging(limit=100)), True

    harvest, specimens, kit = await reading.agreeing(query)
    acts = [ActionLink("Its kit and labels", f"/kits/{code}", "tray")] if kit else []
    return render(
        request,
        "dossier.html",
        kind="Harvest",
        code=code,
        trail=[("Harvests", "/harvests"), (code, None)],
        acts=acts,
        facts=[
            ("Donor", code_markup(harvest.donor)),
            ("Method", words(harvest.method)),
            ("Taken from", words(harvest.anatomical_site)),
            ("At", harvest.site),
            ("For the bank", harvest.home_site),
            ("Transport medium", None if harvest.transport_medium is None else words(harvest.transport_medium)),
            ("Started", when(harvest.started_at, request.state.zone)),
            ("Recorded", when(harvest.recorded_at, request.state.zone)),
            ("By", harvest.recorded_by),
            ("Identification", "Two people" if harvest.identification else "None"),
        ],
        tables=[("Specimens", SPECIMEN_COLUMNS, specimen_rows(specimens.items), "No specimens", "Nothing was collected.")],
    )
