"""Deviations as people see them: the list, opening one in a minute, one with what it affects, closing it with a signature."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.quality import deviations
from biobank.quality.schemas import CloseRequest, DeviationDetail, DeviationRequest

router = APIRouter(include_in_schema=False)

DeviationCode = Annotated[str, Path(pattern=r"^DV-[0-9A-Z]{7}$")]
OPENED = ("severity", "topic", "site", "description")
CLOSED = ("cause", "decision", "corrective_action", "attachments")
HASHES = "SHA-256 of files that were attached, one a line."
KINDS = {
    **dict.fromkeys((Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED), "specimen"),
    Prefix.LOT: "lot", Prefix.DONOR: "donor", Prefix.CONTAINER: "container", Prefix.SHIPMENT: "shipment",
    Prefix.WITHDRAWAL: "withdrawal",
}  # fmt: skip
"""What a deviation may name, by the prefix of its code."""

COLUMNS = [
    Column("code", "Deviation", "code"),
    Column("severity", "Class", "chip"),
    Column("topic", "About", "words"),
    Column("site", "Site", "plain_code"),
    Column("state", "State", "chip"),
    Column("opened_at", "Opened", "when"),
    Column("opened_by", "By", "plain_code"),
]


@router.get("/deviations")
async def show_deviations(
    request: Request,
    reading: PageReading,
    state: Annotated[str, Query(pattern=r"^(open|closed)?$")] = "open",
    cursor: Annotated[str | None, Query(pattern=r"^DV-[0-9A-Z]{7}$")] = None,
) -> Response:
    """List deviations, the open ones unless asked otherwise."""
    which = {"open": True, "closed": False}.get(state)
    found = await reading(deviations.list_deviations, open_only=which, after=cursor, limit=50)
    rows = [one.model_dump() | {"state": "closed" if one.closed_at else "open"} for one in found.items]
    actor: Actor = request.state.actor
    return render(
        request, "deviations.html", rows=rows, columns=COLUMNS, next_cursor=found.next, chosen=state,
        may_open=actor.may(Permission.DEVIATION_OPEN, at=ANYWHERE), may_look_back=actor.may(Permission.LOG_READ, at=ANYWHERE),
    )  # fmt: skip


@router.get("/deviations/new")
async def show_new(
    request: Request,
    reading: PageReading,
    about: Annotated[str, Query(max_length=400, pattern=r"^[A-Za-z0-9 -]*$")] = "",
    attachment: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")] = "",
) -> Response:
    """Draw the form; `about` names what it is about already."""
    return await _draw_new(request, reading, {"about": about.replace(" ", "\n"), "attachments": attachment})


async def _draw_new(request: Request, reading: PageReading, typed: Mapping[str, Any], refusal: Refusal | None = None) -> Response:
    actor: Actor = request.state.actor
    actor.require(Permission.DEVIATION_OPEN, at=ANYWHERE)
    sites = (await reading(list_sites, active=True)).items
    own = [(one.code, f"{one.code} · {one.name}") for one in sites if actor.may(Permission.DEVIATION_OPEN, at=one.code)]
    values = dict(typed) | ({"site": own[0][0]} if len(own) == 1 else {})
    return act_page(
        request,
        refusal,
        title="Open",
        subject="Deviation",
        lead="Say what happened. Nobody is blamed; what nobody writes down happens again.",
        back="/deviations",
        trail=[("Deviations", "/deviations"), ("Open", None)],
        fields=[
            Field("about", "What it is about", "scans", values.get("about", ""), hint="Tubes, lots, donors, boxes, shipments, "
                  "withdrawals: scan or write their codes.", accepts="HF AD UN LT DN BX SH WD"),
            *fields_of(DeviationRequest, *OPENED, values=values, options={"site": own},
                       labels={"severity": "Class", "topic": "Topic, in small letters such as wrong_tube",
                               "description": "What happened, without names"}),
            Field("attachments", "Attached files", "textarea", values.get("attachments", ""), hint=HASHES),
        ],
        more=fields_of(DeviationRequest, *CIRCUMSTANCES, values=typed),
        submit="Open the deviation",
        icon="triangle",
        attach="/attachments/new?back=/deviations/new",
    )  # fmt: skip


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


@router.post("/deviations/new")
async def open_deviation(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Open it."""
    form = performing.form

    async def act() -> Response:
        about = affected_by(form.all_of("about"), reading.bank.settings)
        names = (*OPENED, "attachments", *CIRCUMSTANCES)
        body = parse(DeviationRequest, form, request.state.zone, *names, affected=about)
        answer = await performing(deviations.open_deviation, body)
        return await performing.done(f"/deviations/{answer['code']}", "Opened.", "Quality decides about it.")

    return await or_again(act(), lambda refusal: _draw_new(request, reading, form, refusal))


async def _read(reading: PageReading, code: str) -> DeviationDetail:
    def query(session: Session, actor: Actor) -> DeviationDetail:
        return deviations.describe_deviation(session, actor, reading.bank.keystore, code)

    return await reading.agreeing(query)


@router.get("/deviations/{code}")
async def show_deviation(request: Request, code: DeviationCode, reading: PageReading) -> Response:
    """Draw one deviation with what it affects and its words."""
    one = await _read(reading, code)
    actor: Actor = request.state.actor
    acts = []
    if one.closed_at is None and actor.may(Permission.DEVIATION_DECIDE, at=one.site):
        acts.append(ActionLink("Close it", f"/deviations/{code}/close", "pen", "get", "main"))
    return render(request, "deviation.html", one=one, acts=acts)


@router.get("/deviations/{code}/close")
async def show_close(
    request: Request,
    code: DeviationCode,
    reading: PageReading,
    attachment: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")] = "",
) -> Response:
    """Draw the form that closes it."""
    return await _draw_close(request, reading, code, {"attachments": attachment})


async def _draw_close(
    request: Request, reading: PageReading, code: str, typed: Mapping[str, Any], refusal: Refusal | None = None
) -> Response:
    one = await _read(reading, code)
    request.state.actor.require(Permission.DEVIATION_DECIDE, at=one.site)
    fields = fields_of(
        CloseRequest, *CLOSED[:3], values=typed,
        labels={"cause": "Cause, in small letters", "decision": "Decision, in small letters",
                "corrective_action": "What is done so that it does not happen again"},
    )  # fmt: skip
    return act_page(
        request,
        refusal,
        title="Close",
        subject=code,
        lead=f"{one.severity.capitalize()}, about {one.topic.replace('_', ' ')}; {len(one.affected)} things named.",
        back=f"/deviations/{code}",
        trail=[("Deviations", "/deviations"), (code, f"/deviations/{code}"), ("Close", None)],
        fields=[*fields, Field("attachments", "Attached files", "textarea", typed.get("attachments", ""), hint=HASHES)],
        more=fields_of(CloseRequest, *CIRCUMSTANCES, values=typed),
        submit="Sign and close",
        icon="pen",
        statement=f"You close the deviation {code}.",
        meaning=(Meaning.CLOSED.value, "Its cause is known, what was decided is done, and nothing more is expected."),
        attach=f"/attachments/new?back=/deviations/{code}/close",
    )


@router.post("/deviations/{code}/close")
async def close(request: Request, code: DeviationCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign and close it."""

    async def act() -> Response:
        body = parse(CloseRequest, performing.form, request.state.zone, *CLOSED, *CIRCUMSTANCES)
        signed = body.model_copy(update={"signature": await performing.sign(Meaning.CLOSED)})
        await performing(deviations.close_deviation, code, signed)
        return await performing.done(f"/deviations/{code}", "Closed.")

    return await or_again(act(), lambda refusal: _draw_close(request, reading, code, performing.form, refusal))
