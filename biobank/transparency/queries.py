"""Questions about the log's health."""

from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from biobank.db import table_of
from biobank.transparency.models import Pending

_pending = table_of(Pending)
_oldest = select(_pending.c.recorded_at).order_by(_pending.c.qid).limit(1)


def seal_lag_s(session: Session, at: datetime) -> float:
    """Return the age in seconds of the oldest event that waits to be sealed; 0.0 when none waits."""
    oldest = session.execute(_oldest).scalar_one_or_none()
    return 0.0 if oldest is None else max(0.0, (at - oldest).total_seconds())
