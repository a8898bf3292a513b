"""The queue: put a job in, look at it, cancel it, fetch its file. Everyone sees the own jobs only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import timer
from biobank.auth.actor import Actor
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.logs import request_name
from biobank.foundation.paging import Paging, read_page
from biobank.jobs.models import Job, JobFile
from biobank.jobs.schemas import JobList, JobPublic

job = table_of(Job)
job_file = table_of(JobFile)

FILES_KEPT = timedelta(days=7)
WAITING = ("queued", "running")


class JobEnded(Conflict):
    """The job is over and cannot be cancelled."""

    code = "job_ended"
    title = "Job is over"


class JobHasNoFile(Conflict):
    """The job made no file, is not finished, or its file is no longer kept."""

    code = "job_has_no_file"
    title = "No file"


@dataclass(frozen=True)
class MadeFile:
    """A file that a job made."""

    name: str
    media_type: str
    content: bytes


def enqueue(session: Session, act: Act, kind: str, params: Mapping[str, Any], *, total: int) -> JobPublic:
    """Queue a job of `kind` for the acting login; `params` hold codes and choices, never personal data."""
    identity = uuid4()
    session.execute(
        insert(job).values(
            id=identity,
            kind=kind,
            requested_by=act.actor.code,
            params=dict(params),
            state="queued",
            total=total,
            answer={},
            request_id=request_name(),
            created_at=act.at,
        )
    )
    return read_job(session, act.actor, identity)


def read_job(session: Session, actor: Actor, identity: UUID) -> JobPublic:
    """Answer GET /jobs/{id}. Raises NotFound."""
    return _public(session, [_get(session, actor, identity)])[0]


def read_params(session: Session, actor: Actor, identity: UUID) -> tuple[JobPublic, Mapping[str, Any]]:
    """Return one of the actor's jobs with what it was asked to do. Raises NotFound."""
    row = _get(session, actor, identity)
    return _public(session, [row])[0], row.params


ORDERS = {"created_at": job.c.created_at}


def list_jobs(session: Session, actor: Actor, paging: Paging = Paging(limit=50)) -> JobList:
    """Answer GET /jobs: the caller's own, newest first."""
    statement = select(job).where(job.c.requested_by == actor.code)
    page = read_page(session, statement, paging, key=job.c.id, orders=ORDERS, default="-created_at")
    return JobList(items=_public(session, page.rows), **page.ends)


def cancel_job(session: Session, act: Act, identity: UUID) -> JobPublic:
    """Stop a job before its next step; what its steps did so far stays. Raises NotFound, JobEnded."""
    row = _get(session, act.actor, identity, lock=True)
    if row.state not in WAITING:
        raise JobEnded(f"This job is {row.state} already; there is nothing to cancel.", job=str(identity))
    session.execute(update(job).where(job.c.id == identity).values(state="cancelled", finished_at=act.at))
    return read_job(session, act.actor, identity)


def file_of(session: Session, actor: Actor, identity: UUID) -> MadeFile:
    """Return the file a finished job made. Raises NotFound, JobHasNoFile."""
    _get(session, actor, identity)
    row = session.execute(select(job_file).where(job_file.c.job_id == identity)).first()
    if row is None:
        raise JobHasNoFile(
            f"There is no file of this job: it is not finished, it made none, or {FILES_KEPT.days} days have passed. "
            "Start the job again if you need one.",
            job=str(identity),
        )
    return MadeFile(row.name, row.media_type, bytes(row.content))


@timer(every=timedelta(hours=1))
def forget_files(session: Session, act: Act) -> int:
    """Drop files older than a week."""
    old = select(job.c.id).where(job.c.finished_at < act.at - FILES_KEPT)
    gone = session.execute(delete(job_file).where(job_file.c.job_id.in_(old)))
    return int(getattr(gone, "rowcount", 0))


def _get(session: Session, actor: Actor, identity: UUID, *, lock: bool = False) -> "Row[Any]":
    statement = select(job).where(job.c.id == identity, job.c.requested_by == actor.code)
    row = session.execute(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise NotFound("There is no such job of yours.")
    return row


def _public(session: Session, rows: Any) -> list[JobPublic]:
    made = set(session.execute(select(job_file.c.job_id).where(job_file.c.job_id.in_([r.id for r in rows]))).scalars())
    return [
        JobPublic(
            id=row.id,
            kind=row.kind,
            state=row.state,
            done=row.done,
            total=row.total,
            answer=row.answer,
            problem=row.problem,
            file=f"/api/v1/jobs/{row.id}/file" if row.id in made else None,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
        for row in rows
    ]
