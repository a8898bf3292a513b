"""The sealer as a process: killed at every point, disconnected, halted; and the questions that notice what is missing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from biobank.foundation import clock
from biobank.transparency.checkpoint import open_checkpoint
from biobank.transparency.keys import ensure_keys
from biobank.transparency.note import Verifier
from biobank.transparency.queries import seal_lag_s, unaccounted_events
from biobank.transparency.sealer import Log, drain, run
from biobank.transparency.sealing import LogHalted
from tests.transparency.conftest import KEY, ORIGIN, LogUnderTest

CHILD = """
import os, signal, sys, threading
from pathlib import Path
from biobank.transparency.note import Signer
from biobank.transparency.register import FileRegister
from biobank.transparency.sealer import Log, run

dsn, register, die = sys.argv[1:]

class Deadly(FileRegister):
    def compare_and_swap(self, old, new):
        if die == "before_register":
            os.kill(os.getpid(), signal.SIGKILL)
        super().compare_and_swap(old, new)
        if die == "after_register":
            os.kill(os.getpid(), signal.SIGKILL)

key = Signer("bank.example/custody", bytes(range(32)))
run(dsn, threading.Event(), Log(key.name, [key], Deadly(Path(register))), allow_unsafe_database=True)
"""


def child(log: LogUnderTest, tmp_path: Path, die: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, log.bank.dsn("sealer"), str(tmp_path / "register" / "checkpoint"), die],
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("die", ["before_register", "after_register"])
def test_a_sealer_killed_between_sealing_and_publishing_loses_nothing(log: LogUnderTest, tmp_path: Path, die: str) -> None:
    recorded = log.record(3)
    log.drain()
    recorded += log.record(4)
    process = child(log, tmp_path, die)
    assert process.wait(timeout=60) == -signal.SIGKILL, process.stderr and process.stderr.read()
    assert log.leaves() == recorded, "the sealing transaction stood"
    assert [c.size for c in log.checkpoints()] == [0, 3]
    registered = open_checkpoint(log.register.read(), ORIGIN, [KEY.verifier])
    assert registered.size == (7 if die == "after_register" else 3)
    log.drain()
    assert [c.size for c in log.checkpoints()] == [0, 3, 7]
    assert log.leaves() == recorded


def test_a_sealer_killed_inside_the_sealing_transaction_sealed_nothing(log: LogUnderTest, tmp_path: Path) -> None:
    recorded = log.record(3)
    log.drain()
    with log.connect("owner") as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE tree_head IN SHARE MODE")  # reading goes on, inserting the head must wait
        recorded += log.record(4)
        process = child(log, tmp_path, "never")
        deadline = time.monotonic() + 60
        while not log.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tree_head'::regclass"):
            assert time.monotonic() < deadline, process.poll()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        blocker.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'tree_head'::regclass")
    assert log.pending() == 4
    log.drain()
    assert log.leaves() == recorded
    assert [c.size for c in log.checkpoints()] == [0, 3, 7]


class Running:
    """The sealer's loop in a thread. The cluster of the tests does not flush its commits, for speed."""

    def __init__(self, log: LogUnderTest, *, allow_unsafe_database: bool = True) -> None:
        self.stop = threading.Event()
        self.fault: BaseException | None = None

        def work() -> None:
            try:
                run(
                    log.bank.dsn("sealer"),
                    self.stop,
                    log.log,
                    poll_seconds=0.02,
                    allow_unsafe_database=allow_unsafe_database,
                )
            except BaseException as exc:
                self.fault = exc

        self.thread = threading.Thread(target=work)

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


def wait_for_size(log: LogUnderTest, size: int) -> None:
    deadline = time.monotonic() + 60
    while not log.checkpoints() or log.checkpoints()[-1].size < size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_loop_seals_survives_a_lost_connection_and_stops_when_told(log: LogUnderTest) -> None:
    with capture_logs() as logged, Running(log) as running:
        log.record(2)
        wait_for_size(log, 2)
        with log.connect("owner") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'biobank sealer%'"
            )
        log.record(3)
        wait_for_size(log, 5)
    assert running.fault is None
    assert log.pending() == 0
    assert any(line["event"] == "sealing_interrupted" for line in logged)
    sealed = [line for line in logged if line["event"] == "log_sealed"]
    assert [line["events"] for line in sealed] == [2, 3]
    assert {"size", "seal_ms", "publish_ms", "oldest_age_ms"} <= set(sealed[0])


def test_the_loop_ends_loudly_when_the_log_must_halt(log: LogUnderTest, tmp_path: Path) -> None:
    log.record()
    log.drain()
    (tmp_path / "register" / "checkpoint").unlink()
    with capture_logs() as logged, Running(log) as running:
        running.thread.join(timeout=60)
    assert isinstance(running.fault, LogHalted)
    assert [line["reason"] for line in logged if line["event"] == "log_halted"] == ["register_missing"]


@contextmanager
def flushing(log: LogUnderTest, *, on: bool) -> Iterator[None]:
    """Let the cluster flush its commits, or not, for a while."""
    with log.connect("owner") as connection:
        before = {name: connection.execute(f"SHOW {name}").fetchall()[0][0] for name in ("fsync", "full_page_writes")}
        settings = dict.fromkeys(before, "on" if on else "off")
        for name, value in settings.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")
        while {name: log.rows(f"SHOW {name}")[0][0] for name in settings} != settings:
            time.sleep(0.01)
        yield
        for name, value in before.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("missing", ["fsync", "synchronous_commit"])
def test_a_server_that_may_lose_commits_is_refused(log: LogUnderTest, missing: str) -> None:
    log.record()
    with flushing(log, on=missing != "fsync"):
        if missing == "synchronous_commit":
            with log.connect("owner") as connection:
                connection.execute(f"ALTER DATABASE {log.bank.database} SET synchronous_commit = off")
        with Running(log, allow_unsafe_database=False) as running:
            running.thread.join(timeout=60)
    assert isinstance(running.fault, LogHalted)
    assert (running.fault.reason, missing in str(running.fault)) == ("unsafe_database", True)
    assert log.pending() == 1


def test_a_server_that_may_lose_the_commits_of_those_who_record_events_is_refused(log: LogUnderTest) -> None:
    log.record()
    with flushing(log, on=True):
        with log.connect("owner") as connection:
            weaken = f"ALTER ROLE biobank_app_login IN DATABASE {log.bank.database} SET synchronous_commit = "
            connection.execute(weaken + "remote_apply")
            with Running(log, allow_unsafe_database=False):
                wait_for_size(log, 1)
            connection.execute(weaken + "local")
        log.record()
        with Running(log, allow_unsafe_database=False) as running:
            running.thread.join(timeout=60)
    assert isinstance(running.fault, LogHalted)
    assert (running.fault.reason, "biobank_app_login" in str(running.fault)) == ("unsafe_database", True)
    assert log.pending() == 1


def test_a_server_that_flushes_its_commits_is_accepted(log: LogUnderTest) -> None:
    log.record()
    with flushing(log, on=True), Running(log, allow_unsafe_database=False) as running:
        wait_for_size(log, 1)
    assert running.fault is None


def test_a_log_is_opened_from_its_files(log: LogUnderTest, tmp_path: Path) -> None:
    ensure_keys(tmp_path / "secrets", ORIGIN)
    log.record(3)
    opened = Log.open(ORIGIN, tmp_path / "secrets", tmp_path / "var" / "checkpoint")
    assert drain(log.bank.dsn("sealer"), opened) == 3
    assert drain(log.bank.dsn("sealer"), opened) == 0
    key = Verifier.from_vkey((tmp_path / "secrets" / "log.vkey").read_text())
    assert open_checkpoint((tmp_path / "var" / "checkpoint").read_text(), ORIGIN, [key]).size == 3


def lost(log: LogUnderTest) -> list[bytes]:
    """Events of the last hour that are in no place they may be in."""
    since = clock.now() - timedelta(hours=1)
    return list(log.bank.write(lambda session: unaccounted_events(session, since)))


def test_the_age_of_the_oldest_waiting_event_is_known(log: LogUnderTest) -> None:
    def lag() -> float:
        return float(log.bank.write(lambda session: seal_lag_s(session, clock.now())))

    assert lag() == 0
    log.record()
    clock.set_offset(timedelta(seconds=90), test_mode=True)
    log.record()
    assert 90 <= lag() < 120
    log.drain()
    assert lag() == 0


def test_a_pending_row_that_was_deleted_is_noticed(log: LogUnderTest) -> None:
    first, victim, last = log.record()[0], log.record()[0], log.record()[0]
    assert lost(log) == []
    log.attack(f"DELETE FROM pending WHERE leaf_hash = '\\x{victim.hex()}'")
    assert lost(log) == [victim]
    log.drain()
    assert (log.leaves(), lost(log)) == ([first, last], [victim])


def test_an_event_changed_behind_the_applications_back_is_noticed(log: LogUnderTest) -> None:
    sealed, waiting = log.record()[0], None
    log.drain()
    waiting = log.record()[0]
    log.attack("UPDATE event SET entry = entry || '\\x20'")
    log.drain()
    assert len(lost(log)) == 2
    assert not {sealed, waiting} & set(lost(log))
    assert log.quarantined() == {waiting: "event_missing"}
