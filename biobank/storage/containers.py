"""Use cases of containers themselves: adding, moving with everything inside, reading, counting."""

from typing import Any

from sqlalchemy import insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code, new_codes
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody import holds
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, Move, acknowledge, head_of, record
from biobank.custody.snapshots import load
from biobank.custody.states import HoldKind, StreamKind
from biobank.foundation.codes import is_code, parse_code
from biobank.foundation.errors import Conflict, NotFound
from biobank.storage import queries
from biobank.storage.events import CarriedAlong, ContainerAdded, ContainerCounted, ContainerMoved, ReadingRecorded
from biobank.storage.grid import label_of
from biobank.storage.models import storage_container, storage_position
from biobank.storage.schemas import (
    ContainerCreate,
    ContainerPublic,
    CountAnswer,
    CountRequest,
    MoveAnswer,
    MoveRequest,
    ReadingCreate,
    ReadingPublic,
)


class ContainerInsideItself(Conflict):
    """A container cannot go into itself or into something it holds."""

    code = "container_inside_itself"
    title = "Not possible"


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
    code = new_code(session, "BX")
    rows, cols = request.rows, request.cols
    session.execute(
        insert(storage_container).values(
            code=code,
            site_code=request.site,
            parent_code=request.parent and request.parent.upper(),
            kind=request.kind,
            name=request.name,
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
        session.execute(
            insert(storage_position),
            [
                {"code": p, "container_code": code, "row": r, "col": c, "label": label_of(r, c)}
                for p, (r, c) in zip(new_codes(session, "PS", len(cells)), cells, strict=True)
            ],
        )
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


def move_container(session: Session, act: Act, code: str, request: MoveRequest) -> MoveAnswer:
    """Put a container into another one. One event of the container, one of every tube that goes along."""
    target_code = request.to.upper()
    inside = queries.specimens_inside(session, code)
    specimens = load(session, inside, lock=True)
    for name in sorted({code, target_code}):
        queries.get_container(session, act.actor, name, lock=True)
    moved, target = _row(session, code), _row(session, target_code)
    act.require(Permission.STORAGE_RECORD, at=target.site_code)
    act.require(Permission.STORAGE_RECORD, at=moved.site_code)
    if target_code in queries.containers_below(session, code):
        raise ContainerInsideItself(f"{code} cannot go into {target_code}: that is itself or inside it.", subject=code)
    head = head_of(session, act, request, subject=None, site=target.site_code)
    event = ContainerMoved(from_parent=moved.parent_code, to_parent=target_code, site=target.site_code, tubes=len(specimens))
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    session.execute(update(storage_container).where(storage_container.c.code == code).values(parent_code=target_code))
    if moved.site_code != target.site_code:
        session.execute(
            update(storage_container)
            .where(storage_container.c.code.in_(sorted(queries.containers_below(session, code))))
            .values(site_code=target.site_code)
        )
    along = CarriedAlong(container=code, container_event=done[0].leaf_hash.hex(), site=target.site_code)
    if specimens:
        done += record(session, act, [Move(s, along, site=target.site_code) for _, s in sorted(specimens.items())], request)
    return MoveAnswer(container=code, parent=target_code, tubes=len(specimens), receipt=acknowledge(act, done))


def record_reading(session: Session, act: Act, code: str, request: ReadingCreate) -> ReadingPublic:
    """Record a temperature or a level. Too warm: everything inside goes on temperature hold in the same transaction."""
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    limit = row.highest_mc
    excursion = request.reading == "temperature_mc" and limit is not None and request.value > limit
    inside = load(session, queries.specimens_inside(session, code), lock=True) if excursion else {}
    head = head_of(session, act, request, subject=None, site=row.site_code)
    event = ReadingRecorded(reading=request.reading, value=request.value, excursion=excursion, held=len(inside))
    facts = [Fact(StreamKind.CONTAINER, code, event, head)]
    facts += [
        holds.specimen_hold_fact(s, HoldKind.TEMPERATURE, head, reason="temperature_excursion") for _, s in sorted(inside.items())
    ]
    done = append(session, facts)
    holds.keep_placed(session, facts, done)
    session.execute(
        insert(queries.reading).values(
            event_hash=done[0].leaf_hash,
            container_code=code,
            kind=request.reading,
            value=request.value,
            at=head.occurred_at,
            excursion=excursion,
        )
    )
    return ReadingPublic(
        container=code,
        reading=request.reading,
        value=request.value,
        at=head.occurred_at,
        excursion=excursion,
        held=sorted(inside),
        receipt=acknowledge(act, done),
    )


def count_container(session: Session, act: Act, request: CountRequest) -> CountAnswer:
    """Compare what was scanned in a container with what should be there. Changes nothing; the differences are kept."""
    code = request.container.upper()
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    expected = set(queries.specimens_inside(session, code))
    scanned = {_known_form(text) for text in request.scanned}
    others = load(session, [s for s in scanned - expected if is_code(s)])
    missing, misplaced = sorted(expected - scanned), sorted(others)
    extra = sorted(scanned - expected - set(others))
    head = head_of(session, act, request, subject=None, site=row.site_code)
    event = ContainerCounted(
        expected=len(expected),
        found=len(expected & scanned),
        missing=tuple(missing[:1000]),
        misplaced=tuple(misplaced[:1000]),
        # What is no code of ours may be anything, a name included: the log gets the number of such scans only.
        extra=tuple(s for s in extra[:1000] if is_code(s)),
    )
    done: list[Appended] = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    return CountAnswer(
        container=code,
        expected=len(expected),
        found=len(expected & scanned),
        missing=missing,
        misplaced=misplaced,
        extra=extra,
        receipt=acknowledge(act, done),
    )


def _known_form(text: str) -> str:
    """The canonical form of a scanned code, or the text itself when it is none of ours."""
    tail = text.rsplit("/", 1)[-1]
    return parse_code(tail).text if is_code(tail) else text


def _row(session: Session, code: str) -> Any:
    return session.execute(select(storage_container).where(storage_container.c.code == code)).one()
