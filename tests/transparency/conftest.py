"""A log under test: a fresh bank's database, a register in a file, and ways to record, seal and look."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from biobank.foundation import clock
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.note import Signer
from biobank.transparency.register import FileRegister
from biobank.transparency.sealer import Log, Sealer, drain
from biobank.transparency.tree import hash_leaf
from tests.conftest import TestBank

ORIGIN = "bank.example/custody"
KEY = Signer(ORIGIN, bytes(range(32)))
NEXT_KEY = Signer(ORIGIN, bytes(range(1, 33)))

Connection = psycopg.Connection[tuple[Any, ...]]

_numbers = count(1)


class LogUnderTest:
    """One log: its database, its register and its key."""

    def __init__(self, bank: TestBank, folder: Path) -> None:
        self.bank = bank
        self.register = FileRegister(folder / "register" / "checkpoint")
        self.log = Log(ORIGIN, [KEY], self.register)

    @contextmanager
    def connect(self, role: str, database: str | None = None, **options: Any) -> Iterator[Connection]:
        """A connection in autocommit mode. The owner of a test cluster is its superuser."""
        dsn = self.bank.cluster.dsn(role, database or self.bank.database)  # type: ignore[arg-type]
        with psycopg.connect(dsn, autocommit=True, **options) as connection:
            yield connection

    @contextmanager
    def sealer(self, log: Log | None = None, database: str | None = None) -> Iterator[Sealer]:
        """A sealer over a connection of its own, ready to work."""
        with self.connect("sealer", database) as connection:
            made = Sealer(connection, log or self.log)
            made.begin()
            yield made

    def drain(self, log: Log | None = None, database: str | None = None) -> None:
        """Seal until nothing is pending, with a sealer that has just been started."""
        drain(self.bank.cluster.dsn("sealer", database or self.bank.database), log or self.log)

    def record(self, events: int = 1, stream: str | None = None) -> list[bytes]:
        """Record events, in one transaction, as the application would; return their leaf hashes."""
        with self.connect("app") as connection:
            return record(connection, events, stream)

    def attack(self, *statements: str) -> None:
        """Run statements as the cluster's superuser, with every trigger and foreign key of the log switched off."""
        tables = ("event", "pending", "leaf", "tile", "tree_head", "checkpoint", "log_quarantine")
        with self.connect("owner") as connection, connection.transaction():
            for table in tables:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement)
            for table in tables:
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What the owner reads."""
        with self.connect("owner") as connection:
            return connection.execute(sql, values).fetchall()

    def leaves(self) -> list[bytes]:
        """The sealed leaf hashes; their indexes are checked to be contiguous from 0."""
        rows = self.rows("SELECT log_index, leaf_hash FROM leaf ORDER BY log_index")
        assert [row[0] for row in rows] == list(range(len(rows)))
        return [row[1] for row in rows]

    def checkpoints(self) -> list[Checkpoint]:
        """Every stored checkpoint, opened, smallest first."""
        rows = self.rows("SELECT note FROM checkpoint ORDER BY size")
        return [open_checkpoint(note, ORIGIN, [KEY.verifier]) for (note,) in rows]

    def pending(self) -> int:
        """How many events wait."""
        return int(self.rows("SELECT count(*) FROM pending")[0][0])

    def quarantined(self) -> dict[bytes, str]:
        """Quarantined leaf hashes and why."""
        return dict(self.rows("SELECT leaf_hash, reason FROM log_quarantine"))


def record(connection: Connection, events: int = 1, stream: str | None = None) -> list[bytes]:
    """Append events to a stream (a new one if None) and queue them, in one transaction or in the caller's."""
    stream = stream or f"T-{next(_numbers)}"
    hashes: list[bytes] = []
    with connection.transaction():
        head = connection.execute(
            "SELECT seq, leaf_hash FROM event WHERE stream_kind = 'system' AND stream_id = %s ORDER BY seq DESC LIMIT 1",
            (stream,),
        ).fetchone()
        seq, previous = head or (0, None)
        for _ in range(events):
            seq += 1
            now = clock.now().astimezone(UTC)
            entry = encode({"id": stream, "prev": previous.hex() if previous else None, "seq": seq, "v": 1})
            connection.execute(
                """INSERT INTO event (stream_kind, stream_id, seq, kind, entry, prev_hash, occurred_at, recorded_at, recorded_by)
                   VALUES ('system', %s, %s, 'test', %s, %s, %s, %s, 'SYSTEM')""",
                (stream, seq, entry, previous, now, now),
            )
            previous = hash_leaf(entry)
            connection.execute("INSERT INTO pending (leaf_hash, recorded_at) VALUES (%s, %s)", (previous, now))
            hashes.append(previous)
    return hashes


@pytest.fixture
def log(bank: TestBank, tmp_path: Path) -> LogUnderTest:
    """A log in a fresh bank."""
    return LogUnderTest(bank, tmp_path)
