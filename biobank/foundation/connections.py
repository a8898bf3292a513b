"""How the bank reaches its database, and how it hears that a connection no longer leads to one that takes writes.

A cluster that fails over leaves connections behind: to a server that is now a standby (SQLSTATE 25006), to a session that the
server ended (25P03), to a machine that no longer says anything. Each is "the database does not answer, repeat the request with
the same key", never a fault of the request; and every other connection made before it is as old, so all of them are let go.

A COMMIT that was not confirmed by the standby it waits for, because someone cancelled the wait, is answered by the server with a
warning and "COMMIT". Such a write is not acknowledged: a failover could lose it.
"""

import os
import socket
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from biobank.foundation.config import WeakSettings
from biobank.foundation.errors import Unavailable

REACH: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    # Milliseconds that sent bytes may stay unacknowledged: a machine that fell off the network is noticed in seconds.
    "tcp_user_timeout": 8_000,
}
"""What every connection is opened with. Seconds, but for the last."""

LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError, ReadOnlySqlTransaction, IdleInTransactionSessionTimeout)
"""What the driver raises when the way to a database that takes writes is gone: wait, connect again, repeat."""

DURABLE: Final = "SELECT pg_logical_emit_message(true, 'biobank', '')"
"""A mark in the write-ahead log: its transaction is a write, whose COMMIT waits for the standby and so for all before it."""

SESSIONS_ONLY: Final = (
    "a pooler in transaction mode stands in front of the database. The bank works behind a pooler that pools sessions only: set "
    "`pool_mode = session` there, or give the address of the server itself"
)
"""Said when sessions are shared; see `meet_in_one_session`."""

_NOT_CONFIRMED: Final = "SyncRepWaitForLSN"
"""The server's function that warns of a wait cut short. Its words depend on the server's language; this name does not."""


def sqlalchemy_url(url: str) -> URL:
    """Return a `postgresql://` address for the engines, several hosts (`host1:5432,host2:5432`) included.

    Raises ValueError for an address that libpq cannot read.
    """
    try:
        parts: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ValueError("this is no PostgreSQL address: write postgresql://login:password@host:port/database") from None
    login = {name: parts.pop(name, None) for name in ("user", "password", "dbname")}
    query = {name: str(value) for name, value in parts.items()}
    return URL.create(
        "postgresql+psycopg", username=login["user"], password=login["password"], database=login["dbname"], query=query
    )


def listen_for_loss(engine: Engine) -> None:
    """Report a connection that leads to no writable database as OperationalError, and let go of all that are as old."""

    @event.listens_for(engine, "handle_error")
    def handle(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, (ReadOnlySqlTransaction, IdleInTransactionSessionTimeout)):
            context.is_disconnect = True
            assert isinstance(context.original_exception, Exception)
            raise OperationalError(None, None, context.original_exception)

    @event.listens_for(engine, "connect")
    def connected(dbapi_connection: Any, _record: Any) -> None:
        hear_warnings(getattr(dbapi_connection, "driver_connection", dbapi_connection))


def meet_in_one_session(one: "psycopg.Connection[Any]", other: "psycopg.Connection[Any]") -> bool:
    """Say whether two open connections, which are in no transaction, are lent the same session of the server.

    A pooler in transaction mode does that. What a session was told, its prepared statements and its locks are then lost or
    somebody else's.
    """

    def process(of: "psycopg.Connection[Any]") -> int:
        return int(of.execute("SELECT pg_backend_pid()", prepare=False).fetchall()[0][0])

    lent, others = {process(one)}, {process(other)}
    with other.transaction():
        others.add(process(other))
        lent.add(process(one))
    # Two sessions may be there to lend by now. A pooler lends the one that was given back last, which the other had, or the one
    # that waits longest: then twice in a row is not the same.
    lent |= {process(one), process(one)}
    return len(lent) > 1 or not lent.isdisjoint(others)


def require_own_sessions(url: str) -> None:
    """Raise WeakSettings behind a pooler in transaction mode, and psycopg.OperationalError when the database does not answer."""
    with (
        psycopg.connect(url, autocommit=True, **REACH) as one,
        psycopg.connect(url, autocommit=True, **REACH) as other,
    ):
        if meet_in_one_session(one, other):
            raise WeakSettings(f"{SESSIONS_ONLY[0].upper()}{SESSIONS_ONLY[1:]}.")


def cut(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> None:
    """End a connection on which another thread or task may wait for ever: it gets OperationalError at once."""
    try:
        # Of a copy, so that closing it leaves the driver's own to the driver.
        descriptor = os.dup(connection.pgconn.socket)
    except (psycopg.Error, OSError):
        return  # it was closed meanwhile
    with socket.socket(fileno=descriptor) as wire, suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def hear_warnings(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> None:
    """Note from now on when a COMMIT of this connection was not confirmed."""

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.source_function == _NOT_CONFIRMED:
            _unconfirmed.add(connection)

    connection.add_notice_handler(note)


_unconfirmed: "WeakSet[Any]" = WeakSet()


def require_confirmed(connection: Any) -> None:
    """Raise Unavailable when the last COMMIT of this driver's connection is not known to outlive its server."""
    if _unconfirmed and connection in _unconfirmed:
        _unconfirmed.discard(connection)
        raise Unavailable(
            "The bank wrote this on one machine and could not hear that another has it too. Send it again with "
            "the same key: it is recorded once."
        )
