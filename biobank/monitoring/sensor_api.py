"""Routes of sensors: their accounts for people, and the one call that a sensor's key opens."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.security import APIKeyHeader
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_person import Proposed
from biobank.acts.web import PROOFS, CodePath, Performing, Reading, Runner, bank_of, kept_nobody
from biobank.auth.actor import Actor
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Cursor, Paging
from biobank.monitoring import sensor_readings, sensors
from biobank.monitoring.sensor_schemas import (
    AnswerSensorDoubts,
    ChangeSensor,
    DrawnKey,
    GrantSensorKey,
    MakeSensor,
    SensorAnswer,
    SensorDetail,
    SensorDoubtsAnswered,
    SensorList,
    SensorReadings,
    SensorReadingsAnswer,
    WithdrawSensor,
)

router = APIRouter(prefix="/api/v1", tags=["sensors"])
HEADER = "Sensor-Key"
_scheme = APIKeyHeader(name=HEADER, auto_error=False, description="The key of a sensor. It opens this call and nothing else.")


class SensorRunner(Runner):
    """Runs the one act that a sensor's key opens. The key is read again in the act's own transaction."""

    def __init__(self, request: Request, key: str, act: Act) -> None:
        super().__init__(request, act)
        self._key = key

    def actor(self, session: Session) -> Actor:
        """Return the sensor as the one who acts, without any right of a person; its row stays locked."""
        return Actor(code=sensor_readings.sensor_of_key(session, self._key, lock=True).code, grants=frozenset())

    async def refuse(self, bound: Act, refusal: Refusal) -> None:
        """Keep the attempt, unless it only came too fast."""
        if refusal.status != 429:
            await super().refuse(bound, refusal)


async def proven_key(request: Request, key: Annotated[str | None, Security(_scheme)]) -> str:
    """Prove the key of a sensor before the body is looked at; raise SensorKeyUnknown (401)."""
    await bank_of(request).database.read(lambda s: sensor_readings.sensor_of_key(s, key))
    assert key is not None
    return key


async def _prove_again(request: Request) -> None:
    await proven_key(request, request.headers.get(HEADER))


PROOFS[proven_key] = _prove_again


async def sensor_runner(request: Request, key: Annotated[str, Depends(proven_key)]) -> SensorRunner:
    """Build the runner of what a sensor sends."""
    bank = bank_of(request)
    act = Act(
        actor=kept_nobody,
        bank=bank,
        keystore=bank.keystore,
        method=request.method,
        path=request.url.path,
        source="instrument",
    )
    return SensorRunner(request, key, act)


@router.post("/sensor-readings", status_code=201)
async def post_sensor_readings(
    body: SensorReadings, running: Annotated[SensorRunner, Depends(sensor_runner)]
) -> SensorReadingsAnswer:
    """What a sensor read, under its own key in `Sensor-Key`. Sent again it changes nothing, so no Idempotency-Key is asked."""
    return await running(sensor_readings.post_readings, body)


@router.post("/sensors", status_code=201)
async def make_sensor(body: MakeSensor, performing: Performing) -> SensorAnswer:
    """Make an account for an instrument, without a key: nothing can be sent under it yet."""
    return await performing(sensors.make_sensor, body)


@router.get("/sensors")
async def list_sensors(
    reading: Reading,
    state: Literal["in_use", "without_key", "withdrawn"] | None = None,
    site: Annotated[str | None, Query(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] = None,
    container: Annotated[str | None, Query(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")] = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> SensorList:
    """Sensors with the time of their latest value, the latest made first."""
    container = None if container is None else container.upper()
    return await reading(sensors.list_sensors, state=state, site=site, container=container, paging=Paging(after, limit))


@router.get("/sensors/{code}")
async def read_sensor(code: CodePath, reading: Reading) -> SensorDetail:
    """One sensor: what it reads, and its values that wait for an answer."""
    return await reading(sensors.read_sensor, code.upper())


@router.post("/sensors/{code}/change")
async def change_sensor(code: CodePath, body: ChangeSensor, performing: Performing) -> SensorAnswer | Proposed:
    """Change what it reads and after how long its silence is an alarm, by two people."""
    return await performing(sensors.change_sensor, code.upper(), body)


@router.post("/sensors/{code}/key")
async def grant_sensor_key(code: CodePath, body: GrantSensorKey, performing: Performing) -> SensorAnswer | Proposed:
    """Grant a new key, by two people. The second of them draws it."""
    return await performing(sensors.grant_key, code.upper(), body)


@router.post("/sensors/{code}/key/draw")
async def draw_sensor_key(code: CodePath, performing: Performing, response: Response) -> DrawnKey:
    """Show the granted key, once, to the person who completed the grant. The answer is never kept."""
    response.headers["Cache-Control"] = "no-store"
    return await performing.unkept(sensors.draw_key, code.upper())


@router.post("/sensors/{code}/withdraw")
async def withdraw_sensor(code: CodePath, body: WithdrawSensor, performing: Performing) -> SensorAnswer | Proposed:
    """End the account, by two people: its key opens nothing any more."""
    return await performing(sensors.withdraw_sensor, code.upper(), body)


@router.post("/sensors/{code}/answer")
async def answer_sensor_doubts(code: CodePath, body: AnswerSensorDoubts, performing: Performing) -> SensorDoubtsAnswered:
    """Say whether values of it that can hardly be right are so. Until then they act on nothing, and an alarm asks."""
    return await performing(sensor_readings.answer_doubts, code.upper(), body)
