"""A server or a proxy that is suspended: what is connected stays connected, and nothing is ever answered."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.timers import Timer
from biobank.foundation import lifeline
from biobank.operations import worker
from biobank.transparency.attending import seal_and_attend
from biobank.transparency.keys import ensure_keys
from biobank.transparency.sealer import Log
from tests.conftest import Api, TestBank, release_now, serve_now
from tests.factories import make_received
from tests.operations.test_failover import post_scan, specimen, until
from tests.operations.wire import Wire, wired

SCANS_GO_ON_S = 30
"""docs/operations.md promises ten: three of patience, a connection, and what else there is to do. A test may share its machine; a
scan that is never told that its connection is lost waits for minutes."""


@pytest.fixture
def through(bank: TestBank) -> Iterator[tuple[Wire, Api]]:
    """A server whose way to its database may go dead."""
    with wired(bank) as (wire, over):
        api = Api(serve_now(over), over)
        assert api.lab_tech
        yield wire, api
        api.close()
        release_now(over)


def scanned(api: Api, code: str, key: str) -> httpx.Response:
    """What a client does that is told to come back: it sends the same again under the same key."""
    for _ in range(20):
        if (answer := post_scan(api, code, key, timeout=SCANS_GO_ON_S)).status_code != 503:
            return answer
        time.sleep(0.2)
    raise AssertionError(answer.text)


@pytest.mark.slow
def test_silent_connections_stop_neither_their_own_scans_nor_the_next_ones(through: tuple[Wire, Api]) -> None:
    wire, api = through
    codes = [specimen(api) for _ in range(12)]
    assert post_scan(api, codes[0], "warm").status_code == 201
    assert api.lab_tech.get(f"/specimens/{codes[0]}").status_code == 200

    wire.go_dead()
    began = time.monotonic()
    with ThreadPoolExecutor(11) as pool:
        sent = [pool.submit(scanned, api, code, f"key-{n}") for n, code in enumerate(codes[1:])]
        answers = [answer.result() for answer in sent]

    assert time.monotonic() - began < SCANS_GO_ON_S
    assert [(answer.status_code, answer.json()["seq"]) for answer in answers] == [(201, 2)] * 11


@pytest.mark.slow
def test_readiness_is_denied_in_seconds_while_the_database_says_nothing_and_given_again(through: tuple[Wire, Api]) -> None:
    wire, api = through
    assert httpx.get(f"{api.url}/readyz").json()["database"] == "ok"
    wire.passes = False
    wire.go_dead()

    began = time.monotonic()
    ready = httpx.get(f"{api.url}/readyz", timeout=60)

    assert (ready.status_code, ready.json()["database"]) == (503, "does not answer")
    assert time.monotonic() - began < SCANS_GO_ON_S
    wire.passes = True
    assert until(lambda: httpx.get(f"{api.url}/readyz", timeout=60).json()["database"] == "ok")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lifeline that asks often and waits shortly."""
    monkeypatch.setattr(lifeline, "ASK_EVERY_S", 0.1)
    monkeypatch.setattr(lifeline, "PATIENCE_S", 1.0)


@pytest.mark.usefixtures("impatient")
def test_a_program_that_waits_on_a_silent_connection_is_told_that_it_is_lost(bank: TestBank) -> None:
    with wired(bank) as (wire, over), over.bank.watched():
        assert over.write(lambda session: session.execute(text("SELECT 1")).scalar_one()) == 1
        wire.go_dead()

        with pytest.raises(OperationalError):
            over.write(lambda session: session.execute(text("SELECT 1")).scalar_one())
        assert over.write(lambda session: session.execute(text("SELECT 1")).scalar_one()) == 1
        over.bank.database.sync_engine.dispose()


@pytest.mark.usefixtures("impatient")
def test_timers_go_on_after_a_silence(bank: TestBank, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = threading.Semaphore(0)

    def beat(session: Session, _act: Act) -> int:
        session.execute(text("SELECT 1"))
        beats.release()
        return 1

    monkeypatch.setattr(worker, "TIMERS", {"beat": Timer("beat", timedelta(0), beat)})
    stop = threading.Event()
    with wired(bank) as (wire, over):
        working = threading.Thread(target=worker.run, args=(over.bank, stop), daemon=True)
        working.start()
        assert beats.acquire(timeout=60)
        wire.go_dead()
        assert all(beats.acquire(timeout=60) for _ in range(3))
        stop.set()
        working.join(timeout=60)
        assert not working.is_alive()
        over.bank.dispose_now()


@pytest.mark.usefixtures("impatient")
def test_sealing_goes_on_after_a_silence(bank: TestBank, tmp_path: Path) -> None:
    ensure_keys(tmp_path, "bank.example/custody")
    log = Log.open("bank.example/custody", tmp_path, tmp_path / "register")
    stop = threading.Event()
    with wired(bank) as (wire, _), psycopg.connect(bank.dsn(), autocommit=True) as connection:

        def sealed() -> bool:
            return connection.execute("SELECT count(*) FROM pending").fetchall() == [(0,)]

        def seal() -> None:
            seal_and_attend(wire.address(bank.dsn("sealer")), stop, log, [], poll_seconds=0.02, allow_unsafe_database=True)

        sealing = threading.Thread(target=seal, daemon=True)
        sealing.start()
        bank.write(lambda session: make_received(session, bank.act("lab_tech")))
        until(sealed)
        wire.go_dead()
        bank.write(lambda session: make_received(session, bank.act("lab_tech")))
        until(sealed)
        stop.set()
        sealing.join(timeout=60)
        assert not sealing.is_alive()
