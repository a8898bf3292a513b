"""An excursion as one thing: when a place was outside its limits, everything that was inside then, and one hold over it.

Whatever reading comes, comes late or is withdrawn, `following.follow` reckons the excursions around it anew from the readings
that count, and their sets from the log. What it adds is held at once. What it takes out of a set is freed, and that takes
quality's signature, whoever sent the reading and why.

An excursion lasts from its first reading outside to the first within limits again, and until that is read it lasts: nobody knows
before that the place is right. So what comes in while it is open, by whatever way (`came_in`), is in its set from the moment it
came, as what stood there.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, or_, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.permissions import Permission
from biobank.custody import holds
from biobank.custody.coming_in import came_in
from biobank.custody.entry import Head
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import HoldKind, HoldScope, StreamKind
from biobank.foundation.clock import rfc3339
from biobank.monitoring.events import ExcursionChanged, ExcursionOpened
from biobank.monitoring.limits_met import outside_since_set
from biobank.monitoring.models import excursion, excursion_item, reading
from biobank.monitoring.presence import inside_during
from biobank.monitoring.spans import Span, Standing, spans_of
from biobank.storage.cold_then import ever_around
from biobank.storage.queries import boxes_named

_INSTANT = timedelta(microseconds=1)


@dataclass
class Followed:
    """What a reading did: the excursions it concerns, and who came into and out of their sets."""

    appended: list[Appended] = field(default_factory=list)
    excursions: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def add(self, more: "Followed") -> None:
        """Add what another reading did."""
        self.appended += more.appended
        self.excursions += more.excursions
        self.added |= more.added
        self.removed |= more.removed


@dataclass(frozen=True)
class Cause:
    """The reading that made it necessary: its event, its head, and the signature that came with it, if any.

    `used`: that signature once it stands under what was freed; it stands under all that one reading frees.
    """

    act: Act
    head: Head
    event: Appended
    signature: str | None
    used: list[str] = field(default_factory=list)
    came_in: frozenset[str] = frozenset()
    """The tubes that came into a place by it."""
    only_adds: bool = False
    """No reading came or went: whoever is in a set stays in it."""


def reckon(
    session: Session, cause: Cause, container: str, measure: str, at: datetime, *, outside: bool, source: str | None
) -> Followed:
    """Reckon the excursions of a container around `at` anew. `outside`: a reading there counts and lies outside; `source`: the
    sensor that read it, None: people and files.

    Raises NotPermitted or SignatureRequired when it takes specimens out of a set and quality did not sign.
    """
    done = Followed()
    statement = select(excursion).where(
        excursion.c.container_code == container,
        excursion.c.annulled_at.is_(None),
        or_(excursion.c.ended_at.is_(None), excursion.c.ended_at >= at),
    )
    rows = session.execute(locked(statement.order_by(excursion.c.code), excursion)).all()
    around = sorted(rows, key=lambda row: row.began_at)
    here = next((row for row in around if row.began_at <= at), None)
    if here is None and not outside:
        return done
    since = at if here is None else here.began_at
    until = _settled_after(
        session, container, measure, at, source, here, next((row for row in around if row.began_at > at), None)
    )
    known = [row for row in around if row.began_at >= since and (until is None or row.began_at <= until)]
    spans = spans_of(_standing(session, container, since, until))
    for span in spans:
        row = next((one for one in known if _touch(one, span)), None)
        if row is None:
            _open(session, cause, container, span, done)
        else:
            known.remove(row)
            _change(session, cause, row, span, done)
    for row in known:
        _change(session, cause, row, None, done)
    return done


@came_in.give
def reckon_again(
    session: Session, act: Act, places: Mapping[str, datetime], tubes: Collection[str], came: Appended
) -> list[Appended]:
    """Reckon the sets of excursions anew, of places into which `tubes` came by `came` and of all that these ever stood in.

    It only ever adds; what it adds is held at once. What was assessed and comes in again meanwhile is assessed again.
    """
    done = Followed()
    since = min(places.values())
    met = select(excursion).where(
        excursion.c.annulled_at.is_(None), or_(excursion.c.ended_at.is_(None), excursion.c.ended_at > since)
    )
    open_then = set(session.scalars(met.with_only_columns(excursion.c.container_code)))
    theirs = open_then & ever_around(session, set(boxes_named(session, places).values())) if open_then else set()
    if not theirs:
        return []
    of_these = met.where(excursion.c.container_code.in_(sorted(theirs))).order_by(excursion.c.code)
    for row in session.execute(locked(of_these, excursion)).all():
        head = head_of(session, act, NOW, subject=None, site=row.site_code)
        _change(session, Cause(act, head, came, None, only_adds=True, came_in=frozenset(tubes)), row, Span.of(row), done)
    return done.appended


def _set_of(session: Session, container: str, began: datetime, ended: datetime | None, now: datetime) -> dict[str, datetime]:
    """Return who is affected by an excursion: whoever was inside before it ended, all until now while it is open."""
    return inside_during(session, container, began, now if ended is None else max(began, ended - _INSTANT))


def _settled_after(
    session: Session, container: str, measure: str, at: datetime, source: str | None, here: Any, later: Any
) -> datetime | None:
    """The end of the readings that have to be looked at; None: all that follow."""
    # As `spans_of` has it: what a sensor says is settled by itself or by people, what people say by anything.
    settles = [] if source is None else [or_(reading.c.sensor_code.is_(None), reading.c.sensor_code == source)]
    good = session.execute(
        select(reading.c.at)
        .where(
            reading.c.container_code == container,
            reading.c.kind == measure,
            reading.c.at > at,
            reading.c.outside.is_(None),
            reading.c.withdrawn_at.is_(None),
            *settles,
        )
        .order_by(reading.c.at)
        .limit(1)
    ).scalar()
    ends = [good]
    if here is not None:
        ends.append(here.ended_at)
    if later is not None and (good is None or good >= later.began_at or (here is not None and here.ended_at == at)):
        ends.append(later.ended_at)
    return None if None in ends else max(one for one in ends if one is not None)


def _standing(session: Session, container: str, since: datetime, until: datetime | None) -> Iterable[Standing]:
    rows = session.execute(
        select(reading.c.at, reading.c.kind, reading.c.value, reading.c.outside, reading.c.sensor_code)
        .where(
            reading.c.container_code == container,
            reading.c.withdrawn_at.is_(None),
            reading.c.at >= since,
            *([] if until is None else [reading.c.at <= until]),
        )
        .order_by(reading.c.at, reading.c.id)
    )
    read = [Standing(row.at, row.kind, row.value, row.outside, row.sensor_code) for row in rows]
    return sorted([*read, *outside_since_set(session, container, since, until)], key=lambda one: one.at)


def _touch(row: "Row[Any]", span: Span) -> bool:
    return bool(row.began_at <= span.last and span.began <= row.last_at)


def digest_of(codes: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted codes, one a line."""
    return hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()


def _open(session: Session, cause: Cause, container: str, span: Span, done: Followed) -> None:
    affected = _set_of(session, container, span.began, span.ended, cause.act.at)
    code = new_code(session, "EX")
    event = ExcursionOpened(
        excursion=code,
        specimens=len(affected),
        specimens_sha256=digest_of(affected),
        **asdict(span.gravest),
        **_how_far(span),
        began_at=rfc3339(span.began),
        last_at=rfc3339(span.last),
        by_limit=span.by_limit,
    )
    (opened,) = append(session, [Fact(StreamKind.CONTAINER, container, event, cause.head)])
    session.execute(
        insert(excursion).values(
            code=code,
            container_code=container,
            site_code=cause.head.site,
            began_at=span.began,
            last_at=span.last,
            ended_at=span.ended,
            worst=_worst_of(span),
            by_limit=span.by_limit,
            opened_event=opened.leaf_hash,
        )
    )
    done.appended.append(opened)
    done.excursions.append(code)
    if affected:
        _include(session, cause, code, affected)
        _hold(session, cause, code, container, done)
    done.added |= set(affected)


def _change(session: Session, cause: Cause, row: "Row[Any]", span: Span | None, done: Followed) -> None:
    """Bring a known excursion to what it is now; None: no reading makes it any more."""
    affected = {} if span is None else _set_of(session, row.container_code, span.began, span.ended, cause.act.at)
    items = session.execute(
        select(excursion_item.c.specimen_code, excursion_item.c.decision, excursion_item.c.since).where(
            excursion_item.c.excursion_code == row.code, excursion_item.c.removed_at.is_(None)
        )
    ).all()
    known = {item.specimen_code for item in items}
    added, removed = affected.keys() - known, set() if cause.only_adds else known - affected.keys()
    decided = {item.specimen_code for item in items if item.decision is not None}
    again = _exposed_again(session, row, span, decided) | (decided & affected.keys() & cause.came_in)
    freed = removed - decided
    signature = _signed(session, cause, row) if freed else None
    times = {"began_at": row.began_at, "last_at": row.last_at, "ended_at": row.ended_at}
    if span is not None:
        times = {"began_at": span.began, "last_at": span.last, "ended_at": span.ended}
        session.execute(
            update(excursion).where(excursion.c.code == row.code).values(**times, worst=_worst_of(span), by_limit=span.by_limit)
        )
    moved = {item.specimen_code for item in items if affected.get(item.specimen_code, item.since) != item.since}
    fresh = {code: affected[code] for code in added | again | moved}
    if fresh:
        _include(session, cause, row.code, fresh, undecided=added | again)
    if removed:
        _remove(session, cause, row.code, removed)
    if span is None:
        session.execute(update(excursion).where(excursion.c.code == row.code).values(annulled_at=cause.act.at))
    another_way = span is not None and {one.outside for one in span.worst} != {one["outside"] for one in row.worst}
    if added or removed or again or another_way or span is None or span.ended != row.ended_at:
        standing = (known | affected.keys()) - removed
        event = ExcursionChanged(
            excursion=row.code,
            specimens=len(standing),
            specimens_sha256=digest_of(standing),
            added=len(added),
            removed=len(removed),
            annulled=span is None,
            by_limit=row.by_limit if span is None else span.by_limit,
            because=cause.event.leaf_hash.hex(),
            signature=signature,
            **({} if span is None else _how_far(span)),
            **{name: None if at is None else rfc3339(at) for name, at in times.items()},
        )
        done.appended += append(session, [Fact(StreamKind.CONTAINER, row.container_code, event, cause.head)])
        done.excursions.append(row.code)
    elif span is not None and span.last != row.last_at:
        done.excursions.append(row.code)
    done.added |= added
    done.removed |= removed
    if added or again:
        _hold(session, cause, row.code, row.container_code, done)
    if freed and signature is not None:
        done.appended += lift_if_settled(session, cause.head, row.code, signature)


def _worst_of(span: Span) -> list[dict[str, Any]]:
    return [asdict(one) for one in span.worst]


def _how_far(span: Span) -> dict[str, Any]:
    """Return what an entry says of a span: the ways, and the furthest values."""
    warm = [one.peak for one in span.worst if one.measure == "temperature_mc" and one.outside != "too_cold"]
    cold = [one.peak for one in span.worst if one.outside == "too_cold"]
    level = [one.peak for one in span.worst if one.measure == "level_ppm"]
    return {
        "outside_in": tuple(one.outside for one in span.worst),
        "warmest_mc": max(warm, default=None),
        "coldest_mc": min(cold, default=None),
        "lowest_level_ppm": min(level, default=None),
    }


def _exposed_again(session: Session, row: "Row[Any]", span: Span | None, decided: Collection[str]) -> set[str]:
    """Of what was assessed, that which was inside in the time that came to the excursion since: it is to be assessed again."""
    if span is None or not decided:
        return set()
    found: set[str] = set()
    if span.last > row.last_at:
        found |= inside_during(session, row.container_code, row.last_at, span.last).keys()
    if span.began < row.began_at:
        found |= inside_during(session, row.container_code, span.began, row.began_at).keys()
    return found & set(decided)


def _signed(session: Session, cause: Cause, row: "Row[Any]") -> str:
    """Use quality's signature: the reading frees what an excursion held."""
    cause.act.require(Permission.HOLD_LIFT, at=row.site_code, subject=row.code)
    if not cause.used:
        cause.used.append(str(use_signature(session, cause.act, cause.signature, Meaning.DECIDED).id))
    return cause.used[0]


_KEEP_PAST = text(
    """
    INSERT INTO excursion_item_past (excursion_code, specimen_code, included_at, replaced_at, since, removed_at, assessed_at)
    SELECT excursion_code, specimen_code, included_at, :at, since, removed_at, assessed_at FROM excursion_item
    WHERE excursion_code = :excursion AND specimen_code = ANY(:codes) AND included_at < :at
    ON CONFLICT DO NOTHING
    """
)
"""Before a line is written anew, keep how it stood: an answer about the past is what was answered then."""
_INCLUDE = text(
    """
    INSERT INTO excursion_item (excursion_code, specimen_code, since, included_at)
    SELECT :excursion, one.code, one.since, :at
    FROM unnest(CAST(:codes AS text[]), CAST(:sinces AS timestamptz[])) AS one (code, since)
    ON CONFLICT (excursion_code, specimen_code) DO UPDATE SET since = excluded.since,
        included_at = excluded.included_at, removed_at = NULL,
        decision = CASE WHEN excluded.specimen_code = ANY(:undecided) THEN NULL ELSE excursion_item.decision END,
        assessed_at = CASE WHEN excluded.specimen_code = ANY(:undecided) THEN NULL ELSE excursion_item.assessed_at END,
        assessed_event = CASE WHEN excluded.specimen_code = ANY(:undecided) THEN NULL ELSE excursion_item.assessed_event END
    """
)


def _include(
    session: Session, cause: Cause, code: str, affected: dict[str, datetime], *, undecided: Collection[str] = ()
) -> None:
    names = sorted(affected)
    given = {"codes": names, "sinces": [affected[name] for name in names], "undecided": sorted(undecided)}
    given |= {"excursion": code, "at": cause.act.at}
    session.execute(_KEEP_PAST, {name: given[name] for name in ("excursion", "at", "codes")})
    session.execute(_INCLUDE, given)


def _remove(session: Session, cause: Cause, code: str, removed: Collection[str]) -> None:
    session.execute(
        update(excursion_item)
        .where(excursion_item.c.excursion_code == code, excursion_item.c.specimen_code == text("ANY(:gone)"))
        .values(removed_at=cause.act.at),
        {"gone": sorted(removed)},
    )


def _hold(session: Session, cause: Cause, code: str, container: str, done: Followed) -> None:
    """Place the one hold of an excursion unless it is in force."""
    active = text("SELECT 1 FROM excursion x JOIN hold h ON h.id = x.hold_id WHERE x.code = :code AND h.lifted_at IS NULL")
    if session.execute(active, {"code": code}).first() is not None:
        return
    hold_id, placed = holds.place(
        session,
        kind=HoldKind.TEMPERATURE,
        scope_kind=HoldScope.EXCURSION,
        scope_id=code,
        reason="excursion",
        head=cause.head,
        container=container,
    )
    session.execute(update(excursion).where(excursion.c.code == code).values(hold_id=hold_id))
    done.appended.append(placed)


_SETTLED = text(
    """
    SELECT x.container_code, h.id, h.placed_event FROM excursion x JOIN hold h ON h.id = x.hold_id
    WHERE x.code = :code AND h.lifted_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM excursion_item i WHERE i.excursion_code = x.code AND i.removed_at IS NULL AND i.decision IS NULL)
    """
)


def lift_if_settled(session: Session, head: Head, code: str, signature: str) -> list[Appended]:
    """Lift the hold of an excursion when nothing of its set is left to assess."""
    row = session.execute(_SETTLED, {"code": code}).first()
    if row is None:
        return []
    lifting = holds.Lifting(row.id, bytes(row.placed_event), "assessed", signature, code)
    return [holds.lift(session, lifting, HoldScope.EXCURSION, row.container_code, head)]
