"""Routes of alarms and rotas."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from biobank.acts.web import CodePath, Performing, Reading
from biobank.alarms import queries, rota, service
from biobank.alarms.events import CauseName
from biobank.alarms.rota import RotaList, RotaRecorded, SetRota
from biobank.alarms.schemas import AcknowledgeAlarm, AlarmAnswer, AlarmDetail, AlarmList, SilenceAlarm
from biobank.foundation.paging import Cursor, Paging

router = APIRouter(prefix="/api/v1", tags=["alarms"])


@router.get("/alarms")
async def list_alarms(
    reading: Reading,
    state: Literal["open", "sounding", "acknowledged", "silenced", "resolved"] | None = None,
    cause: CauseName | None = None,
    site: Annotated[str | None, Query(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AlarmList:
    """Alarms, newest first."""
    return await reading(queries.list_alarms, state=state, cause=cause, site=site, paging=Paging(after, limit))


@router.get("/alarms/{code}")
async def read_alarm(code: CodePath, reading: Reading) -> AlarmDetail:
    """One alarm with its steps."""
    return await reading(queries.read_alarm, code.upper())


@router.post("/alarms/{code}/acknowledge")
async def acknowledge_alarm(code: CodePath, body: AcknowledgeAlarm, performing: Performing) -> AlarmAnswer:
    """Say that one looks after it; it calls nobody for two hours and comes back then while its cause is there."""
    return await performing(service.acknowledge_alarm, code.upper(), body)


@router.post("/alarms/{code}/silence")
async def silence_alarm(code: CodePath, body: SilenceAlarm, performing: Performing) -> AlarmAnswer:
    """Make it quiet until a stated time, at most eight hours ahead, for a reason."""
    return await performing(service.silence_alarm, code.upper(), body)


@router.get("/rotas")
async def list_rotas(reading: Reading) -> RotaList:
    """Who is called at each site, in which order and after how many minutes."""
    return await reading(rota.list_rotas)


@router.post("/rotas")
async def set_rota(body: SetRota, performing: Performing) -> RotaRecorded:
    """Set the whole rota of a site, signed "decided"."""
    return await performing(rota.set_rota, body)
