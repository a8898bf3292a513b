"""Running jobs: one at a time per worker, in steps that commit, each together with the progress it made.

A job that a dead worker left is taken up again from its last committed step, so a step is done once. Work whose step cannot
be undone or repeated (bytes sent to a printer) says so with `resumable=False`; then a job that was left is failed, and a
person decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Row, and_, insert, or_, select, update
from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.identity import load_actor_of
from biobank.foundation import clock
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.logs import REQUEST
from biobank.foundation.tracing import span
from biobank.jobs.queue import MadeFile, job, job_file

T = TypeVar("T")

log = structlog.get_logger("biobank.jobs")

SILENT_FOR = timedelta(minutes=2)
"""A running job whose worker has not been heard of for this long was left."""
MOST_ATTEMPTS = 3


class JobStopped(Exception):
    """The job was cancelled, or another worker has taken it up: leave it alone."""


class JobLeft(Conflict):
    """The worker died in the middle of work that must not be repeated without a look."""

    code = "job_left"
    title = "Interrupted"


class JobBroke(Refusal):
    """A fault of the service, not of the request."""

    status = 500
    code = "job_broke"
    title = "The job could not be done"


@dataclass
class JobRun:
    """A job that a worker is doing."""

    bank: Bank
    id: UUID
    attempt: int
    kind: str
    params: Mapping[str, Any]
    requested_by: str
    done: int
    total: int
    answer: dict[str, Any] = field(default_factory=dict)

    def step(
        self,
        work: Callable[[Session, Act], T],
        *,
        adds: int = 0,
        answer: Callable[[T], Mapping[str, Any]] = lambda _made: {},
    ) -> T:
        """Run `work` as who asked for the job, in one transaction with `adds` more units done.

        `answer` says from what was made which members of the job's answer change. The login's roles are those of now. Raises
        JobStopped, NotSignedIn for a login no longer active, and what `work` raises.
        """

        def unit(session: Session) -> tuple[T, dict[str, Any]]:
            actor = load_actor_of(session, self.requested_by)
            made = work(session, Act.of(actor, self.bank, path=f"job/{self.kind}"))
            after = self.answer | dict(answer(made))
            self._beat(session, done=self.done + adds, answer=after)
            return made, after

        made, self.answer = self.bank.database.write_now(unit)
        self.done += adds
        return made

    def _beat(self, session: Session, **values: Any) -> None:
        changed = session.execute(
            update(job)
            .where(job.c.id == self.id, job.c.attempt == self.attempt, job.c.state == "running")
            .values(beat_at=clock.now(), **values)
            .returning(job.c.id)
        ).first()
        if changed is None:
            raise JobStopped


Work = Callable[[JobRun], MadeFile | None]


@dataclass(frozen=True)
class Handler:
    """How a kind of job is done. `run` returns the file it made, or None."""

    run: Work
    resumable: bool = True


JOB_KINDS: dict[str, Handler] = {}
"""Every kind of job, by its name. Whole once `registries.declarations` is imported."""


def job_kind(name: str, *, resumable: bool = True) -> Callable[[Work], Work]:
    """Let the worker do jobs of this name with the function: `@job_kind("labels.print")`."""

    def declare(run: Work) -> Work:
        assert name not in JOB_KINDS, f"two kinds of job are called {name}"
        JOB_KINDS[name] = Handler(run, resumable)
        return run

    return declare


def run_next(bank: Bank, handlers: Mapping[str, Handler]) -> bool:
    """Take one job that waits or was left, and do it. Return False when there is none."""
    row = bank.database.write_now(lambda session: _claim(session, handlers))
    if row is None:
        return False
    with (
        bound_contextvars(job=str(row.id), job_kind=row.kind, **({} if row.request_id is None else {REQUEST: row.request_id})),
        span("job", {"job.kind": row.kind, "job.attempt": row.attempt}, request=row.request_id) as followed,
    ):
        followed.say("job.outcome", _do(bank, handlers[row.kind], row))
    return True


def _do(bank: Bank, handler: Handler, row: "Row[Any]") -> str:
    """Do a job; return what became of it, as the log says it."""
    run = JobRun(bank, row.id, row.attempt, row.kind, row.params, row.requested_by, row.done, row.total, row.answer)
    try:
        if run.attempt > 1 and not handler.resumable:
            raise JobLeft("The worker stopped in the middle of this. Look at what came out, then start again with the rest.")
        made = handler.run(run)
    except JobStopped:
        log.info("job_stopped")
        return "job_stopped"
    except Refusal as refusal:
        _fail(run, refusal)
        return "job_failed"
    except Exception as error:
        # The queue must outlive any one job: the fault is logged, and the job is tried again or given up.
        log.exception("job_broke", error=type(error).__name__)
        if run.attempt >= MOST_ATTEMPTS or not handler.resumable:
            _fail(run, JobBroke("Something went wrong inside the service; it was logged. Try again, or tell the administrator."))
        else:
            _set(run, state="queued")
        return "job_broke"
    else:
        bank.database.write_now(lambda session: _finish(session, run, made))
        log.info("job_done")
        return "job_done"


def _claim(session: Session, handlers: Mapping[str, Handler]) -> "Row[Any] | None":
    now = clock.now()
    left = and_(job.c.state == "running", job.c.beat_at < now - SILENT_FOR)
    row = session.execute(
        select(job.c.id)
        .where(or_(job.c.state == "queued", left), job.c.kind.in_(sorted(handlers)))
        .order_by(job.c.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    return session.execute(
        update(job).where(job.c.id == row.id).values(state="running", attempt=job.c.attempt + 1, beat_at=now).returning(*job.c)
    ).one()


def _finish(session: Session, run: JobRun, made: MadeFile | None) -> None:
    changed = session.execute(
        update(job)
        .where(job.c.id == run.id, job.c.attempt == run.attempt, job.c.state == "running")
        .values(state="done", done=run.total, finished_at=clock.now())
        .returning(job.c.id)
    ).first()
    if made is not None and changed is not None:
        session.execute(insert(job_file).values(job_id=run.id, name=made.name, media_type=made.media_type, content=made.content))


def _fail(run: JobRun, refusal: Refusal) -> None:
    log.warning("job_failed", code=refusal.code)
    _set(run, state="failed", problem=refusal.problem(), finished_at=clock.now())


def _set(run: JobRun, **values: Any) -> None:
    def unit(session: Session) -> None:
        session.execute(
            update(job).where(job.c.id == run.id, job.c.attempt == run.attempt, job.c.state == "running").values(**values)
        )

    run.bank.database.write_now(unit)
