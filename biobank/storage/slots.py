"""Slots that may not be used by everybody: blocked, or kept for the tubes of one donor. `placing.py` reads the marks."""

from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.chronology import OutOfOrder
from biobank.custody.entry import parse_entry
from biobank.custody.ledger import Fact, append
from biobank.custody.places_then import slot_left_at
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound
from biobank.storage import events, queries
from biobank.storage.allocation import Slot
from biobank.storage.models import storage_position
from biobank.storage.placing import PositionOccupied, read_box
from biobank.storage.schemas import SlotsMarked, SlotsRequest
from biobank.transparency.models import event


class AlreadyMarked(Conflict):
    """Every slot named is marked like that already."""

    code = "already_marked"
    title = "Nothing changes"


def marks_then(session: Session, code: str, at: datetime, known: datetime) -> dict[str, tuple[str | None, str | None]]:
    """Return why a slot was blocked and for whom it was kept at `at`, as known at `known`, by its code."""
    of = event.c
    entries = session.execute(
        select(of.entry)
        .where(of.stream_kind == "container", of.stream_id == code, of.kind == "container.slots_marked")
        .where(of.occurred_at <= at, of.recorded_at <= known)
        .order_by(of.seq)
    ).scalars()
    found: dict[str, tuple[str | None, str | None]] = {}
    for entry in entries:
        body = parse_entry(bytes(entry))["body"]
        found |= dict.fromkeys(body["positions"], (body["reason"], body["kept_for"]))
    return found


def mark_slots(session: Session, act: Act, code: str, request: SlotsRequest) -> SlotsMarked:
    """Block slots, keep them for one donor, or open them. A slot with a tube in it, or one kept for a tube, is not marked.

    Raises NotFound (container, slot, donor), NotPermitted, PositionOccupied, AlreadyMarked, OutOfOrder.
    """
    box = read_box(session, queries.get_container(session, act.actor, code, lock=True))
    act.require(Permission.STORAGE_RECORD, at=box.row.site_code)
    if request.kept_for is not None:
        get_visible_donor(session, act.actor, request.kept_for)
    slots = {}
    for place in request.positions:
        slot = box.slot(place)
        if slot is None:
            raise NotFound(f"{code} has no position {place}. Look at the box map.", subject=code)
        slots[slot.code] = slot
    for slot in slots.values():
        if request.mark != "open" and slot.code in box.taken:
            raise PositionOccupied(
                f"{slot.label} of {code} holds a tube, or is kept for one that is out. Move the tube first.",
                subject=code,
                position=slot.code,
            )
    if request.occurred_at is not None:
        for slot in slots.values():
            _require_in_order(session, code, slot, request.mark, request.occurred_at)
    if all((slot.blocked, slot.kept_for) == (request.reason, request.kept_for) for slot in slots.values()):
        raise AlreadyMarked(f"{code} says that of these places already.", subject=code)
    marked = events.SlotsMarked(
        positions=tuple(sorted(slots)), mark=request.mark, reason=request.reason, kept_for=request.kept_for
    )
    head = head_of(session, act, request, subject=None, site=box.row.site_code)
    done = append(session, [Fact(StreamKind.CONTAINER, code, marked, head)])
    session.execute(
        update(storage_position)
        .where(storage_position.c.code.in_(sorted(slots)))
        .values(blocked=request.reason, kept_for=request.kept_for)
    )
    return SlotsMarked(container=code, positions=sorted(slots), mark=request.mark, receipt=acknowledge(act, done))


def _require_in_order(session: Session, code: str, slot: Slot, mark: str, at: datetime) -> None:
    """Raise OutOfOrder where a slot held a tube at the stated time or since, or was marked since."""
    left = None if mark == "open" else slot_left_at(session, slot.code, "", at)
    if left is not None:
        said = f"{slot.label} of {code} held a tube until {rfc3339(left)}, so it was not marked before. Give a later time."
        raise OutOfOrder(said, subject=code, position=slot.code)
    of = event.c
    its = (of.stream_kind == "container", of.stream_id == code, of.kind == "container.slots_marked", of.occurred_at > at)
    later = session.execute(select(of.occurred_at, of.entry).where(*its).order_by(of.seq)).all()
    marked = [one.occurred_at for one in later if slot.code in parse_entry(bytes(one.entry))["body"]["positions"]]
    if marked:
        said = f"{slot.label} of {code} was marked at {rfc3339(max(marked))}. A mark before that changes nothing now."
        raise OutOfOrder(said, subject=code, position=slot.code)
