"""Background work as the one who asked for it sees it."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.jobs import queue
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/jobs")
async def show_jobs(request: Request, reading: PageReading) -> Response:
    """Draw the caller's background work."""
    found = await reading(queue.list_jobs)
    columns = [Column("created_at", "Started", "when"), Column("kind", "What", "words"), Column("state", "State", "chip"),
               Column("done", "Done", "number"), Column("total", "Of", "number")]  # fmt: skip
    return render(request, "jobs.html", rows=[one.model_dump() for one in found.items], columns=columns)


@router.get("/jobs/{identity}")
async def show_job(request: Request, identity: UUID, reading: PageReading) -> Response:
    """Draw one job and how far it is."""
    job = await reading(queue.read_job, identity)
    return render(request, "job.html", job=job, live=job.state in queue.WAITING)


@router.get("/jobs/{identity}/file")
async def fetch_job_file(identity: UUID, reading: PageReading) -> Response:
    """The file a job made."""
    made = await reading(queue.file_of, identity)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'inline; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


@router.post("/jobs/{identity}/cancel")
async def cancel_job(identity: UUID, performing: PagePerforming) -> Response:
    """Stop it before its next step."""
    await performing(queue.cancel_job, identity)
    return await performing.done(f"/jobs/{identity}", "Cancelled. What was numbered stays on record.", kind="care")
