"""The places that an old file names: found by their names, made when they are missing, read once for many tubes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import Condition
from biobank.foundation.names import name_key
from biobank.importing.plan import Vial
from biobank.importing.profile import Profile
from biobank.storage import queries
from biobank.storage.allocation import Slot
from biobank.storage.containers import add_container, add_containers
from biobank.storage.holding_still import lock_places
from biobank.storage.models import storage_container as container
from biobank.storage.placing import Box, outside_around, said_of
from biobank.storage.rules import place_faults, slot_fault, standing_of
from biobank.storage.schemas import ContainerCreate
from biobank.storage.service import event_for

Names: TypeAlias = tuple[str, ...]
Key: TypeAlias = tuple[str | None, str, str]
"""What a container stands in, its kind, and its name as people see it."""


@dataclass(frozen=True)
class Stands:
    """How a tube comes to stand in its slot: the event, and what is to be said of the place."""

    event: Event
    said: Sequence[str]


class Places:
    """Boxes by the names of tank, rack and box. Codes are kept for a whole run, free slots for one transaction."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._codes: dict[Key, str] = {}
        self._slots: dict[Names, tuple[str, dict[str, tuple[Slot, bool]]]] = {}
        self._read: dict[str, Box] = {}
        self._room: dict[str, int] = {}

    def forget(self) -> None:
        """Forget what a transaction that was rolled back may have made."""
        self._codes.clear()
        self._slots.clear()

    def load(self, session: Session, act: Act, wanted: Collection[Names]) -> None:
        """Find the boxes, make what is missing, and read which slots are free."""
        boxes = self._boxes(session, act, sorted(wanted))
        lock_places(session, boxes.values(), only_around=True)
        slots = queries.slots_of_many(session, list(boxes.values()))
        chains = queries.chains_of(session, list(boxes.values()))
        self._slots = {
            names: (box, {slot.label: (slot, free) for slot, free in slots.get(box, ())}) for names, box in boxes.items()
        }
        rows = session.execute(select(container).where(container.c.code.in_(boxes.values())))
        outside = outside_around(session, chains)
        self._read = {
            row.code: Box(
                row,
                {slot.code: slot for slot, _ in slots.get(row.code, ())},
                [],
                standing_of(chains[row.code]),
                outside=outside[row.code],
            )
            for row in rows
        }
        loose = queries.loose_counts(session, list(boxes.values()))
        self._room = {
            box: sum(free and slot.blocked is None for slot, free in slots.get(box, ())) - loose.get(box, 0)
            for box in boxes.values()
        }

    def position(self, vial: Vial) -> str | None:
        """Return the code of the slot that a tube's line names, None when the box has none such."""
        found = self._slots[vial.place][1].get(vial.slot)
        return None if found is None else found[0].code

    def put(self, vial: Vial, donor: str, *, kept_apart: bool, at: datetime) -> Stands | str:
        """Return how a tube comes to stand in its slot at `at`, or why it may not: the rules of every way of placing.

        A slot that was answered counts as taken: tubes whose slot is unknown need the room of the last ones.
        """
        box, slots = self._slots[vial.place]
        slot, free = slots.get(vial.slot, (None, False))
        if slot is None or not free:
            return "A tube of this bank is in that position already. Look into the box."
        tube = Snapshot(
            code="This tube",
            donor_code=donor,
            seq=0,
            head_hash=None,
            projection=Projection(condition=Condition.FROZEN.value),
            material=vial.material,
            kept_apart=kept_apart,
        )
        place = self._read[box]
        stands = Stands(event_for(tube, place, slot, None, at), said_of(tube, place, slot))
        faults = [slot_fault(tube, slot), *place_faults(tube, place.standing)]
        wrong = next((fault for fault in faults if fault is not None), None)
        if place.safe:
            return stands
        if wrong is not None:
            return wrong.detail
        if self._room[box] <= 0:
            return "The box has no room left beside the tubes in it whose position is unknown. Look into the box."
        self._room[box] -= 1
        return stands

    def _boxes(self, session: Session, act: Act, wanted: Sequence[Names]) -> dict[Names, str]:
        """Find each box; what is missing around them is made one by one, the boxes themselves together."""
        within = {names: self._around(session, act, names[:-1]) for names in wanted}
        missing: dict[Key, ContainerCreate] = {}
        for names, parent in within.items():
            key = self._known(session, parent, "box", names[-1])
            if key not in self._codes:
                missing.setdefault(key, self._request(parent, "box", names[-1]))
        made = add_containers(session, act, list(missing.values()))
        self._codes |= {key: one.code for key, one in zip(missing, made, strict=True)}
        return {names: self._codes[_key(parent, "box", names[-1])] for names, parent in within.items()}

    def _around(self, session: Session, act: Act, names: Names) -> str:
        """Return the code of the rack or tank of a box; what is missing is made."""
        code = ""
        for kind, name in zip(("room", "tank", "rack"), (self._profile.room, *names), strict=False):
            key = self._known(session, code or None, kind, name)
            if key not in self._codes:
                self._codes[key] = add_container(session, act, self._request(code or None, kind, name)).code
            code = self._codes[key]
        return code

    def _known(self, session: Session, parent: str | None, kind: str, name: str) -> Key:
        """Return the key of a container, having looked for it and those beside it where it was not known."""
        key = _key(parent, kind, name)
        if key not in self._codes:
            self._codes |= {(parent, kind, row.name_key): str(row.code) for row in self._children(session, parent, kind)}
        return key

    def _children(self, session: Session, parent: str | None, kind: str) -> Any:
        return session.execute(
            select(container.c.code, container.c.name_key).where(
                container.c.site_code == self._profile.bank_site,
                container.c.kind == kind,
                container.c.parent_code.is_(None) if parent is None else container.c.parent_code == parent,
            )
        )

    def _request(self, parent: str | None, kind: str, name: str) -> ContainerCreate:
        more: dict[str, Any] = {}
        if kind == "tank":
            more = {"temperature_class": self._profile.temperature_class}
        elif kind == "box":
            more = {"rows": self._profile.box_rows, "cols": self._profile.box_cols}
        return ContainerCreate(site=self._profile.bank_site, kind=kind, name=name, parent=parent, **more)


def _key(parent: str | None, kind: str, name: str) -> Key:
    return parent, kind, name_key(name)
