"""Sealing: every event exactly once, in order, whoever seals and whatever dies or lies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from biobank.foundation import clock
from biobank.transparency.register import FileRegister, RegisterMissing
from biobank.transparency.sealing import ClockWentBack, LogHalted, Miscomputed, Sealing
from biobank.transparency.stored_tiles import tile_reader
from biobank.transparency.tiles import TileName, TileNodes, tile_names
from biobank.transparency.tree import (
    CompactRange,
    consistency_proof,
    hash_leaf,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from tests.transparency.conftest import LogUnderTest, record

SKEW = timedelta(seconds=5)


def root_of(leaves: list[bytes]) -> bytes:
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


def test_pending_events_become_leaves_in_order_and_a_signed_checkpoint(log: LogUnderTest) -> None:
    recorded = [hash_ for n in range(3) for hash_ in log.record(2)]
    log.drain()
    assert log.leaves() == recorded
    assert (log.pending(), log.quarantined()) == (0, {})
    newest = log.checkpoints()[-1]
    assert (newest.size, newest.root) == (6, root_of(recorded))
    assert log.rows("SELECT note FROM checkpoint WHERE size = 6") == [(log.register.read(),)]


def test_a_log_larger_than_a_tile_has_every_tile_head_and_proof(log: LogUnderTest) -> None:
    recorded: list[bytes] = []
    for _ in range(7):  # a sealer started anew for each batch, so that the stored edge is taken up at several sizes
        recorded += log.record(101)
        log.drain()
    assert log.leaves() == recorded
    with log.connect("auditor") as connection:
        read = tile_reader(lambda sql, values: connection.execute(sql, values).fetchall())
        stored = {TileName(level, n) for level, n in connection.execute("SELECT level, n FROM tile").fetchall()}
        assert stored == {name for name in tile_names(len(recorded)) if name.width == 256}
        node = TileNodes(len(recorded), read)
        heads = [head for head in log.checkpoints() if head.size]
        assert len(heads) >= 7
        for head in heads:
            assert head.root == root_of(recorded[: head.size])
            for index in (0, head.size // 2, head.size - 1):
                verify_inclusion(index, head.size, recorded[index], inclusion_proof(index, head.size, node), head.root)
        for old, new in pairwise(heads):
            verify_consistency(old.size, new.size, old.root, new.root, consistency_proof(old.size, new.size, node))


def test_an_idle_log_writes_nothing(log: LogUnderTest) -> None:
    log.record()
    with log.sealer() as sealer:
        sealer.step()
        before = log.rows("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        for _ in range(3):
            assert sealer.step() is None
        assert log.rows("SELECT pg_snapshot_xmax(pg_current_snapshot())::text") == before


def test_an_event_that_commits_late_under_a_lower_number_is_sealed_in_the_next_batch(log: LogUnderTest) -> None:
    with log.sealer() as sealer, log.connect("app") as slow:
        with slow.transaction():
            late = record(slow)
            early = log.record()
            sealer.step()
            assert log.leaves() == early
        sealer.step()
    assert log.leaves() == early + late
    assert log.pending() == 0


def test_what_is_rolled_back_is_not_sealed(log: LogUnderTest) -> None:
    with log.connect("app") as connection, connection.transaction(force_rollback=True):
        record(connection, 3)
    kept = log.record()
    log.drain()
    assert log.leaves() == kept


def test_a_sealer_that_looked_for_the_register_before_another_began_the_log_goes_on_with_it(log: LogUnderTest) -> None:
    class LookedTooEarly(FileRegister):
        """Says that there is none, as there was when it was opened, and by then another sealer has begun the log."""

        looked = False

        def read(self) -> str:
            if not self.looked:
                self.looked = True
                log.record(1)
                log.drain()
                raise RegisterMissing("there was no checkpoint register")
            return super().read()

    early = replace(log.log, register=LookedTooEarly(log.register._path))
    with log.sealer(early) as sealer:
        recorded = log.record(2)
        sealer.step()

    assert log.checkpoints()[-1].size == 3 and log.leaves()[1:] == recorded


def test_two_sealers_and_many_writers_lose_nothing_and_seal_nothing_twice(log: LogUnderTest) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded(work: Any) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as exc:
                failures.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(writer: int) -> None:
        with log.connect("app") as connection:
            for n in range(60):
                record(connection, 1 + n % 3, f"W{writer}-{n % 5}")

    def seal() -> None:
        with log.sealer() as sealer:
            while not stop.is_set() or log.pending():
                sealer.step()

    sealers = [guarded(seal), guarded(seal)]
    writers = [guarded(lambda n=n: write(n)) for n in range(4)]
    for thread in writers:
        thread.join()
    stop.set()
    for thread in sealers:
        thread.join()
    assert failures == []
    leaves = log.leaves()
    assert len(leaves) == len(set(leaves)) == 4 * 60 * 2
    assert log.rows("SELECT count(*) FROM event") == [(len(leaves),)]
    for checkpoint in log.checkpoints():
        assert checkpoint.root == root_of(leaves[: checkpoint.size])
    assert log.checkpoints()[-1].size == len(leaves)
    order = log.rows("SELECT stream_id, seq FROM leaf JOIN event USING (leaf_hash) ORDER BY log_index")
    seen: dict[str, int] = {}
    for stream, seq in order:
        assert seq == seen.get(stream, 0) + 1, "a stream's events are sealed in their order"
        seen[stream] = seq


def test_an_event_deleted_before_it_was_sealed_is_an_alarm_and_stops_nobody_else(log: LogUnderTest) -> None:
    first, victim, last = log.record()[0], log.record()[0], log.record()[0]
    log.attack(f"DELETE FROM event WHERE leaf_hash = '\\x{victim.hex()}'")
    log.drain()
    assert log.leaves() == [first, last]
    assert log.quarantined() == {victim: "event_missing"}
    assert log.pending() == 0


def test_an_event_edited_before_it_was_sealed_is_an_alarm_and_stops_nobody_else(log: LogUnderTest) -> None:
    first, victim, last = log.record()[0], log.record()[0], log.record()[0]
    log.attack(f"UPDATE event SET entry = entry || '\\x20' WHERE leaf_hash = '\\x{victim.hex()}'")
    log.drain()
    assert log.leaves() == [first, last]
    assert log.quarantined() == {victim: "event_missing"}


def test_a_leaf_hash_that_is_not_the_hash_of_its_bytes_is_never_sealed(log: LogUnderTest) -> None:
    first, victim, last = log.record()[0], log.record()[0], log.record()[0]
    flipped = bytes([victim[0] ^ 1]) + victim[1:]
    log.attack(
        "ALTER TABLE event ALTER COLUMN leaf_hash DROP EXPRESSION",
        f"UPDATE event SET leaf_hash = '\\x{flipped.hex()}' WHERE leaf_hash = '\\x{victim.hex()}'",
        f"UPDATE pending SET leaf_hash = '\\x{flipped.hex()}' WHERE leaf_hash = '\\x{victim.hex()}'",
    )
    log.drain()
    assert log.leaves() == [first, last]
    assert log.quarantined() == {flipped: "hash_mismatch"}


def test_an_event_queued_again_after_it_was_sealed_does_not_stop_the_log(log: LogUnderTest) -> None:
    sealed = log.record(3)
    log.drain()
    with log.connect("app") as stolen:
        stolen.execute("INSERT INTO pending (leaf_hash, recorded_at) VALUES (%s, now())", (sealed[1],))
    fresh = log.record()
    log.drain()
    assert log.leaves() == sealed + fresh
    assert log.quarantined() == {sealed[1]: "already_sealed"}
    with log.connect("app") as stolen:
        stolen.execute("INSERT INTO pending (leaf_hash, recorded_at) VALUES (%s, now())", (sealed[1],))
    log.drain()
    assert (log.pending(), log.leaves()) == (0, sealed + fresh)


def test_leaves_stored_beyond_the_head_halt_the_log(log: LogUnderTest) -> None:
    log.record(2)
    log.drain()
    log.attack("INSERT INTO leaf VALUES (2, '\\x00')")
    log.record()
    with log.sealer() as sealer, pytest.raises(LogHalted) as halted:
        sealer.step()
    assert halted.value.reason == "index_taken"
    assert log.pending() == 1


def test_sealing_waits_while_the_clock_is_back(log: LogUnderTest) -> None:
    log.record()
    log.drain()
    recorded = log.record()
    clock.set_offset(timedelta(hours=-1), test_mode=True)
    with log.sealer() as sealer:
        with pytest.raises(ClockWentBack):
            sealer.step()
        assert log.pending() == 1
        clock.set_offset(timedelta(seconds=-2), test_mode=True)
        sealer.step()
        assert log.leaves()[1:] == recorded
    times = [row[0] for row in log.rows("SELECT sealed_at FROM tree_head ORDER BY size")]
    assert times == sorted(times)


class LostReplies(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose transactions commit while the answer is lost on the way, when told so."""

    lose_next = False

    @contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        with super().transaction(*args, **kwargs) as transaction:
            yield transaction
        if self.lose_next:
            self.lose_next = False
            raise psycopg.OperationalError("connection lost")


def test_after_a_commit_whose_outcome_is_unknown_the_database_decides(log: LogUnderTest) -> None:
    first = log.record(2)
    with LostReplies.connect(log.bank.dsn("sealer"), autocommit=True) as connection:
        sealing = Sealing(connection, skew=SKEW)
        sealing.begin()
        sealing.seal()
        second = log.record(3)
        connection.lose_next = True
        with pytest.raises(psycopg.OperationalError):
            sealing.seal()
        third = log.record()
        batch = sealing.seal()
    assert batch is not None
    assert (batch.size, batch.events) == (6, 1)
    assert log.leaves() == first + second + third


@pytest.mark.parametrize("where", ["range", "edge"])
def test_a_bit_that_flips_in_the_sealers_memory_is_not_committed(log: LogUnderTest, where: str) -> None:
    recorded = log.record(3)
    with log.connect("sealer") as connection:
        sealing = Sealing(connection, skew=SKEW)
        sealing.begin()
        sealing.seal()
        lineage = sealing._lineage
        assert lineage is not None
        hashes = lineage.range.peaks if where == "range" else lineage.edge.partial[0]
        hashes[0] = bytes([hashes[0][0] ^ 1]) + hashes[0][1:]
        recorded += log.record(2)
        with pytest.raises(Miscomputed):
            sealing.seal()
        assert log.pending() == 2
        sealing.seal()
    assert log.leaves() == recorded
    assert log.rows("SELECT root FROM tree_head WHERE size = 5") == [(root_of(recorded),)]


def test_a_hash_that_came_out_wrong_once_accuses_nobody(log: LogUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = log.record(3)
    wrong_once = iter([bytes(32)])
    with log.sealer() as sealer:
        monkeypatch.setattr("biobank.transparency.sealing.hash_leaf", lambda data: next(wrong_once, hash_leaf(data)))
        with pytest.raises(Miscomputed):
            sealer.step()
        assert (log.quarantined(), log.pending()) == ({}, 3)
        sealer.step()
    assert log.leaves() == recorded


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tree_head SET root = sha256(root) WHERE size = 300",
        "UPDATE tree_head SET range = substr(range, 1, 40) WHERE size = 300",
        "UPDATE tree_head SET range = set_byte(range, 20, 255 - get_byte(range, 20)) WHERE size = 300",
        "UPDATE leaf SET leaf_hash = sha256(leaf_hash) WHERE log_index = 290",
        "UPDATE tile SET root = sha256(root)",
        "DELETE FROM leaf WHERE log_index = 299",
        "DELETE FROM tile",
        "DELETE FROM checkpoint; DELETE FROM tree_head",
    ],
)
def test_a_damaged_head_is_not_built_upon(log: LogUnderTest, damage: str) -> None:
    log.record(300)
    with log.connect("sealer") as connection:
        sealing = Sealing(connection, skew=SKEW)
        sealing.begin()
        while sealing.seal():
            pass
    log.attack(*damage.split("; "))
    log.record()
    with log.connect("sealer") as connection:
        with pytest.raises(LogHalted) as halted:
            Sealing(connection, skew=SKEW).seal()
        assert halted.value.reason == "head_corrupt"
    assert log.pending() == 1


def test_without_the_lock_row_nobody_seals(log: LogUnderTest) -> None:
    log.record()
    with log.sealer() as sealer:
        log.attack("DELETE FROM log_lock")
        with pytest.raises(LogHalted) as halted:
            sealer.step()
        assert halted.value.reason == "lock_missing"


def test_batches_grow_under_load_and_shrink_when_they_take_long(log: LogUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biobank.transparency.sealing.TARGET_SEAL_S", 60.0)
    log.record(300)
    with log.connect("sealer") as connection:
        sealing = Sealing(connection, skew=SKEW)
        sealing.begin()
        batch = sealing.seal()
        assert batch is not None
        assert (batch.events, batch.full) == (256, True)
        log.record(600)
        batch = sealing.seal()
        assert batch is not None
        assert batch.events == 512, "a full batch that was quick is followed by one twice as large"
        monkeypatch.setattr("biobank.transparency.sealing.TARGET_SEAL_S", 0.0)
        batch = sealing.seal()
        log.record(600)
        batch = sealing.seal()
        assert batch is not None
        assert batch.events == 256 + 256


def test_the_application_can_neither_seal_nor_unqueue(log: LogUnderTest) -> None:
    log.record()
    with log.connect("app") as stolen:
        for forbidden in (
            "DELETE FROM pending",
            "UPDATE pending SET recorded_at = now()",
            "TRUNCATE pending",
            "INSERT INTO leaf VALUES (0, '\\x00')",
            "INSERT INTO tree_head VALUES (9, '\\x', '\\x', now())",
            "INSERT INTO checkpoint VALUES (0, 'x')",
            "SELECT 1 FROM log_lock FOR UPDATE",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stolen.execute(forbidden)
