"""A logger's file as readings of a container: uploaded whole, kept as it is, hashed by us, one event for all its rows."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import RowMapping, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.chronology import BeforeItExisted
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import AHEAD, Circumstances, ImplausibleTime, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import AlreadyExists
from biobank.foundation.from_above import FromAbove
from biobank.foundation.kept_files import FileHash
from biobank.foundation.paging import Listed
from biobank.monitoring.events import LoggerFileRecorded
from biobank.monitoring.excursions import Cause, Followed
from biobank.monitoring.following import follow
from biobank.monitoring.judging import (
    PACE_OVER,
    PACE_WITHIN,
    Before,
    Doubt,
    Measure,
    Outside,
    Read,
    doubt_of,
    outside_of,
    require_level,
)
from biobank.monitoring.logger_use import place_of_file, require_stayed
from biobank.monitoring.loggers import Dates, Logged, LoggerFile, read_logger
from biobank.monitoring.models import logger_file, reading
from biobank.monitoring.paces import judge_paces
from biobank.monitoring.readings import ImplausibleReading
from biobank.storage.limits import PlaceLimits
from biobank.storage.limits_then import limits_over
from biobank.storage.queries import get_container
from biobank.transparency.models import event as _event

SHOWN = 100
"""Codes and gaps in one answer; the excursion and the chart show them all."""


class LoggerFileKnown(AlreadyExists):
    """The readings of this very file stand in the bank."""

    code = "logger_file_known"
    title = "This file was read already"


kept_file: FromAbove[Callable[[Session, Act, str], bytes]] = FromAbove("quality")
"""The bytes of a stored file by its hash; raises that no file has it, or that the actor may not read it."""


class RecordLoggerFile(Circumstances):
    """A stored file (POST /attachments) of the logger in a container, and what the file itself leaves open."""

    logger_sha256: FileHash = Field(description="SHA-256 that POST /attachments answered.")
    zone: Annotated[str, Field(min_length=1, max_length=60)] | None = Field(
        default=None, description="Of its times, where the file names none: Europe/Vienna, UTC+01:00."
    )
    dates: Dates | None = Field(default=None, description="How 03/04 is to be read, where the file leaves it open.")
    confirmed: bool = Field(default=False, description="Values were asked back as hardly possible, and they are so.")
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Quality's, where the file takes specimens out of an excursion."
    )


class Gap(BaseModel):
    """A time in which the logger should have read and did not."""

    since: AwareDatetime
    until: AwareDatetime


class LoggerFilePublic(BaseModel):
    """A file that was read: of which logger and place, from when to when, how many values, how many of them outside."""

    sha256: str
    container: str
    serial: str | None
    zone: str
    values: int
    outside: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    recorded_at: AwareDatetime


class LoggerFileAnswer(LoggerFilePublic):
    """What reading it did."""

    status: Literal["recorded"] = "recorded"
    unread: int = Field(description="Rows in which the logger says that it read nothing.")
    gaps: list[Gap] = Field(description="The first hundred.")
    excursions: list[str] = Field(description="Excursions that it opened or changed.")
    added: int = Field(description="Specimens that came into their sets.")
    removed: int = Field(description="Specimens that are no longer in them.")
    held: list[str] = Field(description="Of those that came in, the first hundred.")
    receipt: str


class LoggerFileList(Listed[LoggerFilePublic]):
    """Files of a container, the latest first."""


@dataclass(frozen=True)
class Judged:
    """A value with what it means; `fresh`: it is of the file, not known before."""

    at: datetime
    value: int
    outside: Outside | None
    fresh: Logged | None = None
    doubt: Doubt | None = None


def judged(
    measure: Measure, rows: Sequence[Logged], known: Sequence[Judged], limits_at: Callable[[datetime], PlaceLimits]
) -> list[Judged]:
    """Judge the values of one measure among those known before, in the order of their time, each by the limits then. Pure."""
    merged = sorted([*known, *(Judged(one.at, one.value, None, one) for one in rows)], key=lambda one: one.at)
    times = [one.at for one in merged]

    def read_at(index: int) -> Read | None:
        return Read(merged[index].value, times[index]) if index >= 0 else None

    found = []
    for one in merged:
        if one.fresh is None:
            found.append(one)
            continue
        pace = bisect_right(times, one.at - PACE_OVER[measure]) - 1
        near = pace >= 0 and times[pace] >= one.at - PACE_WITHIN
        before = Before(read_at(bisect_left(times, one.at) - 1), read_at(pace) if near else None)
        now, limits = Read(one.value, one.at), limits_at(one.at)
        outside, doubt = outside_of(measure, now, before, limits), doubt_of(measure, now, before, limits)
        found.append(Judged(one.at, one.value, outside, one.fresh, doubt))
    return found


def turns(found: Sequence[Judged]) -> list[Judged]:
    """Return the fresh values at which an excursion can begin, end or go on otherwise than known before. Pure."""
    fresh = [one for one in found if one.fresh is not None]
    turning = [
        one
        for index, one in enumerate(found)
        if one.fresh is not None and (index == 0 or (found[index - 1].outside is None) != (one.outside is None))
    ]
    return sorted({one.at: one for one in (*fresh[:1], *turning, *fresh[-1:])}.values(), key=lambda one: one.at)


def record_logger_file(session: Session, act: Act, code: str, request: RecordLoggerFile, data: bytes) -> LoggerFileAnswer:
    """Record every value of a file, whose bytes are `data`. Outside the limits: everything that was inside then is held.

    Raises NotFound, NotPermitted, LoggerFileKnown, LoggerOfAJourney, ImplausibleTime, BeforeItExisted, ImplausibleReading, what
    `read_logger` raises, and what `following.follow` raises.
    """
    place = get_container(session, act.actor, code, lock=True)
    act.require(Permission.STORAGE_RECORD, at=place.site_code)
    file = read_logger(data, zone=request.zone, dates=request.dates)
    known = place_of_file(session, file.sha256)
    if known is not None:
        raise LoggerFileKnown(f"This file was read already, as readings of {known}.", subject=known)
    require_stayed(session, file.sha256, code)
    first, last = file.readings[0].at, file.readings[-1].at
    _require_possible(session, act, code, file)
    limits = limits_over(session, code, first, last)
    if any(one.measure == "level_ppm" for one in file.readings):
        require_level(code, limits(first))
    found: dict[Measure, list[Judged]] = {}
    for measure in sorted({one.measure for one in file.readings}):
        rows = [one for one in file.readings if one.measure == measure]
        found[measure] = judged(measure, rows, _known(session, code, measure, first, last), limits)
    fresh = [(measure, one, one.fresh) for measure, all_of in found.items() for one in all_of if one.fresh is not None]
    doubtful = [row.row for _measure, one, row in fresh if one.doubt is not None]
    if doubtful and not request.confirmed:
        named = ", ".join(str(row) for row in doubtful[:10])
        raise ImplausibleReading(
            f"{len(doubtful)} of its values can hardly be right: row {named}. Look at the logger. If it is so, confirm it.",
            subject=code,
            site=place.site_code,
            row=doubtful[0],
        )
    outside = sum(1 for _measure, one, _row in fresh if one.outside is not None)
    head = head_of(session, act, request, subject=None, site=place.site_code)
    event = LoggerFileRecorded(
        logger_sha256=file.sha256,
        serial=file.serial,
        zone=file.zone,
        values=len(fresh),
        outside=outside,
        doubtful=len(doubtful),
        gaps=len(file.gaps),
        first_at=rfc3339(first),
        last_at=rfc3339(last),
    )
    (done,) = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    session.execute(
        insert(reading),
        [
            {
                "event_hash": done.leaf_hash,
                "container_code": code,
                "kind": measure,
                "value": one.value,
                "at": one.at,
                "outside": one.outside,
                "confirmed": one.doubt is not None,
            }
            for measure, one, _row in fresh
        ],
    )
    kept = {
        "sha256": file.sha256,
        "container_code": code,
        "event_hash": done.leaf_hash,
        "serial": file.serial,
        "zone": file.zone,
        "value_count": len(fresh),
        "outside_count": outside,
        "first_at": first,
        "last_at": last,
        "recorded_at": act.at,
    }
    session.execute(insert(logger_file).values(kept))
    whole, cause = Followed(), Cause(act, head, done, request.signature)
    for measure, all_of in found.items():
        for one in turns(all_of):
            whole.add(follow(session, cause, code, measure, one.at, outside=one.outside is not None))
        judge_paces(session, cause, code, measure, (first, last), None, whole)
    return LoggerFileAnswer(
        **_public(kept).model_dump(),
        unread=file.unread,
        gaps=[Gap(since=since, until=until) for since, until in file.gaps[:SHOWN]],
        excursions=sorted(set(whole.excursions)),
        added=len(whole.added),
        removed=len(whole.removed),
        held=sorted(whole.added)[:SHOWN],
        receipt=acknowledge(act, [done, *whole.appended]),
    )


def _require_possible(session: Session, act: Act, code: str, file: LoggerFile) -> None:
    """Raise unless every row lies in the time that the place has existed, and none ahead of the bank's clock."""
    first, last = file.readings[0], file.readings[-1]
    if last.at - act.at > AHEAD:
        raise ImplausibleTime(
            f"Row {last.row} lies ahead of the bank's clock, at {rfc3339(last.at)}. Look at the zone and at the logger's clock.",
            row=last.row,
        )
    began = session.execute(
        select(_event.c.occurred_at).where(
            _event.c.stream_kind == StreamKind.CONTAINER.value, _event.c.stream_id == code, _event.c.seq == 1
        )
    ).scalar()
    if began is not None and first.at < began:
        raise BeforeItExisted(
            f"Row {first.row} is of {rfc3339(first.at)}, before {code} was set up at {rfc3339(began)}.",
            subject=code,
            row=first.row,
        )


def _known(session: Session, code: str, measure: Measure, first: datetime, last: datetime) -> list[Judged]:
    rows = session.execute(
        select(reading.c.at, reading.c.value, reading.c.outside)
        .where(
            reading.c.container_code == code,
            reading.c.kind == measure,
            reading.c.withdrawn_at.is_(None),
            reading.c.sensor_code.is_(None),  # a probe of its own place says nothing about the pace of this logger
            reading.c.at.between(first - PACE_WITHIN, last),
        )
        .order_by(reading.c.at, reading.c.id)
    )
    return [Judged(row.at, row.value, row.outside) for row in rows]


def logger_files_of(session: Session, actor: Actor, code: str) -> LoggerFileList:
    """Return the files that were read as readings of a container, the latest first. Raises NotFound."""
    get_container(session, actor, code)
    rows = session.execute(
        select(logger_file).where(logger_file.c.container_code == code).order_by(logger_file.c.recorded_at.desc()).limit(200)
    )
    return LoggerFileList(items=[_public(row) for row in rows.mappings()])


def _public(row: Mapping[str, Any] | RowMapping) -> LoggerFilePublic:
    """Return a row of the table as it travels."""
    named = {"container": row["container_code"], "values": row["value_count"], "outside": row["outside_count"]}
    same = ("sha256", "serial", "zone", "first_at", "last_at", "recorded_at")
    return LoggerFilePublic(**named, **{name: row[name] for name in same})
