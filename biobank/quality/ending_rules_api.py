"""Route of a site's rule of ending."""

from fastapi import APIRouter

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing
from biobank.quality import ending_rules
from biobank.quality.schemas import EndingRulePublic, EndingRuleRequest

router = APIRouter(prefix="/api/v1", tags=["quality"])


@router.post("/ending-rules")
async def set_ending_rule(request: EndingRuleRequest, performing: Performing) -> EndingRulePublic | Proposed:
    """Set how long an announced end waits at a site, and what is a usable rest: quality, signed "decided"; two loosen it."""
    return await performing(ending_rules.set_ending_rule, request.site, request)
