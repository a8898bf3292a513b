"""Use cases of containers themselves: adding, counting. Moving one is in `moving.py`."""

from typing import Any

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code, new_codes
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
from biobank.storage.naming import require_name_free
from biobank.storage.rules import COOLING, Standing, WrongTemperature
from biobank.storage.schemas import (
    ContainerCreate,
    ContainerPublic,
)


class HoldsTubesOnly(Conflict):
    """A container with slots holds tubes; no other container goes into it."""

    code = "holds_tubes_only"
    title = "It holds tubes only"


class WrongSite(Conflict):
    """A container's parent stands at another site."""

    code = "wrong_site"
    title = "Another site"


def add_container(session: Session, act: Act, request: ContainerCreate) -> ContainerPublic:
    """Add a container with its positions."""
    act.require(Permission.STORAGE_MANAGE, at=request.site)
    if session.execute(select(site.c.code).where(site.c.code == request.site)).first() is None:
        raise NotFound(f"There is no site {request.site}.", subject=request.site)
    if request.parent is not None:
        parent = queries.get_container(session, act.actor, request.parent.upper())
        if parent.site_code != request.site:
            raise WrongSite(f"{parent.code} stands at {parent.site_code}, not at {request.site}.", subject=parent.code)
        require_takes_containers(parent)
        require_as_cold_as(request, queries.standings_of(session, [parent.code])[parent.code])
    require_name_free(session, request.name, request.site, request.parent and request.parent.upper())
    code = new_code(session, "BX")
    rows, cols = request.rows, request.cols
    session.execute(
        insert(storage_container).values(
            code=code,
            site_code=request.site,
            parent_code=request.parent and request.parent.upper(),
            kind=request.kind,
            name=request.name,
            name_key=name_key(request.name),
            purpose=request.purpose,
            temperature_class=request.temperature_class,
            highest_mc=request.highest_mc,
            rows=rows,
            cols=cols,
            isolated=request.isolated,
            active=True,
        )
    )
    if rows is not None and cols is not None:
        cells = [(r, c) for r in range(1, rows + 1) for c in range(1, cols + 1)]
        positions = [
            {"code": p, "container_code": code, "row": r, "col": c, "label": label_of(r, c)}
            for p, (r, c) in zip(new_codes(session, "PS", len(cells)), cells, strict=True)
        ]
        insert_rows(session, storage_position, positions)
    head = head_of(session, act, NOW, subject=None, site=request.site)
    event = ContainerAdded(
        container_kind=request.kind,
        parent=request.parent and request.parent.upper(),
        site=request.site,
        purpose=request.purpose,
        rows=rows,
        cols=cols,
    )
    append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    return queries.public_containers(session, [_row(session, code)])[0]


def require_takes_containers(row: Any) -> None:
    """Raise HoldsTubesOnly for a container that has slots."""
    if row.rows is not None:
        raise HoldsTubesOnly(f"{row.code} has places for tubes, not for containers. Choose what it stands in.", subject=row.code)


def require_as_cold_as(request: ContainerCreate, around: Standing) -> None:
    """Raise WrongTemperature when a rack, cane, box or shelf is said to be of another class than what it stands in."""
    said = request.temperature_class
    if request.kind not in COOLING and said is not None and around.temperature not in (None, said):
        raise WrongTemperature(
            f"A {request.kind} is as cold as what it stands in, and {around.code} is {words(around.temperature)}. Leave it out.",
            subject=around.code,
            temperature_class=around.temperature,
        )


def _row(session: Session, code: str) -> Any:
    return session.execute(select(storage_container).where(storage_container.c.code == code)).one()
