"""Which donor a row may name by now: whom its event names, or where a merge or a harvest that moved has led it since."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.donors.models import donor_move


@dataclass(frozen=True)
class Moves:
    """`all`: of each donor, to whom rows of theirs moved; `whole`: those of whom every row moved, because they were merged."""

    all: dict[str, frozenset[str]]
    whole: frozenset[str]

    @classmethod
    def read(cls, session: Session) -> "Moves":
        """Read all that ever moved: a row a merge, a row a harvest."""
        to: dict[str, set[str]] = {}
        whole = set()
        for row in session.execute(select(donor_move.c.from_donor, donor_move.c.to_donor, donor_move.c.harvest_code)):
            to.setdefault(row.from_donor, set()).add(row.to_donor)
            if row.harvest_code is None:
                whole.add(row.from_donor)
        return cls({one: frozenset(others) for one, others in to.items()}, frozenset(whole))

    def led(self, said: Any, stored: Any) -> Any:
        """Return `stored` where an event of `said` may have led to it by now, else `said`. None is nobody, and stays so."""
        reached, open_ = {said}, [said]
        while open_:
            for other in self.all.get(open_.pop(), ()):
                if other not in reached:
                    reached.add(other)
                    open_.append(other)
        return stored if stored in reached - self.whole else said
