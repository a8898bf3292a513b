"""Engines, and the one place where a transaction ends.

One request is one transaction. Domain code is plain synchronous functions of a `Session`; a request runs them in **one**
`run_sync` hop, because a greenlet switch per statement costs more than the statement. Writes end in COMMIT; reads run on an
AUTOCOMMIT engine, because psycopg forgets its prepared statements at every ROLLBACK.

The scan path alone goes past the engines (`Direct`): fixed statements, each a transaction of its own, on the driver itself.
"""

import asyncio
from collections import namedtuple
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from typing import Any, LiteralString, TypeAlias, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Connection, Engine, MetaData, Select, Table, create_engine
from sqlalchemy.dialects.postgresql import psycopg as _dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlmodel import Session, SQLModel

from biobank.foundation.batching import Batcher

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


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table of a SQLModel class, for statements built once at import."""
    return metadata.tables[str(model.__tablename__)]


def tables_marked(mark: str) -> tuple[str, ...]:
    """Return the names of the tables whose model says `mark` in its `info`, in order of names.

    The marks are the one list of what the database guards (migration `guards`) and of what the health page looks for:
    `append_only`: rows are written once; UPDATE, DELETE and TRUNCATE are refused for everyone, the owner included.
    `never_deleted`: DELETE and TRUNCATE are refused.
    `sealer_only`: the sealer writes, the application reads.
    `app_may_delete`: the application holds DELETE; on every other table it does not.
    """
    return tuple(sorted(name for name, table in metadata.tables.items() if table.info.get(mark)))


def sqlalchemy_url(url: str) -> str:
    """Name the driver in a plain `postgresql://` address."""
    return url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)


CONNECT: dict[str, Any] = {"application_name": "biobank", "options": "-c timezone=UTC"}
WAIT_S = 15
"""How long a request waits for a connection."""
LOCK_WAIT_MS = 200
"""How long a direct statement waits for a row that someone else is changing. It may carry the scans of others along."""


def _session(connection: Connection) -> Session:
    return Session(bind=connection, expire_on_commit=False, autoflush=False)


class Database:
    """The engines of one process, built on first use."""

    def __init__(self, url: str, *, pool_size: int = 10, read_url: str | None = None) -> None:
        self._plain_url = url
        self._url = sqlalchemy_url(url)
        self._read_url = sqlalchemy_url(read_url or url)
        self._pool: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 5,
            "pool_timeout": 15,
            # Parameters may be personal data; they never stand in an error text or a log.
            "hide_parameters": True,
            # Five executions before a statement is prepared by default; what a bank asks, it asks again.
            "connect_args": CONNECT | {"prepare_threshold": 1},
        }

    @cached_property
    def writer(self) -> AsyncEngine:
        """The engine of acts: READ COMMITTED, ended by COMMIT."""
        return create_async_engine(self._url, **self._pool)

    @cached_property
    def reader(self) -> AsyncEngine:
        """The engine of questions and of single-statement writes: AUTOCOMMIT."""
        return create_async_engine(self._read_url, isolation_level="AUTOCOMMIT", **self._pool)

    @cached_property
    def direct(self) -> "Direct":
        """Connections for the scan path."""
        return Direct(self._plain_url, self._pool["pool_size"])

    @cached_property
    def sync_engine(self) -> Engine:
        """The engine of the command line and the worker. Rows that are inserted together go in one statement."""
        engine = create_engine(self._url, **(self._pool | {"pool_size": 2}))
        engine.dialect.use_insertmanyvalues_wo_returning = True
        return engine

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and COMMIT; on any exception roll back and re-raise."""
        async with self.writer.connect() as connection:
            return await connection.run_sync(_commit_after, work)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` for one question; each statement sees the latest committed state."""
        async with self.reader.connect() as connection:
            return await connection.run_sync(_leave_open, work)

    async def read_snapshot(self, work: Callable[[Session], T]) -> T:
        """Run `work` whose statements must agree with each other: REPEATABLE READ, READ ONLY."""
        async with self.writer.connect() as plain:
            connection: AsyncConnection = await plain.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            return await connection.run_sync(_commit_after, work)

    def write_now(self, work: Callable[[Session], T]) -> T:
        """`write` for synchronous callers, for the command line and the worker."""
        with self.sync_engine.connect() as connection:
            return _commit_after(connection, work)

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

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._places = asyncio.Semaphore(size)
        self._idle: list[Cursor] = []
        self._shared: dict[Any, Batcher[Any, Any]] = {}

    def cursor(self) -> "_Loan":
        """Lend a cursor on a connection of its own for an `async with`. Raises TimeoutError or psycopg.Error."""
        return _Loan(self)

    def batched(self, run: Callable[["Direct", Sequence[Q]], Awaitable[Sequence[T]]]) -> Batcher[Q, T]:
        """Return where questions to `run(direct, questions)` are gathered on this database."""
        found = self._shared.get(run)
        if found is None:
            found = self._shared[run] = Batcher(partial(run, self))
        return found

    async def take(self) -> Cursor:
        """Lend a cursor; every one goes back through `give`."""
        if self._places.locked():
            await asyncio.wait_for(self._places.acquire(), WAIT_S)
        else:
            await self._places.acquire()
        try:
            # The one returned last is the warmest.
            return self._idle.pop() if self._idle else await self._connect()
        except BaseException:
            self._places.release()
            raise

    async def give(self, cursor: Cursor) -> None:
        """Take a cursor back; a connection that broke, or that a statement may still run on, is closed."""
        connection = cursor.connection
        try:
            if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                self._idle.append(cursor)
            else:
                await connection.close()
        finally:
            self._places.release()

    async def _connect(self) -> Cursor:
        options = f"{CONNECT['options']} -c lock_timeout={LOCK_WAIT_MS}ms"
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, prepare_threshold=0, **(CONNECT | {"options": options})
        )
        # By default the type follows the number's size, and each size would be a prepared statement of its own.
        connection.adapters.register_dumper(int, Int8Dumper)
        return connection.cursor()

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


def _commit_after(connection: Connection, work: Callable[[Session], T]) -> T:
    with _session(connection) as session:
        answer = work(session)
        session.commit()
        return answer


def _leave_open(connection: Connection, work: Callable[[Session], T]) -> T:
    with _session(connection) as session:
        return work(session)
