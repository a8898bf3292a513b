"""Work that no request does: timers and jobs. `biobank worker` runs them; of several workers one does each at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import delete, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.service import forget_old
from biobank.foundation import clock
from biobank.jobs.queue import forget_files
from biobank.jobs.running import Handler, run_next
from biobank.labels.batches import PRINT_KIND, SEND_KIND, print_batch, send_batch
from biobank.shipping.arrivals import close_settled_shipments
from biobank.shipping.handovers import expire_handovers
from biobank.viability.service import look_at_counts

log = structlog.get_logger("biobank.operations.worker")
ANSWERS_KEPT = timedelta(days=90)
LOGINS_KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Timer:
    """A recurring act of the bank itself. `run` returns how many things it did."""

    name: str
    every: timedelta
    run: Callable[[Session, Act], int]


def forget_answers(session: Session, act: Act) -> int:
    """Drop kept answers older than 90 days; a retry that late is a new request."""
    kept = answers_and_attempts.idempotency
    gone = session.execute(delete(kept).where(kept.c.at < act.at - ANSWERS_KEPT))
    return int(getattr(gone, "rowcount", 0))


def forget_logins(session: Session, act: Act) -> int:
    """Drop sign-in attempts and used refresh tokens that no throttle and no check needs any more."""
    return forget_old(session, act.at - LOGINS_KEPT)


TIMERS: list[Timer] = [
    Timer("close_settled_shipments", timedelta(minutes=1), close_settled_shipments),
    Timer("expire_handovers", timedelta(seconds=30), expire_handovers),
    Timer("forget_answers", timedelta(hours=1), forget_answers),
    Timer("forget_files", timedelta(hours=1), forget_files),
    Timer("forget_logins", timedelta(hours=1), forget_logins),
    Timer("look_at_viability_counts", timedelta(seconds=20), look_at_counts),
]
"""Every timer. A feature that needs one adds it here."""

JOBS: dict[str, Handler] = {
    PRINT_KIND: Handler(print_batch),
    SEND_KIND: Handler(send_batch, resumable=False),
}
"""Every kind of background job. A feature that needs one adds it here."""

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('biobank timer ' || :name))")


def run_timer(bank: Bank, timer: Timer) -> int | None:
    """Run one timer in one transaction; None when another worker is at it."""

    def unit(session: Session) -> int | None:
        if not session.execute(_LOCK, {"name": timer.name}).scalar_one():
            return None
        return timer.run(session, Act.system(bank, path=f"timer/{timer.name}"))

    return bank.database.write_now(unit)


def run(bank: Bank, stop: threading.Event) -> None:
    """Run timers and jobs until `stop` is set. Jobs have a thread of their own, so that a long one delays no timer."""
    jobs = threading.Thread(target=_run_jobs, args=(bank, stop), name="jobs", daemon=True)
    jobs.start()
    _run_timers(bank, stop)
    # A job in the middle of a step is given up at its next one, or left to the next worker.
    jobs.join(timeout=5)


def _run_jobs(bank: Bank, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            busy = run_next(bank, JOBS)
        except SQLAlchemyError as error:
            log.error("jobs failed", error=type(error).__name__)
            busy = False
        if not busy:
            stop.wait(1.0)


def _run_timers(bank: Bank, stop: threading.Event) -> None:
    """Run every timer when it is due. A failing timer is logged and tried again at its next turn."""
    due = {timer.name: clock.now() for timer in TIMERS}
    while not stop.is_set():
        for timer in TIMERS:
            if clock.now() < due[timer.name]:
                continue
            due[timer.name] = clock.now() + timer.every
            try:
                done = run_timer(bank, timer)
                if done:
                    log.info("timer", timer=timer.name, done=done)
            except SQLAlchemyError as error:
                log.error("timer failed", timer=timer.name, error=type(error).__name__)
        stop.wait(1.0)
