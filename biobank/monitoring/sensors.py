"""Accounts of instruments: made, given a key, changed and withdrawn by people; each opens one call and nothing else.

An account is made without a key, so nothing can be sent under it. Its key, a change of what it reads and its end take two people
of quality or administration at its site. Who completes the grant of a key draws it, once; only its SHA-256 is kept.
"""

import hashlib
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed, two_person
from biobank.auth import machine_keys
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, Circumstances, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import AlreadyExists, Conflict, NotFound, Refusal, raise_first
from biobank.foundation.names import name_key
from biobank.foundation.paging import Paging, read_page
from biobank.monitoring.events import SensorChanged, SensorKeyDrawn, SensorKeyGranted, SensorMade, SensorWithdrawn
from biobank.monitoring.judging import require_level
from biobank.monitoring.models import sensor, sensor_doubt, sensor_place
from biobank.monitoring.sensor_schemas import (
    ChangeSensor,
    DrawnKey,
    GrantSensorKey,
    MakeSensor,
    SensorAnswer,
    SensorDetail,
    SensorDoubtPublic,
    SensorList,
    SensorPlacePublic,
    SensorPublic,
    WithdrawSensor,
)
from biobank.people.service import people_of
from biobank.storage.limits import limits_of_place
from biobank.storage.queries import get_container

AGREED = "I have compared this with the instrument and the places it stands in, and agree."
SEEING = (Permission.SPECIMEN_READ, Permission.SENSOR_MANAGE)
ORDERS = {"made_at": sensor.c.made_at, "name": sensor.c.name}


class SensorsOfTwoSites(Conflict):
    """One sensor reads places of one site."""

    code = "sensor_of_two_sites"
    title = "Places of two sites"


class SensorWithdrawnAlready(Conflict):
    """The account is over."""

    code = "sensor_withdrawn"
    title = "Withdrawn"


def key_hash(key: str) -> bytes:
    """Return what is kept of a key. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


def get_sensor(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return a sensor's row; raise NotFound when the actor may not know of it."""
    statement = select(sensor).where(sensor.c.code == code)
    row = session.execute(locked(statement, sensor) if lock else statement).first()
    if row is None or not actor.scope(*SEEING).covers(row.site_code):
        raise NotFound(f"There is no sensor {code} that you may see.", subject=code)
    return row


def managing_refusals(actor: Actor, row: "Row[Any]") -> list[Refusal]:
    """Return why the actor may not give this sensor a key, change or withdraw it."""
    refusal = actor.refusal(Permission.SENSOR_MANAGE, at=row.site_code, subject=row.code)
    over = SensorWithdrawnAlready("This sensor was withdrawn. Make a new one.", subject=row.code)
    return [*([] if refusal is None else [refusal]), *([] if row.withdrawn_at is None else [over])]


def drawing_refusals(actor: Actor, row: "Row[Any]", at: datetime) -> list[Refusal]:
    """Return why the actor may not draw the key of this sensor at `at`."""
    return [*managing_refusals(actor, row), *machine_keys.nothing_to_draw(actor, row, at)]


def make_sensor(session: Session, act: Act, request: MakeSensor) -> SensorAnswer:
    """Make an account without a key. Raises NotFound, NotPermitted, SensorsOfTwoSites, AlreadyExists."""
    containers = _places(session, act, request.containers)
    (site,) = {row.site_code for row in containers}
    act.require(Permission.SENSOR_MANAGE, at=site)
    taken = session.execute(select(sensor.c.code).where(sensor.c.name_key == name_key(request.name))).scalar()
    if taken is not None:
        raise AlreadyExists(f"{taken} has this name, or one that looks like it. Choose another.", subject=taken)
    code = new_code(session, "SE")
    session.execute(
        insert(sensor).values(
            code=code,
            name=request.name,
            name_key=name_key(request.name),
            site_code=site,
            silent_after_min=request.silent_after_min,
            made_at=act.at,
        )
    )
    _keep_places(session, act, code, request.containers, request.measures)
    event = SensorMade(
        sensor=code,
        site=site,
        containers=tuple(sorted(request.containers)),
        measures=tuple(sorted(request.measures)),
        silent_after_min=request.silent_after_min,
    )
    return _recorded(session, act, code, site, event)


@two_person("sensor.change", "Change what a sensor reads", AGREED, ChangeSensor)
def change_sensor(session: Session, act: Act, code: str, request: ChangeSensor) -> SensorAnswer | Proposed:
    """Change what a sensor reads and after how long its silence is an alarm, by two people.

    Raises NotFound, NotPermitted, SensorWithdrawnAlready, SensorsOfTwoSites, and what signatures and two-person acts raise.
    """
    row = _managed(session, act, code)
    places = _places(session, act, request.containers)
    if {place.site_code for place in places} != {row.site_code}:
        raise SensorsOfTwoSites(f"{code} reads places of {row.site_code} only.", subject=code)
    body = {
        "containers": sorted(request.containers),
        "measures": sorted(request.measures),
        "silent_after_min": request.silent_after_min,
    }
    step = _two_people(session, act, "sensor.change", row, body, request)
    if isinstance(step, Proposed):
        return step
    session.execute(update(sensor).where(sensor.c.code == code).values(silent_after_min=request.silent_after_min))
    _keep_places(session, act, code, request.containers, request.measures)
    return _recorded(session, act, code, row.site_code, SensorChanged(sensor=code, **body, **people_of(step)))


@two_person("sensor.grant_key", "Give a sensor a key", AGREED, GrantSensorKey)
def grant_key(session: Session, act: Act, code: str, request: GrantSensorKey) -> SensorAnswer | Proposed:
    """Grant a new key, by two people; the one who completes it draws it. The key before it works until then.

    Raises NotFound, NotPermitted, SensorWithdrawnAlready, and what signatures and two-person acts raise.
    """
    row = _managed(session, act, code)
    step = _two_people(session, act, "sensor.grant_key", row, {}, request)
    if isinstance(step, Proposed):
        return step
    session.execute(update(sensor).where(sensor.c.code == code).values(machine_keys.granted_to(act.actor, act.at)))
    return _recorded(session, act, code, row.site_code, SensorKeyGranted(sensor=code, **people_of(step)))


def draw_key(session: Session, act: Act, code: str) -> DrawnKey:
    """Make the granted key and show it, this once; the one before it opens nothing any more.

    Raises NotFound, NotPermitted, SensorWithdrawnAlready, NoKeyToDraw.
    """
    row = get_sensor(session, act.actor, code, lock=True)
    raise_first(drawing_refusals(act.actor, row, act.at))
    key = machine_keys.new_key(f"{code}.")
    session.execute(
        update(sensor)
        .where(sensor.c.code == code)
        .values(key_sha256=key_hash(key), keyed_at=act.at, last_post_at=None, **machine_keys.DRAWN)
    )
    drawn = SensorKeyDrawn(sensor=code, key_sha256=key_hash(key).hex())
    done = record_about(session, act, code, drawn, NOW, site=row.site_code)
    return DrawnKey(code=code, name=row.name, key=key, receipt=acknowledge(act, [done]))


@two_person("sensor.withdraw", "Withdraw a sensor", AGREED, WithdrawSensor, grave=True)
def withdraw_sensor(session: Session, act: Act, code: str, request: WithdrawSensor) -> SensorAnswer | Proposed:
    """End an account, by two people: its key opens nothing any more.

    Raises NotFound, NotPermitted, SensorWithdrawnAlready, and what signatures and two-person acts raise.
    """
    row = _managed(session, act, code)
    step = _two_people(session, act, "sensor.withdraw", row, {"reason": request.reason}, request)
    if isinstance(step, Proposed):
        return step
    over = {"withdrawn_at": act.at, "key_sha256": None, "keyed_at": None, **machine_keys.DRAWN}
    session.execute(update(sensor).where(sensor.c.code == code).values(over))
    event = SensorWithdrawn(sensor=code, reason=request.reason, **people_of(step))
    return _recorded(session, act, code, row.site_code, event)


def _managed(session: Session, act: Act, code: str) -> "Row[Any]":
    row = get_sensor(session, act.actor, code, lock=True)
    raise_first(managing_refusals(act.actor, row))
    return row


def _places(session: Session, act: Act, codes: list[str]) -> "list[Row[Any]]":
    found = [get_container(session, act.actor, code) for code in sorted(codes)]
    if len({row.site_code for row in found}) > 1:
        raise SensorsOfTwoSites("One sensor reads places of one site. Make one for each site.", subject=found[0].code)
    return found


def _keep_places(session: Session, act: Act, code: str, containers: list[str], measures: Any) -> None:
    wanted = {(container, measure) for container in containers for measure in measures}
    of = sensor_place.c
    known = {
        (row.container_code, row.measure)
        for row in session.execute(select(of.container_code, of.measure).where(of.sensor_code == code))
    }
    for container, measure in known - wanted:
        gone = and_(of.sensor_code == code, of.container_code == container, of.measure == measure)
        session.execute(delete(sensor_place).where(gone))
    for container, measure in sorted(wanted - known):
        if measure == "level_ppm":
            require_level(container, limits_of_place(session, container))
        named = {"sensor_code": code, "container_code": container, "measure": measure}
        session.execute(insert(sensor_place).values(named | {"since": act.at}))


def _two_people(session: Session, act: Act, name: str, row: Any, body: dict[str, Any], request: Any) -> Proposed | Completed:
    return two_sign(
        session,
        act,
        name,
        row.code,
        body,
        request,
        Permission.SENSOR_MANAGE,
        site=row.site_code,
    )


def record_about(session: Session, act: Act, code: str, event: Event, given: Circumstances, *, site: str) -> Appended:
    """Append an event to the stream of a sensor."""
    (done,) = append(session, [Fact(StreamKind.SYSTEM, code, event, head_of(session, act, given, subject=None, site=site))])
    return done


def _recorded(session: Session, act: Act, code: str, site: str, event: Event) -> SensorAnswer:
    done = record_about(session, act, code, event, NOW, site=site)
    return SensorAnswer(**read_sensor(session, act.actor, code).model_dump(), receipt=acknowledge(act, [done]))


def _states() -> dict[str, ColumnElement[bool]]:
    of = sensor.c
    return {
        "in_use": and_(of.withdrawn_at.is_(None), of.key_sha256.is_not(None)),
        "without_key": and_(of.withdrawn_at.is_(None), of.key_sha256.is_(None)),
        "withdrawn": of.withdrawn_at.is_not(None),
    }


STATES: Final = _states()


def _public(row: "Row[Any]", places: "list[Row[Any]]") -> SensorPublic:
    heard = [one.last_at for one in places if one.last_at is not None]
    state = "withdrawn" if row.withdrawn_at is not None else "without_key" if row.key_sha256 is None else "in_use"
    return SensorPublic(
        code=row.code,
        name=row.name,
        site=row.site_code,
        state=state,
        containers=sorted({one.container_code for one in places}),
        silent_after_min=row.silent_after_min,
        last_heard_at=max(heard, default=None),
        made_at=row.made_at,
        keyed_at=row.keyed_at,
        key_for=row.key_for,
        key_until=row.key_until,
        withdrawn_at=row.withdrawn_at,
    )


def _places_of(session: Session, codes: list[str]) -> "dict[str, list[Row[Any]]]":
    found: dict[str, list[Row[Any]]] = {code: [] for code in codes}
    of = sensor_place.c
    ordered = select(sensor_place).where(of.sensor_code.in_(codes)).order_by(of.container_code, of.measure)
    for row in session.execute(ordered) if codes else ():
        found[row.sensor_code].append(row)
    return found


def list_sensors(
    session: Session,
    actor: Actor,
    *,
    state: str | None = None,
    site: str | None = None,
    container: str | None = None,
    paging: Paging = Paging(),
) -> SensorList:
    """Return the sensors the actor may know of."""
    if not any(actor.may(permission, at=ANYWHERE) for permission in SEEING):
        actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    statement = select(sensor).where(actor.scope(*SEEING).of(sensor.c.site_code))
    if state is not None:
        statement = statement.where(STATES[state])
    if site is not None:
        statement = statement.where(sensor.c.site_code == site)
    if container is not None:
        here = select(sensor_place.c.sensor_code).where(sensor_place.c.container_code == container)
        statement = statement.where(sensor.c.code.in_(here))
    page = read_page(session, statement, paging, key=sensor.c.code, orders=ORDERS, default="-made_at")
    places = _places_of(session, [row.code for row in page.rows])
    return SensorList(items=[_public(row, places[row.code]) for row in page.rows], **page.ends)


DOUBTS_SHOWN: Final = 100


def read_sensor(session: Session, actor: Actor, code: str) -> SensorDetail:
    """Return one with what it reads and its values that wait for an answer. Raises NotFound."""
    return with_places(session, get_sensor(session, actor, code))


def with_places(session: Session, row: "Row[Any]") -> SensorDetail:
    """Return a sensor that was read, with what it reads and what waits for an answer, the first hundred."""
    places = _places_of(session, [row.code])[row.code]
    doubts = open_doubts(session, row.code, DOUBTS_SHOWN)
    return SensorDetail(
        **_public(row, places).model_dump(),
        reads=[
            SensorPlacePublic(container=one.container_code, reading=one.measure, since=one.since, last_at=one.last_at)
            for one in places
        ],
        doubts=[
            SensorDoubtPublic(container=one.container_code, reading=one.measure, value=one.value, at=one.at, doubt=one.doubt)
            for one in doubts
        ],
    )


def open_doubts(session: Session, code: str, limit: int) -> "list[Row[Any]]":
    """Return the values of a sensor that nobody has answered yet, the earliest first."""
    of = sensor_doubt.c
    waiting = select(sensor_doubt).where(of.sensor_code == code, of.answer.is_(None)).order_by(of.at, of.id).limit(limit)
    return list(session.execute(waiting))


def silent_at(session: Session, at: datetime) -> "list[Row[Any]]":
    """Return code, site and since when of the sensors that say nothing of a place for longer than they may, at `at`.

    One without a key cannot speak and is not waited for.
    """
    heard = func.coalesce(sensor_place.c.last_at, func.greatest(sensor_place.c.since, sensor.c.keyed_at))
    since = func.min(heard).label("since")
    may = func.make_interval(0, 0, 0, 0, 0, sensor.c.silent_after_min)
    return list(
        session.execute(
            select(sensor.c.code, sensor.c.site_code, since)
            .join_from(sensor, sensor_place, sensor_place.c.sensor_code == sensor.c.code)
            .where(STATES["in_use"])
            .group_by(sensor.c.code)
            .having(func.min(heard) + may < at)
        )
    )


def doubted_since(session: Session) -> "list[Row[Any]]":
    """Return code, site and since when of the sensors with values that wait for an answer."""
    since = func.min(sensor_doubt.c.at).label("since")
    return list(
        session.execute(
            select(sensor.c.code, sensor.c.site_code, since)
            .join_from(sensor_doubt, sensor, sensor.c.code == sensor_doubt.c.sensor_code)
            .where(sensor_doubt.c.answer.is_(None))
            .group_by(sensor.c.code)
        )
    )
