"""The places that an old file names: found by their names, made when they are missing, read once for many tubes."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import Condition
from biobank.foundation.names import name_key
from biobank.importing.plan import Vial
from biobank.importing.profile import Profile
from biobank.storage import queries
from biobank.storage.allocation import Slot
from biobank.storage.containers import add_container
from biobank.storage.models import storage_container as container
from biobank.storage.rules import Standing, place_faults, slot_fault
from biobank.storage.schemas import ContainerCreate

Names = tuple[str, ...]


class Places:
    """Boxes by the names of tank, rack and box. Codes are kept for a whole run, free slots for one transaction."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._codes: dict[tuple[str | None, str, str], str] = {}
        self._slots: dict[Names, tuple[str, dict[str, tuple[Slot, bool]]]] = {}
        self._standings: dict[str, Standing] = {}

    def forget(self) -> None:
        """Forget what a transaction that was rolled back may have made."""
        self._codes.clear()
        self._slots.clear()

    def load(self, session: Session, act: Act, wanted: Collection[Names]) -> None:
        """Find the boxes, make what is missing, and read which slots are free."""
        boxes = {names: self._box(session, act, names) for names in sorted(wanted)}
        slots = queries.slots_of_many(session, list(boxes.values()))
        self._standings = queries.standings_of(session, list(boxes.values()))
        self._slots = {
            names: (box, {slot.label: (slot, free) for slot, free in slots.get(box, ())}) for names, box in boxes.items()
        }

    def position(self, vial: Vial) -> str | None:
        """Return the code of the slot that a tube's line names, None when the box has none such."""
        found = self._slots[vial.place][1].get(vial.slot)
        return None if found is None else found[0].code

    def free(self, vial: Vial, donor: str, *, kept_apart: bool) -> tuple[str, str] | str:
        """Return (box, position) of a tube's slot, or why it may not stand there: the rules of every way of placing."""
        box, slots = self._slots[vial.place]
        slot, free = slots.get(vial.slot, (None, False))
        if slot is None or not free:
            return "A tube of this bank is in that slot already. Look into the box."
        tube = Snapshot(
            code="This tube",
            donor_code=donor,
            seq=0,
            head_hash=None,
            projection=Projection(condition=Condition.FROZEN.value),
            material=vial.material,
            kept_apart=kept_apart,
        )
        standing = self._standings[box]
        faults = [slot_fault(tube, slot), *place_faults(tube, standing)]
        wrong = next((fault for fault in faults if fault is not None), None)
        return (box, slot.code) if wrong is None or standing.safe else wrong.detail

    def _box(self, session: Session, act: Act, names: Names) -> str:
        parent = self._child(session, act, None, "room", self._profile.room)
        kinds = ("tank", "rack", "box") if len(names) == 3 else ("tank", "box")
        for kind, name in zip(kinds, names, strict=True):
            parent = self._child(session, act, parent, kind, name)
        return parent

    def _child(self, session: Session, act: Act, parent: str | None, kind: str, name: str) -> str:
        key = (parent, kind, name_key(name))
        if key not in self._codes:
            self._codes |= {(parent, kind, row.name_key): str(row.code) for row in self._children(session, parent, kind)}
        if key not in self._codes:
            self._codes[key] = self._made(session, act, parent, kind, name)
        return self._codes[key]

    def _children(self, session: Session, parent: str | None, kind: str) -> Any:
        return session.execute(
            select(container.c.code, container.c.name_key).where(
                container.c.site_code == self._profile.bank_site,
                container.c.kind == kind,
                container.c.parent_code.is_(None) if parent is None else container.c.parent_code == parent,
            )
        )

    def _made(self, session: Session, act: Act, parent: str | None, kind: str, name: str) -> str:
        more: dict[str, Any] = {}
        if kind == "tank":
            more = {"temperature_class": self._profile.temperature_class}
        elif kind == "box":
            more = {"rows": self._profile.box_rows, "cols": self._profile.box_cols}
        request = ContainerCreate(site=self._profile.bank_site, kind=kind, name=name, parent=parent, **more)
        return add_container(session, act, request).code
