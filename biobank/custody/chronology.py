"""No act is dated before what it concerns existed, before what it rests on, or before the change of state it follows; nothing is
put into a place before that existed, nor into a slot while another tube stood there. What begins a record of its own (an entry of
a register, a deviation, a harvest) began at a site that was on record; what was taken over from an older bank is older.

Asked by the one writer of every entry whose stated time lies back; what happens now cannot be out of order. An authority
(consent, identification, approval, release, band) is what the entry names in `relies_on`; a consent counts from the time at
which it was given, which its event carries, not from when it was written down, and a form on paper from when it begins.

`order_refusal` is the rule, a pure function; `require_order` reads what it asks for.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.places_then import began_at, places_named, slot_left_at, slot_named
from biobank.custody.statement import Fact
from biobank.custody.states import StreamKind
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict, MalformedRequest
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
    """The stated time lies before the change of state, or of a container's place, that this one follows."""

    code = "out_of_order"
    title = "Out of order"


class AskedAhead(MalformedRequest):
    """What will be is not on record: an answer about a time ahead would be one about now under another date."""

    code = "asked_ahead"
    title = "That time lies ahead"


AHEAD = timedelta(minutes=2)
"""By how much a device's clock may be ahead of ours (as for a stated time, `recording.AHEAD`)."""


def require_not_ahead(*times: datetime | None) -> None:
    """Raise AskedAhead where a question is about a time that has not come yet."""
    for at in times:
        if at is not None and at > now() + AHEAD:
            raise AskedAhead(f"{rfc3339(at)} lies ahead. Ask about a time that has been, or leave it out for how it stands now.")


def require_existed(
    session: Session, at: datetime | None, things: Collection[tuple[str, str]], *, to_the_minute: bool = False
) -> None:
    """Raise BeforeItExisted where one of the things (kind and id of its stream) had no record yet at a stated time.

    `to_the_minute`: `at` may come from a form, which says no seconds, so the minute of the first record is its beginning.
    """
    if at is None or not things:
        return
    began = _times_of(session, {(kind, code, 1) for kind, code in things})
    for (_kind, code, _seq), first in sorted(began.items()):
        since = first.replace(second=0, microsecond=0) if to_the_minute else first
        refusal = order_refusal(code, at, began=since)
        if refusal is not None:
            raise refusal


def require_since_site(session: Session, at: datetime, site: str) -> None:
    """Raise BeforeItExisted where a stated time, to the minute, lies before the site itself was on record."""
    began = _sites_began(session).get(site)
    if began is not None:
        refusal = order_refusal(site, at, began=began.replace(second=0, microsecond=0))
        if refusal is not None:
            raise refusal


def require_order(session: Session, facts: Sequence[Fact]) -> None:
    """Raise BeforeItExisted, OutOfOrder or BeforeItsAuthority for the first entry that is dated where it cannot be."""
    stated = [fact for fact in facts if fact.head.occurred_at < fact.head.recorded_at]
    if not stated:
        return
    earlier = [fact for fact in stated if not _after_all_before(fact)]
    wanted = {(fact.stream.value, fact.stream_id, 1) for fact in earlier}
    wanted |= {(fact.stream.value, fact.stream_id, seq) for fact in earlier if (seq := _follows(fact))}
    began = _times_of(session, wanted)
    own = {(fact.stream_id, type(fact.event).never_before) for fact in earlier if type(fact.event).never_before}
    moved = {(code, kinds): _latest_of(session, code, kinds) for code, kinds in sorted(own, key=lambda one: one[0])}
    places = began_at(session, {place for fact in stated for place in places_named(fact.event)})
    sites = _sites_began(session) if any(_begins(fact, began) for fact in stated) else {}
    authorities = _authorities(session, {leaf for fact in stated for leaf in fact.head.relies_on})
    for fact in stated:
        refusal = order_refusal(
            fact.stream_id,
            fact.head.occurred_at,
            began=began.get((fact.stream.value, fact.stream_id, 1)),
            changed=began.get((fact.stream.value, fact.stream_id, _follows(fact) or 0)),
            moved=moved.get((fact.stream_id, type(fact.event).never_before)),
            then=_state_then(session, fact) if _asks_for_a_state(fact) else None,
            legal=type(fact.event).from_states,
            place=max(
                [*((places[one], one) for one in places_named(fact.event) if one in places), *_site_of(fact, began, sites)],
                default=None,
            ),
            slot_left=slot_left_at(session, slot_named(fact.event), fact.stream_id, fact.head.occurred_at),
            rests_on=[authorities[leaf] for leaf in fact.head.relies_on if leaf in authorities],
            where_now=None if fact.before is None else fact.before.where_now,
        )
        if refusal is not None:
            raise refusal


def order_refusal(
    subject: str,
    at: datetime,
    *,
    began: datetime | None = None,
    changed: datetime | None = None,
    moved: datetime | None = None,
    then: str | None = None,
    legal: Collection[str] = (),
    place: tuple[datetime, str] | None = None,
    slot_left: datetime | None = None,
    rests_on: Sequence[tuple[str, datetime]] = (),
    where_now: str | None = None,
) -> Conflict | None:
    """Return why an act on `subject` may not be dated `at`, or None. Pure.

    `began`: when its record begins; `changed`: the change of state that this one follows; `moved`: when a container was last
    moved, lifted or put back, for an act that does one of these; `then`: its state at `at`, where the
    act is legal in `legal` states only; `place`: since when there is a record of the latest place or site that it names;
    `slot_left`: when somebody else left the slot into which it puts something; `rests_on`: kind of each authority, and since when
    it holds.
    """
    members: dict[str, Any] = {"subject": subject, "where_now": where_now}
    if began is not None and at < began:
        return BeforeItExisted(_sentence(subject, at, f"its record begins at {rfc3339(began)}"), **members)
    if changed is not None and at < changed:
        return OutOfOrder(_sentence(subject, at, f"its state last changed at {rfc3339(changed)}"), **members)
    if moved is not None and at < moved:
        return OutOfOrder(_sentence(subject, at, f"it was moved, lifted or put back at {rfc3339(moved)}"), **members)
    if then is not None and then not in legal:
        return OutOfOrder(_sentence(subject, at, f"it was {then.replace('_', ' ')} then"), **members)
    if place is not None and at < place[0]:
        return BeforeItExisted(_sentence(subject, at, f"the record of {place[1]} begins at {rfc3339(place[0])}"), **members)
    if slot_left is not None:
        until = f"another tube stood in that position until {rfc3339(slot_left)}"
        why = f"{until}. If the time is right, say that the position is not known"
        return OutOfOrder(_sentence(subject, at, why), **members)
    for kind, since in rests_on:
        if at < since:
            what = kind.partition(".")[2].replace("_", " ")
            return BeforeItsAuthority(_sentence(subject, at, f"it rests on '{what}' of {rfc3339(since)}"), **members)
    return None


def _begins(fact: Fact, began: Mapping[tuple[str, str, int], datetime]) -> bool:
    """Say whether an entry is the first of its stream and of this bank's own work."""
    return fact.before is None and fact.head.source != "import" and (fact.stream.value, fact.stream_id, 1) not in began


def _site_of(
    fact: Fact, began: Mapping[tuple[str, str, int], datetime], sites: Mapping[str, datetime]
) -> list[tuple[datetime, str]]:
    """Since when the site of an entry that begins a record is on record itself: of one that names none, the oldest there is."""
    if not sites or not _begins(fact, began):
        return []
    named = fact.head.site or min(sites, key=lambda site: (sites[site], site))
    return [(sites[named], named)] if named in sites else []


def _sites_began(session: Session) -> dict[str, datetime]:
    of = _event.c
    created = select(of.site_code, of.occurred_at).where(
        of.stream_kind == StreamKind.SYSTEM.value, of.kind == "system.site_created"
    )
    return {row.site_code: row.occurred_at for row in session.execute(created)}


def _asks_for_a_state(fact: Fact) -> bool:
    """Say whether it leaves the state and is legal in some states only: then what was counts, not what is.

    What befell the tube with the thing that it stands in is not asked, nor what the bank writes itself.
    """
    event = type(fact.event)
    with_its_place = event.permission is None or "container_event" in event.model_fields
    leaves = not (event.annotates or event.cold_first or with_its_place) and "state" not in event.whole_effect()
    return fact.stream is StreamKind.SPECIMEN and leaves and not _after_all_before(fact)


def _state_then(session: Session, fact: Fact) -> str | None:
    statement = (
        select(_event.c.state)
        .where(
            _event.c.stream_kind == fact.stream.value,
            _event.c.stream_id == fact.stream_id,
            _event.c.occurred_at <= fact.head.occurred_at,
        )
        .order_by(_event.c.seq.desc())
        .limit(1)
    )
    return session.execute(statement).scalar()


def _latest_of(session: Session, container: str, kinds: frozenset[str]) -> datetime | None:
    """Return when an event of these kinds last occurred on the stream of a container."""
    of_it = (_event.c.stream_kind == StreamKind.CONTAINER.value, _event.c.stream_id == container)
    return session.execute(select(func.max(_event.c.occurred_at)).where(*of_it, _event.c.kind.in_(sorted(kinds)))).scalar()


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
            body = parse_entry(bytes(row.entry))["body"]
            given = body.get("given_at") or body.get("form_from")
            since = row.occurred_at if given is None else min(row.occurred_at, datetime.fromisoformat(given))
            found[bytes(row.leaf_hash)] = (row.kind, since)
    return found


def _sentence(subject: str, at: datetime, why: str) -> str:
    return f"{subject}: the stated time, {rfc3339(at)}, cannot be: {why}. Check the date and the time."
