"""Shipments as people see them: what is underway, sending, comparing what arrived with the manifest, sending back."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import TO_QUARANTINE
from biobank.custody.snapshots import get_all_visible
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.shipping import arrivals, shipment_queries, shipments
from biobank.shipping.schemas import ShipmentList, ShipmentReceiveRequest, ShipmentRefuseRequest, ShipmentRequest
from biobank.specimens.resolving import resolve_code

router = APIRouter(include_in_schema=False)

ShipmentCode = Annotated[str, Path(pattern=r"^SH-[0-9A-Z]{7}$")]
SENT = ("from_site", "to_site", "courier", "evidence", "temperature_class", "shipper", "logger")
LOOKED = ("seal_intact", "temperature_mc", "logger_sha256")
REFUSED = ("reason", "container_intact", "label_legible", "temperature_mc")
STATUSES = ("in_transit", "arrived", "closed")
LABELS = {
    "from_site": "From",
    "to_site": "To",
    "courier": "Courier's code",
    "temperature_class": "Temperature class",
    "shipper": "Number of the shipper",
    "logger": "Number of the temperature logger",
    "seal_intact": "The seal is intact",
}

MANIFEST = [
    Column("specimen", "Tube", "code"),
    Column("state", "State", "chip"),
    Column("standing", "With this shipment"),
    Column("issued_for", "Issued for", "code"),
]


def read_shipments(session: Session, actor: Actor, asked: Wanted) -> ShipmentList:
    """Read one page of the shipments that the address asks for."""
    status: Any = asked.of["status"]
    return shipment_queries.list_shipments(session, actor, status=status, site=asked.of["site"], paging=asked.paging)


Listing(
    address="/shipments",
    title="Shipments",
    lead="From and to where you work, newest first.",
    columns=[
        Column("code", "Shipment", "code", sort="code"),
        Column("status", "State", "chip"),
        Column("from_site", "From", "plain_code"),
        Column("to_site", "To", "plain_code"),
        Column("courier", "Courier", "plain_code"),
        Column("specimens", "Tubes", "number"),
        Column("underway", "Underway", "number"),
        Column("dispatched_at", "Sent", "when", sort="dispatched_at"),
    ],
    read=read_shipments,
    default="-dispatched_at",
    filters=[Filter("status", "State", "choice", [(one, words(one)) for one in STATUSES]), Filter("site", "Site", "code")],
    links=[Link("Send tubes", "/shipments/new", "truck", Permission.SHIPMENT_RECORD, main=True)],
    tabs=[("Hand-overs", "/handovers"), ("Shipments", "/shipments")],
    empty="No shipments match",
    hint="What is sent between sites appears here with its manifest.",
).on(router)


@router.get("/shipments/new")
async def show_new(request: Request, reading: PageReading) -> Response:
    """Draw the form of a dispatch."""
    return await _draw_new(request, reading, {})


async def _draw_new(request: Request, reading: PageReading, typed: Mapping[str, Any], refusal: Refusal | None = None) -> Response:
    actor: Actor = request.state.actor
    actor.require(Permission.SHIPMENT_RECORD, at=ANYWHERE)
    sites = [(one.code, f"{one.code} · {one.name}") for one in (await reading(list_sites, active=True)).items]
    own = [pair for pair in sites if actor.may(Permission.SHIPMENT_RECORD, at=pair[0])]
    values = dict(typed) or {"from_site": own[0][0] if len(own) == 1 else ""}
    tubes = Field("specimens", "Tubes", "scans", values.get("specimens", ""), required=True, accepts="HF AD UN")
    return act_page(
        request,
        refusal,
        title="Send",
        subject="Shipment",
        lead="The courier holds the tubes once its acceptance is recorded here.",
        back="/shipments",
        trail=[("Shipments", "/shipments"), ("Send", None)],
        fields=[
            tubes,
            *fields_of(ShipmentRequest, *SENT, values=values, options={"from_site": own, "to_site": sites}, labels=LABELS),
        ],
        more=fields_of(ShipmentRequest, *CIRCUMSTANCES, values=typed),
        submit="Send",
        icon="truck",
    )


def as_seen(session: Session, actor: Actor, texts: list[str], settings: Settings) -> list[dict[str, Any]]:
    """Return the scanned specimens with how far their records stand; raise what resolving a scan raises."""
    codes = list(dict.fromkeys(resolve_code(session, actor, text, settings).code for text in texts))
    return [{"specimen": one.code, "expected_seq": one.seq} for one in get_all_visible(session, actor, codes)]


@router.post("/shipments/new")
async def dispatch(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Send what was scanned."""
    form = performing.form

    async def act() -> Response:
        tubes = form.all_of("specimens")
        if not tubes:
            raise FormFault({"specimens": "Tubes: scan at least one."})
        seen = await reading(as_seen, tubes, reading.bank.settings)
        body = parse(ShipmentRequest, form, request.state.zone, *SENT, *CIRCUMSTANCES, specimens=seen)
        answer = await performing(shipments.dispatch, body)
        return await performing.done(f"/shipments/{answer['code']}", "Sent.", "Print the manifest and put it inside.")

    return await or_again(act(), lambda refusal: _draw_new(request, reading, form, refusal))


@router.get("/shipments/{code}")
async def show_shipment(request: Request, code: ShipmentCode, reading: PageReading) -> Response:
    """Draw one shipment with its manifest; printed, it is the paper inside."""
    one = await reading.agreeing(shipment_queries.read_shipment, code)
    actor: Actor = request.state.actor
    acts: list[ActionLink] = []
    if one.status != "closed":
        if actor.may(Permission.SHIPMENT_RECORD, at=one.to_site):
            acts.append(ActionLink("Compare what arrived", f"/shipments/{code}/receive", "tray", "get", "main"))
        if actor.may(Permission.SHIPMENT_RECORD, at=one.from_site):
            acts.append(ActionLink("It came back", f"/shipments/{code}/refuse", "undo", "get", "grave"))
    return render(
        request,
        "shipment.html",
        one=one,
        facts=[
            ("From", one.from_site),
            ("To", one.to_site),
            ("Courier", one.courier),
            ("Courier's receipt", one.evidence),
            ("Temperature class", words(one.temperature_class)),
            ("Shipper", one.shipper),
            ("Logger", one.logger),
            ("Sent by", one.dispatched_by),
        ],
        manifest=[line.model_dump() | {"standing": "Underway" if line.underway else "Settled"} for line in one.manifest],
        columns=MANIFEST,
        acts=acts,
    )


@router.get("/shipments/{code}/receive")
async def show_receive(request: Request, code: ShipmentCode, reading: PageReading) -> Response:
    """Draw the comparison: scan everything that lies inside."""
    return await _draw_receive(request, reading, code, {})


async def _draw_receive(
    request: Request, reading: PageReading, code: str, typed: Mapping[str, Any], refusal: Refusal | None = None
) -> Response:
    one = await reading.agreeing(shipment_queries.read_shipment, code)
    lists = [
        Field(name, label, "scans", typed.get(name, ""), hint=hint, accepts="HF AD UN")
        for name, label, hint in (
            ("scanned", "Everything inside", "Scan every tube, also those you did not expect."),
            ("broken", "Of these, damaged", None),
            ("illegible", "Of these, with an unreadable label", None),
        )
    ]
    return act_page(
        request,
        refusal,
        title="Compare what arrived",
        subject=code,
        lead=f"{one.underway} of {one.specimens} tubes are underway. What is missing or should not be there is named afterwards.",
        back=f"/shipments/{code}",
        trail=[("Shipments", "/shipments"), (code, f"/shipments/{code}"), ("Compare", None)],
        fields=[*lists, *fields_of(ShipmentReceiveRequest, *LOOKED, values=typed, labels=LABELS)],
        more=fields_of(ShipmentReceiveRequest, *CIRCUMSTANCES, values=typed),
        submit="Compare and receive",
        icon="tray",
        attach=f"/attachments/new?site={one.to_site}&back=/shipments/{code}/receive",
    )


@router.post("/shipments/{code}/receive")
async def receive(request: Request, code: ShipmentCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Receive what belongs and say what is missing, extra or unknown. The page of the answer may be loaded again."""
    form = performing.form

    async def act() -> Response:
        broken, illegible = set(form.all_of("broken")), set(form.all_of("illegible"))
        scanned = [
            {"specimen": text, "container_intact": text not in broken, "label_legible": text not in illegible}
            for text in dict.fromkeys([*form.all_of("scanned"), *sorted(broken | illegible)])
        ]
        names = (*LOOKED, *CIRCUMSTANCES)
        body = parse(ShipmentReceiveRequest, form, request.state.zone, *names, scanned=scanned)
        answer = await performing(arrivals.receive, code, body)
        return render(request, "shipment_compared.html", code=code, answer=answer, quarantine=TO_QUARANTINE)

    return await or_again(act(), lambda refusal: _draw_receive(request, reading, code, form, refusal))


@router.get("/shipments/{code}/refuse")
async def show_refuse(request: Request, code: ShipmentCode, reading: PageReading) -> Response:
    """Draw the form for what was not accepted and is back."""
    return await _draw_refuse(request, reading, code, {})


async def _draw_refuse(
    request: Request, reading: PageReading, code: str, typed: Mapping[str, Any], refusal: Refusal | None = None
) -> Response:
    await reading.agreeing(shipment_queries.read_shipment, code)
    some = Field(
        "specimens",
        "Only these tubes",
        "scans",
        typed.get("specimens", ""),
        hint="Leave empty for all of it.",
        accepts="HF AD UN",
    )
    return act_page(
        request,
        refusal,
        title="It came back",
        subject=code,
        lead="It was not accepted and is in the sender's hands again.",
        back=f"/shipments/{code}",
        trail=[("Shipments", "/shipments"), (code, f"/shipments/{code}"), ("It came back", None)],
        fields=[some, *fields_of(ShipmentRefuseRequest, *REFUSED, values=typed)],
        more=fields_of(ShipmentRefuseRequest, *CIRCUMSTANCES, values=typed),
        submit="Record it",
        icon="undo",
        grave=True,
    )


@router.post("/shipments/{code}/refuse")
async def refuse(request: Request, code: ShipmentCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record it."""
    form = performing.form

    async def act() -> Response:
        given = {"specimens": form.all_of("specimens")} if "specimens" in form else {}
        body = parse(ShipmentRefuseRequest, form, request.state.zone, *REFUSED, *CIRCUMSTANCES, **given)
        await performing(arrivals.refuse, code, body)
        return await performing.done(f"/shipments/{code}", "Recorded: it came back.", TO_QUARANTINE, "care")

    return await or_again(act(), lambda refusal: _draw_refuse(request, reading, code, form, refusal))
