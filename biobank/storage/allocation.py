"""Choosing free positions. Pure: the same free slots give the same answer, so two screens agree on "the next place"."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Slot:
    """A position; ordering is row by row, as a technician fills a box.

    `blocked`: why nothing may be put there; `kept_for`: the donor whose tubes alone may be.
    """

    row: int
    col: int
    code: str
    label: str
    blocked: str | None = field(default=None, compare=False)
    kept_for: str | None = field(default=None, compare=False)


def choose_positions(free: Sequence[Slot], count: int) -> list[Slot]:
    """Return `count` slots for tubes that belong together, or fewer when the box has fewer.

    A run of neighbours in one row is preferred over scattered cells: one lot is found, lifted and counted together.
    Otherwise row by row from the first free cell.
    """
    ordered = sorted(free)
    if count <= 0:
        return []
    for start in range(len(ordered) - count + 1):
        run = ordered[start : start + count]
        if run[-1].row == run[0].row and run[-1].col - run[0].col == count - 1:
            return run
    return ordered[:count]
