"""What a place read over a time, in equal parts of it: the lowest and the highest of each, so that no peak is smoothed away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from sqlalchemy import ColumnElement, exists, func, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.monitoring.judging import Measure
from biobank.monitoring.models import excursion, reading
from biobank.storage.limits import PlaceLimits, limits_of_place
from biobank.storage.queries import get_container

Span = Literal["day", "week", "month"]
SPANS: Final[dict[Span, tuple[timedelta, timedelta]]] = {
    "day": (timedelta(days=1), timedelta(minutes=15)),
    "week": (timedelta(days=7), timedelta(hours=2)),
    "month": (timedelta(days=31), timedelta(hours=8)),
}
"""How long a span is, and how long one part of it."""


@dataclass(frozen=True)
class Part:
    """The readings of one part of the time: from the first to the last, the lowest and the highest, how many."""

    first: datetime
    last: datetime
    lowest: int
    highest: int
    count: int


@dataclass(frozen=True)
class Outside:
    """An excursion as far as it lies in the time; `until` None: it is not over."""

    code: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Series:
    """One measure of one place over a time."""

    measure: Measure
    since: datetime
    until: datetime
    parts: list[Part]
    gaps: list[tuple[datetime, datetime]]
    outside: list[Outside]
    limits: PlaceLimits


def gaps_of(parts: Sequence[Part], since: datetime, until: datetime, longest: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the times of more than `longest` in which nothing was read. Pure.

    Nothing is said of a place between two readings: what is drawn through a gap would look like a measurement.
    """
    if not parts:
        return [(since, until)]
    ends = [(since, parts[0].first), *((one.last, next_one.first) for one, next_one in pairwise(parts)), (parts[-1].last, until)]
    return [(start, end) for start, end in ends if end - start > longest]


def _outside_in(code: str, measure: Measure) -> ColumnElement[bool]:
    """Of an excursion of a container: this measure was outside in it. A warm tank says nothing of its level."""
    return exists().where(
        reading.c.container_code == code,
        reading.c.kind == measure,
        reading.c.outside.is_not(None),
        reading.c.withdrawn_at.is_(None),
        reading.c.at.between(excursion.c.began_at, excursion.c.last_at),
    )


def series_of(session: Session, actor: Actor, code: str, measure: Measure, span: Span, until: datetime) -> Series:
    """Return what a container read in the span that ends at `until`; withdrawn readings are left out. Raises NotFound."""
    get_container(session, actor, code)
    long, part = SPANS[span]
    since = until - long
    number = func.floor(func.extract("epoch", reading.c.at) / part.total_seconds())
    rows = session.execute(
        select(
            func.min(reading.c.at).label("first"),
            func.max(reading.c.at).label("last"),
            func.min(reading.c.value).label("lowest"),
            func.max(reading.c.value).label("highest"),
            func.count().label("rows"),
        )
        .where(
            reading.c.container_code == code,
            reading.c.kind == measure,
            reading.c.withdrawn_at.is_(None),
            reading.c.at.between(since, until),
        )
        .group_by(number)
        .order_by(number)
    )
    parts = [Part(row.first, row.last, row.lowest, row.highest, row.rows) for row in rows]
    around = session.execute(
        select(excursion.c.code, excursion.c.began_at, excursion.c.ended_at)
        .where(
            excursion.c.container_code == code,
            excursion.c.annulled_at.is_(None),
            excursion.c.began_at <= until,
            excursion.c.ended_at.is_(None) | (excursion.c.ended_at >= since),
            _outside_in(code, measure),
        )
        .order_by(excursion.c.began_at)
    )
    return Series(
        measure,
        since,
        until,
        parts,
        gaps_of(parts, since, until, 2 * part),
        [Outside(row.code, row.began_at, row.ended_at) for row in around],
        limits_of_place(session, code),
    )
