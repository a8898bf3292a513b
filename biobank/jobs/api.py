"""Routes of background jobs."""

from uuid import UUID

from fastapi import APIRouter, Query, Response

from biobank.acts.web import Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.jobs import queue
from biobank.jobs.schemas import JobList, JobPublic

router = APIRouter(prefix="/api/v1", tags=["jobs"])
FILE = {200: {"content": {m: {} for m in ("application/pdf", "application/zpl")}, "description": "The file."}}


@router.get("/jobs")
async def list_jobs(reading: Reading, after: Cursor | None = None, limit: int = Query(50, ge=1, le=200)) -> JobList:
    """Your jobs, newest first."""
    return await reading(queue.list_jobs, Paging(after, limit))


@router.get("/jobs/{id}")
async def read_job(id: UUID, reading: Reading) -> JobPublic:
    """One job and how far it is."""
    return await reading(queue.read_job, id)


@router.get("/jobs/{id}/file", response_class=Response, responses=FILE)  # type: ignore[arg-type]
async def job_file(id: UUID, reading: Reading) -> Response:
    """The file a finished job made."""
    made = await reading(queue.file_of, id)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


@router.post("/jobs/{id}/cancel")
async def cancel_job(id: UUID, performing: Performing) -> JobPublic:
    """Stop a job before its next step. What it did so far stays on record."""
    return await performing(queue.cancel_job, id)
