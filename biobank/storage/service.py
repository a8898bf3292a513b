"""Use cases of tubes and places: store, move, swap, and cold first.

A full box is a conflict for storage; a quarantine or
evacuation place takes everything, whatever the state, the holds, the papers or the number of free slots.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.exposure import cold_at, require_reason_to_differ
from biobank.custody.ledger import Appended
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.recording import Circumstances, Move, acknowledge, record, require_expected
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import get_all_visible, load, may_know, unknown_specimen
from biobank.custody.states import TERMINAL
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import MalformedRequest, NotFound, Refusal, raise_first
from biobank.storage import queries
from biobank.storage.allocation import Slot
from biobank.storage.events import Moved
from biobank.storage.holding_still import lock_places
from biobank.storage.placing import SLOT_UNKNOWN, Box, assign_slots, placing_event, placing_refusals, read_box, said_of
from biobank.storage.schemas import (
    Placement,
    PlacementPublic,
    PlacementsAnswer,
    PlacementsRequest,
    StoreRequest,
    WhereItFitsRequest,
)
from biobank.storage.spreading import boxes_for

TWICE = "A specimen stands twice in this request. Send each specimen once."


def store_specimen(session: Session, act: Act, code: str, request: StoreRequest) -> PlacementsAnswer:
    """Store or move one specimen. See `place_specimens`."""
    place = _single_target(session, request)
    placement = Placement(
        specimen=code, position=request.position, slot_unknown=request.slot_unknown, expected_seq=request.expected_seq
    )
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
        raise MalformedRequest("Say where: a place, or a box that chooses the next free one.")
    return _box_of(session, request.position)


def _box_of(session: Session, position: str) -> str:
    found = queries.find_position(session, None, position)
    if found is None:
        raise NotFound(
            f"There is no position {position}. Scan the code of the position, or give the container too.",
            where_now=TO_QUARANTINE,
            subject=position,
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
        raise MalformedRequest(TWICE)
    row = queries.get_container(session, act.actor, container_code)
    refusal = act.actor.refusal(Permission.STORAGE_RECORD, at=row.site_code)
    # Cold first: whoever handles tubes at a site puts one into a safe place there, also who stores nothing else.
    if refusal is not None and not (act.actor.may(Permission.CUSTODY_RECORD, at=row.site_code) and read_box(session, row).safe):
        raise refusal
    known = load(session, codes, lock=True, holds=True)
    lock_places(session, [container_code])
    row = queries.get_container(session, act.actor, container_code)
    box = read_box(session, row)
    specimens = [_to_place(act, code, known.get(code), safe=box.safe) for code in codes]
    for specimen, placement in zip(specimens, placements, strict=True):
        if not box.safe or placement.expected_seq is not None:
            require_expected(specimen, placement.expected_seq)
    named = [SLOT_UNKNOWN if p.slot_unknown else p.position for p in placements]
    done, items = _put(session, act, box, list(zip(specimens, named, strict=True)), given, exposure_s)
    return PlacementsAnswer(items=items, receipt=acknowledge(act, done))


def store_where_it_fits(session: Session, act: Act, request: WhereItFitsRequest) -> PlacementsAnswer:
    """Store tubes at a site, all or nothing: where they are named to be, the others where `spreading.boxes_for` says.

    Raises NoPlaceFits and what `place_specimens` raises. Lock order: specimens by code, then containers by code.
    """
    act.require(Permission.STORAGE_RECORD, at=request.site)
    codes = [one.specimen.upper() for one in request.placements]
    if len(set(codes)) != len(codes):
        raise MalformedRequest(TWICE)
    specimens = get_all_visible(session, act.actor, codes, lock=True, holds=True)
    for specimen, placement in zip(specimens, request.placements, strict=True):
        require_expected(specimen, placement.expected_seq)
    open_tubes = [tube for tube, one in zip(specimens, request.placements, strict=True) if one.position is None]
    chosen = dict(zip([tube.code for tube in open_tubes], boxes_for(session, request.site, open_tubes), strict=True))
    by_box: dict[str, list[tuple[Snapshot, str | None]]] = {}
    for tube, placement in zip(specimens, request.placements, strict=True):
        box = chosen[tube.code].box if placement.position is None else _box_of(session, placement.position)
        by_box.setdefault(box, []).append((tube, placement.position))
    lock_places(session, by_box)
    rows = {code: queries.get_container(session, act.actor, code) for code in sorted(by_box)}
    if elsewhere := [code for code, row in rows.items() if row.site_code != request.site]:
        raise NotFound(f"{request.site} has no place in {elsewhere[0]}. Look at the plan again.", subject=elsewhere[0])
    done: list[Appended] = []
    items: dict[str, PlacementPublic] = {}
    for code, tubes in sorted(by_box.items()):
        appended, placed = _put(session, act, read_box(session, rows[code]), tubes, request, None)
        done += appended
        items |= {one.specimen: one for one in placed}
    return PlacementsAnswer(items=[items[code] for code in codes], receipt=acknowledge(act, done))


def _put(
    session: Session,
    act: Act,
    box: Box,
    tubes: Sequence[tuple[Snapshot, str | None]],
    given: Circumstances,
    exposure_s: int | None,
) -> tuple[list[Appended], list[PlacementPublic]]:
    """Put tubes into a locked box, each into the slot named for it; raise what stands against one of them."""
    specimens = [tube for tube, _ in tubes]
    for specimen in specimens:
        raise_first(placing_refusals(act.actor, specimen, box))
    slots: list[Slot | None] = []
    for answer in assign_slots(box, tubes):
        if isinstance(answer, Refusal):
            raise answer
        slots.append(answer)
    at = cold_at(act, given.occurred_at, given.paper)
    for specimen in specimens:
        require_reason_to_differ(specimen, exposure_s, at, given.reason_text)
    moves = [
        Move(specimen, event_for(specimen, box, slot, exposure_s, at), site=box.row.site_code)
        for specimen, slot in zip(specimens, slots, strict=True)
    ]
    # Slots are compared when everything has moved, so that two tubes can change places.
    session.execute(text("SET CONSTRAINTS one_specimen_per_position DEFERRED"))
    done = record(session, act, moves, given)
    session.execute(text("SET CONSTRAINTS one_specimen_per_position IMMEDIATE"))
    return done, _answers(done, box, slots, specimens)


def _to_place(act: Act, code: str, found: Snapshot | None, *, safe: bool) -> Snapshot:
    """Return the specimen, or raise NotFound; a quarantine place takes live tubes the actor may not otherwise know of."""
    if found is None or ((not safe or found.state in TERMINAL) and not may_know(act.actor, found)):
        raise unknown_specimen(code)
    return found


def event_for(specimen: Snapshot, box: Box, slot: Slot | None, exposure_s: int | None, at: datetime) -> Event:
    """Return the event that puts a specimen into a slot of the box, or into the box with the slot unknown.

    `exposure_s`: how long it was out of the cold as a person says, beside what the bank computes; `at`: until when its clock ran.
    """
    kind = placing_event(specimen, box)
    common: dict[str, Any] = {
        "container": box.code,
        "position": None if slot is None else slot.code,
        "site": box.row.site_code,
        "exposure_s": exposure_s,
    }
    if not box.standing.keeps(specimen.projection.condition):
        common["out_since"] = rfc3339(at)
    if kind is Moved:
        common["from_position"] = specimen.projection.position_code
    return kind(**common)


def _answers(
    done: Sequence[Appended], box: Box, slots: Sequence[Slot | None], before: Sequence[Snapshot]
) -> list[PlacementPublic]:
    """Say where each tube is now; `done` has one event of each, then the holds that they placed."""
    heads = {a.stream_id: a.seq for a in done}
    return [
        PlacementPublic(
            specimen=a.stream_id,
            container=box.code,
            position=None if slot is None else slot.code,
            label=None if slot is None else slot.label,
            state=a.after.state,
            seq=heads[a.stream_id],
            event=receipt_of(a),
            warnings=said_of(specimen, box, slot),
        )
        for a, slot, specimen in zip(done, slots, before, strict=False)
    ]
