"""The storage tree as a page draws it: places inside places, each with how full it is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from biobank.foundation.names import name_key
from biobank.storage.schemas import ContainerPublic


@dataclass
class Branch:
    """A place with what is inside it. `boxes` counts the innermost places below it."""

    place: ContainerPublic
    inside: list["Branch"] = field(default_factory=list)

    @property
    def boxes(self) -> int:
        """How many places with positions there are below this one."""
        return sum((1 if branch.place.rows else 0) + branch.boxes for branch in self.inside)

    @property
    def free(self) -> int:
        """How many positions could take a tube."""
        return self.place.positions - self.place.occupied


def tree_of(places: Sequence[ContainerPublic]) -> list[Branch]:
    """Arrange places under their parents, each level by name as people count (2 before 10); orphans stand at the top.

    A place whose parent is not among `places` (at a site the reader may not see) is a root of its own.
    """
    branches = {place.code: Branch(place) for place in places}
    roots: list[Branch] = []
    for branch in sorted(branches.values(), key=lambda one: name_key(one.place.name)):
        above = branches.get(branch.place.parent or "")
        (roots if above is None else above.inside).append(branch)
    return roots
