"""Lifting a rack or box out of its place: what is in it is out of the cold until it is back, or in another cold place."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Circumstances, Move, acknowledge, head_of, record
from biobank.custody.snapshots import load
from biobank.custody.states import Condition, State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.storage import queries
from biobank.storage.events import ContainerLifted, ContainerPutBack, Exposed
from biobank.storage.models import storage_container
from biobank.storage.rules import COOLING
from biobank.storage.schemas import LiftAnswer, LiftRequest


class NotLiftable(Conflict):
    """A room, tank or freezer is not lifted out of anything."""

    code = "not_liftable"
    title = "Not lifted"


class LiftedAlready(Conflict):
    """It was lifted and not put back."""

    code = "lifted_already"
    title = "Lifted already"


class NotLifted(Conflict):
    """It was not lifted."""

    code = "not_lifted"
    title = "Not lifted"


def lift(session: Session, act: Act, code: str, request: LiftRequest) -> LiftAnswer:
    """Record that a rack, cane, box or shelf is out of its place. Raises NotFound, NotPermitted, NotLiftable, LiftedAlready."""
    row = queries.get_container(session, act.actor, code, lock=True)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    if row.kind in COOLING:
        raise NotLiftable(f"{code} is a {row.kind}. Lift the racks or boxes in it.", subject=code)
    if row.lifted_at is not None:
        raise LiftedAlready(f"{code} was lifted at {rfc3339(row.lifted_at)} and is not back. Put it back first.", subject=code)
    tubes = [one for one in queries.tubes_inside(session, code) if one.state == State.STORED.value]
    head = head_of(session, act, request, subject=None, site=row.site_code)
    done = append(session, [Fact(StreamKind.CONTAINER, code, ContainerLifted(tubes=len(tubes)), head)])
    session.execute(update(storage_container).where(storage_container.c.code == code).values(lifted_at=head.occurred_at))
    return LiftAnswer(container=code, lifted_at=head.occurred_at, tubes=len(tubes), receipt=acknowledge(act, done))


def put_back(session: Session, act: Act, code: str, request: LiftRequest) -> LiftAnswer:
    """Record that it is back: how long it was out is added to every frozen tube in it. Never refused but where it was not out."""
    specimens = load(session, queries.specimens_inside(session, code), lock=True)
    row = queries.get_container(session, act.actor, code, lock=True)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    if row.lifted_at is None:
        raise NotLifted(f"{code} is in its place by the record. To move it, scan the place it goes into.", subject=code)
    done = end_lifts(session, act, code, specimens, request)
    return LiftAnswer(container=code, lifted_at=None, tubes=len(specimens), receipt=acknowledge(act, done))


def end_lifts(session: Session, act: Act, code: str, specimens: Mapping[str, Snapshot], given: Circumstances) -> list[Appended]:
    """End every lift of a container and of those in it, and count what each frozen tube was out of the cold.

    A tube that came into the container while it was out counts from then; one that somebody took out, until then.
    """
    below = sorted(queries.containers_below(session, code))
    lifted = session.execute(
        select(storage_container)
        .where(storage_container.c.code.in_(below), storage_container.c.lifted_at.is_not(None))
        .order_by(storage_container.c.code)
    ).all()
    done: list[Appended] = []
    for row in lifted:
        head = head_of(session, act, given, subject=None, site=row.site_code)
        inside = queries.tubes_inside(session, row.code)
        event = ContainerPutBack(lifted_at=rfc3339(row.lifted_at), tubes=len(inside))
        done += append(session, [Fact(StreamKind.CONTAINER, row.code, event, head)])
        settled = queries.settled_at(session, [one.code for one in inside])
        moves = []
        for one in inside:
            tube = specimens[one.code]
            since = max(row.lifted_at, settled[one.code]) if one.state == State.STORED.value else row.lifted_at
            until = head.occurred_at if one.state == State.STORED.value else settled[one.code]
            if tube.projection.condition == Condition.FROZEN.value and since < until:
                moves.append(Move(tube, _exposed(row.code, since, until), site=row.site_code))
        done += record(session, act, moves, given) if moves else []
        session.execute(update(storage_container).where(storage_container.c.code == row.code).values(lifted_at=None))
        if len(lifted) > 1:  # a tube of the next one may have been counted here
            specimens = {**specimens, **load(session, [one.code for one in inside])}
    return done


def _exposed(container: str, since: datetime, until: datetime) -> Exposed:
    return Exposed(container=container, since=rfc3339(since), seconds=int((until - since).total_seconds()))
