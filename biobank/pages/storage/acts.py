"""What people do with a place: move it, read its temperature, compare what is in it, print its map, bring things to safety."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.errors import Refusal
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, act_page, drawn, fields_of, parse
from biobank.pages.ui.parts import ActionLink
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.storage.containers import count_container, move_container, record_reading
from biobank.storage.evacuation import evacuate
from biobank.storage.maps import map_of, maps_below
from biobank.storage.queries import read_container
from biobank.storage.schemas import ContainerMap, ContainerPublic, CountRequest, EvacuateRequest, MoveRequest, ReadingCreate
from biobank.storage.tree import natural

router = APIRouter(include_in_schema=False)

ContainerCode = Annotated[str, Path(pattern=r"^BX-[0-9A-Z]{7}$")]
BOXES_PRINTED = 60
"""Boxes on one printed map; a rack has a dozen, and a whole tank is printed rack by rack."""

READINGS = {"temperature_mc": "Temperature", "level_ppm": "Nitrogen level"}


def acts_of_place(actor: Actor, place: ContainerPublic) -> list[ActionLink]:
    """Return the buttons of a place for a login."""
    here = f"/storage/{place.code}"
    acts = []
    if actor.may(Permission.STORAGE_MANAGE, at=place.site) and place.rows is None:
        acts.append(ActionLink("Add containers inside", f"/storage/new?parent={place.code}", "plus"))
    if not actor.may(Permission.STORAGE_RECORD, at=place.site):
        return [*acts, ActionLink("Print its map", f"{here}/map", "print")] if place.rows or not place.positions else acts
    if place.purpose != "storage":
        acts.append(ActionLink("Bring tubes to safety here", f"{here}/evacuate", "snow", "get", "main"))
    if place.positions or place.occupied:
        acts.append(ActionLink("Compare what is in it", f"{here}/compare", "scan"))
    acts.append(ActionLink("Record a reading", f"{here}/reading", "pen"))
    if place.parent is not None:
        acts.append(ActionLink("Move it to another place", f"{here}/move", "hand"))
    acts.append(ActionLink("Print its map", f"{here}/map", "print"))
    return acts


def _trail(place: ContainerPublic, title: str) -> list[tuple[str, str | None]]:
    return [("Storage", "/storage"), (place.name, f"/storage/{place.code}"), (title, None)]


@router.get("/storage/{code}/move")
async def show_move(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw the form: scan the place it goes into."""
    return await _draw_move(request, reading, code)


async def _draw_move(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    place = await reading(read_container, code)
    title = "Move it to another place"
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead=f"{place.name} goes with everything in it: {place.occupied} tubes. Scan the place it goes into.",
        back=f"/storage/{code}",
        trail=_trail(place, title),
        fields=fields_of(MoveRequest, "to", values=typed, labels={"to": "Into (scan it)"}),
        more=fields_of(MoveRequest, *CIRCUMSTANCES, values=typed),
        submit="Move it",
        icon="hand",
    )


@router.post("/storage/{code}/move")
async def move(request: Request, code: ContainerCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Move it."""

    async def act() -> Response:
        target = _container_scanned(performing, "to")
        body = parse(MoveRequest, performing.form, request.state.zone, *CIRCUMSTANCES, to=target)
        moved = await performing(move_container, code, body)
        return await performing.done(f"/storage/{code}", f"Moved into {moved['parent']}.", f"{moved['tubes']} tubes went along.")

    return await or_again(act(), lambda refusal: _draw_move(request, reading, code, refusal, performing.form))


def _container_scanned(performing: PagePerforming, name: str) -> str:
    settings = performing.bank.settings
    text = performing.form.get(name)
    if text is None:
        raise FormFault({name: "Scan the place."})
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except MalformedCode as error:
        raise FormFault({name: error.detail}) from None
    if code.prefix != Prefix.CONTAINER:
        raise FormFault({name: f"{code.text} is no container. Scan the label of a box, rack or tank."})
    return code.text


@router.get("/storage/{code}/reading")
async def show_reading(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw the form of a reading."""
    return await _draw_reading(request, reading, code)


async def _draw_reading(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    place = await reading(read_container, code)
    title = "Record a reading"
    limit = quantity(place.highest_mc, "millidegrees_c")
    values = typed if typed is not None else {"reading": "temperature_mc"}
    fields = fields_of(
        ReadingCreate,
        "reading",
        "value",
        values=values,
        options={"reading": list(READINGS.items())},
        labels={"reading": "What was read", "value": "Value, in °C or in % full"},
    )
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead=f"Warmest allowed here: {limit}. Warmer than that puts everything inside on hold at once."
        if place.highest_mc is not None
        else "No limit is set for this place; a reading is kept and holds nothing.",
        back=f"/storage/{code}",
        trail=_trail(place, title),
        # The wire carries whole m°C or ppm; a person types what the display shows, with a sign and decimals.
        fields=[replace(field, kind="text") if field.name == "value" else field for field in fields],
        more=fields_of(ReadingCreate, *CIRCUMSTANCES, values=typed),
        submit="Record it",
        icon="pen",
    )


@router.post("/storage/{code}/reading")
async def read_place(request: Request, code: ContainerCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record it; an excursion says what was held."""

    async def act() -> Response:
        value = value_read(performing.form.get("value", ""), performing.form.get("reading", ""))
        body = parse(ReadingCreate, performing.form, request.state.zone, "reading", *CIRCUMSTANCES, value=value)
        made = await performing(record_reading, code, body)
        if made["excursion"]:
            text = f"{len(made['held'])} specimens inside are on temperature hold. Bring them to a cold place now."
            return await performing.done(f"/storage/{code}", "Too warm.", text, kind="stop")
        return await performing.done(f"/storage/{code}", "Reading recorded.")

    return await or_again(act(), lambda refusal: _draw_reading(request, reading, code, refusal, performing.form))


def value_read(typed: str, what: str) -> int:
    """Turn what a person read into m°C or ppm; raise FormFault with a sentence. A thousandth of a degree is the finest."""
    try:
        number = Decimal(typed.replace(",", ".").replace("−", "-"))
    except InvalidOperation:
        number = Decimal("NaN")
    scaled = number * (1000 if what == "temperature_mc" else 10_000)
    if not number.is_finite() or abs(scaled) > 10**9 or scaled != int(scaled):
        raise FormFault({"value": "Value: enter a number, such as -186.5 for a temperature or 82 for a level."})
    return int(scaled)


@router.get("/storage/{code}/compare")
async def show_compare(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw the page on which a box is compared by scanning it."""
    return await _draw_compare(request, reading, code)


async def _draw_compare(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: str = "", found: Any = None
) -> Response:
    box: ContainerMap = await reading.agreeing(map_of, code)
    labels = {slot.specimen: slot.label for slot in box.slots if slot.specimen is not None}
    return render(
        request,
        "storage_compare.html",
        container=box.container,
        trail=_trail(box.container, "Compare"),
        typed=typed,
        found=found,
        labels=labels,
        action=request.url.path,
        **drawn(refusal),
    )


@router.post("/storage/{code}/compare")
async def compare(request: Request, code: ContainerCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Compare, keep the result in the log, and show it."""

    async def act() -> Response:
        scanned = performing.form.all_of("scanned")
        body = parse(CountRequest, performing.form, request.state.zone, *CIRCUMSTANCES, container=code, scanned=scanned)
        found = await performing(count_container, body)
        return await _draw_compare(request, reading, code, found=found)

    typed = performing.form.get("scanned", "")
    return await or_again(act(), lambda refusal: _draw_compare(request, reading, code, refusal, typed))


@router.get("/storage/{code}/evacuate")
async def show_evacuate(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw the page on which everything in hand is brought to safety."""
    return await _draw_evacuate(request, reading, code)


async def _draw_evacuate(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: str = "", found: Any = None
) -> Response:
    place = await reading(read_container, code)
    return render(
        request,
        "storage_evacuate.html",
        container=place,
        trail=_trail(place, "Bring to safety"),
        typed=typed,
        found=found,
        action=request.url.path,
        **drawn(refusal),
    )


@router.post("/storage/{code}/evacuate")
async def bring_to_safety(request: Request, code: ContainerCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record that everything scanned stands here now."""

    async def act() -> Response:
        scanned = performing.form.all_of("scanned")
        body = parse(EvacuateRequest, performing.form, request.state.zone, *CIRCUMSTANCES, scanned=scanned)
        found = await performing(evacuate, code, body)
        return await _draw_evacuate(request, reading, code, found=found)

    typed = performing.form.get("scanned", "")
    return await or_again(act(), lambda refusal: _draw_evacuate(request, reading, code, refusal, typed))


@router.get("/storage/{code}/map")
async def show_printable_map(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw every box of a place on paper, so that a rack can be worked through with gloves on and the screen off."""

    def query(session: Session, actor: Actor) -> tuple[ContainerPublic, Sequence[ContainerMap], int]:
        maps, boxes = maps_below(session, actor, code, BOXES_PRINTED)
        return read_container(session, actor, code), maps, boxes

    place, maps, boxes = await reading.agreeing(query)
    by_path = sorted(maps, key=lambda one: [natural(name) for name in one.container.path])
    return render(
        request,
        "storage_map.html",
        container=place,
        trail=_trail(place, "Map"),
        maps=[(one, grid_of(one)) for one in by_path],
        left_out=boxes - len(maps),
    )
