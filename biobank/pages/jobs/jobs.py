"""Background work as the one who asked for it sees it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from biobank.foundation import clock
from biobank.foundation.terms import words
from biobank.importing.report import OUTCOMES
from biobank.jobs import queue
from biobank.jobs.schemas import JobPublic
from biobank.pages.ui.listing import Listing
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)


def row_of(job: JobPublic) -> Mapping[str, Any]:
    """Return the cells of one job; what it does leads to it."""
    return job.model_dump() | {"kind": Markup('<a href="/jobs/{}">{}</a>').format(job.id, words(job.kind))}


Listing(
    address="/jobs",
    title="My background work",
    lead="What you asked for and did not have to wait for.",
    key="id",
    columns=[
        Column("kind", "What"),
        Column("created_at", "Started", "when", sort="created_at"),
        Column("state", "State", "chip"),
        Column("done", "Done", "number"),
        Column("total", "Of", "number"),
        Column("finished_at", "Ended", "when", usual=False),
    ],
    read=lambda session, actor, asked: queue.list_jobs(session, actor, asked.paging),
    row=row_of,
    default="-created_at",
    empty="Nothing yet",
    hint="Many labels at once, for example, are made in the background.",
).on(router)


@router.get("/jobs/{identity}")
async def show_job(request: Request, identity: UUID, reading: PageReading) -> Response:
    """Draw one job and how far it is."""
    job, params = await reading(queue.read_params, identity)
    counted = job.answer.get("counts", {})
    return render(
        request,
        "job.html",
        job=job,
        live=job.state in queue.WAITING,
        left=time_left(job, clock.now()),
        counts=[(OUTCOMES[outcome].capitalize(), number) for outcome, number in counted.items()],
        ready=counted.get("ready", 0),
        upload=params.get("upload"),
        counted=[(words(one["type"]), one["count"]) for one in job.answer.get("parts", ())],
    )


def time_left(job: JobPublic, now: datetime) -> str | None:
    """Say how long a job that told when it began will still take, by what it has done since; None when nobody can know yet."""
    done = job.done - job.answer.get("started_with", 0)
    if job.state != "running" or done <= 0 or "started_at" not in job.answer:
        return None
    seconds = (now - datetime.fromisoformat(job.answer["started_at"])).total_seconds() / done * (job.total - job.done)
    return f"About {seconds:.0f} s left." if seconds < 100 else f"About {seconds / 60:.0f} min left."


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
