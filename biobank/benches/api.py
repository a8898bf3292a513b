"""Routes of bench sessions."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.benches import queries, service
from biobank.benches.schemas import (
    BenchSessionAnswer,
    BenchSessionList,
    BenchSessionPublic,
    CloseBench,
    DonorCode,
    OpenBench,
    ScanAtBench,
    SessionCode,
    WorkstationCode,
    WorkstationPublic,
)
from biobank.foundation.paging import Cursor, Paging

router = APIRouter(prefix="/api/v1", tags=["bench sessions"])
Bench = Annotated[WorkstationCode, Path()]
Code = Annotated[SessionCode, Path()]


@router.get("/workstations/{code}")
async def describe_workstation(code: Bench, reading: Reading) -> WorkstationPublic:
    """A workstation, and for whom it is open now."""
    return await reading(queries.describe_workstation, code)


@router.post("/workstations/{code}/sessions")
async def open_bench(code: Bench, body: OpenBench, performing: Performing) -> BenchSessionAnswer | Proposed:
    """Open a workstation for one person's material after line clearance; by two where the site asks for it."""
    return await performing(service.open_bench, code, body)


@router.get("/bench-sessions")
async def list_sessions(
    reading: Reading,
    workstation: WorkstationCode | None = None,
    donor: DonorCode | None = None,
    open: bool | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> BenchSessionList:
    """Bench sessions, newest first."""
    return await reading(
        queries.list_sessions, workstation=workstation, of_donor=donor, open_only=open, paging=Paging(after, limit)
    )


@router.get("/bench-sessions/{code}")
async def describe_session(code: Code, reading: Reading) -> BenchSessionPublic:
    """A session: what was handled and stopped, which labels were printed, what is held with it."""
    return await reading(queries.describe_session, code)


@router.post("/bench-sessions/{code}/scans", status_code=201)
async def scan_at_bench(code: Code, body: ScanAtBench, performing: Performing) -> BenchSessionAnswer:
    """Tubes are handled at the workstation. Another person's is a full stop, which is kept."""
    return await performing(service.scan_at_bench, code, body)


@router.post("/bench-sessions/{code}/close")
async def close_bench(code: Code, body: CloseBench, performing: Performing) -> BenchSessionAnswer | Proposed:
    """Close a session: every label accounted for, and the line cleared by scan."""
    return await performing(service.close_bench, code, body)
