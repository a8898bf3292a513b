"""Use cases of tubes and places: store, move, swap, and cold first.

Lock order: donors and specimens by code, then containers by code. A full box is a conflict for storage; a quarantine or
evacuation place takes everything, whatever the state, the holds, the papers or the number of free slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.recording import Circumstances, Move, acknowledge, record, require_expected
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import get_all_visible, load, unknown_specimen
from biobank.custody.states import TERMINAL, State
from biobank.foundation.errors import Conflict, MalformedRequest, NotFound
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.events import Moved, Safeguarded, Stored
from biobank.storage.rules import require_suitable
from biobank.storage.schemas import Placement, PlacementPublic, PlacementsAnswer, PlacementsRequest, StoreRequest


class ContainerFull(Conflict):
    """No free position is left."""

    code = "container_full"
    title = "The container is full"


class PositionOccupied(Conflict):
    """Another tube is in that slot."""

    code = "position_occupied"
    title = "The position is occupied"


@dataclass(frozen=True)
class Target:
    """Where one tube goes: the container's row and the slot, or no slot when it stays unknown."""

    container: Any
    slot: Slot | None


def store_specimen(session: Session, act: Act, code: str, request: StoreRequest) -> PlacementsAnswer:
    """Store or move one specimen. See `place_specimens`."""
    place = _single_target(session, request)
    placement = Placement(specimen=code, position=request.position, expected_seq=request.expected_seq)
    return _place(session, act, place, [placement], request, exposure_s=request.exposure_s)


def place_specimens(session: Session, act: Act, container: str, request: PlacementsRequest) -> PlacementsAnswer:
    """Put tubes into slots of one container, all or nothing; swaps work because positions are compared at the end.

    Raises ContainerFull, PositionOccupied, NotFound, StaleSequence and what the rules say of each tube.
    """
    return _place(session, act, container.upper(), request.placements, request, exposure_s=None)


def _single_target(session: Session, request: StoreRequest) -> str:
    if request.container is not None:
        return request.container.upper()
    if request.position is None:
        raise MalformedRequest("Say where: a `position` (PS- code) or a `container` that chooses the next free one.")
    found = queries.find_position(session, None, request.position)
    if found is None:
        raise NotFound(
            f"There is no position {request.position}. Scan the slot's code, or give the container too.",
            where_now=TO_QUARANTINE,
            subject=request.position,
        )
    return str(found.container_code)


def _place(
    session: Session,
    act: Act,
    container_code: str,
    placements: Sequence[Placement],
    given: Circumstances,
    *,
    exposure_s: int | None,
) -> PlacementsAnswer:
    codes = [p.specimen.upper() for p in placements]
    if len(set(codes)) != len(codes):
        raise MalformedRequest("A specimen stands twice in this request. Send each specimen once.")
    row = queries.get_container(session, act.actor, container_code)
    safe = row.purpose != "storage"
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    specimens = _load(session, act, codes, safe=safe)
    for specimen, placement in zip(specimens, placements, strict=True):
        if not safe or placement.expected_seq is not None:
            require_expected(specimen, placement.expected_seq)
    row = queries.get_container(session, act.actor, container_code, lock=True)
    if not safe:
        require_suitable(session, specimens, row)
    targets = _targets(session, row, specimens, placements)
    moves = [
        Move(specimen, event_for(specimen, target, exposure_s), site=row.site_code)
        for specimen, target in zip(specimens, targets, strict=True)
    ]
    # Slots are compared when everything has moved, so that two tubes can change places.
    session.execute(text("SET CONSTRAINTS one_specimen_per_position DEFERRED"))
    done = record(session, act, moves, given)
    session.execute(text("SET CONSTRAINTS one_specimen_per_position IMMEDIATE"))
    return PlacementsAnswer(items=_answers(done, targets), receipt=acknowledge(act, done))


def _load(session: Session, act: Act, codes: Sequence[str], *, safe: bool) -> list[Snapshot]:
    """Load and lock; a quarantine place takes tubes the actor may not otherwise know of."""
    if not safe:
        return get_all_visible(session, act.actor, codes, lock=True, holds=True)
    found = load(session, codes, lock=True)
    for code in codes:
        if code not in found or found[code].state in TERMINAL:
            raise unknown_specimen(code)
    return [found[code] for code in codes]


def event_for(specimen: Snapshot, target: Target, exposure_s: int | None) -> Event:
    """Return the event that puts a specimen into a place: cold first for quarantine, else stored or moved."""
    container, slot = target.container, target.slot
    common: dict[str, Any] = {
        "container": container.code,
        "position": None if slot is None else slot.code,
        "site": container.site_code,
    }
    if container.purpose != "storage":
        return Safeguarded(**common)
    if specimen.state is State.STORED:
        return Moved(from_position=specimen.projection["position_code"], **common)
    return Stored(exposure_s=exposure_s, **common)


def _targets(session: Session, row: Any, specimens: Sequence[Snapshot], placements: Sequence[Placement]) -> list[Target]:
    """Choose a slot for each tube in a locked container: the named one, its own reserved one, or the next free ones."""
    free = queries.free_slots(session, row.code)
    leaving = {s.projection["position_code"] for s in specimens if s.projection["position_code"]}
    named: list[Slot | None] = [
        _named_slot(session, row, specimen, placement, free, leaving)
        for specimen, placement in zip(specimens, placements, strict=True)
    ]
    taken = [s.code for s in named if s is not None]
    if len(set(taken)) != len(taken):
        raise PositionOccupied("Two specimens of this request go into one position. Give each its own.")
    rest = [s for s in free if s.code not in taken]
    chosen = iter(choose_positions(rest, sum(1 for s in named if s is None)))
    targets = []
    for specimen, slot in zip(specimens, named, strict=True):
        place = slot if slot is not None else next(chosen, None)
        if place is None and row.purpose == "storage":
            raise ContainerFull(
                f"{row.code} has no free position left. Choose another box.",
                where_now=specimen.where_now,
                subject=specimen.code,
                container=row.code,
                free=len(rest),
            )
        targets.append(Target(row, place))
    return targets


def _named_slot(
    session: Session, row: Any, specimen: Snapshot, placement: Placement, free: Sequence[Slot], leaving: set[str]
) -> Slot | None:
    if placement.position is None:
        own = specimen.projection["position_code"]
        if specimen.state is State.CHECKED_OUT and specimen.projection["container_code"] == row.code and own is not None:
            found = queries.find_position(session, row.code, own)
            return None if found is None else Slot(found.row, found.col, found.code, found.label)
        return None
    found = queries.find_position(session, row.code, placement.position)
    if found is None:
        raise NotFound(f"{row.code} has no position {placement.position}.", where_now=specimen.where_now, subject=specimen.code)
    if found.code not in {s.code for s in free} and found.code not in leaving:
        raise PositionOccupied(
            f"Position {found.label} of {row.code} already holds a tube. Look at the box map, or let the box choose.",
            where_now=specimen.where_now,
            subject=specimen.code,
            position=found.code,
        )
    return Slot(found.row, found.col, found.code, found.label)


def _answers(done: Sequence[Appended], targets: Sequence[Target]) -> list[PlacementPublic]:
    return [
        PlacementPublic(
            specimen=a.stream_id,
            container=target.container.code,
            position=None if target.slot is None else target.slot.code,
            label=None if target.slot is None else target.slot.label,
            state=(a.projection or {})["state"],
            seq=a.seq,
            event=receipt_of(a),
        )
        for a, target in zip(done, targets, strict=True)
    ]
