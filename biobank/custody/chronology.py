"""No act is dated before what it concerns existed, before what it rests on, or before the change of state it follows.

Asked by the one writer of every entry whose stated time lies back; what happens now cannot be out of order. An authority
(consent, identification, approval, release, band) is what the entry names in `relies_on`; a consent counts from the time at
which it was given, which its event carries, not from when it was written down.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.statement import Fact
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.transparency.models import event as _event


class BeforeItExisted(Conflict):
    """The stated time lies before the first event of the thing itself."""

    code = "before_it_existed"
    title = "Before it existed"


class BeforeItsAuthority(Conflict):
    """The stated time lies before the consent, identification, approval or release that the act rests on."""

    code = "before_its_authority"
    title = "Before what it rests on"


class OutOfOrder(Conflict):
    """The stated time lies before the change of state that this one follows."""

    code = "out_of_order"
    title = "Out of order"


def require_order(session: Session, facts: Sequence[Fact]) -> None:
    """Raise BeforeItExisted, OutOfOrder or BeforeItsAuthority for the first entry that is dated where it cannot be."""
    stated = [fact for fact in facts if fact.head.occurred_at < fact.head.recorded_at and fact.stream is not StreamKind.SYSTEM]
    if not stated:
        return
    earlier = [fact for fact in stated if not _after_all_before(fact)]
    wanted = {(fact.stream.value, fact.stream_id, 1) for fact in earlier}
    wanted |= {(fact.stream.value, fact.stream_id, seq) for fact in earlier if (seq := _follows(fact))}
    began = _times_of(session, wanted)
    authorities = _authorities(session, {leaf for fact in stated for leaf in fact.head.relies_on})
    for fact in stated:
        at = fact.head.occurred_at
        first = began.get((fact.stream.value, fact.stream_id, 1))
        if first is not None and at < first:
            raise BeforeItExisted(_sentence(fact, at, f"its record begins at {rfc3339(first)}"), **_members(fact))
        change = began.get((fact.stream.value, fact.stream_id, _follows(fact) or 0))
        if change is not None and at < change:
            raise OutOfOrder(_sentence(fact, at, f"its state last changed at {rfc3339(change)}"), **_members(fact))
        for leaf in fact.head.relies_on:
            kind, since = authorities.get(leaf, ("", None))
            if since is not None and at < since:
                what = kind.partition(".")[2].replace("_", " ")
                raise BeforeItsAuthority(_sentence(fact, at, f"it rests on '{what}' of {rfc3339(since)}"), **_members(fact))


def _after_all_before(fact: Fact) -> bool:
    """Say whether it lies after everything on its stream, as the caller read it: then it is in order with all of it."""
    last = None if fact.before is None else fact.before.last_occurred_at
    return last is not None and fact.head.occurred_at >= last


def _times_of(session: Session, wanted: set[tuple[str, str, int]]) -> dict[tuple[str, str, int], datetime]:
    """Return when each of these events occurred, by stream kind, stream and sequence."""
    if not wanted:
        return {}
    rows = session.execute(
        select(_event.c.stream_kind, _event.c.stream_id, _event.c.seq, _event.c.occurred_at).where(
            tuple_(_event.c.stream_kind, _event.c.stream_id, _event.c.seq).in_(sorted(wanted))
        )
    )
    return {(row.stream_kind, row.stream_id, row.seq): row.occurred_at for row in rows}


def _follows(fact: Fact) -> int | None:
    """The sequence of the change of state that this entry follows, if it changes the state itself."""
    if fact.before is None or "state" not in type(fact.event).whole_effect():
        return None
    return fact.before.state_seq or None


def _authorities(session: Session, leaves: set[bytes]) -> dict[bytes, tuple[str, datetime]]:
    """Return kind and time of the events relied on; of a consent the time at which it was given."""
    found = {}
    if leaves:
        rows = session.execute(
            select(_event.c.leaf_hash, _event.c.kind, _event.c.occurred_at, _event.c.entry).where(
                _event.c.leaf_hash.in_(sorted(leaves))
            )
        )
        for row in rows:
            given = parse_entry(bytes(row.entry))["body"].get("given_at")
            since = row.occurred_at if given is None else min(row.occurred_at, datetime.fromisoformat(given))
            found[bytes(row.leaf_hash)] = (row.kind, since)
    return found


def _sentence(fact: Fact, at: datetime, why: str) -> str:
    return f"{fact.stream_id}: the stated time, {rfc3339(at)}, cannot be: {why}. Check the date and the time."


def _members(fact: Fact) -> dict[str, Any]:
    where = None if fact.before is None else fact.before.where_now
    return {"subject": fact.stream_id, "where_now": where}
