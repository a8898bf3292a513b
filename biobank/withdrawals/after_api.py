"""Routes of what follows a giving: planned measures everywhere, and looking back and forward between causes and what was seen."""

from typing import Annotated

from fastapi import APIRouter, Query

from biobank.acts.web import CodePath, Disclosing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.registers.api import EntryKey
from biobank.withdrawals import consequences, outcome_figures, outcomes
from biobank.withdrawals.consequences import Consequences, EventReach
from biobank.withdrawals.outcome_figures import OutcomeFigures
from biobank.withdrawals.outcome_schemas import PlannedMeasureList, Status

router = APIRouter(prefix="/api/v1", tags=["withdrawals"])


@router.get("/outcome-measures")
async def read_measures(
    reading: Reading,
    status: Status | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> PlannedMeasureList:
    """Planned measures of units that were given, of withdrawals you may know of, the earliest day first; no figures."""
    return await reading(outcomes.list_measures, status=status, paging=Paging(after, limit))


@router.get("/withdrawals/{code}/outcome-figures")
async def take_figures(code: CodePath, performing: Disclosing) -> OutcomeFigures:
    """The figures that were measured, for those who treat there or decide. That you asked is recorded."""
    return await performing(outcome_figures.take_figures, code)


@router.get("/adverse-events/{code}/look-back")
async def read_event_reach(code: CodePath, reading: Reading) -> EventReach:
    """From a reaction or event to lots, siblings, people, reagents, equipment and other recipients of what these touched."""
    return await reading(consequences.event_reach, code)


@router.get("/lots/{code}/consequences")
async def read_consequences_of_lot(code: CodePath, reading: Reading) -> Consequences:
    """Reactions, events and outcomes of everything of a lot and made of it."""
    return await reading(consequences.consequences_of_lot, code)


@router.get("/registers/{entry}/consequences")
async def read_consequences_of_entry(entry: EntryKey, reading: Reading) -> Consequences:
    """Reactions, events and outcomes of everything that an entry of the registers touched."""
    return await reading(consequences.consequences_of_entry, entry)
