"""Recording what a place read, by hand or by instrument."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.entry import Head
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.terms import words
from biobank.monitoring.events import ReadingRecorded, ReadingWithdrawn
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
from biobank.monitoring.models import reading
from biobank.monitoring.paces import judge_paces
from biobank.monitoring.schemas import ReadingCreate, ReadingList, ReadingPublic, WithdrawReading
from biobank.storage.limits_then import limits_of_place_then
from biobank.storage.queries import get_container


class ImplausibleReading(Conflict):
    """The value can hardly be right. Sent again with `confirmed` it is recorded and acts."""

    code = "implausible_reading"
    title = "Can that be right?"


NAMED = 1000
"""Codes in one answer; the excursion itself lists them all."""
_WHY = {
    "another_unit": "It would be within the limits in another unit: °C typed for thousandths, or percent for millionths.",
    "impossible_value": "Nothing that holds cells is that cold or that warm.",
    "impossible_jump": "No tank changes that fast since the last reading.",
}

# Two probes of one tank stand at two temperatures: each is compared with itself, and with what a person confirmed of it.
_BEFORE = text(
    """
    WITH own AS (
        SELECT id, value, at FROM storage_reading
        WHERE container_code = :code AND kind = :kind AND withdrawn_at IS NULL
          AND (sensor_code IS NOT DISTINCT FROM CAST(:sensor AS text) OR sensor_code IS NULL AND confirmed)
    )
    (SELECT value, at, 'last' AS what FROM own WHERE at < :at ORDER BY at DESC, id DESC LIMIT 1)
    UNION ALL
    (SELECT value, at, 'for_pace' FROM own WHERE at <= :until AND at >= :since ORDER BY at DESC, id DESC LIMIT 1)
    """
)


def before(session: Session, code: str, measure: Measure, at: datetime, sensor: str | None) -> Before:
    """Return what a sensor, or where `sensor` is None people and files, read before `at`."""
    given = {
        "code": code,
        "kind": measure,
        "sensor": sensor,
        "at": at,
        "until": at - PACE_OVER[measure],
        "since": at - PACE_WITHIN,
    }
    return Before(**{row.what: Read(row.value, row.at) for row in session.execute(_BEFORE, given)})


def record_reading(session: Session, act: Act, code: str, request: ReadingCreate, *, alone: bool = True) -> ReadingPublic:
    """Record a temperature or a level. Outside the limits: everything that was inside then is held at once.

    `alone`: False where it replaces a reading that is withdrawn next; then what was read after both is judged anew there.

    Raises NotFound, NotPermitted, NoLevelHere, ImplausibleReading, what `following.follow` raises, and what is wrong with the
    time.
    """
    row = get_container(session, act.actor, code, lock=True)
    act.require(Permission.STORAGE_RECORD, at=row.site_code)
    head = head_of(session, act, request, subject=None, site=row.site_code)
    if request.reading == "level_ppm":
        require_level(code, limits_of_place_then(session, code, head.occurred_at))
    said = judge(session, code, request.reading, Read(request.value, head.occurred_at))
    if said.doubt is not None and not request.confirmed:
        raise ImplausibleReading(
            f"{_WHY[said.doubt]} Read it again. If it is so, confirm it.",
            subject=code,
            site=row.site_code,
            doubt=said.doubt,
        )
    return _answer(act, keep_reading(session, act, head, code, said, signature=request.signature, alone=alone))


@dataclass(frozen=True)
class Kept:
    """A reading's row after an act on it, what was appended for it, and what followed."""

    row: "Row[Any]"
    event: Appended
    followed: Followed


@dataclass(frozen=True)
class Said:
    """A value of a measure with what it says: in what it lies outside the limits, why it can hardly be right."""

    measure: Measure
    read: Read
    outside: Outside | None
    doubt: Doubt | None


def judge(session: Session, code: str, measure: Measure, now: Read, sensor: str | None = None) -> Said:
    """Say what a value of a container says after what the same source read before it, by what it might read then.

    Whoever read it, it is judged here.
    """
    limits, earlier = limits_of_place_then(session, code, now.at), before(session, code, measure, now.at, sensor)
    return Said(measure, now, outside_of(measure, now, earlier, limits), doubt_of(measure, now, earlier, limits))


def keep_reading(
    session: Session,
    act: Act,
    head: Head,
    code: str,
    said: Said,
    *,
    signature: str | None = None,
    sensor: str | None = None,
    alone: bool = True,
) -> Kept:
    """Record a value that was judged, and let it act: outside the limits, everything that was inside then is held.

    Where it comes late, the pace of what was read after it is judged anew (`alone`: see `record_reading`).

    Raises what `following.follow` raises.
    """
    event = ReadingRecorded(reading=said.measure, value=said.read.value, outside=said.outside, doubt=said.doubt)
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    made = session.execute(
        insert(reading)
        .values(
            event_hash=done[0].leaf_hash,
            container_code=code,
            kind=said.measure,
            value=said.read.value,
            at=said.read.at,
            outside=said.outside,
            confirmed=said.doubt is not None,
            sensor_code=sensor,
        )
        .returning(reading)
    ).one()
    cause = Cause(act, head, done[0], signature)
    followed = follow(session, cause, code, said.measure, said.read.at, outside=said.outside is not None, source=sensor)
    if alone:
        judge_paces(session, cause, code, said.measure, (said.read.at, said.read.at), sensor, followed)
    return Kept(made, done[0], followed)


def _answer(act: Act, kept: Kept) -> ReadingPublic:
    followed = kept.followed
    return public(kept.row).model_copy(
        update={
            "held": sorted(followed.added)[:NAMED],
            "excursions": followed.excursions,
            "added": len(followed.added),
            "removed": len(followed.removed),
            "receipt": acknowledge(act, [kept.event, *followed.appended]),
        }
    )


class AlreadyWithdrawn(Conflict):
    """The reading counts for nothing already."""

    code = "already_withdrawn"
    title = "Withdrawn already"


def get_reading(session: Session, code: str, reading_id: int, *, lock: bool = False) -> "Row[Any]":
    """Return the row of a reading of a container; raise NotFound."""
    known = select(reading).where(reading.c.id == reading_id, reading.c.container_code == code)
    row = session.execute(known.with_for_update() if lock else known).first()
    if row is None:
        raise NotFound(f"There is no such reading of {code}.", subject=code)
    return row


def withdrawing_refusals(row: "Row[Any]") -> list[Refusal]:
    """Return why a reading cannot be taken back."""
    gone = AlreadyWithdrawn("This reading was withdrawn already.", subject=row.container_code)
    return [] if row.withdrawn_at is None else [gone]


def withdraw_reading(session: Session, act: Act, code: str, reading_id: int, request: WithdrawReading) -> ReadingPublic:
    """Take back a reading that was wrong. It stays on record; excursions around it are reckoned anew.

    What it should have been comes first, so that nothing is freed in between.
    Raises NotFound, NotPermitted, AlreadyWithdrawn, ImplausibleReading, what `following.follow` raises.
    """
    place = get_container(session, act.actor, code, lock=True)
    act.require(Permission.STORAGE_RECORD, at=place.site_code)
    row = get_reading(session, code, reading_id, lock=True)
    raise_first(withdrawing_refusals(row))
    if request.value is not None:
        right = ReadingCreate.model_validate(
            {
                "reading": row.kind,
                "value": request.value,
                "confirmed": request.confirmed,
                "occurred_at": row.at,
                "late_entry": True,
                "reason_text": request.reason_text or words(request.reason),
            }
        )
        record_reading(session, act, code, right, alone=False)
    head = head_of(session, act, request, subject=None, site=place.site_code, relies_on=(bytes(row.event_hash),))
    event = ReadingWithdrawn(recorded=bytes(row.event_hash).hex(), reason=request.reason, reading=row.kind, at=rfc3339(row.at))
    done = append(session, [Fact(StreamKind.CONTAINER, code, event, head)])
    session.execute(
        update(reading).where(reading.c.id == reading_id).values(withdrawn_at=head.recorded_at, withdrawn_event=done[0].leaf_hash)
    )
    cause = Cause(act, head, done[0], request.signature)
    followed = follow(session, cause, code, row.kind, row.at, outside=False, source=row.sensor_code)
    source = row.sensor_code if request.value is None else None
    judge_paces(session, cause, code, row.kind, (row.at, row.at), source, followed)
    gone = session.execute(select(reading).where(reading.c.id == reading_id)).one()
    return _answer(act, Kept(gone, done[0], followed))


def public(row: "Row[Any]") -> ReadingPublic:
    """Return a row as it travels."""
    return ReadingPublic(
        id=row.id,
        container=row.container_code,
        reading=row.kind,
        value=row.value,
        at=row.at,
        excursion=row.outside is not None,
        outside=row.outside,
        confirmed=row.confirmed,
        sensor=row.sensor_code,
        withdrawn_at=row.withdrawn_at,
    )


def readings_of(session: Session, actor: Actor, code: str, limit: int = 200) -> ReadingList:
    """Return the readings of a container, newest first."""
    get_container(session, actor, code)
    rows = session.execute(
        select(reading).where(reading.c.container_code == code).order_by(reading.c.at.desc(), reading.c.id.desc()).limit(limit)
    ).all()
    return ReadingList(items=[public(row) for row in rows])
