"""Questions about the log's health."""

from datetime import datetime

from sqlalchemy import bindparam, exists, select
from sqlmodel import Session

from biobank.db import table_of
from biobank.transparency.models import Event, Leaf, Pending, Quarantined

_event, _pending, _leaf, _quarantined = (table_of(model) for model in (Event, Pending, Leaf, Quarantined))
_oldest = select(_pending.c.recorded_at).order_by(_pending.c.qid).limit(1)
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
    """Return the age in seconds of the oldest event that waits to be sealed; 0.0 when none waits."""
    oldest = session.execute(_oldest).scalar_one_or_none()
    return 0.0 if oldest is None else max(0.0, (at - oldest).total_seconds())


def unaccounted_events(session: Session, since: datetime, limit: int = 100) -> list[bytes]:
    """Return leaf hashes of events recorded from ``since`` on that are neither pending, nor sealed, nor quarantined.

    There are none unless someone reached past the application: a pending row was deleted, or an event was put in or
    changed behind it. One statement, so one snapshot: the sealer moving a row at this moment is not mistaken for a loss.
    """
    return [bytes(row[0]) for row in session.execute(_unaccounted, {"since": since, "limit": limit})]
