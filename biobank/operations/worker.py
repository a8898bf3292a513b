"""Work that no request does: timers, jobs, and sending events to other systems.

`biobank worker` runs them; of several workers one does each at a time.
"""

import threading
import time
from collections.abc import Callable

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
from biobank.operations.clock_gate import STEPPED_S, require_right
from biobank.registries import declarations
from biobank.webhooks.delivering import deliver_next

assert declarations.MODULES

SENDERS = 3
"""So many subscriptions are sent to at once: one that does not answer delays no other until three do not."""

LEFT_AFTER_S = 5

log = structlog.get_logger("biobank.operations.worker")
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('biobank timer ' || :name))")


def run_timer(bank: Bank, timer: Timer) -> int | None:
    """Run one timer in one transaction; None when another worker is at it."""

    def unit(session: Session) -> int | None:
        if not session.execute(_LOCK, {"name": timer.name}).scalar_one():
            return None
        require_right(session)
        return timer.run(session, Act.system(bank, path=f"timer/{timer.name}"))

    return bank.database.write_now(unit)


def run(bank: Bank, stop: Stop) -> None:
    """Run timers, jobs and deliveries until `stop` is set, in threads of their own: a long one delays no other."""
    beside = [_beside("jobs", stop, lambda: _with_right_clock(bank, lambda: run_next(bank, JOB_KINDS)))]
    beside += [_beside("webhooks", stop, lambda: _with_right_clock(bank, lambda: deliver_next(bank))) for _ in range(SENDERS)]
    with bank.watched():
        for thread in beside:
            thread.start()
        _run_timers(bank, stop)
        # A job in the middle of a step is given up at its next one, or left to the next worker; so is what is being sent.
        until = time.monotonic() + LEFT_AFTER_S
        for thread in beside:
            thread.join(timeout=max(0.0, until - time.monotonic()))


def _with_right_clock(bank: Bank, work: Callable[[], bool]) -> bool:
    """Do `work` unless this machine's clock is wrong: then raise ClockApart."""
    if abs(clock.stepped_s()) > STEPPED_S:
        bank.database.write_now(require_right)
    return work()


def _beside(what: str, stop: Stop, work: Callable[[], bool]) -> threading.Thread:
    """Return a thread that does `work` as long as there is some, and looks again every second."""

    def run_it() -> None:
        while not stop.is_set():
            try:
                busy = work()
            except (SQLAlchemyError, Unavailable) as error:
                log.error(f"{what} failed", error=type(error).__name__)
                busy = False
            except Exception as error:
                # The thread must outlive any one thing that it does; what failed is tried again when its turn comes.
                log.exception(f"{what} broke", error=type(error).__name__)
                busy = False
            if not busy:
                stop.wait(1.0)

    return threading.Thread(target=run_it, name=what, daemon=True)


def _run_timers(bank: Bank, stop: Stop) -> None:
    """Run every timer when it is due. A failing timer is logged and tried again at its next turn."""
    due = dict.fromkeys(TIMERS, (clock.now(), time.monotonic()))
    while not stop.is_set():
        for timer in TIMERS.values():
            # By either clock: one of the wall that is set back by an hour must not stop the timers for an hour.
            at, passed = due[timer.name]
            if clock.now() < at and time.monotonic() < passed:
                continue
            due[timer.name] = clock.now() + timer.every, time.monotonic() + timer.every.total_seconds()
            try:
                done = run_timer(bank, timer)
                if done:
                    log.info("timer", timer=timer.name, done=done)
            except (SQLAlchemyError, Unavailable) as error:
                log.error("timer failed", timer=timer.name, error=type(error).__name__)
        stop.wait(1.0)
