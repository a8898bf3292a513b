"""A box as a page draws it."""

from biobank.foundation.terms import words
from biobank.pages.ui.parts import BoxGrid, BoxPlace, BoxPlaceState
from biobank.storage.schemas import ContainerMap, SlotPublic


def grid_of(box: ContainerMap, lit: str | None = None) -> BoxGrid | None:
    """Return the grid of a container that has positions, else None; `lit` is the label of the place looked for."""
    container = box.container
    if container.rows is None or container.cols is None:
        return None
    slots = {slot.label: _slot(slot) for slot in box.slots}
    return BoxGrid(container.code, container.rows, container.cols, slots, lit if lit in slots else None)


def _slot(slot: SlotPublic) -> BoxPlace:
    state: BoxPlaceState = "free"
    if slot.specimen is not None:
        state = "held" if slot.held else "reserved" if slot.reserved_for or slot.state == "checked_out" else "taken"
    elif slot.blocked is not None:
        state = "blocked"
    elif slot.kept_for is not None:
        state = "reserved"
    said = [words(slot.material)] if slot.material else []
    said += ["checked out, place kept"] if slot.state == "checked_out" else []
    said += [words(slot.blocked).lower()] if slot.blocked else []
    said += [f"kept for {slot.kept_for}"] if slot.kept_for else []
    return BoxPlace(slot.label, state, slot.specimen, words=", ".join(said) or None)
