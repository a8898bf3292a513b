"""Sealing: moving pending events into the Merkle log, in one transaction that either happened or did not.

An event is committed together with a row in ``pending``. The sealer deletes pending rows and inserts leaves in one
transaction, so every event is at every instant in exactly one of pending, leaf and quarantine. Nothing depends on ids,
transaction numbers or time running in commit order: an event that becomes visible late is a row of the next batch.

The order of the statements in ``seal`` is part of the safety argument (docs/adr/0006-sealed-not-chained.md):

1. the row lock, held until the end, puts all sealers in one line;
2. the newest head is read by a *later* statement, whose snapshot therefore includes what the lock's last holder did;
3. pending rows are deleted oldest first, so a stream's events are sealed in their order;
4. every leaf hash is computed again from the bytes: a flipped bit in a leaf hash cannot be repaired once it is sealed;
5. leaves, full tiles and the head are inserted;
6. the root is computed a second way, from the tiles instead of the compact range, before anything is committed.

After any exception, and so after a COMMIT whose outcome is unknown, memory is thrown away and the database is read again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
import structlog

from biobank.foundation import clock
from biobank.transparency.stored_tiles import TileMissing, load_edge
from biobank.transparency.tiles import FullTile, TileError, TreeEdge
from biobank.transparency.tree import CompactRange, hash_leaf

Connection = psycopg.Connection[tuple[Any, ...]]

MIN_BATCH: Final = 256
MAX_BATCH: Final = 8192
TARGET_SEAL_S: Final = 0.25
"""A batch should take about this long: longer ones delay receipts, shorter ones pay two flushes for few events."""

_LOCK = "SELECT 1 FROM log_lock WHERE id = 1 FOR UPDATE"
_HEAD = "SELECT size, root, range, sealed_at FROM tree_head ORDER BY size DESC LIMIT 1"
_TAKE = """
    WITH taken AS (
        DELETE FROM pending WHERE qid IN (SELECT qid FROM pending ORDER BY qid LIMIT %s)
        RETURNING qid, leaf_hash, recorded_at
    )
    SELECT taken.qid, taken.leaf_hash, event.entry, taken.recorded_at
    FROM taken LEFT JOIN event ON event.leaf_hash = taken.leaf_hash
    ORDER BY taken.qid
"""
_INSERT_HEAD = "INSERT INTO tree_head (size, root, range, sealed_at) VALUES (%s, %s, %s, %s)"
_INSERT_TILE = "INSERT INTO tile (level, n, hashes, root) VALUES (%s, %s, %s, %s)"
_COPY_LEAVES = "COPY leaf (log_index, leaf_hash) FROM STDIN (FORMAT BINARY)"
_EXAMINE = """
    SELECT pending.qid, pending.leaf_hash, event.entry, leaf.log_index
    FROM pending LEFT JOIN event ON event.leaf_hash = pending.leaf_hash
                 LEFT JOIN leaf ON leaf.leaf_hash = pending.leaf_hash
    WHERE pending.qid = ANY(%s)
"""
_PENDING_AND_SEALED = "SELECT qid FROM pending JOIN leaf USING (leaf_hash)"
_DROP_PENDING = "DELETE FROM pending WHERE qid = %s"
_DATABASE_TIME = "SELECT clock_timestamp()"
_QUARANTINE = "INSERT INTO log_quarantine (leaf_hash, qid, reason, at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"

log = structlog.get_logger("biobank.sealer")

APART = timedelta(seconds=60)
"""How far a sealer's clock may be from the database's."""


class LogHalted(Exception):
    """The log must not go on without a person: going on would fork it, or hide damage.

    ``reason`` is a stable word: rollback, fork, register_missing, register_unreadable, head_corrupt, index_taken,
    lock_missing, pooled_transactions, unsafe_database, witness_ahead.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ClockWentBack(Exception):
    """This machine's clock is earlier than the last seal by more than the tolerated skew. Sealing waits."""


class ClockApart(Exception):
    """This machine's clock is far from the database's. Sealing waits: a seal of tomorrow would hold up all until tomorrow."""


class Miscomputed(Exception):
    """Two computations of one root disagree: memory failed. Nothing was stored; the next attempt starts afresh."""


class _Unsealable(Exception):
    """Some pending rows cannot be sealed as they stand. The batch is rolled back and they are looked at one by one."""

    def __init__(self, qids: list[int]) -> None:
        super().__init__(f"{len(qids)} pending rows")
        self.qids = qids


@dataclass
class Lineage:
    """The tree as this process knows it: the compact range and, independently, the right edge of its tiles."""

    range: CompactRange
    edge: TreeEdge
    root: bytes
    sealed_at: datetime | None

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.range.size


@dataclass(frozen=True)
class Batch:
    """What one sealing transaction did."""

    events: int
    size: int
    seconds: float
    oldest_age_s: float
    full: bool


class Sealing:
    """The sealing transaction, with the tree it continues kept in memory between batches.

    ``connection`` is in autocommit mode and used by nobody else. Not thread-safe; any number of processes may seal.
    """

    def __init__(self, connection: Connection, *, skew: timedelta) -> None:
        self._connection = connection
        self._skew = skew
        self._lineage: Lineage | None = None
        self._limit = MIN_BATCH

    def begin(self) -> None:
        """Write the head of the empty tree if the log has no head yet. Call only once the register stands."""
        with self._connection.transaction():
            self._lock()
            if self._newest_head() is None:
                self._require_right_clock()
                empty = CompactRange()
                self._connection.execute(_INSERT_HEAD, (0, empty.root(), empty.to_bytes(), clock.now()))

    def seal(self) -> Batch | None:
        """Seal the oldest pending events, as many as fit one batch. Return None when none were pending.

        Rows that cannot be sealed are moved to quarantine first, loudly. Raises LogHalted, ClockWentBack, ClockApart,
        Miscomputed, or whatever psycopg raises; after any of them the next call starts from the database.
        """
        if not self._connection.execute("SELECT EXISTS (SELECT 1 FROM pending)").fetchall()[0][0]:
            return None  # without taking the lock: a lock leaves a trace on disk, and an idle bank should be idle
        lineage, self._lineage = self._lineage, None
        while True:
            try:
                batch, self._lineage = self._seal_under_lock(lineage)
            except _Unsealable as exc:
                self._quarantine(exc.qids)
            except psycopg.errors.UniqueViolation:
                self._quarantine(self._sealed_already())
            else:
                self._adapt(batch)
                return batch
            lineage = None

    def _seal_under_lock(self, lineage: Lineage | None) -> tuple[Batch | None, Lineage]:
        started = time.monotonic()
        with self._connection.transaction():
            self._lock()
            lineage = self._continue(lineage)
            now = clock.now()
            if lineage.sealed_at is not None and now < lineage.sealed_at - self._skew:
                raise ClockWentBack(f"the last seal is {lineage.sealed_at - now} in the future")
            self._require_right_clock()
            rows = self._connection.execute(_TAKE, (self._limit,), binary=True).fetchall()
            if not rows:  # another sealer was first
                return None, lineage
            first = lineage.size
            following, tiles = _extend(lineage, rows, max(now, lineage.sealed_at or now))
            self._store(first, rows, tiles, following)
        batch = Batch(
            events=len(rows),
            size=following.size,
            seconds=time.monotonic() - started,
            oldest_age_s=(now - rows[0][3]).total_seconds(),
            full=len(rows) == self._limit,
        )
        return batch, following

    def _require_right_clock(self) -> None:
        apart = clock.wall() - self._connection.execute(_DATABASE_TIME).fetchall()[0][0]
        if abs(apart) > APART:
            raise ClockApart(f"this clock is {apart} ahead of the database's")

    def _lock(self) -> None:
        if not self._connection.execute(_LOCK).fetchall():
            raise LogHalted("lock_missing", "the table log_lock has lost its one row; sealers would not exclude each other")

    def _newest_head(self) -> tuple[Any, ...] | None:
        return self._connection.execute(_HEAD, binary=True).fetchone()

    def _continue(self, lineage: Lineage | None) -> Lineage:
        """Return the lineage of the newest stored head: the one in memory if it is that, else loaded and checked."""
        head = self._newest_head()
        if head is None:
            raise LogHalted("head_corrupt", "the log has no head, not even of the empty tree")
        size, root, range_bytes, sealed_at = head
        if lineage is not None and (lineage.size, lineage.root) == (size, root):
            return lineage
        try:
            stored = CompactRange.from_bytes(range_bytes)
            edge = load_edge(lambda sql, values: self._connection.execute(sql, values, binary=True).fetchall(), size)
        except (ValueError, TileError, TileMissing) as exc:
            raise LogHalted("head_corrupt", f"the stored tree of size {size} is damaged: {exc}") from exc
        if stored.size != size or stored.root() != root or edge.peaks() != stored.peaks:
            raise LogHalted("head_corrupt", f"head, compact range and tiles of the stored tree of size {size} disagree")
        return Lineage(stored, edge, root, sealed_at)

    def _store(self, first: int, rows: Sequence[tuple[Any, ...]], tiles: list[FullTile], head: Lineage) -> None:
        with self._connection.cursor() as cursor:
            with cursor.copy(_COPY_LEAVES) as copy:
                copy.set_types(["int8", "bytea"])
                for index, row in enumerate(rows, first):
                    copy.write_row((index, row[1]))
            if tiles:
                cursor.executemany(_INSERT_TILE, tiles)
            cursor.execute(_INSERT_HEAD, (head.size, head.root, head.range.to_bytes(), head.sealed_at))

    def _adapt(self, batch: Batch | None) -> None:
        if batch is None:
            return
        if batch.seconds > TARGET_SEAL_S:
            self._limit = max(MIN_BATCH, self._limit // 2)
        elif batch.full and batch.seconds < TARGET_SEAL_S / 2:
            self._limit = min(MAX_BATCH, self._limit * 2)

    def _sealed_already(self) -> list[int]:
        """A leaf or head to be inserted exists. Return the pending rows whose events are sealed already; else halt."""
        qids = [row[0] for row in self._connection.execute(_PENDING_AND_SEALED).fetchall()]
        if not qids:
            raise LogHalted("index_taken", "leaves, tiles or heads are stored beyond the newest head")
        return qids

    def _quarantine(self, qids: list[int]) -> None:
        """Look again at pending rows that could not be sealed, and quarantine those that still cannot.

        Raises Miscomputed when all of them can: then the fault was in memory.
        """
        with self._connection.transaction():
            self._lock()
            found = self._connection.execute(_EXAMINE, (qids,), binary=True).fetchall()
            bad = [(qid, leaf_hash, reason) for qid, leaf_hash, *rest in found if (reason := _fault(leaf_hash, *rest))]
            for qid, leaf_hash, reason in bad:
                self._connection.execute(_DROP_PENDING, (qid,))
                self._connection.execute(_QUARANTINE, (leaf_hash, qid, reason, clock.now()))
        for qid, leaf_hash, reason in bad:
            log.error("event_quarantined", qid=qid, leaf_hash=leaf_hash.hex(), reason=reason)
        if found and not bad:
            raise Miscomputed(f"{len(found)} pending rows could not be sealed, and there is nothing wrong with them")


def _fault(leaf_hash: bytes, entry: bytes | None, log_index: int | None) -> str | None:
    """Return why a pending row cannot be sealed, or None if it can."""
    if entry is None:
        return "event_missing"  # deleted or edited before it was sealed
    if hash_leaf(entry) != leaf_hash:
        return "hash_mismatch"
    return None if log_index is None else "already_sealed"


def _extend(lineage: Lineage, rows: Sequence[tuple[Any, ...]], at: datetime) -> tuple[Lineage, list[FullTile]]:
    """Return the lineage with the rows' leaves added, and the tiles they filled. Changes nothing in ``lineage``.

    The compact range grows by hashes computed here, the tiles by the hashes PostgreSQL computed.
    """
    following = lineage.range.copy()
    edge = lineage.edge.copy()
    tiles: list[FullTile] = []
    unsealable: list[int] = []
    for qid, leaf_hash, entry, _ in rows:
        if entry is None or (computed := hash_leaf(entry)) != leaf_hash:
            unsealable.append(qid)
            continue
        following.append(computed)
        tiles += edge.append(leaf_hash)
    if unsealable:
        raise _Unsealable(unsealable)
    root = following.root()
    if edge.peaks() != following.peaks or edge.root() != root:
        raise Miscomputed(f"two computations of the root at size {following.size} disagree")
    return Lineage(following, edge, root, at), tiles
