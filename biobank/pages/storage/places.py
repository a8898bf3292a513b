"""Places as people see them: the tree of containers, a box from above, and storing a tube by scanning."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.labels.answers import labels_with_old_names
from biobank.monitoring.readings import readings_of
from biobank.monitoring.schemas import ReadingList
from biobank.pages.monitoring.said import limits_in_words, reading_row, wrong_link
from biobank.pages.specimens.about import about_specimen
from biobank.pages.storage.acts import acts_of_place
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Done, Opened
from biobank.pages.ui.addresses import ContainerCode
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.pages.ui.scanned import scanned_code
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.specimens.schemas import SpecimenPublic
from biobank.storage.blindness import ContentsWithheld
from biobank.storage.limits import PlaceLimits, limits_of_place
from biobank.storage.maps import map_of
from biobank.storage.naming import earlier_names
from biobank.storage.queries import SEEING, get_container, list_containers, public_containers, read_container
from biobank.storage.schemas import (
    ContainerKind,
    ContainerList,
    ContainerMap,
    ContainerPublic,
    Purpose,
    StoreRequest,
)
from biobank.storage.service import store_specimen
from biobank.storage.tree import tree_of
from biobank.vault import Keystore

router = APIRouter(include_in_schema=False)

READINGS_SHOWN = 10
Trail = list[tuple[str, str]]

COLUMNS = [
    Column("code", "Code", "code", sort="code"),
    Column("name", "Name", sort="name"),
    Column("kind", "Kind", "words"),
    Column("purpose", "Purpose", "words"),
    Column("site", "Site", "plain_code"),
    Column("filled", "Taken"),
]


def row_of(item: ContainerPublic) -> dict[str, Any]:
    """Return the cells of one place."""
    return item.model_dump() | {"filled": f"{item.occupied} of {item.positions}" if item.positions else None}


def _require_seeing(actor: Actor) -> None:
    if not any(actor.may(permission, at=ANYWHERE) for permission in SEEING):
        actor.require(SEEING[0], at=ANYWHERE)


Naming = tuple[list[tuple[str, datetime]], list[str]]


def naming_of(session: Session, keystore: Keystore, code: str) -> Naming:
    """Return the earlier names of a place, and whose printed labels show a name from before."""
    return earlier_names(session, keystore, code), labels_with_old_names(session, code)


def _said_until(earlier: list[tuple[str, datetime]], zone: ZoneInfo) -> Markup | None:
    return Markup("; ").join(Markup("{} until {}").format(name, when(until, zone)) for name, until in earlier) or None


PLACES_SHOWN = 3000
"""Places on the tree; beyond it people scan."""
INSIDE_SHOWN = 200
"""Places on the page of the place they are in; beyond it there is the list."""


@router.get("/storage")
async def show_storage(request: Request, reading: PageReading) -> Response:
    """Draw the tree of places, site by site, each with how full it is."""

    def query(session: Session, actor: Actor) -> ContainerList:
        _require_seeing(actor)
        return list_containers(session, actor, paging=Paging(limit=PLACES_SHOWN))

    places = await reading(query)
    by_site: dict[str, list[ContainerPublic]] = {}
    for place in places.items:
        by_site.setdefault(place.site, []).append(place)
    sites = []
    for site, of_site in sorted(by_site.items()):
        branches = tree_of(of_site)
        taken, positions = (sum(getattr(one.place, name) for one in branches) for name in ("occupied", "positions"))
        sites.append((site, branches, taken, positions))
    return render(request, "storage.html", sites=sites, left_out=places.next is not None)


def read_places(session: Session, actor: Actor, asked: Wanted) -> ContainerList:
    """Read one page of the places that the address asks for."""
    _require_seeing(actor)
    of = asked.of
    return list_containers(
        session, actor, site=of["site"], parent=of["parent"], kind=of["kind"], purpose=of["purpose"], paging=asked.paging
    )


Listing(
    address="/storage/places",
    title="Places",
    lead="Every room, tank, rack and box, and how full it is.",
    columns=[*COLUMNS, Column("parent", "In", "code", usual=False)],
    read=read_places,
    row=row_of,
    default="name",
    filters=[
        Filter("site", "Site", "code"),
        Filter("parent", "In", "code"),
        Filter("kind", "Kind", "choice", [(one, words(one)) for one in get_args(ContainerKind)]),
        Filter("purpose", "Purpose", "choice", [(one, words(one)) for one in get_args(Purpose)]),
    ],
    empty="No places match",
    hint="An administrator lays them out.",
).on(router)


@dataclass(frozen=True)
class _Drawn:
    """A place with its map, or why what stands in it is not shown."""

    container: ContainerPublic
    map: ContainerMap | None
    withheld: str | None = None


def _drawn(session: Session, actor: Actor, code: str) -> _Drawn:
    try:
        found = map_of(session, actor, code)
    except ContentsWithheld as refusal:
        return _Drawn(read_container(session, actor, code), None, refusal.detail)
    return _Drawn(found.container, found)


@router.get("/storage/{code}")
async def show_container(
    request: Request,
    code: ContainerCode,
    reading: PageReading,
    slot: Annotated[str | None, Query(pattern=r"^[A-Za-z]{1,2}[0-9]{1,3}$")] = None,
) -> Response:
    """Draw a container: its grid when it has one, what is in it, its latest readings."""

    def query(session: Session, actor: Actor) -> tuple[_Drawn, ContainerList, Trail, ReadingList, PlaceLimits, Naming]:
        box = _drawn(session, actor, code)
        inside = list_containers(session, actor, parent=code, paging=Paging(limit=INSIDE_SHOWN))
        readings = readings_of(session, actor, code, READINGS_SHOWN)
        limits, named = limits_of_place(session, code), naming_of(session, reading.bank.keystore, code)
        return box, inside, _trail(session, actor, box.container), readings, limits, named

    box, inside, trail, readings, limits, (earlier, labels) = await reading.agreeing(query)
    return render(
        request,
        "container.html",
        container=box.container,
        acts=acts_of_place(request.state.actor, box.container),
        trail=[("Storage", "/storage"), *trail, (box.container.name, None)],
        grid=None if box.map is None else grid_of(box.map, slot.upper() if slot else None),
        loose=[] if box.map is None else box.map.loose,
        withheld=box.withheld,
        rows=[row_of(one) for one in inside.items],
        more_inside=inside.next is not None,
        columns=COLUMNS,
        facts=[
            ("Site", box.container.site),
            ("Earlier names", _said_until(earlier, request.state.zone)),
            ("Purpose", words(box.container.purpose)),
            ("Temperature class", words(box.container.temperature_class)),
            ("May read", limits_in_words(limits)),
            ("Lifted out since", when(box.container.lifted_at, request.state.zone) if box.container.lifted_at else None),
            ("Isolated", "Yes" if box.container.isolated else "No"),
        ],
        lists=request.state.actor.may(Permission.SPECIMEN_READ, at=ANYWHERE),
        old_labels=labels,
        readings=[
            reading_row(one) | {"wrong": wrong_link(request.state.actor, box.container.site, one)} for one in readings.items
        ],
        reading_columns=[
            Column("at", "When", "when"),
            Column("reading", "Reading"),
            Column("value", "Value"),
            Column("state", "Within limits", "chip"),
            Column("wrong", "Was it wrong?"),
        ],
    )


def _trail(session: Session, actor: Actor, container: ContainerPublic) -> Trail:
    trail: Trail = []
    parent = container.parent
    while parent is not None and len(trail) < 32:
        (above,) = public_containers(session, [get_container(session, actor, parent)])
        trail.insert(0, (above.name, f"/storage/{above.code}"))
        parent = above.parent
    return trail


def _draw_store(at: Opened[SpecimenPublic]) -> ActForm:
    return ActForm(
        title="Move to another place" if at.read.custody.state == "stored" else "Store",
        icon="tank",
        lead="Scan the box, or the position itself. Without a place the box gives the next free one.",
        hidden={"expected_seq": str(at.read.custody.seq)},
    )


def _scanned_place(at: Opened[SpecimenPublic]) -> dict[str, str | None]:
    """Read the scanned box or position: a bare code or the address on its label."""
    code = scanned_code(at.form, "container", at.bank.settings, Prefix.CONTAINER, Prefix.POSITION)
    return {"container": None, "position": code} if code.startswith(Prefix.POSITION.value) else {"container": code}


def _stored(at: Opened[SpecimenPublic], _body: StoreRequest, answer: dict[str, Any]) -> Done:
    (placed,) = answer["items"]
    where = f"{placed['container']} {placed['label']}" if placed["label"] else f"{placed['container']}, place unknown"
    said = " ".join(placed["warnings"])
    kind = "care" if said else "ok"
    return Done(f"/specimens/{at.code}#place", f"Stored in {where}.", said or f"Event {placed['seq']} of {at.code}.", kind)


ActPage(
    address="/specimens/{code}/store",
    asks=("container",),
    reads=about_specimen,
    form=_draw_store,
    model=StoreRequest,
    names=("container", "position", "slot_unknown"),
    needed=("container",),
    more=("exposure_s", *CIRCUMSTANCES),
    labels={
        "container": "Box or position (scan it)",
        "position": "Place in the box, such as B7",
        "slot_unknown": "It is in the box, and I do not know in which place",
        "exposure_s": "Seconds out of cold",
    },
    given=_scanned_place,
    use_case=store_specimen,
    after=_stored,
).on(router)
