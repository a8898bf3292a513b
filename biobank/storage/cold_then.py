"""When a container was out of the cold between two times, by what the log says of it and of everything that it ever stood in.

For a tube that is said to have been in it all along: what was undone, or was entered later than it happened. A time out of the
cold begins when it is said to have, and ends when the bank knew that it had (`entry.Head.known_until`): nobody shortens it by a
stated time.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.states import Condition, StreamKind
from biobank.storage.models import storage_container
from biobank.storage.rules import Standing, class_around
from biobank.transparency.models import event

_body = func.convert_from(event.c.entry, "UTF8").cast(JSONB)
_parent = func.coalesce(_body["body"]["to_parent"].astext, _body["body"]["parent"].astext)
_known_until = case(
    (_body["source"].astext == "live", func.greatest(event.c.occurred_at, event.c.recorded_at)), else_=event.c.occurred_at
)
_MOVES = ("container.added", "container.moved")
_LIFTS = ("container.lifted", "container.put_back")


@dataclass(frozen=True)
class Span:
    """A time out of the cold; `until` None: it lasts."""

    since: datetime
    until: datetime | None


def ever_around(session: Session, places: Collection[str]) -> set[str]:
    """Return these places and everything that they ever stood in, by the log and as it is now. One statement."""
    told = select(event.c.stream_id.label("code"), _parent.label("parent")).where(
        event.c.stream_kind == StreamKind.CONTAINER.value, event.c.kind.in_(_MOVES)
    )
    now = storage_container.c
    stood = told.union(select(now.code, now.parent_code)).cte("stood")
    around = select(now.code.label("code")).where(now.code.in_(sorted(places))).cte("around", recursive=True)
    outwards = select(stood.c.parent).join(around, around.c.code == stood.c.code).where(stood.c.parent.is_not(None))
    return set(session.scalars(select(around.union(outwards).c.code)))


def out_of_the_cold(session: Session, container: str, since: datetime, until: datetime) -> list[Span]:
    """Return the times between `since` and `until` in which a container did not keep what is frozen in it. Three statements."""
    around = ever_around(session, [container])
    rows = {
        row.code: SimpleNamespace(**row._mapping)
        for row in session.execute(select(storage_container).where(storage_container.c.code.in_(sorted(around))))
    }
    told = session.execute(
        select(
            event.c.stream_id.label("code"),
            event.c.kind,
            event.c.occurred_at,
            _known_until.label("known_until"),
            _parent.label("parent"),
        )
        .where(event.c.stream_kind == StreamKind.CONTAINER.value, event.c.stream_id.in_(sorted(around)))
        .where(event.c.kind.in_((*_MOVES, *_LIFTS)))
        .order_by(event.c.recorded_at, event.c.seq)
    ).all()
    spans = _spans(container, rows, told)
    return [
        Span(max(one.since, since), None if one.until is None else min(one.until, until))
        for one in spans
        if one.since < until and (one.until is None or one.until > since)
    ]


def _spans(container: str, rows: Mapping[str, Any], told: Collection[Any]) -> Iterator[Span]:
    """Replay what happened to containers; yield when one of them did not keep what is frozen. Pure."""
    moved = {one.code for one in told if one.kind in _MOVES}
    for code, row in rows.items():
        row.lifted_at, row.parent_code = None, None if code in moved else row.parent_code
    began: datetime | None = None
    kept = True
    for one in told:
        row = rows[one.code]
        if one.kind in _MOVES:
            row.parent_code = one.parent
        else:
            row.lifted_at = one.occurred_at if one.kind == "container.lifted" else None
        was, kept = kept, _keeps(container, rows)
        if was and not kept:
            began = one.occurred_at
        elif kept and not was and began is not None:
            yield Span(began, max(began, one.known_until))
            began = None
    if began is not None:
        yield Span(began, None)


def _keeps(container: str, rows: Mapping[str, Any]) -> bool:
    chain: list[Any] = []
    code: str | None = container
    while code is not None and code in rows and len(chain) < 32:
        chain.append(rows[code])
        code = rows[code].parent_code
    lifted = any(row.lifted_at is not None for row in chain)
    return Standing(container, class_around(chain), lifted=lifted).keeps(Condition.FROZEN.value)
