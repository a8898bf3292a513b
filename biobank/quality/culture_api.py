"""Routes of cultures."""

from fastapi import APIRouter

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.quality import cultures
from biobank.quality.culture_schemas import CulturePublic, CultureRecorded, DiscardVessels, RecordCulture
from biobank.specimens.api import Code

router = APIRouter(prefix="/api/v1", tags=["specimens"])


@router.get("/specimens/{code}/culture")
async def read_culture(code: Code, reading: Reading) -> CulturePublic:
    """How many vessels a culture has, and all that was seen and done, newest first."""
    return await reading(cultures.read_culture, code)


@router.post("/specimens/{code}/culture", status_code=201)
async def record_culture(code: Code, body: RecordCulture, performing: Performing) -> CultureRecorded:
    """New medium or a look. A contamination holds the lot and what shares its run, medium or incubator."""
    return await performing(cultures.record_culture, code, body)


@router.post("/specimens/{code}/culture/discard")
async def discard_vessels(code: Code, body: DiscardVessels, performing: Performing) -> CultureRecorded | Proposed:
    """Discard some vessels; the rest goes on. Two people: before a witness what is spoilt, with quality what is surplus."""
    return await performing(cultures.discard_vessels, code, body)
