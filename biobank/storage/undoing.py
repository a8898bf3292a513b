"""What an undone act leaves: the tube is where it was, in a place that may have been lifted, moved or closed since."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.coming_in import count_again
from biobank.custody.effects import seconds_between
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Circumstances, Move, record
from biobank.custody.reversal import former_place_refusals
from biobank.custody.snapshots import load
from biobank.custody.states import Condition, State
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.storage.cold_then import Span, out_of_the_cold
from biobank.storage.events import Exposed, LeftCold
from biobank.storage.holding_still import lock_places
from biobank.storage.lifting import said_now
from biobank.storage.models import storage_container
from biobank.storage.placing import box_full, read_box
from biobank.storage.rules import place_faults, slot_fault


class FormerPlaceElsewhere(Conflict):
    """The container of before went to another site meanwhile: the tube did not go with it."""

    code = "former_place_elsewhere"
    title = "Its container is at another site"


@former_place_refusals.give
def refusals_of_former_place(session: Session, tube: Snapshot, lock: bool) -> list[Refusal]:
    """Return why a tube may not stand where it would be again, as any placing does; `lock`: with its container locked."""
    place = tube.projection.container_code
    if tube.state is not State.STORED or place is None:
        return []
    if lock:
        lock_places(session, [place])
    row = session.execute(select(storage_container).where(storage_container.c.code == place)).one()
    if row.site_code != tube.projection.site_code:
        said = f"{place} went to {row.site_code} since. Store {tube.code} where it really is instead."
        return [FormerPlaceElsewhere(said, where_now=tube.where_now, subject=tube.code, container=place)]
    box = read_box(session, row)
    if box.safe:
        return []
    own = box.slot_of(tube)
    faults = [] if own is None else [slot_fault(tube, own)]
    room = box.room([tube])
    full = [] if own is not None or room is None or room > 0 else [box_full(box, tube, 0)]
    return [*(one for one in faults if one is not None), *place_faults(tube, box.standing), *full]


@count_again.give
def count_what_was_missed(session: Session, act: Act, code: str, since: datetime, given: Circumstances) -> list[Appended]:
    """Record the times out of the cold of a tube that is in its container since a time after all, or was said later to have come
    into it then: everything that was lifted or warm around it from then on, and that its clock runs if it still is.
    """
    tube = load(session, [code], holds=True)[code]
    place, running = tube.projection.container_code, tube.projection.out_since
    if tube.state is not State.STORED or place is None or tube.projection.condition != Condition.FROZEN.value:
        return []
    spans = out_of_the_cold(session, place, since, act.at)
    if running is not None and spans and spans[0].since <= since:
        spans[0] = replace(spans[0], since=datetime.fromisoformat(running))
    elif running is not None:  # the clock that ran before this stopped with it
        spans.insert(0, Span(datetime.fromisoformat(running), since))
    events: list[LeftCold | Exposed] = []
    for span in spans:
        if span.until is not None:
            seconds = seconds_between(rfc3339(span.since), rfc3339(span.until))
            events.append(Exposed(container=place, since=rfc3339(span.since), seconds=seconds))
        elif running is None or events:
            events.append(LeftCold(container=place, since=rfc3339(span.since)))
    moves = [Move(tube, one, site=tube.projection.site_code) for one in events]
    return record(session, act, moves, said_now(given)) if moves else []
