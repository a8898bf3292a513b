"""Which tube goes where in a container, and why one may not: the same functions for a scan list and for recording.

What a tube may not do, its box, rack and tank may not do either: storing, moving, swapping, moving a container, bringing to
safety and importing all ask here. A container is read once (`read_box`); everything after that is pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.recording import refusals_of_recording
from biobank.custody.states import State
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.foundation.from_above import FromAbove
from biobank.storage import queries
from biobank.storage.allocation import Slot, choose_positions
from biobank.storage.events import Moved, Safeguarded, Stored
from biobank.storage.grid import cell_of
from biobank.storage.rules import Standing, TravelsBetweenSites, place_faults, slot_fault, standing_of, up_to_its_cold

open_excursions: FromAbove[Callable[[Session, Sequence[str]], Mapping[str, str]]] = FromAbove("monitoring")
"""Of these places those that have not read within their limits again, each with its excursion."""

SLOT_UNKNOWN = ""
"""Named in the place of a slot: the tube is in the container, and nobody knows in which slot."""


class ContainerFull(Conflict):
    """No free position is left."""

    code = "container_full"
    title = "The container is full"


class PositionOccupied(Conflict):
    """Another tube is in that position."""

    code = "position_occupied"
    title = "The position is occupied"


@dataclass(frozen=True)
class Box:
    """A container with every slot it has, by code.

    `free`: those that no tube is in, that none is out of for a while and that are not blocked, those kept for a donor included;
    `taken`: those that a tube is in, or is out of for a while; `loose`: the tubes in it whose slot is unknown: each takes up the
    room of one slot. `outside`: what is said of places around it that are outside their limits now.
    """

    row: Any
    slots: Mapping[str, Slot]
    free: Sequence[Slot]
    standing: Standing
    taken: frozenset[str] = field(default=frozenset())
    loose: frozenset[str] = field(default=frozenset())
    outside: Sequence[str] = ()

    @property
    def code(self) -> str:
        """The container's code."""
        return str(self.row.code)

    @property
    def safe(self) -> bool:
        """Whether everything is accepted here, whatever its papers say: a quarantine or evacuation place."""
        return self.standing.safe

    def room(self, tubes: Iterable[Snapshot]) -> int | None:
        """Return how many of these tubes there is room for, or None where nothing is counted: a place without slots."""
        coming = {tube.code for tube in tubes}
        own = {tube.projection.position_code for tube in tubes if tube.projection.position_code in self.slots}
        return None if not self.slots else len(self.free) + len(own) - len(self.loose - coming)

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
    """Read the slots of a container whose row is given. Four statements."""
    slots = queries.slots_of(session, row.code)
    chains = queries.chains_of(session, [row.code])
    return Box(
        row,
        {slot.code: slot for slot, _ in slots},
        [slot for slot, free in slots if free and slot.blocked is None],
        standing_of(chains[row.code]),
        frozenset(slot.code for slot, free in slots if not free),
        frozenset(queries.loose_in(session, row.code)),
        outside_around(session, chains)[row.code],
    )


def outside_around(session: Session, chains: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Say of each container which places are outside their limits now, itself and what it stands in, up to what keeps its own
    cold. `chains`: as `queries.chains_of` has them. One statement.
    """
    reached = {code: [row.code for row in up_to_its_cold(list(chain))] for code, chain in chains.items()}
    found = open_excursions.get()(session, sorted({one for codes in reached.values() for one in codes}))
    return {
        code: [
            f"{place} has not read within its limits again ({found[place]}). What is put there now is held with what stands "
            "there: take another place, or look at it first."
            for place in codes
            if place in found
        ]
        for code, codes in reached.items()
    }


def placing_event(specimen: Snapshot, box: Box) -> type[Event]:
    """Return the kind of event that puts a tube into the box: cold first for a safe place, else stored or moved."""
    if box.safe:
        return Safeguarded
    return Moved if specimen.state is State.STORED else Stored


def placing_refusals(actor: Actor, specimen: Snapshot, box: Box) -> list[Refusal]:
    """Return every reason why the actor may not put this tube into this container, slots aside. A safe place takes all."""
    found = refusals_of_recording(actor, placing_event(specimen, box), specimen, site=box.row.site_code)
    return [*found, *([] if box.safe else place_faults(specimen, box.standing))]


def said_of(specimen: Snapshot, box: Box, slot: Slot | None) -> list[str]:
    """Say what is wrong with a tube in a safe place that took it all the same, that nobody knows how cold a place is, or that it
    is outside its limits now.
    """
    if not box.safe:
        return [*([] if box.standing.unclassed is None else [how_cold_is_not_known(box.standing)]), *box.outside]
    slots = [] if slot is None else [slot_fault(specimen, slot)]
    faults = [fault.detail for fault in (*place_faults(specimen, box.standing), *slots) if fault is not None]
    return [*faults, *box.outside]


def how_cold_is_not_known(place: Standing) -> str:
    """Say that a place is in something without a temperature class, and what that is for what is frozen."""
    return (
        f"Nobody has said how cold {place.unclassed} is, so whether {place.code} keeps the tube is not known, and for what is "
        "frozen the time out of the cold runs. Ask an administrator to give it a temperature class."
    )


def assign_slots(box: Box, tubes: Sequence[tuple[Snapshot, str | None]]) -> list[Slot | Refusal | None]:
    """Give each tube its slot: the one named for it, the one kept for it, or the next free one.

    `tubes`: each with its named place, SLOT_UNKNOWN, or None to let the box choose. Their own slots are free to the others, so
    that two can change places. None: the tube is in the container with its slot unknown, as was said of it or because a safe
    place takes it although it has no slot for it. Answers NotFound, PositionOccupied, PositionBlocked, PositionKept,
    ContainerFull.
    """
    open_slots = {slot.code for slot in box.free} | {tube.projection.position_code for tube, _ in tubes}
    taken: set[str] = set()
    answers: list[Slot | Refusal | None] = []
    for tube, place in tubes:
        answer = None if not place else _named(box, tube, place, open_slots, taken)
        taken |= {answer.code} if isinstance(answer, Slot) else set()
        answers.append(answer)
    waiting: list[int] = []
    for n, (tube, place) in enumerate(tubes):
        own = box.slot_of(tube) if tube.state is State.CHECKED_OUT else None
        if place is not None:
            continue
        kept = next((s for s in box.free if s.kept_for == tube.donor_code is not None and s.code not in taken), None)
        if own is not None and own.code not in taken and slot_fault(tube, own) is None:
            answers[n] = own
        elif kept is not None:
            answers[n] = kept
        else:
            waiting.append(n)
            continue
        taken.add(answers[n].code)  # type: ignore[union-attr]
    rest = [slot for slot in box.free if slot.code not in taken and slot.kept_for is None]
    chosen = iter(choose_positions(rest, len(waiting)))
    for n in waiting:
        answers[n] = next(chosen, None) or (None if box.safe else box_full(box, tubes[n][0], len(rest)))
    return _within_room(box, [tube for tube, _ in tubes], answers)


def _within_room(box: Box, tubes: Sequence[Snapshot], answers: list[Slot | Refusal | None]) -> list[Slot | Refusal | None]:
    """Refuse the tubes for which there is no room beside those whose slot is unknown; slots that were named count first."""
    room = box.room(tubes)
    if box.safe or room is None:
        return answers
    for n in sorted(range(len(answers)), key=lambda n: answers[n] is None):
        if isinstance(answers[n], Refusal):
            continue
        room -= 1
        if room < 0:
            answers[n] = box_full(box, tubes[n], 0)
    return answers


def _named(box: Box, tube: Snapshot, place: str, open_slots: set[str | None], taken: set[str]) -> Slot | Refusal:
    slot = box.slot(place)
    members = {"where_now": tube.where_now, "subject": tube.code}
    if slot is None:
        return NotFound(f"{box.code} has no position {place}. Look at the box map.", **members)
    if slot.code in taken:
        return PositionOccupied(
            f"Two tubes of this list stand at {slot.label}. Give one of them another place.", position=slot.code, **members
        )
    fault = None if box.safe else slot_fault(tube, slot)
    if fault is not None:
        return fault
    if slot.code not in open_slots and not (box.safe and slot.blocked is not None):
        return PositionOccupied(
            f"{slot.label} of {box.code} already holds a tube. Look at the box map, or let the box choose.",
            position=slot.code,
            **members,
        )
    return slot


def box_full(box: Box, tube: Snapshot, free: int) -> ContainerFull:
    """Return the refusal of a tube for which a container has no place left."""
    return ContainerFull(
        f"{box.code} has no free place left. Take another box for this one."
        if box.slots
        else f"{box.code} has no places of its own. Take a box in it, or say that the position is not known.",
        where_now=tube.where_now,
        subject=tube.code,
        container=box.code,
        free=free,
    )


def faults_in_move(
    inside: Sequence[Any], tubes: Mapping[str, Snapshot], standings: Mapping[str, Standing], *, travels: bool = False
) -> list[tuple[Snapshot, Conflict]]:
    """Return the gravest fault of each tube that goes along with its container.

    `inside`: rows with code, container_code and state; `standings`: of their containers, as they will be. A tube that somebody
    has in hand is judged when it comes back. `travels`: the container is on a journey of its own: it was lifted out of its
    place, or keeps its own cold wherever it goes.
    """
    found = []
    for row in inside:
        if row.state == State.STORED.value:
            tube = tubes[row.code]
            faults = place_faults(tube, standings[row.container_code])
            found += [(tube, one) for one in faults if not (travels and isinstance(one, TravelsBetweenSites))][:1]
    return found
