"""Shipments as people see them: what is underway, sending, comparing what arrived with the manifest, sending back."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import TO_QUARANTINE
from biobank.custody.snapshots import get_all_visible
from biobank.foundation.clock import now
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import counted, words
from biobank.monitoring.readings import ImplausibleReading
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.shipping.boxes import compared, packed, rows_to_compare, rows_to_pack
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.addresses import ShipmentCode
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.scanned import found_in, nothing_in
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.registers.using import choices_of
from biobank.shipping import arrivals, shipment_queries, shipments
from biobank.shipping.schemas import (
    ShipmentDetail,
    ShipmentList,
    ShipmentReceiveRequest,
    ShipmentRefuseRequest,
    ShipmentRequest,
)
from biobank.specimens.resolving import resolve_code

router = APIRouter(include_in_schema=False)

LOOKED = ("seal_intact", "seal", "temperature_mc", "logger_sha256", "zone", "dates")
READ_AGAIN = "I read the temperature again, and it is so"


def asked_again(refusal: Refusal | None) -> list[Field]:
    """Return what is asked after a temperature that can hardly be right."""
    return [Field("confirmed", READ_AGAIN, "checkbox", False)] if isinstance(refusal, ImplausibleReading) else []


STATUSES = ("in_transit", "nothing_underway", "closed")
LABELS = {
    "from_site": "From",
    "to_site": "To",
    "courier": "Courier",
    "temperature_class": "Temperature class",
    "shipper": "Shipper",
    "logger": "Number of the temperature logger",
    "seal_intact": "The seal is intact",
    "seal": "Number of the seal",
    "waybill": "Waybill",
    "qualification": "Certificate of the shipper",
    "charge_g": "Nitrogen charged, in grams",
    "cold_until": "Cold until (end of the hold time)",
    "expected_by": "Due by",
}

DRY = ("shipper", "qualification", "charge_g", "cold_until")
"""What is said of a dry shipper, and of nothing else that travels."""

MANIFEST = [
    Column("specimen", "Tube", "code"),
    Column("state", "State", "chip"),
    Column("standing", "With this shipment"),
    Column("box", "Box"),
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
    empty="No shipments match",
    hint="What is sent between sites appears here with its manifest.",
).on(router)


def _sites(session: Session, actor: Actor, _asked: Asked) -> tuple[Choices, Choices, Choices]:
    """Read from where the actor may send, to where, and with which couriers."""
    actor.require(Permission.SHIPMENT_RECORD, at=ANYWHERE)
    sites = own_sites(session, actor, None)
    own = [one for one in sites if actor.may(Permission.SHIPMENT_RECORD, at=one[0])]
    return own, sites, couriers_at(session, actor, [code for code, _ in own])


def couriers_at(session: Session, actor: Actor, sites: list[str]) -> Choices:
    """Read the couriers of the registers that may be named at these sites."""
    return choices_of(session, ["courier"], sites=sites, person=actor.code, now=now())["courier"]


def as_seen(session: Session, actor: Actor, texts: list[str], settings: Settings) -> list[dict[str, Any]]:
    """Return the scanned specimens with how far their records stand; raise what resolving a scan raises."""
    codes = list(dict.fromkeys(resolve_code(session, actor, text, settings).code for text in texts))
    return [{"specimen": one.code, "expected_seq": one.seq} for one in get_all_visible(session, actor, codes)]


async def tubes_seen(at: Acting[Any]) -> dict[str, Any]:
    """Return the tubes of a form as they are seen now; raise FormFault when there is none."""
    tubes = at.form.all_of("specimens")
    if not tubes:
        raise FormFault({"specimens": "Tubes: scan at least one."})
    return {"specimens": await at.ask(as_seen, tubes, at.bank.settings)}


async def _packed(at: Acting[Any]) -> dict[str, Any]:
    boxes = packed(at.form)
    for one in boxes:
        one["specimens"] = [seen["specimen"] for seen in await at.ask(as_seen, one["specimens"], at.bank.settings)]
    return await tubes_seen(at) | {"boxes": boxes}


ActPage(
    address="/shipments/new",
    asks=("specimens", "to_site"),
    reads=_sites,
    model=ShipmentRequest,
    names=(
        *("specimens", "from_site", "to_site", "courier", "evidence", "waybill"),
        *("temperature_class", "expected_by", "seal", "logger"),
        *DRY,
    ),
    labels=LABELS,
    form=lambda at: ActForm(
        title="Send",
        subject="Shipment",
        icon="truck",
        lead="The courier holds the tubes once its acceptance is recorded here.",
        values=at.filled(from_site=only(at.read[0])),
        options={"from_site": at.read[0], "to_site": at.read[1], "courier": at.read[2]},
        rows=[rows_to_pack(at.form if at.sent else None)],
        folded=("In a dry shipper", DRY),
    ),
    given=_packed,
    use_case=shipments.dispatch,
    after=lambda _at, _body, answer: Done(f"/shipments/{answer['code']}", "Sent.", "Print the manifest and put it inside."),
).on(router)


@router.get("/shipments/{code}")
async def show_shipment(request: Request, code: ShipmentCode, reading: PageReading) -> Response:
    """Draw one shipment with its manifest; printed, it is the paper inside."""
    one = await reading.agreeing(shipment_queries.read_shipment, code)
    actor: Actor = request.state.actor
    acts: list[ActionLink] = []
    if not arrivals.arrival_refusals(actor, one):
        acts.append(ActionLink("Compare what arrived", f"/shipments/{code}/receive", "tray", "get", "main"))
    if not arrivals.return_refusals(actor, one, one.underway):
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
            ("Seal", one.seal),
            ("Waybill", one.waybill),
            ("Certificate of the shipper", one.qualification),
            ("Nitrogen charged", None if one.charge_g is None else f"{one.charge_g} g"),
            ("Cold until", when(one.cold_until, request.state.zone) if one.cold_until else None),
            ("Due by", when(one.expected_by, request.state.zone) if one.expected_by else None),
            *((f"Seal of box {box.box}", box.seal) for box in one.boxes),
            ("Sent by", one.dispatched_by),
        ],
        manifest=[line.model_dump() | {"standing": "Underway" if line.underway else "Settled"} for line in one.manifest],
        columns=MANIFEST,
        acts=acts,
    )


def _to_receive(session: Session, actor: Actor, asked: Asked) -> ShipmentDetail:
    one = shipment_queries.read_shipment(session, actor, asked.code)
    asked.opens(arrivals.arrival_refusals(actor, one))
    return one


def _draw_receive(at: Opened[ShipmentDetail]) -> ActForm:
    one = at.read
    lists = [
        Field(name, label, "scans", at.form.get(name, ""), hint=hint, accepts="HF AD UN")
        for name, label, hint in (
            ("scanned", "Everything inside", "Scan every tube, also those you did not expect."),
            ("broken", "Of these, damaged", None),
            ("illegible", "Of these, with an unreadable label", None),
        )
    ]
    return ActForm(
        title="Compare what arrived",
        submit="Compare and receive",
        icon="tray",
        lead=f"{one.underway} of {counted(one.specimens, 'tube')} underway. What is missing or too many is named afterwards."
        + (" It left under a seal: look at it before you open it. Unchecked, all of it is on hold." if one.seal else ""),
        fields=[
            *lists,
            nothing_in(at.form),
            *fields_of(ShipmentReceiveRequest, *LOOKED, values=at.filled(), labels=LABELS),
            *asked_again(at.refusal),
        ],
        rows=[rows_to_compare(one.boxes, at.form if at.sent else None)] if one.boxes else [],
        attach={"site": one.to_site},
    )


def _scanned(at: Opened[ShipmentDetail]) -> dict[str, Any]:
    broken, illegible = set(at.form.lines_of("broken")), set(at.form.lines_of("illegible"))
    boxes = compared(at.form)
    scanned = found_in(at.form, "scanned", other=broken | illegible)
    return {
        "scanned": [
            {"specimen": text, "container_intact": text not in broken, "label_legible": text not in illegible}
            for text in dict.fromkeys([*scanned, *sorted(broken | illegible)])
        ],
        "boxes": boxes,
        "confirmed": "confirmed" in at.form,
    }


ActPage(
    address="/shipments/{code}/receive",
    reads=_to_receive,
    form=_draw_receive,
    model=ShipmentReceiveRequest,
    names=LOOKED,
    labels=LABELS,
    lists=("scanned", "broken", "illegible"),
    old_labels="left",
    given=_scanned,
    use_case=arrivals.receive,
    # The page of the answer may be loaded again.
    after=lambda at, _body, answer: OwnPage(
        "shipment_compared.html",
        code=at.code,
        answer=answer,
        quarantine=TO_QUARANTINE,
        unread=[tuple(when(datetime.fromisoformat(one), at.zone) for one in part.split("/")) for part in answer["unread"]],
    ),
).on(router)


def _to_take_back(session: Session, actor: Actor, asked: Asked) -> ShipmentDetail:
    one = shipment_queries.read_shipment(session, actor, asked.code)
    asked.opens(arrivals.return_refusals(actor, one, one.underway))
    return one


ActPage(
    address="/shipments/{code}/refuse",
    reads=_to_take_back,
    model=ShipmentRefuseRequest,
    names=("specimens", "reason", "container_intact", "label_legible", "temperature_mc", "logger_sha256", "zone", "dates"),
    labels={"specimens": "Only these tubes"},
    form=lambda at: ActForm(
        attach={"site": at.read.from_site},
        also=asked_again(at.refusal),
        title="It came back",
        submit="Record it",
        icon="undo",
        grave=True,
        lead="It was not accepted and is in the sender's hands again.",
    ),
    given=lambda at: {"confirmed": "confirmed" in at.form},
    use_case=arrivals.refuse,
    after=lambda at, _body, _answer: Done(f"/shipments/{at.code}", "Recorded: it came back.", TO_QUARANTINE, "care"),
).on(router)
