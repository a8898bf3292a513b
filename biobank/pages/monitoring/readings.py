"""Recording a reading as the display shows it; a value that can hardly be right is asked back on the same page."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.monitoring.readings import ImplausibleReading, record_reading
from biobank.monitoring.schemas import ReadingCreate
from biobank.pages.monitoring.said import MEASURED, UNITS, limits_in_words
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.filters import quantity_text
from biobank.pages.ui.forms import MEASURES, Field, FormFault, fields_of, stored
from biobank.storage.limits import PlaceLimits, limits_of_place
from biobank.storage.schemas import ContainerPublic

router = APIRouter(include_in_schema=False)

READ = {"reading": "What was read", "value": "Value, in °C or in % full"}
Place = tuple[ContainerPublic, PlaceLimits]


def _place_and_limits(session: Session, actor: Actor, asked: Asked) -> Place:
    place = about_place(session, actor, asked)
    return place, limits_of_place(session, place.code)


def _draw(at: Opened[Place]) -> ActForm:
    place, limits = at.read
    values = at.filled(reading="temperature_mc")
    fields = fields_of(ReadingCreate, "reading", "value", values=values, options={"reading": list(MEASURED.items())}, labels=READ)
    # The wire carries whole m°C or ppm; a person types what the display shows, with a sign and decimals.
    fields = [replace(field, kind="text") if field.name == "value" else field for field in fields]
    if isinstance(at.refusal, ImplausibleReading):
        typed = _read_as(at.form.get("value", ""), at.form.get("reading", ""))
        fields.append(Field("confirmed", f"I read it again, and it is {typed}", "checkbox", False))
    return ActForm(
        title="Record a reading",
        submit="Record it",
        icon="pen",
        trail=trail_of(place, "Record a reading"),
        lead=f"This place may read: {limits_in_words(limits)}. Outside that, everything inside is put on hold at once.",
        fields=fields,
    )


def _read_as(typed: str, what: str) -> str:
    return quantity_text(value_read(typed, what), UNITS[what])


def value_read(typed: str, what: str) -> int:
    """Turn what a person read into m°C or ppm; raise FormFault with a sentence. A thousandth of a degree is the finest."""
    try:
        return stored(typed, MEASURES["_mc" if what == "temperature_mc" else "_ppm"])
    except ValueError:
        raise FormFault({"value": "Value: enter a number, such as -186.5 for a temperature or 82 for a level."}) from None


def _say(at: Opened[Place], _body: ReadingCreate, made: dict[str, Any]) -> Done:
    here = f"/storage/{at.code}"
    changed = f" {made['added']} specimens came under hold, {made['removed']} are free of it." if made["excursions"] else ""
    if not made["excursion"]:
        return Done(here, "Reading recorded.", changed.strip())
    return Done(here, "Outside its limits.", f"Bring what is inside to a cold place now.{changed}", "stop")


ActPage(
    address="/storage/{code}/reading",
    reads=_place_and_limits,
    form=_draw,
    model=ReadingCreate,
    names=("reading", "value", "confirmed"),
    labels=READ,
    given=lambda at: {"value": value_read(at.form.get("value", ""), at.form.get("reading", ""))},
    use_case=record_reading,
    after=_say,
).on(router)
