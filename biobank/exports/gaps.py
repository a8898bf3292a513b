"""What an auditor asks first: is anything missing, unconfirmed, set aside, or out of order?

None of this proves the log (that is `biobank verify`, away from the bank); it says where to look. Gaps of sequences and of the
log's index cannot come from the application, and the database refuses them: a row here means that somebody went past both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.transparency.queries import unaccounted_events

SHOWN = 100

_SEQUENCES = text(
    """
    SELECT stream_kind, stream_id, count(*) AS present, max(seq) AS last FROM event
    GROUP BY stream_kind, stream_id
    HAVING (count(*) <> max(seq) OR min(seq) <> 1) AND (:everywhere OR bool_or(site_code = ANY(:sites)))
    ORDER BY stream_kind, stream_id LIMIT :limit
    """
)
_INDEX = text("SELECT count(*) AS present, coalesce(max(log_index) + 1, 0) AS size FROM leaf")
_QUARANTINED = text("SELECT leaf_hash, reason, at FROM log_quarantine ORDER BY at DESC LIMIT :limit")
_UNCONFIRMED = text(
    """
    SELECT e.stream_id, e.seq, e.kind, e.recorded_at, e.recorded_by, h.user_code AS performed_by,
           coalesce(h.answer, 'open') AS said
    FROM named_performer h JOIN event e ON e.leaf_hash = h.leaf_hash
    WHERE e.recorded_at >= :since AND h.answer IS DISTINCT FROM 'confirmed'
      AND (:everywhere OR e.site_code = ANY(:sites))
    ORDER BY e.recorded_at DESC LIMIT :limit
    """
)
_LATE = text(
    """
    SELECT e.stream_id, e.seq, e.kind, e.occurred_at, e.recorded_at, e.recorded_by FROM event e
    WHERE e.recorded_at >= :since AND position('"late"\\:true'::bytea IN e.entry) > 0
      AND (:everywhere OR e.site_code = ANY(:sites))
    ORDER BY e.recorded_at DESC LIMIT :limit
    """
)


@dataclass(frozen=True)
class Gaps:
    """What was found; every list holds at most `SHOWN` rows, newest first where there is a time."""

    sequences: Sequence[dict[str, Any]]
    missing_indexes: int
    unaccounted: Sequence[str]
    quarantined: Sequence[dict[str, Any]]
    unconfirmed: Sequence[dict[str, Any]]
    late: Sequence[dict[str, Any]]


def read_gaps(session: Session, actor: Actor, since: datetime) -> Gaps:
    """Look for gaps; what is asked about single events reaches back to `since`. Raises NotPermitted without log:read."""
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    asked = {"since": since, "limit": SHOWN} | actor.scope(Permission.LOG_READ).bound()

    def rows(statement: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in session.execute(statement, asked).mappings()]

    index = session.execute(_INDEX).one()
    return Gaps(
        sequences=rows(_SEQUENCES),
        missing_indexes=index.size - index.present,
        unaccounted=[one.hex() for one in unaccounted_events(session, since, SHOWN)],
        quarantined=[row | {"leaf_hash": bytes(row["leaf_hash"]).hex()} for row in rows(_QUARANTINED)],
        unconfirmed=rows(_UNCONFIRMED),
        late=rows(_LATE),
    )
