"""Use cases of containers themselves: adding, counting. Moving one is in `moving.py`."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_codes
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.many_rows import insert_rows
from biobank.foundation.names import name_key
from biobank.foundation.terms import words
from biobank.storage import queries
from biobank.storage.events import ContainerAdded
from biobank.storage.grid import label_of
from biobank.storage.models import storage_container, storage_position
from biobank.storage.naming import ContainerNameTaken, require_name_free
from biobank.storage.rules import COOLING, Standing, WrongTemperature, may_stand_in
from biobank.storage.schemas import (
    ContainerCreate,
    ContainerPublic,
)


class HoldsTubesOnly(Conflict):
    """A container with slots holds tubes; no other container goes into it."""

    code = "holds_tubes_only"
    title = "It holds tubes only"


class StandsInARoom(Conflict):
    """A room, tank or freezer has a temperature of its own: it stands in a room or in nothing, never in a rack or in another."""

    code = "stands_in_a_room"
    title = "It stands in a room"


class WrongSite(Conflict):
    """A container's parent stands at another site."""

    code = "wrong_site"
    title = "Another site"


def add_container(session: Session, act: Act, request: ContainerCreate) -> ContainerPublic:
    """Add a container with its positions."""
    return add_containers(session, act, [request])[0]


def add_containers(session: Session, act: Act, requests: Sequence[ContainerCreate]) -> list[ContainerPublic]:
    """Add several containers with their positions, none in another of them: each is asked for by itself, written with the others.

    Raises NotPermitted, NotFound (site, parent), WrongSite, HoldsTubesOnly, StandsInARoom, WrongTemperature,
    ContainerNameTaken.
    """
    if not requests:
        return []
    for place in sorted({(request.site, request.parent and request.parent.upper()) for request in requests}, key=str):
        _require_place(session, act, *place, [one for one in requests if (one.site, one.parent and one.parent.upper()) == place])
    codes = new_codes(session, "BX", len(requests))
    made = [_container_row(code, request) for code, request in zip(codes, requests, strict=True)]
    insert_rows(session, storage_container, made)
    cells = [
        (row["code"], r, c)
        for row in made
        if row["rows"] and row["cols"]
        for r in range(1, row["rows"] + 1)
        for c in range(1, row["cols"] + 1)
    ]
    positions = [
        {"code": p, "container_code": code, "row": r, "col": c, "label": label_of(r, c)}
        for p, (code, r, c) in zip(new_codes(session, "PS", len(cells)) if cells else (), cells, strict=True)
    ]
    insert_rows(session, storage_position, positions)
    slots: dict[str, list[dict[str, Any]]] = {}
    for one in positions:
        slots.setdefault(one["container_code"], []).append(one)
    facts = []
    for row in made:
        event = ContainerAdded(
            container_kind=row["kind"],
            parent=row["parent_code"],
            site=row["site_code"],
            purpose=row["purpose"],
            rows=row["rows"],
            cols=row["cols"],
            temperature_class=row["temperature_class"],
            isolated=row["isolated"],
            slots_sha256=_digest_of_slots(slots[row["code"]]) if row["code"] in slots else None,
        )
        head = head_of(session, act, NOW, subject=None, site=row["site_code"])
        facts.append(Fact(StreamKind.CONTAINER, row["code"], event, head))
    append(session, facts)
    return queries.public_containers(session, _rows(session, codes))


def _require_place(session: Session, act: Act, at: str, parent: str | None, requests: Sequence[ContainerCreate]) -> None:
    """Raise what stands against new containers in one place of one site."""
    act.require(Permission.STORAGE_MANAGE, at=at)
    if session.execute(select(site.c.code).where(site.c.code == at)).first() is None:
        raise NotFound(f"There is no site {at}.", subject=at)
    if parent is not None:
        around = queries.get_container(session, act.actor, parent)
        if around.site_code != at:
            raise WrongSite(f"{around.code} stands at {around.site_code}, not at {at}.", subject=around.code)
        require_takes_containers(around)
        for request in requests:
            require_stands_there(request.kind, around)
        standing = queries.standings_of(session, [around.code])[around.code]
        for request in requests:
            require_as_cold_as(request, standing)
    seen: set[str] = set()
    for request in requests:
        require_name_free(session, request.name, at, parent)
        if name_key(request.name) in seen:
            raise ContainerNameTaken("Two of these names look alike. Give names that nobody can take for each other.")
        seen.add(name_key(request.name))


def _digest_of_slots(slots: Sequence[dict[str, Any]]) -> str:
    """Return how the entry of a new container quotes its slots, given in order of rows (`ContainerAdded.slots_sha256`)."""
    lines = "\n".join(f"{one['code']} {one['row']} {one['col']} {one['label']}" for one in slots)
    return hashlib.sha256(lines.encode()).hexdigest()


def _container_row(code: str, request: ContainerCreate) -> dict[str, Any]:
    return {
        "code": code,
        "site_code": request.site,
        "parent_code": request.parent and request.parent.upper(),
        "kind": request.kind,
        "name": request.name,
        "name_key": name_key(request.name),
        "purpose": request.purpose,
        "temperature_class": request.temperature_class,
        "rows": request.rows,
        "cols": request.cols,
        "isolated": request.isolated,
        "active": True,
    }


def require_takes_containers(row: Any) -> None:
    """Raise HoldsTubesOnly for a container that has slots."""
    if row.rows is not None:
        raise HoldsTubesOnly(f"{row.code} has places for tubes, not for containers. Choose what it stands in.", subject=row.code)


def require_stands_there(kind: str, around: Any) -> None:
    """Raise StandsInARoom when a room, tank or freezer would stand in something other than a room (its row)."""
    if not may_stand_in(kind, around.kind):
        raise StandsInARoom(
            f"A {kind} stands in a room, and {around.code} is a {around.kind}. Choose a room.", subject=around.code
        )


def require_as_cold_as(request: ContainerCreate, around: Standing) -> None:
    """Raise WrongTemperature when a rack, cane, box or shelf is said to be of another class than what it stands in."""
    said = request.temperature_class
    if request.kind not in COOLING and said is not None and around.temperature not in (None, said):
        raise WrongTemperature(
            f"A {request.kind} is as cold as what it stands in, and {around.code} is {words(around.temperature)}. Leave it out.",
            subject=around.code,
            temperature_class=around.temperature,
        )


def _rows(session: Session, codes: Sequence[str]) -> list[Any]:
    rows = session.execute(select(storage_container).where(storage_container.c.code.in_(codes)))
    found = {row.code: row for row in rows}
    return [found[code] for code in codes]
