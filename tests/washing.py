"""Databases that serve one test after another: washed until they are what their templates are, or thrown away.

Copying the two templates is forty milliseconds of the server's work for every test, and the first statements over new connections
are as much again. So a pair of databases goes back after its test, with the connections that were opened to it, when it can be
shown to be as good as new: nobody else is connected, nothing is locked or half done, and nothing but rows was changed. Every row
that came, went or was changed is then put back. A pair of which this cannot be shown is dropped, as is one that served often.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from biobank.acts.bank import Bank
from biobank.postgres.embedded import EmbeddedPostgres

USES = 50
"""So many tests a pair serves: what was deleted is still passed over by who reads a table from end to end."""
PATIENCE_S = 1.0
"""So long a session that is ending may take."""
ENGINES = ("database", "_keys_async", "_keys_sync")
"""What a bank keeps of its connections."""

OF_CONNECTIONS = {"pool_size", "database_url", "keys_database_url"}
"""Settings on which the connections depend."""

_TABLES = """
    SELECT c.relname, (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                       WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"""
_SEQUENCES = "SELECT sequencename, COALESCE(last_value, start_value), last_value IS NOT NULL FROM pg_sequences"
# What is refused even to the owner, by a trigger that no setting skips.
_REFUSING = """
    SELECT DISTINCT tgfoid::regproc::text, pg_get_functiondef(tgfoid) FROM pg_trigger
    WHERE NOT tgisinternal AND tgenabled = 'A' AND tgtype & 8 = 8"""
_CATALOGUE = """
    SELECT sum(pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid))
    FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND relname <> 'pg_statistic'
        AND (NOT relisshared OR relname = 'pg_db_role_setting')"""
_OTHERS = """
    SELECT count(*), count(*) FILTER (WHERE a.state = 'idle'),
        (SELECT count(*) FROM pg_locks l WHERE l.locktype = 'advisory'
            AND l.database IN (SELECT oid FROM pg_database WHERE datname = ANY(%(names)s)))
    FROM pg_stat_activity a
    WHERE a.datname = ANY(%(names)s) AND a.backend_type = 'client backend' AND a.application_name <> 'washing'"""


class Washable:
    """One database and a connection of its owner to it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._columns: dict[str, str] = dict(self._rows(_TABLES))
        seeded = {name for name in self._columns if self._rows(f"SELECT EXISTS (SELECT FROM {name})")[0][0]}
        self._seeded = {name: self._copied(name) for name in sorted(seeded)}
        numbers = [f"setval('{name}', {at}, {called})" for name, at, called in self._rows(_SEQUENCES)]
        self._numbers = f"SELECT {', '.join(numbers)};" if numbers else ""
        refusing = self._rows(_REFUSING)
        empty = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
        self._let = "".join(f"CREATE OR REPLACE FUNCTION {name}() {empty};" for name, _ in refusing)
        self._forbid = "".join(f"{definition};" for _, definition in refusing)
        self._changed = self._asked()
        self._since = int(self._rows("SELECT pg_current_xact_id()::text")[0][0])
        self._catalogue = self._rows(_CATALOGUE)

    @cached_property
    def _connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self._dsn, autocommit=True, application_name="washing", prepare_threshold=0)

    def _rows(self, statement: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def _copied(self, table: str) -> tuple[int, bytes]:
        with self._connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} ({self._columns[table]}) TO STDOUT") as copy:
                rows = b"".join(bytes(block) for block in copy)
            return cursor.rowcount, rows

    def _asked(self) -> str:
        """The question of which tables are not as they were: a row where none was, a later row, fewer rows."""
        asked = [
            f"(SELECT count(*) <> {self._seeded[name][0]} OR max(xmin::text::bigint) > %(since)s FROM {name})"
            if name in self._seeded
            else f"EXISTS (SELECT FROM {name})"
            for name in self._columns
        ]
        marked = (f"CASE WHEN {question} THEN '{name}' END" for name, question in zip(self._columns, asked, strict=True))
        return f"SELECT array_remove(ARRAY[{', '.join(marked)}], NULL)"

    def others(self, names: list[str]) -> tuple[int, int, int]:
        """How many other sessions the databases have, how many of them are idle, and how many locks by name are held."""
        found: tuple[int, int, int] = self._rows(_OTHERS, {"names": names})[0]
        return found

    def wash(self) -> bool:
        """Put back every row; False when something else was changed."""
        if self._rows(_CATALOGUE) != self._catalogue:
            return False
        changed: list[str] = self._rows(self._changed, {"since": self._since})[0][0]
        emptied = "".join(f"DELETE FROM {name};" for name in changed)
        with self._connection.transaction():
            if changed:
                replica = "SET LOCAL session_replication_role = replica;"
                self._connection.execute(f"{replica}{self._let}{emptied}{self._forbid}", prepare=False)
            for name in changed:
                if name in self._seeded:
                    with self._connection.cursor().copy(f"COPY {name} ({self._columns[name]}) FROM STDIN") as copy:
                        copy.write(self._seeded[name][1])
            self._connection.execute(f"{self._numbers} SELECT pg_stat_force_next_flush()", prepare=False)
            self._since = int(self._rows("SELECT pg_current_xact_id()::text")[0][0])
        self._catalogue = self._rows(_CATALOGUE)
        return True

    def hang_up(self) -> None:
        """Close the connection; it is opened again when it is needed."""
        if "_connection" in self.__dict__:
            self.__dict__.pop("_connection").close()


@dataclass
class Pair:
    """A database of a bank and one of its keys, and what is open to them."""

    cluster: EmbeddedPostgres
    database: str
    bank: Bank | None = None
    uses: int = 0

    @cached_property
    def _washable(self) -> tuple[Washable, Washable]:
        return Washable(self.cluster.dsn("owner", self.database)), Washable(self.cluster.dsn("owner", keys_of(self.database)))

    def __post_init__(self) -> None:
        assert self._washable  # noted while nobody has used them

    def lend(self, bank: Bank) -> None:
        """Let a bank use the connections that were opened for the one before it."""
        if self.bank is not None:
            vars(bank).update({name: vars(self.bank)[name] for name in ENGINES if name in vars(self.bank)})
        self.bank = bank

    def wash(self) -> bool:
        """Make both databases what they were; False when the pair is to be dropped."""
        self.uses += 1
        try:
            return self.uses < USES and self._is_quiet() and all(one.wash() for one in self._washable)
        except psycopg.Error:
            return False

    def _is_quiet(self) -> bool:
        """Whether every session is one of the bank's, and waits for work with nothing begun."""
        assert self.bank is not None
        until = time.monotonic() + PATIENCE_S
        while True:
            idle, busy = connections_of(self.bank)
            if busy == 0 and self._washable[0].others([self.database, keys_of(self.database)]) == (idle, idle, 0):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.002)

    def hang_up(self) -> None:
        """Close the connections of the owner."""
        for one in self._washable:
            one.hang_up()


def connections_of(bank: Bank) -> tuple[int, int]:
    """How many connections of a bank wait for work, and how many are at work."""
    pools = [engine.pool for engine in engines_of(bank)]
    assert all(isinstance(pool, QueuePool) for pool in pools)
    idle = sum(pool.checkedin() for pool in pools)  # type: ignore[attr-defined]
    busy = sum(pool.checkedout() for pool in pools)  # type: ignore[attr-defined]
    if "database" in vars(bank) and "direct" in vars(bank.database):
        direct = bank.database.direct
        idle, busy = idle + len(direct._idle), busy + len(direct._lent)
    return idle, busy


def engines_of(bank: Bank) -> Iterator[Engine]:
    """The engines that a bank has opened."""
    database = vars(bank).get("database")
    if database is not None:
        found = vars(database)
        yield from (found[name].sync_engine for name in ("writer", "reader") if name in found)
        if "sync_engine" in found:
            yield found["sync_engine"]
    if "_keys_async" in vars(bank):
        yield bank._keys_async.sync_engine
    if "_keys_sync" in vars(bank):
        yield bank._keys_sync


def keys_of(database: str) -> str:
    """The database of keys beside a test's database."""
    return "k" + database[1:]


def create(cluster: EmbeddedPostgres, from_main: str, from_keys: str) -> str:
    """Copy two databases; return the name of the first copy."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        for copy, model in ((name, from_main), (keys_of(name), from_keys)):
            connection.execute(f"CREATE DATABASE {copy} TEMPLATE {model} STRATEGY FILE_COPY")
    return name


def drop(cluster: EmbeddedPostgres, database: str) -> None:
    """Drop a test's database and that of its keys, whoever is connected."""
    with psycopg.connect(cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        for name in (database, keys_of(database)):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
