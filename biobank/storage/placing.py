"""Which tube goes where in a container, and why one may not: the same functions for a scan list and for recording.

A container is read once (`read_box`); everything after that is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.recording import refusals_of_recording
from biobank.custody.states import State
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.events import Moved, Safeguarded, Stored
from biobank.storage.grid import cell_of
from biobank.storage.rules import temperature_refusal


class ContainerFull(Conflict):
    """No free position is left."""

    code = "container_full"
    title = "The container is full"


class PositionOccupied(Conflict):
    """Another tube is in that slot."""

    code = "position_occupied"
    title = "The position is occupied"


@dataclass(frozen=True)
class Box:
    """A container with every slot it has, by code; `free` are those that no tube is in and none is kept for."""

    row: Any
    slots: Mapping[str, Slot]
    free: Sequence[Slot]
    temperature: str | None

    @property
    def code(self) -> str:
        """The container's code."""
        return str(self.row.code)

    @property
    def safe(self) -> bool:
        """Whether everything is accepted here, whatever its papers say: a quarantine or evacuation place."""
        return bool(self.row.purpose != "storage")

    def slot(self, place: str) -> Slot | None:
        """Return the slot that a PS- code or a label such as B7 names."""
        if place.upper() in self.slots:
            return self.slots[place.upper()]
        try:
            cell = cell_of(place)
        except ValueError:
            return None
        return next((slot for slot in self.slots.values() if (slot.row, slot.col) == cell), None)

    def slot_of(self, specimen: Snapshot) -> Slot | None:
        """Return the slot that a tube is in, or that is kept for it while it is out."""
        return self.slots.get(specimen.projection.position_code or "")


def read_box(session: Session, row: Any) -> Box:
    """Read the slots of a container whose row is given. Two statements."""
    slots = queries.slots_of(session, row.code)
    return Box(
        row,
        {slot.code: slot for slot, _ in slots},
        [slot for slot, free in slots if free],
        queries.temperature_class_of(session, row.code),
    )


def placing_event(specimen: Snapshot, box: Box) -> type[Event]:
    """Return the kind of event that puts a tube into the box: cold first for a safe place, else stored or moved."""
    if box.safe:
        return Safeguarded
    return Moved if specimen.state is State.STORED else Stored


def placing_refusals(actor: Actor, specimen: Snapshot, box: Box) -> list[Refusal]:
    """Return every reason why the actor may not put this tube into this container, slots aside. A safe place takes all."""
    found = refusals_of_recording(actor, placing_event(specimen, box), specimen, site=box.row.site_code)
    warm = None if box.safe else temperature_refusal(specimen, box.code, box.temperature)
    return found if warm is None else [*found, warm]


def assign_slots(box: Box, tubes: Sequence[tuple[Snapshot, str | None]]) -> list[Slot | Refusal | None]:
    """Give each tube its slot: the one named for it, the one kept for it, or the next free one.

    `tubes`: each with its named place or None. Their own slots are free to the others, so that two can change places. None: a
    safe place takes a tube although it has no slot for it. Answers NotFound, PositionOccupied, ContainerFull.
    """
    open_slots = {slot.code for slot in box.free}
    open_slots |= {place for tube, _ in tubes if (place := tube.projection.position_code) is not None}
    taken: set[str] = set()
    answers: list[Slot | Refusal | None] = []
    for tube, place in tubes:
        answer = None if place is None else _named(box, tube, place, open_slots, taken)
        taken |= {answer.code} if isinstance(answer, Slot) else set()
        answers.append(answer)
    waiting: list[int] = []
    for n, (tube, place) in enumerate(tubes):
        own = box.slot_of(tube) if tube.state is State.CHECKED_OUT else None
        if place is not None:
            continue
        if own is None or own.code in taken:
            waiting.append(n)
        else:
            answers[n] = own
            taken.add(own.code)
    rest = [slot for slot in box.free if slot.code not in taken]
    chosen = iter(choose_positions(rest, len(waiting)))
    for n in waiting:
        answers[n] = next(chosen, None) or (None if box.safe else _full(box, tubes[n][0], len(rest)))
    return answers


def _named(box: Box, tube: Snapshot, place: str, open_slots: set[str], taken: set[str]) -> Slot | Refusal:
    slot = box.slot(place)
    members = {"where_now": tube.where_now, "subject": tube.code}
    if slot is None:
        return NotFound(f"{box.code} has no position {place}. Look at the box map.", **members)
    if slot.code in taken:
        return PositionOccupied(
            f"Two tubes of this list stand at {slot.label}. Give one of them another place.", position=slot.code, **members
        )
    if slot.code not in open_slots:
        return PositionOccupied(
            f"{slot.label} of {box.code} already holds a tube. Look at the box map, or let the box choose.",
            position=slot.code,
            **members,
        )
    return slot


def _full(box: Box, tube: Snapshot, free: int) -> ContainerFull:
    return ContainerFull(
        f"{box.code} has no free place left. Take another box for this one.",
        where_now=tube.where_now,
        subject=tube.code,
        container=box.code,
        free=free,
    )
