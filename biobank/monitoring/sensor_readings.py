"""What sensors send: judged, recorded and acted on by the same functions as a person's reading.

A sensor cannot be asked back. A value that can hardly be right, or would take specimens out of an excursion, is kept apart, acts
on nothing and raises an alarm, until a person says whether it is so.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import READER, Actor
from biobank.auth.permissions import Permission
from biobank.custody.entry import Head
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import AHEAD, NOW, Circumstances, ImplausibleTime, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotPermitted, NotSignedIn, Refusal, TooManyAttempts, raise_first
from biobank.monitoring.events import SensorValueDoubted, SensorValuesAnswered
from biobank.monitoring.judging import Read, SensorDoubt
from biobank.monitoring.models import reading, sensor, sensor_doubt, sensor_place
from biobank.monitoring.readings import Kept, Said, judge, keep_reading, record_reading
from biobank.monitoring.schemas import ReadingCreate
from biobank.monitoring.sensor_schemas import (
    AnswerSensorDoubts,
    SensorDoubtsAnswered,
    SensorReading,
    SensorReadings,
    SensorReadingsAnswer,
)
from biobank.monitoring.sensors import DOUBTS_SHOWN, get_sensor, key_hash, open_doubts, record_about
from biobank.storage.queries import get_container

OLDEST: Final = timedelta(days=7)
"""How far back a sensor may send what it kept. Ours, not from a source; what is older comes as a logger's file, with a person."""
APART: Final = timedelta(seconds=1)
"""A sensor sends at most once in this time. Ours, not from a source."""


class SensorKeyUnknown(NotSignedIn):
    """The key belongs to no sensor, or not any more."""

    code = "sensor_key_unknown"
    title = "Unknown key"
    challenge = "Sensor-Key"


class NotOfThisSensor(NotPermitted):
    """A sensor reads its own places and what it was set up to read of them."""

    code = "not_of_this_sensor"
    title = "Not a place of this sensor"


class SensorValueDiffers(Conflict):
    """A sensor sent another value for an instant before."""

    code = "sensor_value_differs"
    title = "Another value was sent before"


class NoDoubtLeft(Conflict):
    """No value of this sensor waits for an answer."""

    code = "no_doubt_left"
    title = "Nothing to answer"


def sensor_of_key(session: Session, key: str | None, *, lock: bool = False) -> Any:
    """Return the sensor whose key this is; raise SensorKeyUnknown, for any other text in the same words."""
    if key:
        statement = select(sensor).where(sensor.c.key_sha256 == key_hash(key))
        row = session.execute(locked(statement, sensor) if lock else statement).first()
        if row is not None:
            return row
    raise SensorKeyUnknown("Send the key of a sensor in the header `Sensor-Key`.")


def post_readings(session: Session, act: Act, request: SensorReadings) -> SensorReadingsAnswer:
    """Record what a sensor read; all of it or nothing. `act` is the sensor's, whose row the caller has locked.

    Raises TooManyAttempts, NotOfThisSensor, ImplausibleTime, SensorValueDiffers.
    """
    row = session.execute(select(sensor).where(sensor.c.code == act.actor.code)).one()
    if row.last_post_at is not None and act.at - row.last_post_at < APART:
        raise TooManyAttempts("A sensor sends at most once a second. Put what it read since then into one call.", retry_after_s=1)
    values = sorted(
        (one.model_copy(update={"container": one.container.upper()}) for one in request.readings),
        key=lambda one: (one.at, one.container, one.reading),
    )
    _require_own(session, row, values)
    _require_possible(act, row, values)
    for container in sorted({one.container for one in values}):
        get_container(session, READER, container, lock=True)
    head = head_of(session, act, NOW, subject=None, site=row.site_code)
    appended: list[Appended] = []
    excursions: set[str] = set()
    recorded = known = doubted = 0
    for one in values:
        earlier = _sent_before(session, row.code, one)
        if earlier is not None and earlier != one.value:
            raise SensorValueDiffers(
                f"For {rfc3339(one.at)} this sensor sent another value of {one.container} before. Look at its clock.",
                subject=one.container,
            )
        if earlier is not None:
            known += 1
            continue
        said = judge(session, one.container, one.reading, Read(one.value, one.at), row.code)
        at = replace(head, occurred_at=one.at)
        kept = None if said.doubt is not None else _keep(session, act, at, one.container, said, row.code)
        if kept is not None:
            appended += [kept.event, *kept.followed.appended]
            excursions.update(kept.followed.excursions)
            recorded += 1
        else:
            appended += _keep_apart(session, at, one.container, said, row.code, said.doubt or "would_free")
            doubted += 1
    _heard(session, act, row.code, values)
    return SensorReadingsAnswer(
        recorded=recorded,
        known=known,
        doubted=doubted,
        excursions=sorted(excursions),
        receipt=acknowledge(act, appended) if appended else None,
    )


def _require_own(session: Session, row: Any, values: Iterable[SensorReading]) -> None:
    of = sensor_place.c
    rows = session.execute(select(of.container_code, of.measure, of.since).where(of.sensor_code == row.code))
    own = {(one.container_code, one.measure): one.since for one in rows}
    for one in values:
        if (one.container, one.reading) not in own:
            raise NotOfThisSensor(
                "This sensor does not read that there. Two people change what it reads, on its page.",
                subject=one.container,
                site=row.site_code,
            )
        since = own[one.container, one.reading]
        if one.at < since:
            said = f"This sensor reads {one.container} since {rfc3339(since)}. Before that it was elsewhere."
            raise ImplausibleTime(said, subject=one.container)


def _require_possible(act: Act, row: Any, values: Iterable[SensorReading]) -> None:
    for one in values:
        if one.at - act.at > AHEAD:
            raise ImplausibleTime(
                f"{rfc3339(one.at)} lies ahead of the bank's clock ({rfc3339(act.at)}). Check the clock of the sensor.",
                subject=row.code,
            )
        if one.at < max(row.made_at, act.at - OLDEST):
            raise ImplausibleTime(
                f"{rfc3339(one.at)} is more than {OLDEST.days} days back, or before the sensor was made. "
                "Such values come as a logger's file.",
                subject=row.code,
            )


def _sent_before(session: Session, code: str, one: SensorReading) -> int | None:
    """Return the value that the sensor sent for this instant before, recorded or kept apart."""
    its, apart = reading.c, sensor_doubt.c
    same = [its.sensor_code == code, its.container_code == one.container, its.kind == one.reading, its.at == one.at]
    also = [apart.sensor_code == code, apart.container_code == one.container, apart.measure == one.reading, apart.at == one.at]
    found: int | None = session.execute(select(its.value).where(*same).union_all(select(apart.value).where(*also))).scalar()
    return found


def _keep(session: Session, act: Act, head: Head, container: str, said: Said, code: str) -> Kept | None:
    """Record a value that can be right and let it act; None, and no trace, where it would take specimens out of an excursion.

    A good value that comes late may do that. It takes a person of quality who signs, not an instrument.
    """
    try:
        with session.begin_nested():
            return keep_reading(session, act, head, container, said, sensor=code)
    except NotPermitted:
        return None


def _keep_apart(session: Session, head: Head, container: str, said: Said, code: str, why: SensorDoubt) -> list[Appended]:
    event = SensorValueDoubted(sensor=code, reading=said.measure, value=said.read.value, doubt=why)
    done = append(session, [Fact(StreamKind.CONTAINER, container, event, head)])
    session.execute(
        insert(sensor_doubt).values(
            sensor_code=code,
            container_code=container,
            measure=said.measure,
            value=said.read.value,
            at=said.read.at,
            doubt=why,
            event_hash=done[0].leaf_hash,
        )
    )
    return done


def _heard(session: Session, act: Act, code: str, values: Iterable[SensorReading]) -> None:
    """Write the time of its latest values: a sensor that repeats an old one is as silent as one that says nothing."""
    latest: dict[tuple[str, str], datetime] = {}
    for one in values:
        latest[one.container, one.reading] = min(one.at, act.at)
    of = sensor_place.c
    for (container, measure), at in sorted(latest.items()):
        session.execute(
            update(sensor_place)
            .where(of.sensor_code == code, of.container_code == container, of.measure == measure)
            .values(last_at=func.greatest(of.last_at, at))
        )
    session.execute(update(sensor).where(sensor.c.code == code).values(last_post_at=act.at))


def answering_refusals(actor: Actor, row: Any, waiting: int) -> list[Refusal]:
    """Return why the actor may not answer the doubtful values of a sensor."""
    refusal = actor.refusal(Permission.STORAGE_RECORD, at=row.site_code, subject=row.code)
    none = NoDoubtLeft("No value of this sensor waits for an answer.", subject=row.code)
    return [*([] if refusal is None else [refusal]), *([] if waiting else [none])]


def answer_doubts(session: Session, act: Act, code: str, request: AnswerSensorDoubts) -> SensorDoubtsAnswered:
    """Answer the doubtful values of a sensor that wait, the earliest hundred. Those that are so become readings of this person.

    Raises NotFound, NotPermitted, NoDoubtLeft, and what `record_reading` raises.
    """
    row = get_sensor(session, act.actor, code, lock=True)
    doubts = open_doubts(session, code, DOUBTS_SHOWN)
    raise_first(answering_refusals(act.actor, row, len(doubts)))
    excursions: set[str] = set()
    for one in doubts if request.answer == "right" else ():
        made = record_reading(session, act, one.container_code, _as_read(one, request))
        excursions.update(made.excursions)
    event = SensorValuesAnswered(
        sensor=code,
        answer=request.answer,
        values=len(doubts),
        first_at=rfc3339(doubts[0].at),
        last_at=rfc3339(doubts[-1].at),
    )
    done = record_about(session, act, code, event, Circumstances(reason_text=request.reason_text), site=row.site_code)
    session.execute(
        update(sensor_doubt)
        .where(sensor_doubt.c.id.in_([one.id for one in doubts]))
        .values(answer=request.answer, answered_event=done.leaf_hash)
    )
    left = session.execute(
        select(func.count()).where(sensor_doubt.c.sensor_code == code, sensor_doubt.c.answer.is_(None))
    ).scalar_one()
    return SensorDoubtsAnswered(answered=len(doubts), left=left, excursions=sorted(excursions), receipt=acknowledge(act, [done]))


def _as_read(one: Any, request: AnswerSensorDoubts) -> ReadingCreate:
    return ReadingCreate.model_validate(
        {
            "reading": one.measure,
            "value": one.value,
            "confirmed": True,
            "occurred_at": one.at,
            "late_entry": True,
            "reason_text": request.reason_text,
            "signature": request.signature,
        }
    )
