"""The startup gate: no request is answered until erasures are replayed, so that a restored dump brings no erased person back.
Nor is anything recorded before the log says under which rules.

A dump of the bank may be older than an erasure; the store of donor keys knows better (`donors/erasure.py`). However a database
came back (`biobank restore`, point-in-time recovery, a copied disk), no process answers a question from it before it has
compared the two. That costs one statement on each database at the start of a process, so there is no marker that a restore by
hand could forget to set. While the comparison is not possible, everything but the health addresses answers 503.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.problems import Page, refused_ahead
from biobank.auth.actor import SYSTEM
from biobank.donors.erasure import replay_erasures
from biobank.foundation.errors import Refusal, Unavailable
from biobank.foundation.patience import within

log = structlog.get_logger("biobank.operations.startup_gate")
ANSWER_S = 10.0
"""How long the database may take to say whether it lends us sessions of our own."""
ALWAYS_OPEN = frozenset({"/healthz", "/readyz", "/metrics"})


@dataclass
class StartupGate:
    """The gate of one process. `bank` is the bank whose erasures were replayed; the gate is open for it and no other.

    `first` is done before that, in a transaction of its own.
    """

    bank: Bank | None = None
    first: Callable[[Session, Act], object] | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open_for(self, bank: Bank) -> bool:
        """Replay the erasures of `bank` unless this process has done so. Return whether the gate is open now."""
        if self.bank is bank:
            return True
        async with self._one_at_a_time:
            if self.bank is not bank:
                act = Act(actor=SYSTEM, bank=bank, keystore=bank.keystore, path="start/replay-erasures")
                first = self.first
                try:
                    if await within(ANSWER_S, bank.database.shares_sessions()):
                        log.critical("pooler_in_transaction_mode", cure="let the pooler in front of the database pool sessions")
                        return False
                    if first is not None:
                        await bank.database.write(lambda session: first(session, act))
                    again = await bank.database.write(lambda session: replay_erasures(session, act))
                except (SQLAlchemyError, psycopg.Error, Refusal, OSError) as error:
                    log.error("erasures not replayed", error=type(error).__name__)
                    return False
                if again:
                    log.warning("erasures replayed: this database is older than they are", donors=len(again))
                self.bank = bank
        return True


class StartupGateMiddleware:
    """ASGI middleware: answers 503 until the startup gate is open. `page` draws it for a browser and asks nobody who they are."""

    def __init__(self, app: ASGIApp, gate: StartupGate, page: Page) -> None:
        self.app = app
        self.gate = gate
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when the gate is open."""
        if scope["type"] == "http" and scope["path"] not in ALWAYS_OPEN:
            bank = scope["app"].state.bank
            if self.gate.bank is not bank and not await self.gate.open_for(bank):
                shut = Unavailable(
                    "The bank cannot tell yet whether its database is older than an erasure, because a database does not answer, "
                    "has another schema or stands behind a pooler in transaction mode. "
                    "Send the same request again in a minute, and tell the administrator."
                )
                log.warning("not_available", path=scope["path"], code=shut.code, cause="startup gate")
                answer = await refused_ahead(Request(scope, receive), shut, self.page)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
