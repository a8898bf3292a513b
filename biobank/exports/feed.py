"""The log as it goes on: what came after a place in it, for who reads it step by step and for what is sent to others.

The place is the number of entries that the reader has: an index of the sealed log. Every event is put into the log's queue in its
own transaction and sealed once, a stream's events in their order, so who goes through the log by its indexes misses none
and meets none twice (docs/adr/0042). What no checkpoint covers yet is not handed out: it could still be disowned.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, Scope
from biobank.exports.as_cloud_event import Published
from biobank.exports.log_queries import fetch_in
from biobank.exports.selection import within
from biobank.foundation.errors import Conflict
from biobank.transparency.models import event, leaf
from biobank.transparency.stored_log import published_size

LOOKED_AT: Final = 2_000
"""Entries that one question looks at: with filters that fit little it still ends soon, and says how far it came."""


class PlaceNotReached(Conflict):
    """The log is shorter than the place that was named: it is another log, or it was set back."""

    code = "place_not_reached"
    title = "The log is shorter"


@dataclass(frozen=True)
class Stretch:
    """What was found between a place and `next`, where to go on; the published log has `size` entries."""

    events: tuple[Published, ...]
    next: int
    size: int

    @property
    def is_all(self) -> bool:
        """Say whether nothing published lies behind it."""
        return self.next >= self.size


def size_now(session: Session) -> int:
    """Return how many entries the published log has."""
    return published_size(fetch_in(session))


def read_stretch(session: Session, scope: Scope, kinds: Collection[str], after: int, limit: int) -> Stretch:
    """Return the next events after the first `after` entries, at most `limit`: those of `scope`, of `kinds` where any are named
    (`specimen.*`: every kind about specimens).

    Raises PlaceNotReached.
    """
    size = size_now(session)
    if after > size:
        raise PlaceNotReached(
            f"The log has {size} entries, and you ask for what comes after {after}. Compare its origin with the one you know, "
            "and begin again at a place that it has.",
            size=size,
        )
    end = min(size, after + LOOKED_AT)
    rows = session.execute(_between(after, end, scope, kinds).limit(limit)).all() if after < end else []
    found = tuple(Published(row.log_index, bytes(row.leaf_hash), bytes(row.entry)) for row in rows)
    return Stretch(found, found[-1].index + 1 if len(found) == limit else end, size)


def _between(after: int, end: int, scope: Scope, kinds: Collection[str]) -> "Select[Any]":
    statement = (
        select(leaf.c.log_index, leaf.c.leaf_hash, event.c.entry)
        .join(event, event.c.leaf_hash == leaf.c.leaf_hash)
        .where(leaf.c.log_index >= after, leaf.c.log_index < end, within(scope, event.c.site_code))
        .order_by(leaf.c.log_index)
    )
    return statement.where(_of_kinds(kinds)) if kinds else statement


def _of_kinds(kinds: Collection[str]) -> ColumnElement[bool]:
    """A kind, or with `*` behind the dot every kind of a subject."""
    subjects = sorted(kind.removesuffix(".*") for kind in kinds if kind.endswith(".*"))
    return or_(event.c.stream_kind.in_(subjects), event.c.kind.in_(sorted(kinds)))


def read_feed(session: Session, actor: Actor, after: int, kinds: Collection[str], sites: Collection[str], limit: int) -> Stretch:
    """Answer one question of GET /events. Raises NotPermitted without log:export, PlaceNotReached."""
    actor.require(Permission.LOG_EXPORT, at=ANYWHERE)
    return read_stretch(session, actor.scope(Permission.LOG_EXPORT).narrowed(sites), kinds, after, limit)
