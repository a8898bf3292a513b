"""What an undone act leaves: the tube is where it was, in a place that may have been lifted, moved or closed since."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.locks import locked
from biobank.custody.recording import Circumstances, Move, record
from biobank.custody.reversal import count_again, former_place_refusals
from biobank.custody.snapshots import load
from biobank.custody.states import State, StreamKind
from biobank.foundation.errors import Refusal
from biobank.storage import queries
from biobank.storage.lifting import clock_event
from biobank.storage.models import storage_container
from biobank.storage.rules import place_faults, slot_fault, standing_of
from biobank.transparency.models import event

_SETTLING = ("container.put_back", "container.moved")


@former_place_refusals.give
def refusals_of_former_place(session: Session, tube: Snapshot, lock: bool) -> list[Refusal]:
    """Return why a tube may not stand where it would be again, as any placing does; `lock`: with its container locked."""
    place = tube.projection.container_code
    if tube.state is not State.STORED or place is None:
        return []
    if lock:
        session.execute(locked(select(storage_container.c.code).where(storage_container.c.code == place), storage_container))
    standing = queries.standings_of(session, [place])[place]
    if standing.safe:
        return []
    slots = [slot for slot, _free in queries.slots_of(session, place) if slot.code == tube.projection.position_code]
    faults = [fault for slot in slots if (fault := slot_fault(tube, slot)) is not None]
    return [*faults, *place_faults(tube, standing)]


@count_again.give
def count_what_was_missed(session: Session, act: Act, code: str, since: datetime, given: Circumstances) -> list[Appended]:
    """Record that the clock of a tube that is `since` then in its container again runs, or stopped, with what is around it."""
    tube = load(session, [code], holds=True)[code]
    place = tube.projection.container_code
    if tube.state is not State.STORED or place is None:
        return []
    around = queries.chains_of(session, [place])[place]
    at = _changed_at(session, around, since) or act.at
    clock = clock_event(tube, {place: standing_of(around)}, at, at, since)
    return [] if clock is None else record(session, act, [Move(tube, clock, site=tube.projection.site_code)], given)


def _changed_at(session: Session, around: Sequence[Any], since: datetime) -> datetime | None:
    """Return when the first thing around a tube was lifted out, else when one was last put back or moved after `since`."""
    lifted: list[datetime] = [row.lifted_at for row in around if row.lifted_at is not None]
    if lifted:
        return min(lifted)
    of_them = (event.c.stream_kind == StreamKind.CONTAINER.value, event.c.stream_id.in_([row.code for row in around]))
    settled = select(func.max(event.c.occurred_at)).where(*of_them, event.c.kind.in_(_SETTLING), event.c.occurred_at >= since)
    found: datetime | None = session.execute(settled).scalar()
    return found
