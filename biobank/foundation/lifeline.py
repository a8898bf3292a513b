"""A sign of life for programs that wait in the driver: sealer, attendant, worker.

A thread that waits for an answer waits for ever when the server was suspended and its machine still acknowledges what arrives, or
when a proxy was: no time-out of TCP sees that. So another thread asks the same server for a sign of life over a connection of its
own. When none comes in time, or the server takes no writes any more, every connection that was held before is cut. So is a single
one on which somebody waits while the server has nothing to do for it, or does not know it. Whoever waited gets OperationalError,
and does what is done about any lost connection: wait, connect again, repeat.

A COMMIT that waits for its standby is not cut: the server that makes it wait says that it is at work.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

from biobank.foundation.connections import REACH, cut
from biobank.foundation.schema_version import THIS
from biobank.foundation.stopping import Stop

ASK_EVERY_S = 5.0
PATIENCE_S = 10.0
"""How long an answer may take. With the pause before it and connecting anew, work goes on within some twenty seconds."""

_ASK = """
    SELECT current_setting('transaction_read_only'), ARRAY(
        SELECT pid FROM pg_stat_activity
        WHERE pid = ANY(%s) AND (state = 'active' OR state_change > clock_timestamp() - %s * interval '1 second')
    )
"""

log = structlog.get_logger("biobank.lifeline")
_END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = ANY(%s) AND usename = session_user AND state <> 'active'
      AND state_change < clock_timestamp() - %s * interval '1 second'
"""
"""What a cut connection left at the server: it may not hear of the cut, and its transaction keeps its locks."""


class Lifeline:
    """Watches the server at `url` and cuts the connections that were given to `hold`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._held: WeakKeyDictionary[psycopg.Connection[Any], int] = WeakKeyDictionary()
        self._left: set[int] = set()
        self._suspected: WeakSet[psycopg.Connection[Any]] = WeakSet()
        self._asking: psycopg.Connection[Any] | None = None

    def hold(self, connection: "psycopg.Connection[Any]") -> None:
        """Cut this new connection when it may lead nowhere."""
        # A pooler tells the client another number than that of the server's process.
        with connection.transaction():
            ((process,),) = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchall()
        self._held[connection] = process

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in a thread until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,), name="lifeline", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            if (asking := self._asking) is not None:
                cut(asking)
            thread.join(timeout=5)

    @contextmanager
    def over(self, engine: Engine) -> Iterator[None]:
        """Watch for the connections that `engine` makes from now on."""

        def connected(dbapi_connection: Any, _record: Any) -> None:
            self.hold(dbapi_connection)

        event.listen(engine, "connect", connected)
        try:
            with self.watching():
                yield
        finally:
            event.remove(engine, "connect", connected)

    def _run(self, stop: Stop) -> None:
        while not stop.wait(ASK_EVERY_S):
            held = dict(self._held)
            silence = threading.Timer(PATIENCE_S, self._end_all, (held,))
            silence.start()
            try:
                self._ask(held)
            except psycopg.Error:
                # Refused, or too many: who has a connection keeps it. What broke with the server is told so by the network.
                self._asking = None
            finally:
                silence.cancel()
        if self._asking is not None:
            self._asking.close()

    def _ask(self, held: "dict[psycopg.Connection[Any], int]") -> None:
        """Ask the server what it does for the held ones, and cut those that lead nowhere. Raises psycopg.Error."""
        if self._asking is None:
            self._asking = psycopg.connect(self._url, autocommit=True, application_name=THIS.connection_name("lifeline"), **REACH)
        left, self._left = self._left, set()
        if left:
            self._asking.execute(_END, (list(left), ASK_EVERY_S), prepare=False)
        waiting = {one: process for one, process in held.items() if one.pgconn.transaction_status == TransactionStatus.ACTIVE}
        asked = self._asking.execute(_ASK, (list(waiting.values()), ASK_EVERY_S), prepare=False)
        ((read_only, at_work),) = asked.fetchall()
        if read_only == "on":
            self._cut(held, "takes no writes")
        # Twice in a row: a statement may have been on its way.
        suspected = WeakSet(one for one, process in waiting.items() if process not in at_work)
        self._cut([one for one in suspected if one in self._suspected], "nothing at work")
        self._suspected = suspected

    def _cut(self, held: "Iterable[psycopg.Connection[Any]]", why: str) -> None:
        held = list(held)
        for connection in held:
            self._left |= {self._held.pop(connection, 0)}
            cut(connection)
        if held:
            log.warning("connections_cut", cause=why, connections=len(held))

    def _end_all(self, held: "Iterable[psycopg.Connection[Any]]") -> None:
        self._cut(held, "silent")
        if (asking := self._asking) is not None:
            cut(asking)  # its own thread is waiting on it, and closes it then
