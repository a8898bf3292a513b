"""Questions about the log's lag and completeness."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import bindparam, exists, func, select
from sqlmodel import Session

from biobank.foundation.db import table_of
from biobank.transparency.models import Event, Leaf, Pending, Quarantined, checkpoint, tree_head

_event, _pending, _leaf, _quarantined = (table_of(model) for model in (Event, Pending, Leaf, Quarantined))
_head, _checkpoint = tree_head, checkpoint
OWED = (
    select(_pending.c.recorded_at).order_by(_pending.c.qid).limit(1).scalar_subquery().label("pending"),
    # What is sealed and not published is promised to nobody yet: a register on a full disk must not look like health.
    select(func.min(_head.c.sealed_at))
    .where(_head.c.size > select(func.coalesce(func.max(_checkpoint.c.size), -1)).scalar_subquery())
    .scalar_subquery()
    .label("unpublished"),
)
"""When the oldest event that waits to be sealed was recorded, and the oldest seal that is not published: as columns."""
_lag = select(*OWED)
_unaccounted = (
    select(_event.c.leaf_hash)
    .where(
        _event.c.recorded_at >= bindparam("since"),
        *(~exists().where(table.c.leaf_hash == _event.c.leaf_hash) for table in (_pending, _leaf, _quarantined)),
    )
    .order_by(_event.c.recorded_at)
    .limit(bindparam("limit"))
)


def seal_lag_s(session: Session, at: datetime) -> float:
    """Return for how many seconds the log has owed something; 0.0 when every event is under a published checkpoint.

    That is the age of the oldest event that waits to be sealed, or the time since the oldest seal that is not published.
    """
    return lag_of(session.execute(_lag).one(), at)


def lag_of(owed: Iterable[datetime | None], at: datetime) -> float:
    """Return it for the two columns `OWED`, as they were read. Pure."""
    waiting = [instant for instant in owed if instant is not None]
    return max(0.0, (at - min(waiting)).total_seconds()) if waiting else 0.0


def unaccounted_events(session: Session, since: datetime, limit: int = 100) -> list[bytes]:
    """Return leaf hashes of events recorded from ``since`` on that are neither pending, nor sealed, nor quarantined.

    There are none unless someone reached past the application: a pending row was deleted, or an event was put in or
    changed behind it. One statement, so one snapshot: the sealer moving a row at this moment is not mistaken for a loss.
    """
    return [bytes(row[0]) for row in session.execute(_unaccounted, {"since": since, "limit": limit})]
