"""What comes late or is withdrawn changes how fast the next reading came about: that pace is judged anew, and acts."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, update
from sqlmodel import Session

from biobank.monitoring.excursions import Cause, Followed
from biobank.monitoring.following import follow
from biobank.monitoring.judging import PACE_OVER, PACE_WITHIN, Before, Measure, Outside, Read, outside_of
from biobank.monitoring.models import reading
from biobank.storage.limits_then import limits_over

_OF_PACE: Final = (None, "warming_too_fast", "level_falling_too_fast")


def judge_paces(
    session: Session,
    cause: Cause,
    code: str,
    measure: Measure,
    between: tuple[datetime, datetime],
    source: str | None,
    done: Followed,
) -> None:
    """Judge the pace of what was read after changed readings of a measure anew; what follows comes to `done`.

    `between`: the first and the last of the readings that came or went; `source`: the sensor that read them, None: people and
    files, whose readings may stand before those of any sensor. What lies outside by its value alone stays so.
    Raises what `follow` raises.
    """
    since, until = between
    rows = session.execute(
        select(reading.c.id, reading.c.at, reading.c.value, reading.c.outside, reading.c.sensor_code, reading.c.confirmed)
        .where(
            reading.c.container_code == code,
            reading.c.kind == measure,
            reading.c.withdrawn_at.is_(None),
            reading.c.at.between(since - PACE_WITHIN, until + PACE_WITHIN),
        )
        .order_by(reading.c.at, reading.c.id)
    ).all()
    after = [row for row in rows if row.at - PACE_OVER[measure] >= since and row.outside in _OF_PACE]
    if not after:
        return
    limits_at = limits_over(session, code, after[0].at, after[-1].at)
    for name in {row.sensor_code for row in after} if source is None else {source}:
        own = [row for row in rows if row.sensor_code == name or (row.sensor_code is None and row.confirmed)]
        times = [row.at for row in own]
        for row in (one for one in after if one.sensor_code == name):
            before = _before(own, times, row, measure)
            if before is not None and before.at > until:
                continue
            limits = replace(limits_at(row.at), lowest_mc=None, highest_mc=None, lowest_level_ppm=None)
            outside = outside_of(measure, Read(row.value, row.at), Before(for_pace=before), limits)
            if outside != row.outside:
                _set(session, cause, code, measure, row, outside, done)


def _before(own: "Sequence[Row[Any]]", times: Sequence[datetime], row: "Row[Any]", measure: Measure) -> Read | None:
    index = bisect_right(times, row.at - PACE_OVER[measure]) - 1
    near = index >= 0 and times[index] >= row.at - PACE_WITHIN
    return Read(own[index].value, times[index]) if near else None


def _set(
    session: Session, cause: Cause, code: str, measure: Measure, row: "Row[Any]", outside: Outside | None, done: Followed
) -> None:
    session.execute(update(reading).where(reading.c.id == row.id).values(outside=outside))
    done.add(follow(session, cause, code, measure, row.at, outside=outside is not None, source=row.sensor_code))
