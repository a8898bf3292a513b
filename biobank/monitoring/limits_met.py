"""A limit that is set judges what the place read last: outside it, the place is outside its limits from the setting on.

The reading itself stays within: it was, by the limits of its time, and nothing that left the place before the limit stood is
concerned. The excursion begins when the limit was set, and says that it did so by the limit and not by a reading (`by_limit`);
the next reading within ends it, as any. However old the last reading is, it is what the bank knows of the place. A pace is not
judged again: it came and went.

This is no row of a reading, but reckoned from readings and settings: one that comes late or is withdrawn changes it.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Row, text
from sqlmodel import Session

from biobank.foundation.clock import now
from biobank.monitoring.judging import Before, Read, outside_of
from biobank.monitoring.spans import Standing
from biobank.storage.limits import PlaceLimits
from biobank.storage.limits_then import limits_set_between

_LAST = text(
    """
    WITH own AS (
        SELECT DISTINCT ON (r.kind, r.sensor_code) r.id, r.event_hash, r.kind, r.value, r.at, r.outside, r.sensor_code
        FROM storage_reading r LEFT JOIN sensor s ON s.code = r.sensor_code
        WHERE r.container_code = :code AND r.withdrawn_at IS NULL AND r.at < :at
          AND (s.withdrawn_at IS NULL OR s.withdrawn_at > :at)
        ORDER BY r.kind, r.sensor_code, r.at DESC, r.id DESC
    )
    SELECT * FROM own WHERE NOT EXISTS (
        SELECT 1 FROM own later WHERE later.kind = own.kind AND (later.at, later.id) > (own.at, own.id)
          AND (later.sensor_code IS NULL OR own.sensor_code IS NULL))
    ORDER BY kind, at, id
    """
)


def last_read(session: Session, container: str, at: datetime) -> "list[Row[tuple[object, ...]]]":
    """Return what a container read last before `at`, of each measure and source for which no other spoke since (`spans.py`)."""
    return list(session.execute(_LAST, {"code": container, "at": at}))


def outside_since_set(session: Session, container: str, since: datetime, until: datetime | None) -> list[Standing]:
    """Return what a container read last before each limit that was set from `since` to `until` (None: now), and is outside by it.

    What was outside before, by its own time or by the limits until then, is not among it. One statement where nothing was set.
    """
    settings = limits_set_between(session, container, since, now() if until is None else until)
    return [one for at, before, after in settings for one in _met(session, container, at, before, after)]


def _met(session: Session, container: str, at: datetime, before: PlaceLimits, after: PlaceLimits) -> Iterator[Standing]:
    for row in last_read(session, container, at):
        read = Read(row.value, row.at)
        outside = outside_of(row.kind, read, Before(), after)
        if outside is not None and row.outside is None and outside_of(row.kind, read, Before(), before) is None:
            yield Standing(at, row.kind, row.value, outside, row.sensor_code, by_limit=True)
