"""The walk: all day long, a slice of every part at a time, and again from the beginning when it has come to the end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.reconciliation import following
from biobank.reconciliation.comparing import Part, compare_custody, compare_holds, compare_logins
from biobank.reconciliation.following import FOLLOWED
from biobank.reconciliation.log_itself import compare_log
from biobank.reconciliation.models import log_difference, log_walk
from biobank.reconciliation.people_and_harm import compare_adverse, compare_donors
from biobank.reconciliation.places import compare_places
from biobank.reconciliation.written import WRITTEN, part_of

AT_ONCE: Final = 500
"""Rows of a part in one slice: every ten seconds, so that 20,000 specimens are gone through in seven minutes."""

_PARTS: Final[dict[str, Part]] = {
    "custody": compare_custody,
    "holds": compare_holds,
    "logins": compare_logins,
    "donors": compare_donors,
    "adverse": compare_adverse,
    "places": compare_places,
    "log": compare_log,
}


def is_compared(name: str) -> Callable[[Part], Part]:
    """Declare a part of the comparison that lies above this package."""

    def declare(part: Part) -> Part:
        assert name not in _PARTS, f"{name} is declared twice"
        _PARTS[name] = part
        return part

    return declare


def parts() -> dict[str, Part]:
    """Return every part of the comparison. Whole once `registries.declarations` is imported."""
    followed = {name: following.part_of(one) for name, one in FOLLOWED.items()}
    return _PARTS | {name: part_of(one) for name, one in WRITTEN.items()} | followed


@timer(every=timedelta(seconds=10))
def reconcile_with_the_log(session: Session, act: Act) -> int:
    """Compare the next slice of every part with the log; return how much differs in them. A timer's work."""
    return sum(step(session, name, part, act.at) for name, part in parts().items())


def step(session: Session, name: str, part: Part, at: datetime, most: int = AT_ONCE) -> int:
    """Compare the next `most` of a part, and write down how far it came and what differs; return how much in this slice."""
    session.execute(insert(log_walk).values(part=name, began_at=at).on_conflict_do_nothing())
    state: Any = session.execute(select(log_walk).where(log_walk.c.part == name)).one()
    began = state.began_at if state.after else at
    found = part(session, state.after, most)
    for subject, told in found.differing.items():
        says = " ".join(one.words() for one in told)
        row = insert(log_difference).values(
            part=name, subject=subject, says=says, site_code=found.sites.get(subject), found_at=at, seen_at=at
        )
        session.execute(
            row.on_conflict_do_update(index_elements=["part", "subject"], set_={"says": row.excluded.says, "seen_at": at})
        )
    done = (state.looked_at if state.after else 0) + found.looked_at
    values: dict[str, Any] = {"after": found.last or "", "began_at": began, "looked_at": done}
    if found.last is None or found.looked_at < (most if found.asked is None else found.asked):
        session.execute(delete(log_difference).where(log_difference.c.part == name, log_difference.c.seen_at < began))
        values |= {"after": "", "rounds": state.rounds + 1, "ended_at": at}
    session.execute(update(log_walk).where(log_walk.c.part == name).values(**values))
    return len(found.differing)
