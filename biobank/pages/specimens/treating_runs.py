"""Freezing and thawing runs as forms: what was treated is scanned, or comes with its lot."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.specimens.kits import site_options
from biobank.pages.specimens.run_forms import input_codes, known_specimens, treated
from biobank.pages.specimens.runs import BENCH, BENCH_LABELS, bench_codes
from biobank.pages.ui.forms import CIRCUMSTANCES, Field, FormFault, act_page, fields_of, parse
from biobank.pages.ui.rows import draw_rows, wants_rows
from biobank.pages.ui.session import Form, PagePerforming, PageReading, or_again
from biobank.people.queries import list_sites
from biobank.specimens import freezing
from biobank.specimens.lots import describe_lot
from biobank.specimens.processing_schemas import FreezingRun, ThawingRun

router = APIRouter(include_in_schema=False)

Treatment = Literal["freezing", "thawing"]
LotCode = Annotated[str, Query(max_length=10, pattern=r"^(LT-[0-9A-Z]{7})?$")]
Several = Annotated[list[str] | None, Query(max_length=500)]
ROWS = 4

OWN: dict[Treatment, tuple[str, ...]] = {
    "freezing": ("programme", "cryoprotectant", "curve_sha256"),
    "thawing": ("method", "bath_temperature_mc", "duration_s"),
}
LABELS = BENCH_LABELS | {
    "programme": "Cooling programme and version",
    "cryoprotectant": "Cryoprotectant",
    "curve_sha256": "SHA-256 of the cooling curve",
    "method": "How they were thawed",
    "bath_temperature_mc": "Temperature of the bath",
    "duration_s": "Time in the bath (seconds)",
}
LEADS: dict[Treatment, str] = {
    "freezing": "Specimens of one donor. They are banked from the time the run ended.",
    "thawing": "Specimens of one donor. They never go back to the tank for use.",
}


@router.get("/processings/freezing")
async def show_freezing(request: Request, reading: PageReading, lot: LotCode = "", specimen: Several = None) -> Response:
    """Draw the form of a freezing run; of a lot, with every unit of it."""
    return await _draw(request, reading, "freezing", lot=lot, codes=specimen or [])


@router.get("/processings/thawing")
async def show_thawing(request: Request, reading: PageReading, specimen: Several = None) -> Response:
    """Draw the form of a thawing run."""
    return await _draw(request, reading, "thawing", codes=specimen or [])


async def _draw(
    request: Request,
    reading: PageReading,
    process: Treatment,
    refusal: Refusal | None = None,
    typed: Form | None = None,
    lot: str = "",
    codes: list[str] | None = None,
) -> Response:
    def query(session: Session, actor: Actor) -> list[str]:
        actor.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
        named = [*(describe_lot(session, actor, lot).codes if lot else []), *(codes or [])]
        return list(known_specimens(session, actor, named)) if named else []

    known = await reading(query)
    sites = (await reading(list_sites, active=True)).items
    own = [one for one in sites if request.state.actor.may(Permission.PROCESSING_RECORD, at=one.code)]
    site = own[0].code if len(own) == 1 else ""
    defaults = {"bath_temperature_mc": "37"} if process == "thawing" else {"contact_min": "10"}
    values: Any = typed if typed is not None else {"site": site} | defaults
    model = FreezingRun if process == "freezing" else ThawingRun
    fields = fields_of(model, *BENCH, *OWN[process], values=values, labels=LABELS, options={"site": site_options(own)})
    if process == "freezing":
        hint = "From adding the cryoprotectant to the start of cooling."
        fields.insert(-1, Field("contact_min", "Contact time", "number", values.get("contact_min", ""), True, hint, unit="min"))
    rows = draw_rows(
        "inputs",
        "Specimens",
        "Specimen",
        lambda row: [Field("specimen", "Specimen", "scan", row.get("specimen", ""), accepts="HF AD")],
        typed,
        at_least=max(ROWS, len(known)),
        given=[{"specimen": code} for code in known],
    )
    title = f"Record a {process} run"
    return act_page(
        request,
        refusal,
        title=title,
        subject="Processing",
        lead=LEADS[process],
        back="/processings",
        trail=[("Processing", "/processings"), (title, None)],
        fields=fields,
        rows=[rows],
        draft=True,
        more=fields_of(model, *CIRCUMSTANCES, values=typed),
        submit=f"Record the {process}",
        icon="snow" if process == "freezing" else "drop",
    )


@router.post("/processings/freezing")
async def freeze(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Record a freezing run."""
    return await _record(request, performing, reading, "freezing")


@router.post("/processings/thawing")
async def thaw(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Record a thawing run."""
    return await _record(request, performing, reading, "thawing")


async def _record(request: Request, performing: PagePerforming, reading: PageReading, process: Treatment) -> Response:
    form, settings = performing.form, performing.bank.settings

    async def act() -> Response:
        known = await reading(known_specimens, input_codes(form, settings))
        given: dict[str, Any] = {"process": process, "specimens": treated(form, settings, known), **bench_codes(form, settings)}
        names = ("site", "procedure_version", *OWN[process], *CIRCUMSTANCES)
        if process == "freezing":
            given["cryoprotectant_contact_s"] = contact_s(form)
            made = await performing(freezing.record_freezing, parse(FreezingRun, form, request.state.zone, *names, **given))
        else:
            made = await performing(freezing.record_thawing, parse(ThawingRun, form, request.state.zone, *names, **given))
        title = f"{words(process)} recorded: {len(made['specimens'])} specimens."
        text = "Store them now." if process == "freezing" else "Use them now; they are not stored again."
        return await performing.done(f"/processings/{made['processing']}", title, text)

    if wants_rows(form):
        return await _draw(request, reading, process, typed=form)
    return await or_again(act(), lambda refusal: _draw(request, reading, process, refusal, form))


def contact_s(form: Form) -> int:
    """Return the contact time, typed in whole minutes, in seconds; raise FormFault."""
    text = form.get("contact_min", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise FormFault({"contact_min": "Contact time: enter whole minutes, such as 10."})
    return int(text) * 60
