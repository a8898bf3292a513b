"""The log and its witnesses: cosignatures arrive, nothing waits for them, and a witness that knows more is heard."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from biobank.transparency.attending import Attendant, Pulse, seal_and_attend
from biobank.transparency.cosignature import find_cosignature
from biobank.transparency.note import Signer
from biobank.transparency.sealing import LogHalted
from biobank.transparency.stored_log import cosigned_checkpoint, newest_checkpoint
from biobank.transparency.verify import Unreadable
from biobank.transparency.witnessing import Peer, Standing, feed, peers_of
from tests.transparency.conftest import KEY, ORIGIN, Connection, LogUnderTest
from tests.transparency.test_witness import VERIFIER, Running, leaves, note, request


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "witness")
    yield running
    running.stop()


def peer_of(witness: Running) -> Peer:
    return Peer("auditor", VERIFIER, witness.url)


def ask(log: LogUnderTest, peer: Peer) -> Standing:
    with log.connect("sealer") as connection:
        return feed(connection, peer, timeout_s=5)


def in_rows(connection: Connection) -> object:
    return lambda sql, values: connection.execute(sql, values).fetchall()


def test_a_published_checkpoint_gets_its_cosignature_and_is_served_with_it(log: LogUnderTest, witness: Running) -> None:
    peer = peer_of(witness)
    for size in (3, 300, 301):
        log.record(size - log.checkpoints()[-1].size if log.checkpoints() else size)
        log.drain()
        standing = ask(log, peer)
        assert (standing.state, standing.size) == ("ok", size)
        assert standing.since is not None
    with log.connect("sealer") as connection:
        found = newest_checkpoint(in_rows(connection))  # type: ignore[arg-type]
    assert found is not None
    assert find_cosignature(found.note, VERIFIER) is not None
    assert log.rows("SELECT count(*) FROM cosignature") == [(3,)]
    assert ask(log, peer) == standing


def test_a_witness_that_is_away_holds_nothing_up_and_is_caught_up_later(log: LogUnderTest, witness: Running) -> None:
    gone = Peer("auditor", VERIFIER, "http://127.0.0.1:9")
    log.record(2)
    log.drain()
    assert ask(log, gone).state == "unreachable"
    log.record(5)
    log.drain()
    assert [c.size for c in log.checkpoints()] == [0, 2, 7]

    assert ask(log, peer_of(witness)).size == 7
    log.record()
    log.drain()
    with log.connect("sealer") as connection:
        best = cosigned_checkpoint(in_rows(connection), 2)  # type: ignore[arg-type]
        newest = cosigned_checkpoint(in_rows(connection), 7)  # type: ignore[arg-type]
    assert best is not None
    assert newest is not None
    assert (best.size, newest.size) == (7, 8)


def test_cosignatures_lost_here_are_asked_for_again_from_where_the_witness_stands(log: LogUnderTest, witness: Running) -> None:
    log.record(4)
    log.drain()
    ask(log, peer_of(witness))
    log.attack(
        "ALTER TABLE cosignature DISABLE TRIGGER ALL", "DELETE FROM cosignature", "ALTER TABLE cosignature ENABLE TRIGGER ALL"
    )
    log.record(3)
    log.drain()
    assert ask(log, peer_of(witness)).size == 7


def test_a_line_that_is_not_the_witnesss_is_not_stored(log: LogUnderTest, witness: Running) -> None:
    from biobank.transparency.cosignature import Cosigner

    other = Cosigner(Signer("witness.example", bytes(32))).verifier
    log.record()
    log.drain()
    assert ask(log, Peer("auditor", other, witness.url)).state == "bad_signature"
    assert log.rows("SELECT count(*) FROM cosignature") == [(0,)]


def test_a_log_rewritten_with_its_own_key_is_refused_and_the_evidence_kept(log: LogUnderTest, witness: Running) -> None:
    """Attack 7: the administrator holds the log key, the register and the database, and rewrites all three."""
    witness.ask(request(0, leaves(2, salt="what the witness saw")))
    log.record(5)
    log.drain()
    standing = ask(log, peer_of(witness))
    assert standing.state == "refused"
    (kept,) = (witness.folder / "evidence").iterdir()
    assert note(leaves(2, salt="what the witness saw")) in kept.read_text()


def seal_in_thread(log: LogUnderTest, peers: list[Peer], stop: threading.Event) -> tuple[threading.Thread, list[BaseException]]:
    faults: list[BaseException] = []

    def work() -> None:
        try:
            seal_and_attend(log.bank.dsn("sealer"), stop, log.log, peers, poll_seconds=0.02, allow_unsafe_database=True)
        except BaseException as exc:
            faults.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, faults


def reports(log: LogUnderTest) -> dict[str, tuple[str, int | None]]:
    return {part: (state, size) for part, state, size in log.rows("SELECT part, state, size FROM log_report")}


def test_database_and_register_set_back_together_halt_the_log_at_the_start(log: LogUnderTest, witness: Running) -> None:
    """Attack 19: a snapshot of the whole machine is brought back. Only somebody outside can know."""
    witness.ask(request(0, leaves(9)))  # the future that was lost
    log.record(4)
    log.drain()
    thread, faults = seal_in_thread(log, [peer_of(witness)], threading.Event())
    log.record()
    thread.join(timeout=60)
    assert isinstance(faults[0], LogHalted)
    assert faults[0].reason == "witness_ahead"
    assert reports(log)["sealer"] == ("halted: witness_ahead", None)
    assert log.pending() == 1


def test_the_running_sealer_reports_itself_its_register_and_its_witnesses(log: LogUnderTest, witness: Running) -> None:
    stop = threading.Event()
    log.record(3)
    thread, faults = seal_in_thread(log, [peer_of(witness)], stop)
    deadline = time.monotonic() + 60
    while log.rows("SELECT count(*) FROM cosignature") != [(1,)] or "audit" not in reports(log):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    thread.join(timeout=60)
    assert faults == []
    with log.connect("sealer") as connection:
        Attendant(log.bank.dsn("sealer"), log.log, [peer_of(witness)], Pulse()).round(connection, now=True)
    assert reports(log) == {
        "sealer": ("running", None),
        "register": ("ok", 3),
        "audit": ("ok", 0),
        "witness auditor": ("ok", 3),
    }


def test_lost_events_and_a_lost_register_are_reported_until_they_are_mended(log: LogUnderTest) -> None:
    victim, _ = log.record(2)
    log.attack(f"DELETE FROM pending WHERE leaf_hash = '\\x{victim.hex()}'")
    log.drain()
    attendant = Attendant(log.bank.dsn("sealer"), log.log, [], Pulse())
    with log.connect("sealer") as connection:
        attendant.round(connection, now=True)
        attendant.round(connection, now=True)
        assert reports(log)["audit"] == ("events are in no place they may be in", 1)
        with log.connect("app") as app:
            app.execute("INSERT INTO pending (leaf_hash, recorded_at) VALUES (%s, now())", (victim,))
        log.drain()
        attendant.round(connection, now=True)
        assert reports(log)["audit"] == ("ok", 0)
        log.register._path.write_text("rubbish")
        attendant.round(connection, now=True)
        assert reports(log)["register"] == ("unreadable: MalformedNote", None)


def test_the_application_cannot_report_for_the_sealer_or_cosign(log: LogUnderTest) -> None:
    with log.connect("app") as connection:
        for statement in (
            "INSERT INTO log_report (part, state, reported_at) VALUES ('sealer', 'running', now())",
            "INSERT INTO cosignature (size, key_id, line) VALUES (0, 'x', 'x')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_witnesses_to_ask_are_those_with_an_address_in_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    text = f"origin {ORIGIN}\nlog {KEY.verifier.to_vkey()}\nwitness near {VERIFIER.to_vkey()} http://127.0.0.1:1\nquorum near\n"
    path.write_text(text)
    assert [(p.name, p.url, p.verifier.key_id) for p in peers_of(path, ORIGIN)] == [
        ("near", "http://127.0.0.1:1", VERIFIER.key_id)
    ]
    path.write_text(text.replace(" http://127.0.0.1:1", ""))
    assert peers_of(path, ORIGIN) == []
    with pytest.raises(Unreadable):
        peers_of(path, "another.example/log")
