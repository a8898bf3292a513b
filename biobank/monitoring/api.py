"""Routes of readings."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from biobank.acts.web import Performing, Reading
from biobank.monitoring import readings
from biobank.monitoring.schemas import ReadingCreate, ReadingList, ReadingPublic

router = APIRouter(prefix="/api/v1", tags=["monitoring"])
PathCode = Annotated[str, Path(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/storage-containers/{code}/readings", status_code=201)
async def record_reading(code: PathCode, body: ReadingCreate, performing: Performing) -> ReadingPublic:
    """Record a temperature or a level. Outside the limits it puts everything inside on hold; a value that can hardly be right
    is refused with 409 `implausible_reading` and recorded when it is sent again with `confirmed`."""
    return await performing(readings.record_reading, code.upper(), body)


@router.get("/storage-containers/{code}/readings")
async def list_readings(code: PathCode, reading: Reading, limit: Limit = 200) -> ReadingList:
    """Readings of a container, newest first."""
    return await reading(readings.readings_of, code.upper(), limit)
