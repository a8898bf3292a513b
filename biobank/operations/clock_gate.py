"""A machine whose clock was set wrong records nothing: its times would stand in the log for ever, and before what comes later.

The wall clock of a process is held against the time that passes (which nobody can set) at every request, and against the clock of
the database whenever the two went apart by more than a moment, and at the start. A machine that was only suspended is found right
again by that; one that differs from the database by more than a minute answers 503 until it is set right, and the others go on.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import text
from sqlmodel import Session
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from biobank.acts.bank import Bank
from biobank.acts.problems import Page, refused_ahead
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Unavailable
from biobank.operations.startup_gate import ALWAYS_OPEN

log = structlog.get_logger("biobank.operations.clock_gate")
STEPPED_S: Final = 2.0
"""More than a clock is moved by those who keep it right."""
APART: Final = timedelta(seconds=60)
"""Two machines at the ends of it are within what the verifier lets a stream step back (`transparency/verify.py: SKEW_S`)."""
_DATABASE_TIME: Final = text("SELECT clock_timestamp()")


class ClockApart(Unavailable):
    """The clock of this machine and that of the database differ by too much for anything to be recorded here."""

    code = "clock_apart"
    title = "The clock is wrong"
    retry_after_s = 10


def apart_s(database: datetime) -> int:
    """Return by how many seconds this machine's clock is ahead of the database's; the test mode's offset does not count."""
    return round((clock.wall() - database).total_seconds())


def require_right(session: Session) -> None:
    """Raise ClockApart when the clock was set since it was last found right, and differs from the database's."""
    if abs(clock.stepped_s()) <= STEPPED_S:
        return
    by = apart_s(session.execute(_DATABASE_TIME).scalar_one())
    if abs(by) > APART.total_seconds():
        log.error("clock_apart", ahead_of_the_database_s=by)
        raise ClockApart(
            "The clock of this machine is wrong by more than a minute, so nothing is recorded here. "
            "Send it again with the same key: another machine may take it. Tell the administrator."
        )
    clock.found_right()


class ClockGate:
    """ASGI middleware: answers 503 while this machine's clock is wrong. `page` draws it for a browser."""

    def __init__(self, app: ASGIApp, page: Page) -> None:
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when the clock is right."""
        stepped = abs(clock.stepped_s()) > STEPPED_S
        if stepped and scope["type"] == "http" and scope["path"] not in ALWAYS_OPEN:
            bank: Bank = scope["app"].state.bank
            try:
                await bank.database.read(require_right)
            except Refusal as refusal:
                answer = await refused_ahead(Request(scope, receive), refusal, self.page)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
