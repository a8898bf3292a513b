"""Freezing and thawing runs as forms: what was treated is scanned, or comes with its lot."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import counted, words
from biobank.pages.people.site_choices import only
from biobank.pages.specimens.run_forms import input_codes, known_specimens, treated
from biobank.pages.specimens.runs import BENCH, BENCH_CODES, BENCH_LABELS, Bench, bench_for
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import draw_rows
from biobank.specimens import freezing
from biobank.specimens.lots import describe_lot
from biobank.specimens.processing_schemas import FreezingRun, ThawingRun

router = APIRouter(include_in_schema=False)

ROWS = 4
FREEZING = (*BENCH, "programme", "cryoprotectant", "curve_sha256")
THAWING = (*BENCH, "method", "bath_temperature_mc", "duration_s")
LABELS = BENCH_LABELS | {
    "programme": "Cooling programme and version",
    "cryoprotectant": "Cryoprotectant",
    "curve_sha256": "The cooling curve",
    "method": "How they were thawed",
    "bath_temperature_mc": "Temperature of the bath",
    "duration_s": "Time in the bath (seconds)",
}


def _to_treat(session: Session, actor: Actor, asked: Asked) -> Bench:
    if asked.sent:
        return bench_for(session, actor, [])
    lot = asked.form.get("lot")
    return bench_for(session, actor, [*(describe_lot(session, actor, lot).codes if lot else []), *asked.form.all_of("specimen")])


def _form(at: Opened[Bench], process: str, lead: str, icon: str, fields: list[Field]) -> ActForm:
    rows = draw_rows(
        "inputs",
        "Specimens",
        "Specimen",
        lambda row: [Field("specimen", "Specimen", "scan", row.get("specimen", ""), accepts="HF AD")],
        at.form if at.sent else None,
        at_least=max(ROWS, len(at.read.known)),
        given=[{"specimen": code} for code in at.read.known],
    )
    return ActForm(
        title=f"Record a {process} run",
        subject="Processing",
        lead=lead,
        fields=fields,
        rows=[rows],
        draft=True,
        submit=f"Record the {process}",
        icon=icon,
    )


def _draw_freezing(at: Opened[Bench]) -> ActForm:
    values = at.filled(site=only(at.read.sites), contact_min="10")
    fields = fields_of(FreezingRun, *FREEZING, values=values, labels=LABELS, options=at.read.options)
    hint = "From adding the cryoprotectant to the start of cooling."
    fields.insert(-1, Field("contact_min", "Contact time", "number", values.get("contact_min", ""), True, hint, unit="min"))
    return _form(at, "freezing", "Specimens of one donor. They are banked from the time the run ended.", "snow", fields)


def _draw_thawing(at: Opened[Bench]) -> ActForm:
    values = at.filled(site=only(at.read.sites), bath_temperature_mc="37")
    fields = fields_of(ThawingRun, *THAWING, values=values, labels=LABELS, options=at.read.options)
    return _form(at, "thawing", "Specimens of one donor. They never go back to the tank for use.", "drop", fields)


async def _treated(at: Acting[Bench]) -> dict[str, Any]:
    settings = at.bank.settings
    return {"specimens": treated(at.form, settings, await at.reading(known_specimens, input_codes(at.form, settings)))}


async def _frozen(at: Acting[Bench]) -> dict[str, Any]:
    return {"process": "freezing", "cryoprotectant_contact_s": contact_s(at.form), **await _treated(at)}


async def _thawed(at: Acting[Bench]) -> dict[str, Any]:
    return {"process": "thawing", **await _treated(at)}


def _after(text: str) -> Callable[..., Done]:
    def after(_at: Any, body: FreezingRun | ThawingRun, made: Any) -> Done:
        title = f"{words(body.process)} recorded: {counted(len(made['specimens']), 'specimen')}."
        return Done(f"/processings/{made['processing']}", title, " ".join([text, *made["warnings"]]))

    return after


def contact_s(form: Form) -> int:
    """Return the contact time, typed in whole minutes, in seconds; raise FormFault."""
    text = form.get("contact_min", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise FormFault({"contact_min": "Contact time: enter whole minutes, such as 10."})
    return int(text) * 60


ActPage(
    address="/processings/freezing",
    asks=("lot", "specimen", "workstation"),
    reads=_to_treat,
    form=_draw_freezing,
    labels=LABELS,
    model=FreezingRun,
    names=FREEZING,
    scans=BENCH_CODES,
    tubes=("specimen",),
    given=_frozen,
    use_case=freezing.record_freezing,
    after=_after("Store them now."),
).on(router)

ActPage(
    address="/processings/thawing",
    asks=("specimen", "workstation"),
    reads=_to_treat,
    form=_draw_thawing,
    labels=LABELS,
    model=ThawingRun,
    names=THAWING,
    scans=BENCH_CODES,
    tubes=("specimen",),
    given=_thawed,
    use_case=freezing.record_thawing,
    after=_after("Use them now; they are not stored again."),
).on(router)
