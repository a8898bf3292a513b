"""Work that no request does: timers. `biobank worker` runs them; several workers may run, one does each timer at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import delete, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from biobank import clock
from biobank.acts import kept
from biobank.acts.act import Act
from biobank.auth.service import forget_old
from biobank.bank import Bank
from biobank.shipping.arrivals import close_settled_shipments
from biobank.shipping.handovers import expire_handovers

log = structlog.get_logger("biobank.worker")
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
    gone = session.execute(delete(kept.idempotency).where(kept.idempotency.c.at < act.at - ANSWERS_KEPT))
    return int(getattr(gone, "rowcount", 0))


def forget_logins(session: Session, act: Act) -> int:
    """Drop sign-in attempts and used refresh tokens that no throttle and no check needs any more."""
    return forget_old(session, act.at - LOGINS_KEPT)


TIMERS: list[Timer] = [
    Timer("close_settled_shipments", timedelta(minutes=1), close_settled_shipments),
    Timer("expire_handovers", timedelta(seconds=30), expire_handovers),
    Timer("forget_answers", timedelta(hours=1), forget_answers),
    Timer("forget_logins", timedelta(hours=1), forget_logins),
]
"""Every timer. A feature that needs one adds it here."""

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('biobank timer ' || :name))")


def run_timer(bank: Bank, timer: Timer) -> int | None:
    """Run one timer in one transaction; None when another worker is at it."""

    def unit(session: Session) -> int | None:
        if not session.execute(_LOCK, {"name": timer.name}).scalar_one():
            return None
        return timer.run(session, Act.system(bank, path=f"timer/{timer.name}"))

    return bank.database.write_now(unit)


def run(bank: Bank, stop: threading.Event) -> None:
    """Run every timer when it is due until `stop` is set. A failing timer is logged and tried again at its next turn."""
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
