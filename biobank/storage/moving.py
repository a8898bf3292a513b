"""Moving a container with everything in it: one event of the container, one of every tube that goes along.

A tube is judged in the place it comes to as if it were put there by itself (`placing.faults_in_move`). Lock order: specimens by
code, then containers by code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.coming_in import came_in
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.places_then import began_at
from biobank.custody.queries import last_event_at
from biobank.custody.recording import Circumstances, Move, acknowledge, head_of, record
from biobank.custody.states import CustodianKind, State, StreamKind
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.names import name_key
from biobank.storage import queries
from biobank.storage.containers import require_stands_there, require_takes_containers
from biobank.storage.events import CarriedAlong, ContainerMoved
from biobank.storage.holding_still import hold_still
from biobank.storage.lifting import clock_moves, concerned, end_lift, missed_moves, said_now, still_out
from biobank.storage.models import storage_container
from biobank.storage.naming import ContainerNameTaken, twin_of
from biobank.storage.placing import faults_in_move, outside_around
from biobank.storage.rules import keeps_its_own_cold
from biobank.storage.schemas import MoveAnswer, MoveRequest


class ContainerInsideItself(Conflict):
    """A container cannot go into itself or into something it holds."""

    code = "container_inside_itself"
    title = "Not possible"


@dataclass(frozen=True)
class Carried:
    """What a move recorded: its events, how many tubes went along, and what is wrong with them in a safe place."""

    appended: list[Appended]
    tubes: int
    warnings: list[str]


def move_container(session: Session, act: Act, code: str, request: MoveRequest) -> MoveAnswer:
    """Put a container into another one.

    Raises NotFound, NotPermitted, ContainerInsideItself, HoldsTubesOnly, StandsInARoom, and what is wrong with a tube in that
    place.
    """
    target = request.to.upper()
    for name in (code, target):
        queries.get_container(session, act.actor, name)
    known = hold_still(session, {code, target}, lambda: concerned(session, code))
    carried = carry(session, act, code, target, known, request)
    return MoveAnswer(
        container=code,
        parent=target,
        tubes=carried.tubes,
        warnings=carried.warnings,
        receipt=acknowledge(act, carried.appended),
    )


def carry(
    session: Session, act: Act, code: str, target_code: str, specimens: Mapping[str, Snapshot], given: Circumstances
) -> Carried:
    """Put a container into another one; both are locked, and so are the `specimens` in it and those that left it while it was
    lifted, before that was entered.
    """
    inside_now = set(queries.specimens_inside(session, code))
    known = specimens
    specimens = {name: one for name, one in specimens.items() if name in inside_now}
    moved = queries.get_container(session, act.actor, code)
    target = queries.get_container(session, act.actor, target_code)
    act.require(Permission.STORAGE_RECORD, at=target.site_code)
    act.require(Permission.STORAGE_RECORD, at=moved.site_code)
    below = queries.containers_below(session, code)
    if target_code in below:
        raise ContainerInsideItself(f"{code} cannot go into {target_code}: that is itself or inside it.", subject=code)
    require_takes_containers(target)
    require_stands_there(moved.kind, target)
    inside = queries.tubes_inside(session, code)
    warnings = _judge(session, moved, target_code, inside, specimens)
    key, alike = _key_there(session, moved, target)
    warnings += [*alike, *outside_around(session, queries.chains_of(session, [target_code]))[target_code]]
    given = _in_order(session, given, code, target_code, specimens)
    head = head_of(session, act, given, subject=None, site=target.site_code)
    event = ContainerMoved(from_parent=moved.parent_code, to_parent=target_code, site=target.site_code, tubes=len(inside))
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    session.execute(
        update(storage_container).where(storage_container.c.code == code).values(parent_code=target_code, name_key=key)
    )
    if moved.site_code != target.site_code:
        session.execute(
            update(storage_container).where(storage_container.c.code.in_(sorted(below))).values(site_code=target.site_code)
        )
    event_hash, site = done[0].leaf_hash.hex(), target.site_code
    along = CarriedAlong(container=code, container_event=event_hash, site=site)
    with_site = CarriedAlong(container=code, container_event=event_hash, site=site, custodian=site)
    missed = [] if moved.lifted_at is None else missed_moves(session, code, known, head)
    done += end_lift(session, code, head)
    warnings += [f"{one} is out of its place by the record. If it is in again, put it back." for one in still_out(session, code)]
    moves = [_along(specimens[row.code], along, with_site) for row in inside]
    done += record(session, act, [*moves, *clock_moves(session, specimens, head)], given)
    done += record(session, act, missed, said_now(given))
    done += came_in.get()(session, act, {code: head.occurred_at}, [row.code for row in inside], done[0])
    return Carried(done, len(inside), warnings)


def _in_order(session: Session, given: Circumstances, code: str, target: str, specimens: Mapping[str, Snapshot]) -> Circumstances:
    """Date a move into a safe place when it can have been: not before that place is on record, nor before the last event of the
    container or of a tube in it. A look at one of them keeps the others out of no cold (`recording._in_order`: of a tube).
    """
    if given.occurred_at is None or given.paper is not None or not queries.standings_of(session, [target])[target].safe:
        return given
    began = began_at(session, [target]).get(target)
    last = [began, last_event_at(session, StreamKind.CONTAINER, code), *(one.last_occurred_at for one in specimens.values())]
    return given.model_copy(update={"occurred_at": max([given.occurred_at, *(one for one in last if one is not None)])})


def _along(tube: Snapshot, along: CarriedAlong, with_site: CarriedAlong) -> Move:
    """What is recorded of a tube whose container went elsewhere. One that is out of it stays where it is in somebody's hand."""
    own = tube.projection.site_code
    if tube.state is State.CHECKED_OUT and own is not None:
        return Move(tube, along.model_copy(update={"site": own}), site=own)
    return Move(tube, with_site if _changes_hands(tube, along.site) else along, site=along.site)


def _changes_hands(tube: Snapshot, site: str) -> bool:
    """Say whether another site holds a tube that goes along; what somebody has in hand stays theirs."""
    return tube.projection.custodian_kind == CustodianKind.SITE.value and tube.projection.custodian_id != site


def _key_there(session: Session, moved: Any, target: Any) -> tuple[str, list[str]]:
    """Return the key of its name where it goes; raise ContainerNameTaken when another one there looks like it.

    Nothing keeps material out of a safe place: there the two names are told, and the key is made its own until it leaves.
    """
    key = name_key(moved.name)
    twin = twin_of(session, moved.name, target.site_code, target.code, but=moved.code)
    if twin is None:
        return key, []
    said = f"{moved.name} looks like the name of {twin} in {target.code}."
    if not queries.standings_of(session, [target.code])[target.code].safe:
        raise ContainerNameTaken(f"{said} Rename one of them first. Nothing was moved.", subject=twin, in_place=target.code)
    return f"{key}\t{moved.code}", [f"{said} Rename one of them, or go by their codes."]


def _judge(session: Session, moved: Any, target: str, inside: Sequence[Any], specimens: Mapping[str, Snapshot]) -> list[str]:
    """Raise what is wrong with the first tube that may not come to that place; say it of a place that takes everything."""
    code, boxes = moved.code, sorted({row.container_code for row in inside})
    standings = queries.standings_of(session, [*boxes, target], moved=code, target=target)
    travels = keeps_its_own_cold(moved.kind, moved.temperature_class) or queries.standings_of(session, [code])[code].lifted
    faults = faults_in_move(inside, specimens, standings, travels=travels)
    if standings[target].safe or not faults:
        return [fault.detail for _tube, fault in faults]
    tube, first = faults[0]
    more = f" {len(faults)} of the {len(inside)} tubes in {code} may not go there." if len(inside) > 1 else ""
    raise _of_container(first, tube.code, code, f"{first.detail}{more} Nothing was moved.")


def _of_container(fault: Refusal, tube: str, code: str, sentence: str) -> Refusal:
    where = f"Put {code} back where it came from, or into an evacuation place. {TO_QUARANTINE}"
    return type(fault)(sentence, where_now=where, subject=code, tube=tube)
