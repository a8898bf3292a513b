"""Routes by which a record or a harvest turns out to be another donor's."""

from fastapi import APIRouter

from biobank.acts.two_person import Proposed
from biobank.acts.web import CodePath, Performing
from biobank.quality import merging, reattributing
from biobank.quality.merging import DonorsMerged, MergeDonors
from biobank.quality.reattributing import HarvestReattributed, ReattributeHarvest

router = APIRouter(prefix="/api/v1", tags=["quality"])


@router.post("/donors/{code}/merge")
async def merge_donors(code: CodePath, request: MergeDonors, performing: Performing) -> DonorsMerged | Proposed:
    """Merge a duplicate into this donor's record: two people of quality, signed "decided", on evidence. Both codes lead here."""
    return await performing(merging.merge_donors, code.upper(), request)


@router.post("/harvests/{code}/reattribution")
async def reattribute_harvest(
    code: CodePath, request: ReattributeHarvest, performing: Performing
) -> HarvestReattributed | Proposed:
    """Say that a harvest is another person's: two people of quality, signed "decided", on evidence."""
    return await performing(reattributing.reattribute_harvest, code.upper(), request)
