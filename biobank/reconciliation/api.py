"""The route of the comparison with the log."""

from fastapi import APIRouter

from biobank.acts.web import Reading
from biobank.reconciliation.queries import DifferenceList, read_differences

router = APIRouter(prefix="/api/v1/log", tags=["custody log"])


@router.get("/differences")
async def list_differences(reading: Reading) -> DifferenceList:
    """What stands otherwise in the tables than in the log, in words, and how far the comparison is."""
    return await reading(read_differences)
