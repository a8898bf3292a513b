"""Recording a reading as the display shows it; a value that can hardly be right is asked back on the same page."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.clock import now
from biobank.monitoring.presence import own_cold_inside
from biobank.monitoring.readings import (
    ImplausibleReading,
    get_reading,
    public,
    record_reading,
    withdraw_reading,
    withdrawing_refusals,
)
from biobank.monitoring.schemas import ReadingCreate, ReadingPublic, WithdrawReading
from biobank.pages.monitoring.said import MEASURED, UNITS, held_and_freed, limits_in_words, sentence_on_own_cold
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.filters import day_and_time, quantity_text
from biobank.pages.ui.forms import MEASURES, Field, FormFault, fields_of, stored
from biobank.storage.limits import PlaceLimits, limits_of_place
from biobank.storage.schemas import ContainerPublic

router = APIRouter(include_in_schema=False)

READ = {"reading": "What was read", "value": "Value, in °C or in % full"}


@dataclass(frozen=True)
class Place:
    """The container, what it may read, and what inside it a reading of it does not reach."""

    place: ContainerPublic
    limits: PlaceLimits
    apart: list[str]


def _place_and_limits(session: Session, actor: Actor, asked: Asked) -> Place:
    place, at = about_place(session, actor, asked), now()
    return Place(place, limits_of_place(session, place.code), own_cold_inside(session, place.code, at, at))


def _draw(at: Opened[Place]) -> ActForm:
    place, limits = at.read.place, at.read.limits
    apart = sentence_on_own_cold(at.read.apart)
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
        lead=f"This place may read: {limits_in_words(limits)}. Outside that, everything inside is put on hold at once."
        + (f" Except: {apart}" if apart else ""),
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
    changed = _changed(made)
    if not made["excursion"]:
        return Done(here, "Reading recorded.", changed)
    return Done(here, "Outside its limits.", f"Bring what is inside to a cold place now. {changed}".strip(), "stop")


def _changed(made: dict[str, Any]) -> str:
    """Say what a reading did to what is held; empty when it concerns no excursion."""
    if not made["excursions"]:
        return ""
    return held_and_freed(int(made["added"]), int(made["removed"]))


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

ReadingId = Annotated[int, Path(ge=1, le=2**63 - 1)]
TAKEN_BACK = {
    "reason": "What was wrong",
    "value": "What it should have been, in °C or in % full (may stay empty)",
}


@dataclass(frozen=True)
class _Wrong:
    """A reading, its place, and whether the reader signs for what taking it back frees."""

    place: ContainerPublic
    one: ReadingPublic
    signs: bool


def _reads_wrong(session: Session, actor: Actor, asked: Asked) -> _Wrong:
    place = about_place(session, actor, asked)
    row = get_reading(session, place.code, int(asked.path["reading_id"]))
    asked.opens(withdrawing_refusals(row))
    return _Wrong(place, public(row), row.outside is not None and actor.may(Permission.HOLD_LIFT, at=place.site))


def _draw_wrong(at: Opened[_Wrong]) -> ActForm:
    place, one, signs = at.read.place, at.read.one, at.read.signs
    fields = fields_of(WithdrawReading, "reason", "value", values=at.filled(), labels=TAKEN_BACK)
    fields = [replace(field, kind="text") if field.name == "value" else field for field in fields]
    if isinstance(at.refusal, ImplausibleReading):
        typed = _read_as(at.form.get("value", ""), one.reading)
        fields.append(Field("confirmed", f"I looked again, and it was {typed}", "checkbox", False))
    was = f"{MEASURED[one.reading]} {quantity_text(one.value, UNITS[one.reading])}, read {day_and_time(one.at, at.zone)}"
    freeing = " Taking it back may free what it held: quality does that, signed." if one.excursion else ""
    return ActForm(
        title="Take back a reading",
        submit="Take it back",
        icon="undo",
        trail=trail_of(place, "Take back a reading"),
        back=f"/storage/{place.code}",
        lead=f"{was}. It stays on record and counts for nothing. What it should have been is recorded at its time.{freeing}",
        fields=fields,
        statement="You take back a reading that may free what is held." if signs else None,
        said="I decide this.",
    )


def _corrected(at: Opened[_Wrong]) -> dict[str, Any]:
    typed = at.form.get("value", "")
    return {"value": value_read(typed, at.read.one.reading) if typed else None}


ActPage(
    address="/storage/{code}/readings/{reading_id}/withdraw",
    params={"reading_id": ReadingId},
    reads=_reads_wrong,
    form=_draw_wrong,
    model=WithdrawReading,
    names=("reason", "value", "confirmed"),
    labels=TAKEN_BACK,
    given=_corrected,
    meaning=lambda at, _body: Meaning.DECIDED if at.read.signs else None,
    use_case=withdraw_reading,
    args=lambda at: (at.code, at.read.one.id),
    after=lambda at, _body, made: Done(f"/storage/{at.code}", "Reading taken back.", _changed(made)),
).on(router)
