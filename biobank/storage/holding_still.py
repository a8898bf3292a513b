"""Places that hold still while an act reads what stands in them, and how cold it is there.

Whoever puts a tube into a place has its box to itself and shares everything around it: nobody moves, lifts or reads that in the
meantime. Whoever moves or lifts a container has it to itself, and knows every tube that is in it.
"""

from collections.abc import Callable, Collection
from itertools import groupby

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.custody.locks import locked
from biobank.custody.snapshots import load
from biobank.foundation.errors import Conflict
from biobank.storage import queries
from biobank.storage.models import storage_container

_TRIES = 5


class PlaceIsBusy(Conflict):
    """Others put tubes into the container at the same moment, again and again."""

    code = "place_is_busy"
    title = "Others are at work there"


class _CameIn(Exception):
    """A tube came in before the place held still."""


def lock_places(session: Session, own: Collection[str], *, only_around: bool = False) -> None:
    """Lock containers for this act alone, and everything that they stand in against being moved, lifted or read meanwhile.

    By code, after the specimens (`custody/locks.py`). What they stand in is read again under the lock. `only_around`: the
    containers themselves stay open to others, who may fill them meanwhile.
    """
    known = set(own) if only_around else set()
    while more := {row.code for chain in queries.chains_of(session, sorted(own)).values() for row in chain} - known:
        for shared, codes in groupby(sorted(more), key=lambda code: code not in own):
            its = select(storage_container.c.code).where(storage_container.c.code.in_(list(codes)))
            session.execute(locked(its.order_by(storage_container.c.code), storage_container, shared=shared)).all()
        known |= more


def hold_still(session: Session, own: Collection[str], tubes: Callable[[], Collection[str]]) -> dict[str, Snapshot]:
    """Lock the specimens that `tubes` answers, then the containers `own`; return the specimens as they are now.

    What came in between is locked too: both are let go and taken once more, in their order. Raises PlaceIsBusy.
    """
    for _ in range(_TRIES):
        try:
            with session.begin_nested():
                inside = set(tubes())
                known = load(session, inside, lock=True)
                lock_places(session, own)
                if not inside.issuperset(tubes()):
                    raise _CameIn
                return known
        except _CameIn:
            continue
    raise PlaceIsBusy("Others put tubes into it at this moment. Nothing was recorded. Send it again.", subject=min(own))
