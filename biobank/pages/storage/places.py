"""Places as people see them: the tree of containers, a box from above, and storing a tube by scanning."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.storage.acts import acts_of_place
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, act_page, fields_of, parse
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.specimens.queries import describe_specimen
from biobank.storage.maps import map_of
from biobank.storage.queries import SEEING, get_container, list_containers, public_containers, readings_of
from biobank.storage.schemas import ContainerList, ContainerMap, ContainerPublic, ReadingList, StoreRequest
from biobank.storage.service import store_specimen
from biobank.storage.tree import tree_of

router = APIRouter(include_in_schema=False)

SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
ContainerCode = Annotated[str, Path(pattern=r"^BX-[0-9A-Z]{7}$")]
READINGS_SHOWN = 10

COLUMNS = [
    Column("code", "Code", "code"),
    Column("name", "Name"),
    Column("kind", "Kind", "words"),
    Column("purpose", "Purpose", "words"),
    Column("site", "Site", "plain_code"),
    Column("filled", "Taken"),
]


def _rows(items: list[ContainerPublic]) -> list[dict[str, Any]]:
    return [item.model_dump() | {"filled": f"{item.occupied} of {item.positions}" if item.positions else None} for item in items]


def _require_seeing(actor: Actor) -> None:
    if not any(actor.may(permission, at=ANYWHERE) for permission in SEEING):
        actor.require(SEEING[0], at=ANYWHERE)


PLACES_SHOWN = 3000
"""Places on the tree; beyond it people scan."""


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


@router.get("/storage/{code}")
async def show_container(
    request: Request,
    code: ContainerCode,
    reading: PageReading,
    slot: Annotated[str | None, Query(pattern=r"^[A-Za-z]{1,2}[0-9]{1,3}$")] = None,
) -> Response:
    """Draw a container: its grid when it has one, what is in it, its latest readings."""

    def query(session: Session, actor: Actor) -> tuple[ContainerMap, list[ContainerPublic], list[tuple[str, str]], ReadingList]:
        box = map_of(session, actor, code)
        inside = list_containers(session, actor, parent=code, paging=Paging(limit=500)).items
        return box, inside, _trail(session, actor, box.container), readings_of(session, actor, code, READINGS_SHOWN)

    box, inside, trail, readings = await reading.agreeing(query)
    return render(
        request,
        "container.html",
        container=box.container,
        acts=acts_of_place(request.state.actor, box.container),
        trail=[("Storage", "/storage"), *trail, (box.container.name, None)],
        grid=grid_of(box, slot.upper() if slot else None),
        loose=box.loose,
        rows=_rows(inside),
        columns=COLUMNS,
        facts=[
            ("Site", box.container.site),
            ("Purpose", words(box.container.purpose)),
            ("Temperature class", words(box.container.temperature_class)),
            ("Warmest allowed", quantity(box.container.highest_mc, "millidegrees_c")),
            ("Isolated", "Yes" if box.container.isolated else "No"),
        ],
        readings=[
            {
                "at": one.at,
                "reading": one.reading.rpartition("_")[0],
                "value": quantity(one.value, "millidegrees_c" if one.reading == "temperature_mc" else "ppm"),
                "state": "alarm" if one.excursion else "pass",
            }
            for one in readings.items
        ],
        reading_columns=[
            Column("at", "When", "when"),
            Column("reading", "Reading", "words"),
            Column("value", "Value"),
            Column("state", "Within limits", "chip"),
        ],
    )


def _trail(session: Session, actor: Actor, container: ContainerPublic) -> list[tuple[str, str]]:
    trail: list[tuple[str, str]] = []
    parent = container.parent
    while parent is not None and len(trail) < 32:
        (above,) = public_containers(session, [get_container(session, actor, parent)])
        trail.insert(0, (above.name, f"/storage/{above.code}"))
        parent = above.parent
    return trail


@router.get("/specimens/{code}/store")
async def show_store(
    request: Request,
    code: SpecimenCode,
    reading: PageReading,
    container: Annotated[str, Query(max_length=20, pattern=r"^[A-Za-z0-9-]*$")] = "",
) -> Response:
    """Draw the form: scan the box, or the place in it."""
    return await _draw_store(request, reading, code, typed={"container": container} if container else None)


async def _draw_store(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    specimen = await reading(describe_specimen, code)
    stored = specimen.custody.state == "stored"
    title = "Move to another place" if stored else "Store"
    names = ("container", "position")
    hints = {"container": "Box or position (scan it)", "position": "Place in the box, such as B7"}
    return act_page(
        request,
        refusal,
        title=title,
        subject=code,
        lead="Scan the box, or the position itself. Without a place the box gives the next free one.",
        back=f"/specimens/{code}",
        trail=[("Specimens", "/specimens"), (code, f"/specimens/{code}"), (title, None)],
        fields=fields_of(StoreRequest, *names, values=typed, labels=hints, needed=("container",)),
        more=fields_of(StoreRequest, "exposure_s", *CIRCUMSTANCES, values=typed, labels={"exposure_s": "Seconds out of cold"}),
        hidden={"expected_seq": str(specimen.custody.seq)},
        submit=title,
        icon="tank",
    )


def _scanned_place(performing: PagePerforming) -> dict[str, str]:
    """Read the scanned box or position: a bare code or the address on its label."""
    settings = performing.bank.settings
    text = performing.form.get("container")
    if text is None:
        raise FormFault({"container": "Scan the box or the position."})
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except MalformedCode as error:
        raise FormFault({"container": error.detail}) from None
    if code.prefix == Prefix.POSITION:
        return {"position": code.text}
    if code.prefix != Prefix.CONTAINER:
        raise FormFault({"container": f"{code.text} is neither a box nor a position."})
    return {"container": code.text} | ({"position": performing.form["position"]} if "position" in performing.form else {})


@router.post("/specimens/{code}/store")
async def store(request: Request, code: SpecimenCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Store or move the tube."""

    async def act() -> Response:
        place = _scanned_place(performing)
        names = ("exposure_s", *CIRCUMSTANCES, "expected_seq")
        body = parse(StoreRequest, performing.form, request.state.zone, *names, **place)
        (placed,) = (await performing(store_specimen, code, body))["items"]
        where = f"{placed['container']} {placed['label'] or ''}".strip()
        return await performing.done(f"/specimens/{code}#place", f"Stored in {where}.", f"Event {placed['seq']} of {code}.")

    return await or_again(act(), lambda refusal: _draw_store(request, reading, code, refusal, performing.form))
