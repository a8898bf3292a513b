"""Look-back and recall: from one code to everything it can have reached, and the button that freezes that set."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import Field, FormFault, act_page, drawn, fields_of, parse
from biobank.pages.ui.parts import Column, Stat
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.quality import look_back
from biobank.quality.schemas import Criteria, RecallRequest

router = APIRouter(include_in_schema=False)

STARTS = {
    **dict.fromkeys((Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED), "specimen"),
    Prefix.LOT: "lot", Prefix.DONOR: "donor", Prefix.CONTAINER: "container", Prefix.SHIPMENT: "shipment",
    Prefix.BADGE: "operator",
}  # fmt: skip
"""Where a look-back may start, by the prefix of the code."""
ASKED = ("since", "until", "derivatives")
RECALLED = ("reason", "severity", "site", "description")

COLUMNS = [
    Column("specimen", "Specimen", "code"),
    Column("donor", "Donor", "code"),
    Column("state", "State", "chip"),
    Column("quality", "Quality", "chip"),
    Column("site", "Site", "plain_code"),
    Column("withdrawal", "Given under", "code"),
]


@router.get("/look-backs")
async def show_look_back(request: Request, _reading: PageReading) -> Response:
    """Draw the question."""
    return await _draw(request, {"derivatives": "true"})


async def _draw(request: Request, typed: Mapping[str, Any], refusal: Refusal | None = None) -> Response:
    actor: Actor = request.state.actor
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    return act_page(
        request,
        refusal,
        title="Look back",
        subject="from a cause",
        lead="Every specimen and recipient it can have reached, read from the log. That you asked is recorded.",
        back="/deviations",
        trail=[("Deviations", "/deviations"), ("Look back", None)],
        fields=[
            Field("start", "Donor, lot, specimen, box, shipment or badge", "scan", typed.get("start", ""), required=True,
                  accepts="DN LT HF AD UN BX SH US"),
            *fields_of(Criteria, *ASKED, values=typed,
                       labels={"since": "From (for a box or a badge)", "until": "Until (for a box or a badge)",
                               "derivatives": "With everything made of what is found"}),
        ],
        submit="Look back",
        icon="search",
    )  # fmt: skip


def criteria_of(form: Any, settings: Any, zone: Any) -> Criteria:
    """Return what a posted form asks; raise FormFault for what is no start of a look-back."""
    try:
        code = resolve_payload(form.get("start", ""), settings.host_name, settings.former_hosts)
    except MalformedCode as error:
        raise FormFault({"start": error.detail}) from None
    if code.prefix not in STARTS:
        raise FormFault({"start": f"{code.text} is no place to start from."})
    return parse(Criteria, form, zone, *ASKED, **{STARTS[code.prefix]: code.text})


@router.post("/look-backs")
async def make_look_back(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Answer it. The page of the answer may be loaded again: it is one look-back."""

    async def act() -> Response:
        criteria = criteria_of(performing.form, reading.bank.settings, request.state.zone)
        answer = await performing(look_back.make_look_back, criteria)
        return await _draw_answer(request, reading, performing.form, answer)

    return await or_again(act(), lambda refusal: _draw(request, performing.form, refusal))


async def _draw_answer(
    request: Request, reading: PageReading, typed: Mapping[str, Any], answer: dict[str, Any], refusal: Refusal | None = None
) -> Response:
    actor: Actor = request.state.actor
    sites = (await reading(list_sites, active=True)).items
    return render(
        request,
        "look_back.html",
        start=typed.get("start", ""),
        rows=answer["items"],
        columns=COLUMNS,
        stats=[
            Stat("Specimens reached", answer["specimens"], tone="care" if answer["specimens"] else "good"),
            Stat("People who were given some", answer["recipients"], tone="stop" if answer["recipients"] else "good"),
        ],
        kept={name: typed[name] for name in ("start", *ASKED) if name in typed},
        recall=fields_of(
            RecallRequest, *RECALLED, values=typed if refusal is not None else None,
            options={"site": [(one.code, f"{one.code} · {one.name}") for one in sites]},
            labels={"reason": "Why, in small letters", "description": "What is known, without names"},
        ) if actor.may(Permission.RECALL_START, at=ANYWHERE) and answer["items"] else [],
        **drawn(refusal),
    )  # fmt: skip


@router.post("/recalls")
async def start_recall(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Freeze the set: it is read again now, so that what was made meanwhile is in it."""

    async def act() -> Response:
        form, zone = performing.form, request.state.zone
        criteria = criteria_of(form, reading.bank.settings, zone)
        body = parse(RecallRequest, form, zone, *RECALLED, criteria=criteria)
        answer = await performing(look_back.start_recall, body)
        ended = answer["releases_killed"]
        text = f"{answer['specimens']} specimens are on hold. {ended} bedside permissions ended."
        return await performing.done(f"/deviations/{answer['deviation']}", "Recall started.", text, "care")

    return await or_again(act(), lambda refusal: _draw(request, performing.form, refusal))
