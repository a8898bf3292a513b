"""Routes of open acts."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from biobank.acts.web import Performing, Reading
from biobank.foundation import clock
from biobank.unfinished import service
from biobank.unfinished.compliance import BedsideCompliance, bedside_compliance
from biobank.unfinished.service import OpenActLimitList, OpenActLimitRecorded, OpenActList, SetOpenActLimit

router = APIRouter(prefix="/api/v1", tags=["open acts"])


@router.get("/open-acts")
async def list_open_acts(reading: Reading, timed_out: bool | None = None) -> OpenActList:
    """What was begun and not finished, of what you could finish. `timed_out`: only what was not finished in its time."""
    return await reading(service.list_open_acts, timed_out)


@router.get("/bedside-compliance")
async def read_bedside_compliance(reading: Reading, days: Annotated[int, Query(ge=1, le=3650)] = 30) -> BedsideCompliance:
    """How the bedside was kept to, by cause, at the clinics whose withdrawals you may know of."""
    return await reading(bedside_compliance, clock.now() - timedelta(days=days))


@router.get("/open-act-limits")
async def list_open_act_limits(reading: Reading) -> OpenActLimitList:
    """How long an act of each kind may stay open: usually, and at the sites that say otherwise."""
    return await reading(service.list_open_act_limits)


@router.post("/open-act-limits", status_code=201)
async def set_open_act_limit(body: SetOpenActLimit, performing: Performing) -> OpenActLimitRecorded:
    """Set how long an act of a kind may stay open at a site, signed ("decided")."""
    return await performing(service.set_open_act_limit, body)
