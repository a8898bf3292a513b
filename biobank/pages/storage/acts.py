"""What people do with a place: move it, read its temperature, compare what is in it, print its map, bring things to safety."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.states import Condition
from biobank.foundation.codes import Prefix
from biobank.foundation.names import name_key
from biobank.foundation.terms import counted, words
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.addresses import ContainerCode
from biobank.pages.ui.parts import ActionLink
from biobank.pages.ui.scanned import found_in, nothing_in
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.storage.counts import count_container
from biobank.storage.evacuation import evacuate, evacuation_refusals
from biobank.storage.maps import map_of, maps_below
from biobank.storage.moving import move_container
from biobank.storage.naming import rename_container
from biobank.storage.queries import read_container
from biobank.storage.rules import COOLING
from biobank.storage.schemas import ContainerMap, ContainerPublic, CountRequest, EvacuateRequest, MoveRequest, RenameRequest

router = APIRouter(include_in_schema=False)

BOXES_PRINTED = 60
"""Boxes on one printed map; a rack has a dozen, and a whole tank is printed rack by rack."""


def acts_of_place(actor: Actor, place: ContainerPublic) -> list[ActionLink]:
    """Return the buttons of a place for a login."""
    here = f"/storage/{place.code}"
    records = actor.may(Permission.STORAGE_RECORD, at=place.site)
    acts = []
    if actor.may(Permission.STORAGE_MANAGE, at=place.site) and place.rows is None:
        acts.append(ActionLink("Add containers inside", f"/storage/new?parent={place.code}", "plus"))
    if actor.may(Permission.STORAGE_MANAGE, at=place.site):
        acts.append(ActionLink("Give it another name", f"{here}/rename", "pen"))
    if not evacuation_refusals(actor, place.code, place.site, safe=place.safe):
        acts.append(ActionLink("Bring tubes to safety here", f"{here}/evacuate", "snow", "get", "main"))
    if records and (place.positions or place.occupied):
        acts.append(ActionLink("Compare what is in it", f"{here}/compare", "scan"))
        acts.append(ActionLink("Count what is in it", f"{here}/count", "check"))
    if records and place.kind not in COOLING:
        back = ActionLink("It is back", f"{here}/put-back", "snow", "get", "main")
        acts.append(ActionLink("Lift it out", f"{here}/lift", "hand") if place.lifted_at is None else back)
    if records and place.rows is not None:
        acts.append(ActionLink("Block or keep places", f"{here}/slots", "octagon"))
    if actor.may(Permission.QUALITY_DECIDE, at=place.site):
        acts.append(ActionLink("Set its limits", f"/place-limits/new?container={place.code}", "pen"))
    if records:
        acts.append(ActionLink("Record a reading", f"{here}/reading", "pen"))
        acts.append(ActionLink("Read a logger's file", f"{here}/logger-file", "log"))
        acts.append(ActionLink("Move it to another place", f"{here}/move", "hand"))
    return [*acts, ActionLink("Print its map", f"{here}/map", "print")]


ActPage(
    address="/storage/{code}/move",
    reads=about_place,
    model=MoveRequest,
    names=("to",),
    scans={"to": (Prefix.CONTAINER,)},
    labels={"to": "Into (scan it)"},
    form=lambda at: ActForm(
        title="Move it to another place",
        submit="Move it",
        icon="hand",
        trail=trail_of(at.read, "Move it to another place"),
        lead=f"{at.read.name} goes with everything in it: {counted(at.read.occupied, 'tube')}. Scan the place it goes into.",
    ),
    use_case=move_container,
    after=lambda at, _body, moved: Done(
        f"/storage/{at.code}",
        f"Moved into {moved['parent']}.",
        " ".join([f"Moved with it: {counted(moved['tubes'], 'tube')}.", *moved["warnings"][:5]]),
        "care" if moved["warnings"] else "ok",
    ),
).on(router)


def _managed(session: Session, actor: Actor, asked: Asked) -> ContainerPublic:
    place = read_container(session, actor, asked.code)
    actor.require(Permission.STORAGE_MANAGE, at=place.site)
    return place


def _renamed(at: Opened[ContainerPublic], _body: RenameRequest, said: dict[str, Any]) -> Done:
    old = said["labels"]
    if not old:
        return Done(f"/storage/{at.code}", f"Called {said['name']} now.")
    more = " and others" if len(old) > 10 else ""
    text = f"Printed labels show the old name: {', '.join(old[:10])}{more}. Print them again and destroy the old ones."
    return Done(f"/storage/{at.code}", f"Called {said['name']} now.", text, "care")


ActPage(
    address="/storage/{code}/rename",
    reads=_managed,
    model=RenameRequest,
    names=("name",),
    labels={"name": "New name"},
    form=lambda at: ActForm(
        title="Give it another name",
        submit="Rename it",
        icon="pen",
        values={"name": at.read.name},
        trail=trail_of(at.read, "Give it another name"),
        lead="Its code stays. In one place no two names may look alike. Labels that show the old name are listed afterwards.",
    ),
    use_case=rename_container,
    after=_renamed,
).on(router)


def _box(session: Session, actor: Actor, asked: Asked) -> ContainerMap:
    box = map_of(session, actor, asked.code)
    actor.require(Permission.STORAGE_RECORD, at=box.container.site)
    return box


def _scans(at: Opened[Any], template: str, title: str, place: ContainerPublic, found: Any, **shows: Any) -> OwnPage:
    """A list of scans about a place, or what was found out about it."""
    typed, action = at.form.get("scanned", ""), at.request.url.path
    return OwnPage(template, container=place, trail=trail_of(place, title), typed=typed, found=found, action=action, **shows)


def _compare(at: Opened[ContainerMap], found: Any = None) -> OwnPage:
    labels = {slot.specimen: slot.label for slot in at.read.slots if slot.specimen is not None}
    return _scans(at, "storage_compare.html", "Compare", at.read.container, found, labels=labels, fields=[nothing_in(at.form)])


ActPage(
    address="/storage/{code}/compare",
    reads=_box,
    form=_compare,
    model=CountRequest,
    lists=("scanned",),
    old_labels="left",
    given=lambda at: {"container": at.code, "scanned": found_in(at.form, "scanned")},
    args=lambda _at: (),
    use_case=count_container,
    after=lambda at, _body, found: _compare(at, found),
).on(router)


def _safe_place(session: Session, actor: Actor, asked: Asked) -> ContainerPublic:
    place = read_container(session, actor, asked.code)
    asked.opens(evacuation_refusals(actor, place.code, place.site, safe=place.safe))
    return place


def _bring_to_safety(at: Opened[ContainerPublic], found: Any = None) -> OwnPage:
    kinds = [(one.value, words(one.value)) for one in Condition]
    said = at.form.get("condition", "")
    return _scans(at, "storage_evacuate.html", "Bring to safety", at.read, found, conditions=kinds, condition=said)


ActPage(
    address="/storage/{code}/evacuate",
    reads=_safe_place,
    form=_bring_to_safety,
    model=EvacuateRequest,
    names=("condition",),
    lists=("scanned",),
    old_labels="left",
    given=lambda at: {"scanned": at.form.lines_of("scanned")},
    use_case=evacuate,
    after=lambda at, _body, found: _bring_to_safety(at, found),
).on(router)


@router.get("/storage/{code}/map")
async def show_printable_map(request: Request, code: ContainerCode, reading: PageReading) -> Response:
    """Draw every box of a place on paper, so that a rack can be worked through with gloves on and the screen off."""

    def query(session: Session, actor: Actor) -> tuple[ContainerPublic, Sequence[ContainerMap], int]:
        maps, boxes = maps_below(session, actor, code, BOXES_PRINTED)
        return read_container(session, actor, code), maps, boxes

    place, maps, boxes = await reading.agreeing(query)
    by_path = sorted(maps, key=lambda one: [name_key(name) for name in one.container.path])
    return render(
        request,
        "storage_map.html",
        zone=request.state.site_zone,
        container=place,
        trail=trail_of(place, "Map"),
        maps=[(one, grid_of(one)) for one in by_path],
        left_out=boxes - len(maps),
    )
