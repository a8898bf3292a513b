"""Deviations as people see them: the list, opening one in a minute, one with what it affects, closing it with a signature."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.pages.people.site_choices import Choices, only, sites_for
from biobank.pages.quality.dispositions import UNITS, disposing_form, disposing_page, reached_row
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import DeviationCode
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.quality import deviations
from biobank.quality.deviation_ending import against_deviation, close_deviation, dispose_of_units
from biobank.quality.recalls import recall_of
from biobank.quality.schemas import CloseRequest, DeviationDetail, DeviationList, DeviationPublic, DeviationRequest

router = APIRouter(include_in_schema=False)

OPENED = ("severity", "topic", "site", "description")
CLOSED = ("cause", "decision", "corrective_action", "attachments")
OPENING = {"severity": "Class", "topic": "Topic, such as wrong tube", "description": "What happened, without names"}
CLOSING = {
    "cause": "Cause",
    "decision": "Decision",
    "corrective_action": "What is done so that it does not happen again",
}
KINDS = {
    **dict.fromkeys((Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED), "specimen"),
    Prefix.LOT: "lot",
    Prefix.DONOR: "donor",
    Prefix.CONTAINER: "container",
    Prefix.SHIPMENT: "shipment",
    Prefix.WITHDRAWAL: "withdrawal",
}
"""What a deviation may name, by the prefix of its code."""


def read_deviations(session: Session, actor: Actor, asked: Wanted) -> DeviationList:
    """Read one page of the deviations that the address asks for."""
    state = asked.of["state"]
    return deviations.list_deviations(session, actor, open_only=None if state is None else state == "open", paging=asked.paging)


def row_of(one: DeviationPublic) -> Mapping[str, Any]:
    """Return the cells of one deviation."""
    return one.model_dump() | {"state": "closed" if one.closed_at else "open"}


Listing(
    address="/deviations",
    title="Deviations",
    lead="What did not go as it should, and what was decided.",
    columns=[
        Column("code", "Deviation", "code", sort="code"),
        Column("severity", "Class", "chip"),
        Column("topic", "About", "words"),
        Column("site", "Site", "plain_code"),
        Column("state", "State", "chip"),
        Column("opened_at", "Opened", "when", sort="opened_at"),
        Column("opened_by", "By", "plain_code"),
        Column("cause", "Cause", "words", usual=False),
        Column("decision", "Decision", "words", usual=False),
        Column("closed_at", "Closed", "when", usual=False),
    ],
    read=read_deviations,
    row=row_of,
    default="-opened_at",
    filters=[Filter("state", "State", "choice", [("open", "Open"), ("closed", "Closed")], usual="open")],
    quick=[("Open", {"state": "open"}), ("Closed", {"state": "closed"}), ("All", {"state": "all"})],
    links=[
        Link("Look back", "/look-backs", "search", Permission.LOG_READ, everywhere=True),
        Link("Recalls", "/recalls", "return", Permission.LOG_READ, everywhere=True),
        Link("Adverse events", "/adverse-events", "person-check", Permission.DEVIATION_OPEN),
        Link("File a form on paper", "/paper-forms/new", "pen", Permission.DEVIATION_OPEN),
        Link("Open a deviation", "/deviations/new", "triangle", Permission.DEVIATION_OPEN, main=True),
    ],
    empty="No deviations here",
    hint="Whoever sees something wrong opens one.",
).on(router)


def _draw_new(at: Opened[Choices]) -> ActForm:
    named = at.form.get("about", "").replace(" ", "\n")
    values = at.filled(site=only(at.read))
    about = Field(
        "about",
        "What it is about",
        "scans",
        named,
        hint="Tubes, lots, donors, boxes, shipments, withdrawals: scan or write their codes.",
        accepts="HF AD UN LT DN BX SH WD",
    )
    return ActForm(
        title="Open",
        subject="Deviation",
        submit="Open the deviation",
        icon="triangle",
        lead="Say what happened. Nobody is blamed; what nobody writes down happens again.",
        fields=[
            about,
            *fields_of(DeviationRequest, *OPENED, "attachments", values=values, labels=OPENING, options={"site": at.read}),
        ],
    )


def affected_by(texts: list[str], settings: Settings) -> list[dict[str, str]]:
    """Return what scanned or typed codes name; raise FormFault for a code that a deviation cannot be about."""
    named: dict[str, str] = {}
    for text in texts:
        try:
            code = resolve_payload(text, settings.host_name, settings.former_hosts)
        except MalformedCode as error:
            raise FormFault({"about": error.detail}) from None
        if code.prefix not in KINDS:
            raise FormFault({"about": f"{code.text} is nothing a deviation can be about."})
        named[code.text] = KINDS[code.prefix]
    return [{"kind": kind, "id": code} for code, kind in named.items()]


ActPage(
    address="/deviations/new",
    asks=("about",),
    reads=sites_for(Permission.DEVIATION_OPEN),
    form=_draw_new,
    labels=OPENING,
    model=DeviationRequest,
    names=(*OPENED, "attachments"),
    tubes=("about",),
    old_labels="told",
    given=lambda at: {"affected": affected_by(at.form.all_of("about"), at.bank.settings)},
    use_case=deviations.open_deviation,
    after=lambda _at, _body, answer: Done(f"/deviations/{answer['code']}", "Opened.", "Quality decides about it."),
).on(router)


async def _read(reading: PageReading, code: str) -> DeviationDetail:
    def query(session: Session, actor: Actor) -> DeviationDetail:
        return deviations.describe_deviation(session, actor, reading.bank.keystore, code)

    return await reading.agreeing(query)


@router.get("/deviations/{code}")
async def show_deviation(request: Request, code: DeviationCode, reading: PageReading) -> Response:
    """Draw one deviation with what it affects, its units with what was decided of each, and its words."""
    one = await _read(reading, code)
    deciding, closing = await reading.agreeing(against_deviation, code)
    actor: Actor = request.state.actor
    acts = []
    recall = await reading(recall_of, code) if one.topic == "recall" else None
    if recall is not None:
        acts.append(ActionLink("Open its recall", f"/recalls/{recall}", "return", weight="main"))
    if one.closed_at is None and actor.may(Permission.DEVIATION_DECIDE, at=one.site):
        stands, ends = (next((why.detail for why in found), None) for found in (deciding, closing))
        if one.units:
            decide = ActionLink("Decide about units", f"/deviations/{code}/dispositions", "pen", refused=stands)
            acts.append(replace(decide, weight="main") if one.undecided else decide)
        acts.append(ActionLink("Close it", f"/deviations/{code}/close", "check", "get", "main", refused=ends))
    units = [reached_row(unit.model_dump()) | {"hold": "held" if unit.held else "none"} for unit in one.units]
    return render(request, "deviation.html", one=one, acts=acts, unit_columns=UNITS, units=units)


def _to_decide(session: Session, actor: Actor, asked: Asked) -> DeviationDetail:
    one = deviations.describe_deviation(session, actor, asked.bank.keystore, asked.code)
    actor.require(Permission.DEVIATION_DECIDE, at=one.site)
    asked.opens(against_deviation(session, actor, asked.code)[0])
    return one


def _draw_disposing(at: Opened[DeviationDetail]) -> ActForm:
    return disposing_form(
        at.code,
        at.read.units,
        at.filled(),
        site=at.read.site,
        after="It frees nothing by itself: holds are lifted where they stand.",
        back=f"/deviations/{at.code}",
        trail=[("Deviations", "/deviations"), (at.code, f"/deviations/{at.code}"), ("Decide", None)],
    )


disposing_page(
    "/deviations/{code}/dispositions",
    reads=_to_decide,
    form=_draw_disposing,
    use_case=dispose_of_units,
    leads=lambda at: f"/deviations/{at.code}",
).on(router)


def _to_close(session: Session, actor: Actor, asked: Asked) -> DeviationDetail:
    one = deviations.describe_deviation(session, actor, asked.bank.keystore, asked.code)
    actor.require(Permission.DEVIATION_DECIDE, at=one.site)
    asked.opens(against_deviation(session, actor, asked.code)[1])
    return one


def _draw_close(at: Opened[DeviationDetail]) -> ActForm:
    one = at.read
    return ActForm(
        title="Close",
        submit="Sign and close",
        lead=f"{one.severity.capitalize()}, about {one.topic.replace('_', ' ')}; {len(one.affected)} things named.",
        statement=f"You close the deviation {at.code}.",
        said="Its cause is known, what was decided is done, and nothing more is expected.",
        attach={"site": one.site},
    )


ActPage(
    address="/deviations/{code}/close",
    reads=_to_close,
    form=_draw_close,
    labels=CLOSING,
    model=CloseRequest,
    names=CLOSED,
    meaning=Meaning.CLOSED,
    use_case=close_deviation,
    after=lambda at, _body, _answer: Done(f"/deviations/{at.code}", "Closed."),
).on(router)
