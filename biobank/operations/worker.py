"""Work that no request does: timers and jobs. `biobank worker` runs them; of several workers one does each at a time."""

import threading

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.timers import TIMERS, Timer
from biobank.foundation import clock
from biobank.foundation.errors import Unavailable
from biobank.foundation.stopping import Stop
from biobank.jobs.running import JOB_KINDS, run_next
from biobank.registries import declarations

assert declarations.MODULES

log = structlog.get_logger("biobank.operations.worker")
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('biobank timer ' || :name))")


def run_timer(bank: Bank, timer: Timer) -> int | None:
    """Run one timer in one transaction; None when another worker is at it."""

    def unit(session: Session) -> int | None:
        if not session.execute(_LOCK, {"name": timer.name}).scalar_one():
            return None
        return timer.run(session, Act.system(bank, path=f"timer/{timer.name}"))

    return bank.database.write_now(unit)


def run(bank: Bank, stop: Stop) -> None:
    """Run timers and jobs until `stop` is set. Jobs have a thread of their own, so that a long one delays no timer."""
    jobs = threading.Thread(target=_run_jobs, args=(bank, stop), name="jobs", daemon=True)
    with bank.watched():
        jobs.start()
        _run_timers(bank, stop)
        # A job in the middle of a step is given up at its next one, or left to the next worker.
        jobs.join(timeout=5)


def _run_jobs(bank: Bank, stop: Stop) -> None:
    while not stop.is_set():
        try:
            busy = run_next(bank, JOB_KINDS)
        except (SQLAlchemyError, Unavailable) as error:
            log.error("jobs failed", error=type(error).__name__)
            busy = False
        if not busy:
            stop.wait(1.0)


def _run_timers(bank: Bank, stop: Stop) -> None:
    """Run every timer when it is due. A failing timer is logged and tried again at its next turn."""
    due = {name: clock.now() for name in TIMERS}
    while not stop.is_set():
        for timer in TIMERS.values():
            if clock.now() < due[timer.name]:
                continue
            due[timer.name] = clock.now() + timer.every
            try:
                done = run_timer(bank, timer)
                if done:
                    log.info("timer", timer=timer.name, done=done)
            except (SQLAlchemyError, Unavailable) as error:
                log.error("timer failed", timer=timer.name, error=type(error).__name__)
        stop.wait(1.0)
