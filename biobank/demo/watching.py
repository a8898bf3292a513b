"""What the example bank watches: an empty tank, a week of its sensor, and a level that falls since this morning."""

from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning
from biobank.alarms.watch import watch_for_alarms
from biobank.auth.actor import Actor
from biobank.demo.people import BANK
from biobank.demo.signatures import sign_and_do
from biobank.demo.stage import Stage
from biobank.foundation import clock
from biobank.monitoring.sensor_readings import post_readings
from biobank.monitoring.sensor_schemas import GrantSensorKey, MakeSensor, SensorReading, SensorReadings
from biobank.monitoring.sensors import draw_key, grant_key, make_sensor
from biobank.storage.containers import add_container
from biobank.storage.schemas import ContainerCreate

DAYS = 6
APART = timedelta(hours=2)
_FALLING_PPM = (480_000, 330_000, 190_000, 170_000)
"""The level of the last hours: below its limit in the last two."""


def make_watched(stage: Stage) -> None:
    """Make the tank, its sensor, what it sent, and the alarm that is open since."""
    database = stage.bank.database
    began = clock.now() - timedelta(days=DAYS)
    tank, sensor = database.write_now(partial(_sensor, stage=stage, at=began - timedelta(minutes=5)))
    for day in range(DAYS):
        database.write_now(partial(_sent, stage=stage, tank=tank, sensor=sensor, since=began + timedelta(days=day), day=day))
    database.write_now(lambda s: watch_for_alarms(s, Act.system(stage.bank, path="demo", source="import")))


def _sensor(session: Session, stage: Stage, at: datetime) -> tuple[str, str]:
    tank = add_container(
        session,
        stage.act("adam", at),
        ContainerCreate(site=BANK, kind="tank", name="Spare tank", temperature_class="ln2_vapour"),
    ).code
    request = MakeSensor(
        name="Probe of the spare tank", containers=[tank], measures=["temperature_mc", "level_ppm"], silent_after_min=24 * 60
    )
    code = make_sensor(session, stage.act("quinn", at), request).code
    granted = partial(grant_key, code=code)
    first = sign_and_do(session, stage, "quinn", at, Meaning.DECIDED, granted, GrantSensorKey())
    second = GrantSensorKey(pending_act=first.pending_act)
    sign_and_do(session, stage, "quade", at, Meaning.DECIDED, granted, second)
    draw_key(session, stage.act("quade", at), code)
    return tank, code


def _sent(session: Session, stage: Stage, tank: str, sensor: str, since: datetime, day: int) -> None:
    """A day of values, as the instrument sends them at its end."""
    times = [since + number * APART for number in range(1, 13)]
    falling = dict(zip(times[-len(_FALLING_PPM) :], _FALLING_PPM, strict=True)) if day == DAYS - 1 else {}
    values = []
    for at in times:
        level = falling.get(at, 720_000 - 4_000 * day - stage.dice.randrange(3_000))
        values.append(SensorReading(container=tank, reading="level_ppm", value=level, at=at))
        warm = -188_000 + stage.dice.randrange(1_500)
        values.append(SensorReading(container=tank, reading="temperature_mc", value=warm, at=at))
    actor = Actor(code=sensor, grants=frozenset())
    act = Act(actor=actor, bank=stage.bank, keystore=stage.bank.keystore_sync, at=times[-1], path="demo", source="import")
    post_readings(session, act, SensorReadings(readings=values))
