"""Publishing: one history leaves the house, whatever happens to the database, the register, the key or the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.note import Signer
from biobank.transparency.publishing import Publishing
from biobank.transparency.register import FileRegister, RegisterMoved
from biobank.transparency.sealer import Log
from biobank.transparency.sealing import LogHalted, Sealing
from biobank.transparency.tree import EMPTY_ROOT, CompactRange
from tests.conftest import hang_up
from tests.transparency.conftest import KEY, NEXT_KEY, ORIGIN, LogUnderTest, record


@contextmanager
def copy_of(log: LogUnderTest) -> Iterator[str]:
    """A backup of the log's database, restored under another name."""
    name = f"t_{uuid4().hex[:12]}"
    hang_up(log.bank)
    with psycopg.connect(log.bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {log.bank.database}")
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def halted_for(log: LogUnderTest, database: str | None = None) -> str:
    """Drain, expecting the log to halt; return why."""
    with pytest.raises(LogHalted) as halted:
        log.drain(database=database)
    return halted.value.reason


def test_a_new_log_begins_with_a_registered_checkpoint_of_nothing(log: LogUnderTest) -> None:
    log.drain()
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert open_checkpoint(log.register.read(), ORIGIN, [KEY.verifier]) == empty
    assert log.checkpoints() == [empty]


def test_publishing_again_changes_nothing(log: LogUnderTest) -> None:
    log.record(3)
    log.drain()
    note, rows = log.register.read(), log.rows("SELECT size, note FROM checkpoint ORDER BY size")
    log.drain()
    with log.connect("sealer") as connection:
        assert Publishing(connection, log.register, ORIGIN, [KEY]).publish().size == 3
    assert (log.register.read(), log.rows("SELECT size, note FROM checkpoint ORDER BY size")) == (note, rows)


def test_a_restored_backup_halts_the_log(log: LogUnderTest) -> None:
    log.record(3)
    log.drain()
    with copy_of(log) as backup:
        log.record(2)
        log.drain()
        registered = log.register.read()
        assert halted_for(log, backup) == "rollback"
        assert log.register.read() == registered


def test_a_restored_backup_that_grew_past_the_register_is_a_fork_and_halts(log: LogUnderTest) -> None:
    log.record(3)
    log.drain()
    with copy_of(log) as backup:
        log.record(2)
        log.drain()
        genuine = log.leaves()
        with log.connect("app", backup) as connection:
            record(connection, 7)
        assert halted_for(log, backup) == "rollback", "nothing is sealed on top of a database that lost entries"
        with log.connect("sealer", backup) as connection:
            sealing = Sealing(connection, skew=timedelta(0))
            while sealing.seal():
                pass
        assert halted_for(log, backup) == "fork"
    assert log.leaves() == genuine
    log.record()
    log.drain()


@pytest.mark.parametrize("entries", [5, 300])
def test_a_history_rewritten_consistently_in_the_database_halts_the_log(log: LogUnderTest, entries: int) -> None:
    recorded = log.record(entries)
    log.drain()
    forged = CompactRange()
    forged.extend([bytes(32), *recorded[1:]])
    rewritten = [
        f"UPDATE leaf SET leaf_hash = '\\x{'00' * 32}' WHERE log_index = 0",
        f"UPDATE tree_head SET root = '\\x{forged.root().hex()}', range = '\\x{forged.to_bytes().hex()}' WHERE size = {entries}",
    ]
    if entries > 256:
        rewritten.append(
            f"UPDATE tile SET root = '\\x{forged.peaks[0].hex()}', "
            f"hashes = '\\x{'00' * 32}'::bytea || substr(hashes, 33) WHERE level = 0"
        )
    log.attack(*rewritten)
    assert halted_for(log) == "fork"
    log.record(2)
    assert halted_for(log) == "fork"


def test_a_head_forged_between_sealing_and_signing_is_not_signed(log: LogUnderTest) -> None:
    log.record(5)
    log.drain()
    registered = log.register.read()
    log.attack(f"INSERT INTO tree_head SELECT 6, '\\x{'11' * 32}', range, sealed_at FROM tree_head WHERE size = 5")
    with log.connect("sealer") as connection, pytest.raises(LogHalted) as halted:
        Publishing(connection, log.register, ORIGIN, [KEY]).publish()
    assert halted.value.reason == "fork"
    assert log.register.read() == registered


def test_a_log_whose_register_is_gone_halts_instead_of_starting_a_new_one(log: LogUnderTest, tmp_path: Path) -> None:
    log.record()
    log.drain()
    (tmp_path / "register" / "checkpoint").unlink()
    assert halted_for(log) == "register_missing"
    assert not (tmp_path / "register" / "checkpoint").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "rubbish\n",
        Checkpoint(ORIGIN, 1, bytes(32)).sign([NEXT_KEY]),
        Checkpoint("other.example/log", 1, bytes(32)).sign([KEY]),
        Checkpoint(ORIGIN, 1, bytes(32)).sign([KEY]).replace("\n1\n", "\n2\n"),
    ],
    ids=["empty", "not a note", "another key", "another log", "altered"],
)
def test_a_register_that_is_not_this_logs_halts_it(log: LogUnderTest, tmp_path: Path, content: str) -> None:
    log.record()
    log.drain()
    (tmp_path / "register" / "checkpoint").write_text(content)
    log.record()
    assert halted_for(log) == "register_unreadable"
    assert (tmp_path / "register" / "checkpoint").read_text() == content


class Contended(FileRegister):
    """A register into which another sealer, just before our first swap, puts the head before ours."""

    earlier: str | None = None

    def compare_and_swap(self, old: str, new: str) -> None:
        if self.earlier is not None:
            earlier, self.earlier = self.earlier, None
            super().compare_and_swap(old, earlier)
        super().compare_and_swap(old, new)


def test_a_sealer_that_lost_the_race_begins_again_and_publishes(log: LogUnderTest, tmp_path: Path) -> None:
    log.record()
    log.drain()
    with log.connect("sealer") as connection:
        sealing = Sealing(connection, skew=timedelta(seconds=5))
        for _ in range(2):
            log.record()
            sealing.seal()
        contended = Contended(tmp_path / "register" / "checkpoint")
        ((root,),) = log.rows("SELECT root FROM tree_head WHERE size = 2")
        contended.earlier = Checkpoint(ORIGIN, 2, root).sign([KEY])
        assert Publishing(connection, contended, ORIGIN, [KEY]).publish().size == 3
    newest = open_checkpoint(log.register.read(), ORIGIN, [KEY.verifier])
    assert (newest.size, log.checkpoints()[-1]) == (3, newest)


class FullDisk(FileRegister):
    """A register whose disk is full, once."""

    fails = 1

    def compare_and_swap(self, old: str, new: str) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError(28, "No space left on device")
        super().compare_and_swap(old, new)


def test_a_head_that_could_not_be_registered_is_published_later(log: LogUnderTest, tmp_path: Path) -> None:
    log.record(2)
    with log.sealer(Log(ORIGIN, [KEY], FullDisk(tmp_path / "register" / "checkpoint"))) as sealer:
        with pytest.raises(OSError, match="No space"):
            sealer.step()
        assert [c.size for c in log.checkpoints()] == [0]
        assert sealer.step() is None
    assert [c.size for c in log.checkpoints()] == [0, 2]


def test_a_rotation_with_overlap_serves_readers_of_both_keys(log: LogUnderTest) -> None:
    log.record()
    log.drain()
    log.record()
    log.drain(Log(ORIGIN, [KEY, NEXT_KEY], log.register))
    both = log.register.read()
    assert open_checkpoint(both, ORIGIN, [KEY.verifier]) == open_checkpoint(both, ORIGIN, [NEXT_KEY.verifier])
    log.record()
    log.drain(Log(ORIGIN, [NEXT_KEY], log.register))
    assert open_checkpoint(log.register.read(), ORIGIN, [NEXT_KEY.verifier]).size == 3


def test_a_key_that_was_swapped_without_overlap_halts_the_log_unless_the_old_one_is_known(log: LogUnderTest) -> None:
    log.record()
    log.drain()
    stranger = Signer.generate(ORIGIN)
    log.record()
    with pytest.raises(LogHalted) as halted:
        log.drain(Log(ORIGIN, [stranger], log.register))
    assert halted.value.reason == "register_unreadable"
    log.drain(Log(ORIGIN, [stranger], log.register, [KEY.verifier, stranger.verifier]))
    assert open_checkpoint(log.register.read(), ORIGIN, [stranger.verifier]).size == 2


def test_a_race_to_create_the_register_has_one_winner(log: LogUnderTest) -> None:
    class JustCreated(FileRegister):
        def create(self, note: str) -> None:
            FileRegister.create(self, note)
            raise RegisterMoved("another sealer was first")

    log.record()
    log.drain(Log(ORIGIN, [KEY], JustCreated(log.register._path)))
    assert [c.size for c in log.checkpoints()] == [0, 1]


def test_a_register_deleted_under_a_sealer_at_work_halts_it_with_a_reason(log: LogUnderTest, tmp_path: Path) -> None:
    class DeletedJustNow(FileRegister):
        def compare_and_swap(self, old: str, new: str) -> None:
            self._path.unlink()
            super().compare_and_swap(old, new)

    log.record()
    with pytest.raises(LogHalted) as halted:
        log.drain(Log(ORIGIN, [KEY], DeletedJustNow(tmp_path / "register" / "checkpoint")))
    assert halted.value.reason == "register_missing"
    assert [c.size for c in log.checkpoints()] == [0]
    (tmp_path / "register" / "checkpoint").write_bytes(b"\xff\xfe")
    assert halted_for(log) == "register_unreadable"
