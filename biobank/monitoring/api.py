"""Routes of readings."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from biobank.acts.web import CodePath, Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.monitoring import queries, readings
from biobank.monitoring.schemas import (
    ExcursionDetail,
    ExcursionList,
    ReadingCreate,
    ReadingList,
    ReadingPublic,
    WithdrawReading,
)

router = APIRouter(prefix="/api/v1", tags=["monitoring"])
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/storage-containers/{code}/readings", status_code=201)
async def record_reading(code: CodePath, body: ReadingCreate, performing: Performing) -> ReadingPublic:
    """Record a temperature or a level. Outside the limits it puts everything inside on hold; a value that can hardly be right
    is refused with 409 `implausible_reading` and recorded when it is sent again with `confirmed`."""
    return await performing(readings.record_reading, code.upper(), body)


@router.post("/storage-containers/{code}/readings/{reading_id}/withdraw")
async def withdraw_reading(
    code: CodePath, reading_id: Annotated[int, Path(ge=1, le=2**63 - 1)], body: WithdrawReading, performing: Performing
) -> ReadingPublic:
    """Take back a reading that was wrong; what that frees takes quality's signature, "decided"."""
    return await performing(readings.withdraw_reading, code.upper(), reading_id, body)


@router.get("/storage-containers/{code}/readings")
async def list_readings(code: CodePath, reading: Reading, limit: Limit = 200) -> ReadingList:
    """Readings of a container, newest first."""
    return await reading(readings.readings_of, code.upper(), limit)


@router.get("/excursions")
async def list_excursions(
    reading: Reading,
    container: Annotated[str | None, Query(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")] = None,
    site: Annotated[str | None, Query(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> ExcursionList:
    """Excursions, newest first, with how many specimens and donors each reached."""
    container = None if container is None else container.upper()
    return await reading(queries.list_excursions, container=container, site=site, paging=Paging(after, limit))


@router.get("/excursions/{code}")
async def read_excursion(code: CodePath, reading: Reading) -> ExcursionDetail:
    """One excursion with the list of its donors, and its specimens, the first thousand."""
    return await reading(queries.read_excursion, code.upper())
