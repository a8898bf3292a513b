"""Lifting a rack or box out of its place: what is in it is out of the cold until it is back, or in another cold place."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.effects import seconds_between
from biobank.custody.entry import Head
from biobank.custody.holds_then import stays_of
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.recording import Circumstances, Move, acknowledge, head_of, record
from biobank.custody.states import Condition, State, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.foundation.from_above import FromAbove
from biobank.storage import queries
from biobank.storage.events import ContainerLifted, ContainerPutBack, Exposed, LeftCold
from biobank.storage.holding_still import hold_still
from biobank.storage.models import storage_container
from biobank.storage.rules import COOLING, Standing
from biobank.storage.schemas import LiftAnswer, LiftRequest
from biobank.transparency.models import event as event_table


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
    queries.get_container(session, act.actor, code)
    specimens = hold_still(session, [code], lambda: queries.specimens_inside(session, code))
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    if row.kind in COOLING:
        raise NotLiftable(f"{code} is a {row.kind}. Lift the racks or boxes in it.", subject=code)
    if row.lifted_at is not None:
        raise LiftedAlready(f"{code} was lifted at {rfc3339(row.lifted_at)} and is not back. Put it back first.", subject=code)
    tubes = sum(one.state is State.STORED for one in specimens.values())
    head = head_of(session, act, request, subject=None, site=row.site_code)
    done = append(session, [Fact(StreamKind.CONTAINER, code, ContainerLifted(tubes=tubes), head)])
    session.execute(update(storage_container).where(storage_container.c.code == code).values(lifted_at=head.occurred_at))
    done += record(session, act, clock_moves(session, specimens, head), request)
    return LiftAnswer(container=code, lifted_at=head.occurred_at, tubes=tubes, receipt=acknowledge(act, done))


def put_back(session: Session, act: Act, code: str, request: LiftRequest) -> LiftAnswer:
    """Record that it is back: how long it was out is added to every frozen tube in it. Never refused but where it was not out.

    What was lifted out of it stays out, and is named.
    """
    queries.get_container(session, act.actor, code)
    known = hold_still(session, [code], lambda: concerned(session, code))
    inside = set(queries.specimens_inside(session, code))
    specimens = {name: one for name, one in known.items() if name in inside}
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    if row.lifted_at is None:
        raise NotLifted(f"{code} is in its place by the record. To move it, scan the place it goes into.", subject=code)
    head = head_of(session, act, request, subject=None, site=row.site_code)
    missed = missed_moves(session, code, known, head)
    done = end_lift(session, code, head)
    done += record(session, act, clock_moves(session, specimens, head), request)
    done += record(session, act, missed, said_now(request))
    out = still_out(session, code)
    return LiftAnswer(container=code, lifted_at=None, tubes=len(specimens), still_out=out, receipt=acknowledge(act, done))


def end_lift(session: Session, code: str, head: Head) -> list[Appended]:
    """End the lift of a container that is in its place again; `clock_moves` says what that is for the tubes.

    What was lifted out of it meanwhile lies where it lay: it is back when it is put back itself (`still_out`).
    """
    own = storage_container.c.code == code
    lifted_at = session.execute(select(storage_container.c.lifted_at).where(own)).scalar()
    if lifted_at is None:
        return []
    event = ContainerPutBack(lifted_at=rfc3339(lifted_at), tubes=len(queries.specimens_inside(session, code)))
    session.execute(update(storage_container).where(own).values(lifted_at=None))
    return append(session, [Fact(StreamKind.CONTAINER, code, event, head)])


inside_then: FromAbove[Callable[[Session, str, datetime, datetime], Collection[str]]] = FromAbove("monitoring")
"""The specimens that were inside a container at any instant from one time to another."""


def _last_lift(session: Session, code: str) -> Any:
    """Return when a container was last lifted, and when that was entered; None: it never was."""
    of = event_table.c
    its = (of.stream_kind == StreamKind.CONTAINER.value, of.stream_id == code, of.kind == "container.lifted")
    return session.execute(select(of.occurred_at, of.recorded_at).where(*its).order_by(of.seq.desc()).limit(1)).first()


def concerned(session: Session, code: str) -> set[str]:
    """Return the specimens in a container, and those that left it while it was lifted, before anybody entered that."""
    inside, last = set(queries.specimens_inside(session, code)), _last_lift(session, code)
    if last is None or last.recorded_at <= last.occurred_at:
        return inside
    return inside.union(inside_then.get()(session, code, last.occurred_at, last.recorded_at))


def said_now(given: Circumstances) -> Circumstances:
    """Return the circumstances of an act for what the bank reckons from it now."""
    return given.model_copy(update={"occurred_at": None, "paper": None})


def missed_moves(session: Session, code: str, tubes: Mapping[str, Snapshot], head: Head) -> list[Move]:
    """Return what says of frozen specimens that had left a lifted container before its lift was entered how long they were out of
    the cold with it; `tubes`: as `concerned` has them. Whoever was in it when that was entered has counted since (`clock_moves`).
    """
    lift = _last_lift(session, code)
    if lift is None or lift.recorded_at <= lift.occurred_at:
        return []
    below, moves = queries.containers_below(session, code), []
    for tube in tubes.values():
        if tube.state not in (State.STORED, State.CHECKED_OUT) or tube.projection.condition != Condition.FROZEN.value:
            continue
        for stay in stays_of(list(steps_of(entries_of(session, tube.code))), in_hand=False):
            if stay.code not in below or stay.until is None or stay.until > lift.recorded_at:
                continue
            since, until = max(stay.since, lift.occurred_at), min(stay.until, head.known_until)
            if until > since:
                seconds = seconds_between(rfc3339(since), rfc3339(until))
                running = tube.projection.out_since
                missed = Exposed(container=stay.code, since=rfc3339(since), seconds=seconds, out_since=running)
                moves.append(Move(tube, missed, site=tube.projection.site_code))
    return moves


def still_out(session: Session, code: str) -> list[str]:
    """Return the containers inside one that are lifted out by the record."""
    below = sorted(queries.containers_below(session, code) - {code})
    of = storage_container.c
    return list(session.scalars(select(of.code).where(of.code.in_(below), of.lifted_at.is_not(None)).order_by(of.code)))


def clock_moves(session: Session, specimens: Mapping[str, Snapshot], head: Head) -> list[Move]:
    """Return what starts or stops the clock of every frozen tube among these whose container changed its place, as it stands now.

    A tube that is out of the cold already, because it came into something lifted or is in a warm place, goes on counting from
    then; one that came in after the lift counts from when it came. A tube in somebody's hand has a clock of its own.
    """
    stored = [one for _, one in sorted(specimens.items()) if one.state is State.STORED]
    boxes = {one.projection.container_code or "" for one in stored}
    standings = queries.standings_of(session, sorted(boxes)) if boxes else {}
    leaving = [one.code for one in stored if one.projection.out_since is None]
    settled = queries.settled_at(session, leaving) if any(place.lifted for place in standings.values()) else {}
    events = ((one, clock_event(one, standings, head.occurred_at, head.known_until, settled.get(one.code))) for one in stored)
    return [Move(one, event, site=head.site) for one, event in events if event is not None]


def clock_event(
    tube: Snapshot, standings: Mapping[str, Standing], at: datetime, until: datetime, settled: datetime | None
) -> LeftCold | Exposed | None:
    """Return what a stored tube's record says when what it stands in changed at `at`, or None. Pure.

    `until`: until when a clock ran that ends with it (`entry.Head.known_until`); `settled`: since when it is where it is, where
    that may be later than `at`.
    """
    place, since = tube.projection.container_code or "", tube.projection.out_since
    cold = standings[place].keeps(tube.projection.condition)
    if tube.projection.condition != Condition.FROZEN.value or cold == (since is None):
        return None
    if since is None:
        return LeftCold(container=place, since=rfc3339(max(at, settled or at)))
    return Exposed(container=place, since=since, seconds=tube.projection.running_s(rfc3339(until)))
