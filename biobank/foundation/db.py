"""Engines, and the one place where a transaction ends.

One request is one transaction. Domain code is plain synchronous functions of a `Session`; a request runs them in **one**
`run_sync` hop, because a greenlet switch per statement costs more than the statement. Writes end in COMMIT; reads run on an
AUTOCOMMIT engine, because psycopg forgets its prepared statements at every ROLLBACK.

The scan path alone goes past the engines (`Direct`): fixed statements, each a transaction of its own, on the driver itself.
"""

import asyncio
import time
from collections import namedtuple
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property, partial
from typing import Any, LiteralString, TypeAlias, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import (
    Boolean,
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Select,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import psycopg as _dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util.concurrency import greenlet_spawn
from sqlmodel import Session, SQLModel

from biobank.foundation.batching import Batcher
from biobank.foundation.connections import REACH, cut, hear_warnings, listen_for_loss, require_confirmed, sqlalchemy_url
from biobank.foundation.errors import Unavailable
from biobank.foundation.schema_version import THIS, Schema

T = TypeVar("T")
Q = TypeVar("Q")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = NAMING
metadata: MetaData = SQLModel.metadata


MOVES_WITH_ITS_DONOR: dict[str, Any] = {"deferrable": True, "initially": "IMMEDIATE"}
"""How a foreign key that holds a row to its donor is checked: at once, and when a donor's rows move together, at the end."""


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a SQLModel class, for statements built once at import."""
    return metadata.tables[str(model.__tablename__)]


def when(*, nullable: bool = False) -> "Column[datetime]":
    """Return a column for an instant, kept with its zone."""
    return Column(DateTime(timezone=True), nullable=nullable)


def not_another_donors() -> "Column[bool]":
    """Return the column that says that what a row is about turned out later to be of another donor."""
    return Column(Boolean, nullable=False, server_default=text("false"))


def donor_unless_anothers() -> "Column[str]":
    """Return the column that a foreign key to the donor's things compares: `donor_code`, or nothing once it was another's."""
    return Column(Text, Computed("CASE WHEN NOT another_donors THEN donor_code END", persisted=True))


def tables_marked(mark: str) -> tuple[str, ...]:
    """Return the names of the tables whose model says `mark` in its `info`, in order of names.

    The marks are the one list of what the database guards (migration `guards`) and of what the health page looks for:
    `append_only`: rows are written once; UPDATE, DELETE and TRUNCATE are refused for everyone, the owner included.
    `moves_with_its_donor`: of such a row the donor alone changes, along a row of `donor_move`.
    `never_deleted`: DELETE and TRUNCATE are refused.
    `sealer_only`: the sealer writes, the application reads.
    `app_may_delete`: the application holds DELETE; on every other table it does not.
    """
    return tuple(sorted(name for name, table in metadata.tables.items() if table.info.get(mark)))


SESSION = "SET timezone = 'UTC'; SET jit = off"
"""What every session is told first. Not by a startup option: a pooler in front of the server may refuse those.

No compiling of plans: our statements read few rows, but those that follow ancestors and places are estimated at thousands, and
compiling them took 80 to 160 ms where running them takes one.
"""
WAIT_S = 15
"""How long a request waits for a connection."""
SILENCE_S = 3
"""How long a batch of scans waits for the database before the others go on without it."""
WATCH_EVERY_S = 5
"""How often a web process asks the database for a sign of life."""
ANSWER_S = 60
"""How long a request may take. The longest, a full tank evacuated, takes some seconds; more is a database that is silent."""
LOCK_WAIT_MS = 200
"""How long a direct statement waits for a row that someone else is changing. It may carry the scans of others along."""


def _session(connection: Connection) -> Session:
    return Session(bind=connection, expire_on_commit=False, autoflush=False)


class Database:
    """The engines of one process, built on first use."""

    def __init__(self, url: str, *, pool_size: int = 10, read_url: str | None = None, schema: Schema = THIS) -> None:
        self._plain_url = url
        self._url = sqlalchemy_url(url)
        self._read_url = sqlalchemy_url(read_url or url)
        self._closing: set[asyncio.Future[None]] = set()
        self._pool: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 5,
            "pool_timeout": 15,
            # Parameters may be personal data; they never stand in an error text or a log.
            "hide_parameters": True,
            # Five executions before a statement is prepared by default; what a bank asks, it asks again.
            "connect_args": REACH | {"application_name": schema.connection_name(), "prepare_threshold": 1},
        }

    @cached_property
    def writer(self) -> AsyncEngine:
        """The engine of acts: READ COMMITTED, ended by COMMIT."""
        return _listening_async(create_async_engine(self._url, **self._pool))

    @cached_property
    def reader(self) -> AsyncEngine:
        """The engine of questions and of single-statement writes: AUTOCOMMIT."""
        return _listening_async(create_async_engine(self._read_url, isolation_level="AUTOCOMMIT", **self._pool))

    @cached_property
    def direct(self) -> "Direct":
        """Connections for the scan path."""
        return Direct(
            self._plain_url,
            self._pool["pool_size"],
            on_silence=self.forget_idle,
            name=self._pool["connect_args"]["application_name"],
        )

    @cached_property
    def sync_engine(self) -> Engine:
        """The engine of the command line and the worker. Rows that are inserted together go in one statement."""
        engine = create_engine(self._url, **(self._pool | {"pool_size": 2}))
        engine.dialect.use_insertmanyvalues_wo_returning = True
        return _listening(engine)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and COMMIT; on any exception roll back and re-raise."""
        async with self._in_time(), self.writer.connect() as connection:
            return await connection.run_sync(_commit_after, work)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` for one question; each statement sees the latest committed state."""
        async with self._in_time(), self.reader.connect() as connection:
            return await connection.run_sync(_leave_open, work)

    async def read_snapshot(self, work: Callable[[Session], T]) -> T:
        """Run `work` whose statements must agree with each other: REPEATABLE READ, READ ONLY."""
        async with self._in_time(), self.writer.connect() as plain:
            connection: AsyncConnection = await plain.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            return await connection.run_sync(_commit_after, work)

    def write_now(self, work: Callable[[Session], T]) -> T:
        """`write` for synchronous callers, for the command line and the worker."""
        with self.sync_engine.connect() as connection:
            return _commit_after(connection, work)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ANSWER_S):
                yield
        except TimeoutError:
            self.forget_idle()
            raise Unavailable(
                "The database did not answer in time. Send it again with the same key: it is recorded once."
            ) from None

    def forget_idle(self) -> None:
        """Let go of the connections that wait for work: one as old as they are turned out to lead nowhere."""
        for name in ("writer", "reader"):
            if name in self.__dict__:
                engine: Engine = self.__dict__[name].sync_engine
                outdated = engine.pool
                engine.dispose(close=False)  # at once, so that nobody is given one of them while they are being closed
                closing = asyncio.ensure_future(greenlet_spawn(outdated.dispose))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        if "direct" in self.__dict__:
            self.direct.forget_idle()

    async def watch(self) -> None:
        """Ask the database for a sign of life every few seconds for as long as the process runs; see `forget_idle`."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                async with asyncio.timeout(SILENCE_S), self.direct.cursor() as cursor:
                    await cursor.execute("SELECT current_setting('transaction_read_only')")
                    if await cursor.fetchone() == ("off",):
                        continue
            except (psycopg.Error, TimeoutError, OSError):
                pass
            self.forget_idle()

    async def shares_sessions(self) -> bool:
        """Say whether a pooler lends each of our sessions another server connection for every transaction.

        What a session was told, its prepared statements and its locks are then lost or somebody else's. Two sessions that are
        open at once meet in one server process only there. Raises psycopg.Error, OSError or TimeoutError.
        """
        async with self.direct.cursor() as one, self.direct.cursor() as other:
            before = await _process_of(one)
            await other.execute("BEGIN", prepare=False)
            between = await _process_of(other)
            after = await _process_of(one)
            await other.execute("ROLLBACK", prepare=False)
        return between in (before, after) or before != after

    async def dispose(self) -> None:
        """Close every pooled connection."""
        for name in ("writer", "reader"):
            if name in self.__dict__:
                await self.__dict__[name].dispose()
        if "direct" in self.__dict__:
            await self.direct.dispose()
        if "sync_engine" in self.__dict__:
            self.sync_engine.dispose()


class FixedSelect:
    """A Core SELECT turned into the driver's text once: for `Direct`, where compiling costs more than running."""

    def __init__(self, statement: "Select[Any]") -> None:
        compiled = statement.compile(dialect=_dialect.dialect())  # type: ignore[no-untyped-call]
        self._text: LiteralString = cast(Any, str(compiled))
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._row: Any = namedtuple("Row", [column.key for column in statement.selected_columns])  # type: ignore[misc]

    async def rows(self, cursor: "Cursor", **bound: Any) -> list[Any]:
        """Return the rows as named tuples."""
        await cursor.execute(self._text, self._constants | bound)
        return [self._row._make(found) for found in await cursor.fetchall()]


Cursor: TypeAlias = "psycopg.AsyncCursor[Any]"


class Direct:
    """At most `size` connections of the driver itself, every statement a transaction of its own, prepared at first use.

    Against a statement on an engine that saves the session, the compiled cache, the greenlet and the transaction's two round
    trips: most of what a scan costs (docs/adr/0015).
    """

    cursors: "type[psycopg.AsyncCursor[Any]]" = psycopg.AsyncCursor
    """What statements are sent by; another one where somebody follows them."""

    def __init__(
        self, url: str, size: int, on_silence: Callable[[], None] = lambda: None, *, name: str = THIS.connection_name()
    ) -> None:
        self._url = url
        self._name = name
        self._on_silence = on_silence
        self._places = asyncio.Semaphore(size)
        self._idle: list[Cursor] = []
        self._current: set[Cursor] = set()
        self._lent: dict[Cursor, float] = {}
        self._shared: dict[Any, Batcher[Any, Any]] = {}

    def cursor(self) -> "_Loan":
        """Lend a cursor on a connection of its own for an `async with`. Raises TimeoutError or psycopg.Error."""
        return _Loan(self)

    def batched(self, run: Callable[["Direct", Sequence[Q]], Awaitable[Sequence[T]]]) -> Batcher[Q, T]:
        """Return where questions to `run(direct, questions)` are gathered on this database."""
        found = self._shared.get(run)
        if found is None:
            found = Batcher(partial(run, self), patience_s=SILENCE_S, on_silence=self._on_silence)
            self._shared[run] = found
        return found

    async def take(self) -> Cursor:
        """Lend a cursor; every one goes back through `give`."""
        if self._places.locked():
            await asyncio.wait_for(self._places.acquire(), WAIT_S)
        else:
            await self._places.acquire()
        try:
            # The one returned last is the warmest.
            cursor = self._idle.pop() if self._idle else await self._connect()
            self._lent[cursor] = time.monotonic()
            return cursor
        except BaseException:
            self._places.release()
            raise

    async def give(self, cursor: Cursor) -> None:
        """Take a cursor back; a connection that broke, or that a statement may still run on, is closed.

        Raises Unavailable when what was written is not known to outlive this server.
        """
        connection = cursor.connection
        del self._lent[cursor]
        try:
            if connection.pgconn.transaction_status == TransactionStatus.IDLE and cursor in self._current:
                self._idle.append(cursor)
            else:
                self._current.discard(cursor)
                await connection.close()
        finally:
            self._places.release()
        require_confirmed(connection)

    def forget_idle(self) -> None:
        """Close the connections that wait for work, and those at work when they come back; cut those silent for too long."""
        self._current.clear()
        silent_since = time.monotonic() - SILENCE_S + 0.1
        for cursor in [cursor for cursor, since in self._lent.items() if since < silent_since]:
            cut(cursor.connection)
        while self._idle:
            self._idle.pop().connection.pgconn.finish()

    async def _connect(self) -> Cursor:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, prepare_threshold=0, application_name=self._name, **REACH
        )
        await connection.cursor().execute(f"{SESSION}; SET lock_timeout = {LOCK_WAIT_MS}", prepare=False)
        hear_warnings(connection)
        # By default the type follows the number's size, and each size would be a prepared statement of its own.
        connection.adapters.register_dumper(int, Int8Dumper)
        cursor = self.cursors(connection)
        self._current.add(cursor)
        return cursor

    async def dispose(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().connection.close()


class _Loan:
    """What `async with direct.cursor()` holds."""

    def __init__(self, pool: Direct) -> None:
        self._pool = pool

    async def __aenter__(self) -> Cursor:
        self._cursor = await self._pool.take()
        return self._cursor

    async def __aexit__(self, *_: object) -> None:
        await self._pool.give(self._cursor)


async def _process_of(cursor: Cursor) -> int:
    await cursor.execute("SELECT pg_backend_pid()", prepare=False)
    (found,) = await cursor.fetchone() or (0,)
    return int(found)


def _listening_async(engine: AsyncEngine) -> AsyncEngine:
    _listening(engine.sync_engine)
    return engine


def _listening(engine: Engine) -> Engine:
    listen_for_loss(engine)

    @event.listens_for(engine, "connect")
    def begin_session(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute(SESSION)
        cursor.close()
        dbapi_connection.commit()

    return engine


def _commit_after(connection: Connection, work: Callable[[Session], T]) -> T:
    with _session(connection) as session:
        answer = work(session)
        session.commit()
        require_confirmed(connection.connection.driver_connection)
        return answer


def _leave_open(connection: Connection, work: Callable[[Session], T]) -> T:
    with _session(connection) as session:
        return work(session)
