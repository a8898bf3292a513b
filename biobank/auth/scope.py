"""Where a permission is held: the one object that answers a question about a place and that bounds a list.

`covers` asks about one thing, `of` bounds the rows of a statement, `bound` gives the parameters of one written as text. All three
read the same two members, so what a list shows and what an act allows cannot drift apart.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, false, or_, true


class Breadth(Enum):
    """A place that is not one site."""

    ANYWHERE = "anywhere"
    EVERYWHERE = "everywhere"


ANYWHERE = Breadth.ANYWHERE
"""At one site at least. For what truly has no place: the way to a form or a list. Never for a thing that stands somewhere."""

EVERYWHERE = Breadth.EVERYWHERE
"""At every site. For what reaches over all of them."""

Place = str | Breadth | Collection[str | None] | None
"""A site's code; several, of which one is enough (where a thing is or is kept); a breadth. None, a thing without a site on
record, is EVERYWHERE: what stands nowhere belongs to no single site."""


@dataclass(frozen=True)
class Scope:
    """The sites at which something is allowed; `everywhere` also covers what has no site."""

    everywhere: bool
    sites: frozenset[str]

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.sites)

    def covers(self, at: Place) -> bool:
        """Say whether the scope reaches a place."""
        if self.everywhere:
            return True
        if at is None or at is EVERYWHERE:
            return False
        if at is ANYWHERE:
            return bool(self.sites)
        return at in self.sites if isinstance(at, str) else not self.sites.isdisjoint(at)  # type: ignore[arg-type]

    def of(self, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition under which a row belongs to the scope: one of its site columns is one of the sites."""
        if self.everywhere:
            return true()
        here = sorted(self.sites)
        return or_(false(), *(column.in_(here) for column in columns))

    def narrowed(self, sites: Collection[str]) -> "Scope":
        """Return what of it lies at these sites; all of it where none is named."""
        if not sites:
            return self
        return Scope(False, frozenset(sites) if self.everywhere else self.sites.intersection(sites))

    def bound(self) -> dict[str, Any]:
        """The parameters of a statement as text: `(:everywhere OR x.site_code = ANY(:sites))`."""
        return {"everywhere": self.everywhere, "sites": sorted(self.sites)}


WHOLE = Scope(everywhere=True, sites=frozenset())
"""Everything: for the bank's own work on the command line."""
