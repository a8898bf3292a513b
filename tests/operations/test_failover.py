"""A cluster that fails over: what was answered is kept, what leads nowhere is let go, and everybody is told to repeat."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import SYSTEM
from biobank.foundation.connections import sqlalchemy_url
from biobank.operations.supervisor import adopt_rules_when_possible
from biobank.postgres.cluster import PORT
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.transparency.keys import ensure_keys
from biobank.transparency.sealer import Log, run
from tests.conftest import Api, TestBank, make_templates, open_bank, release_now, serve_now
from tests.factories import make_specimen
from tests.operations.test_startup_gate import served
from tests.scratch import reachable_folder
from tests.speed import made_quick
from tests.washing import keys_of

SCAN = {"kind": "specimen.received", "site": "LAB", "expected_seq": 1}


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster of this module alone: what is set here is set for every database of it."""
    with reachable_folder() as folder, EmbeddedPostgres(folder) as postgres:
        made_quick(postgres)
        make_templates(postgres)
        yield postgres


@pytest.fixture
def alone(own_cluster: EmbeddedPostgres, secrets_dir: Path, tmp_path: Path) -> Iterator[Api]:
    """A server over a bank of that cluster."""
    bank = open_bank(own_cluster, secrets_dir, tmp_path)
    api = Api(serve_now(bank), bank)
    assert api.lab_tech and api.admin  # signed in before anything has to wait
    yield api
    api.close()
    release_now(bank)


def as_superuser(postgres: EmbeddedPostgres, *statements: str) -> None:
    with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def no_standby_confirms(postgres: EmbeddedPostgres) -> Iterator[Callable[[], None]]:
    """COMMIT waits for a standby that is not there, until the block ends or the function is called."""

    def standby(name: str) -> None:
        as_superuser(postgres, f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "SELECT pg_reload_conf()")

    standby("absent")
    try:
        yield lambda: standby("")
    finally:
        standby("")


def specimen(api: Api) -> str:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    return str(api.test_bank.write(lambda s: make_specimen(s, act).code))


def post_scan(api: Api, code: str, key: str, timeout: float = 60) -> httpx.Response:
    return api.lab_tech.post(f"/specimens/{code}/events", json=SCAN, headers={"Idempotency-Key": key}, timeout=timeout)


def waiting_for_standby(postgres: EmbeddedPostgres) -> list[int]:
    with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
        return [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")]


def until(found: Callable[[], Any], within_s: float = 60) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", ["pg_terminate_backend", "pg_cancel_backend"])
def test_what_only_this_server_has_is_not_promised_until_the_standby_has_it_too(alone: Api, ended_by: str) -> None:
    """Both ends of a wait leave the row committed here. A failover would undo it, so no answer may tell of it yet."""
    code, postgres = specimen(alone), alone.test_bank.cluster
    with no_standby_confirms(postgres) as confirm, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post_scan, alone, code, "the-same-key")
        pids = until(lambda: waiting_for_standby(postgres))
        as_superuser(postgres, *(f"SELECT {ended_by}({pid})" for pid in pids))
        until(lambda: not set(pids) & set(waiting_for_standby(postgres)))

        with pytest.raises(httpx.ReadTimeout):  # the row is there, and still nobody is told
            post_scan(alone, code, "the-same-key", timeout=2)
        assert not first.done() or first.result().status_code == 503
        confirm()
        if first.result().status_code != 503:
            assert first.result().status_code == 201

    again = post_scan(alone, code, "the-same-key")

    assert (again.status_code, again.json()["seq"], again.headers.get("Idempotent-Replayed")) == (201, 2, "true")


@pytest.mark.slow
def test_an_ordinary_act_whose_commit_was_not_confirmed_is_not_acknowledged(alone: Api) -> None:
    """Its COMMIT is answered with a warning when the wait is cut short, and that is no success."""
    postgres = alone.test_bank.cluster
    with no_standby_confirms(postgres) as confirm, ThreadPoolExecutor(1) as pool:
        given = {"name": "Box A", "kind": "box", "site": "LAB", "temperature_class": "minus_80", "rows": 9, "cols": 9}
        sent = pool.submit(alone.admin.post, "/storage-containers", json=given, headers={"Idempotency-Key": "one"})
        pids = until(lambda: waiting_for_standby(postgres))
        as_superuser(postgres, *(f"SELECT pg_cancel_backend({pid})" for pid in pids))
        answer = sent.result(timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "same key" in answer.json()["detail"]
        confirm()

    again = alone.admin.post("/storage-containers", json=given, headers={"Idempotency-Key": "one"})

    assert again.status_code in (200, 201), again.text
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_server_that_takes_no_writes_is_told_as_away_and_not_as_a_fault_of_ours(api: Api) -> None:
    code, name = specimen(api), api.test_bank.database
    assert api.lab_tech
    as_superuser(
        api.test_bank.cluster,
        f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    for _ in range(3):
        answer = post_scan(api, code, "key")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
    httpx.get(f"{api.url}/readyz")  # finds the dead connection of before
    ready = httpx.get(f"{api.url}/readyz")
    assert (ready.status_code, ready.json()["database"]) == (503, "takes no writes")
    as_superuser(api.test_bank.cluster, f"ALTER DATABASE {name} RESET default_transaction_read_only")

    # The connections of before are gone by themselves: they would refuse for as long as they live.
    assert post_scan(api, code, "key").status_code == 201
    httpx.get(f"{api.url}/readyz")
    assert httpx.get(f"{api.url}/readyz").json()["database"] == "ok"


def test_a_session_that_the_server_ended_while_it_idled_is_a_lost_connection(bank: TestBank) -> None:
    as_superuser(bank.cluster, f"ALTER DATABASE {bank.database} SET idle_in_transaction_session_timeout = '50ms'")
    bank.bank.database.sync_engine.dispose()  # a connection that an earlier test opened would not know of it

    def slow(session: Any) -> None:
        session.execute(text("SELECT 1"))
        time.sleep(0.5)
        session.execute(text("SELECT 1"))

    with pytest.raises(OperationalError):
        bank.write(slow)
    as_superuser(bank.cluster, f"ALTER DATABASE {bank.database} RESET idle_in_transaction_session_timeout")
    assert bank.write(lambda session: session.execute(text("SELECT 1")).scalar_one()) == 1


def test_several_hosts_in_one_address_reach_the_one_that_answers(bank: TestBank, tmp_path: Path) -> None:
    behind = psycopg.conninfo.conninfo_to_dict(bank.bank.settings.database_url or "")
    two = f"postgresql://{behind['user']}:{behind['password']}@/{behind['dbname']}?host={tmp_path},{behind['host']}&port=5432,{PORT}"
    several = replace(bank, bank=Bank.open(bank.bank.settings.model_copy(update={"database_url": two})))

    assert several.write(lambda session: session.execute(text("SELECT 1")).scalar_one()) == 1
    several.bank.database.sync_engine.dispose()
    assert sqlalchemy_url("postgresql://u:p@one:5432,two:5433/bank").query == {"host": "one,two", "port": "5432,5433"}
    with pytest.raises(ValueError, match="write postgresql://"):
        sqlalchemy_url("postgresql://[::1/bank")


def test_the_sealer_waits_for_a_server_that_takes_writes(bank: TestBank, tmp_path: Path) -> None:
    as_superuser(bank.cluster, f"ALTER DATABASE {bank.database} SET default_transaction_read_only = on")
    ensure_keys(tmp_path, "bank.example/custody")
    sealed_log = Log.open("bank.example/custody", tmp_path, tmp_path / "register")
    stop, ended = threading.Event(), []

    def seal() -> None:
        run(bank.dsn("sealer"), stop, sealed_log, poll_seconds=0.05, allow_unsafe_database=True)
        ended.append(True)

    sealing = threading.Thread(target=seal, daemon=True)
    sealing.start()
    time.sleep(0.5)
    assert sealing.is_alive()
    as_superuser(bank.cluster, f"ALTER DATABASE {bank.database} RESET default_transaction_read_only")
    heads = "SELECT count(*) FROM tree_head"
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        until(lambda: connection.execute(heads).fetchall() != [(0,)])
    stop.set()
    sealing.join(timeout=60)
    assert ended == [True]


@pytest.mark.slow
def test_a_process_that_starts_while_the_database_is_away_waits_for_it(bank: TestBank) -> None:
    name, stop = bank.database, threading.Event()
    as_superuser(bank.cluster, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    waiting = threading.Thread(target=adopt_rules_when_possible, args=(bank.bank.settings, stop), daemon=True)
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive()

    as_superuser(bank.cluster, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    waiting.join(timeout=60)

    assert not waiting.is_alive()
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM rule_table").fetchall() == [(1,)]


@pytest.mark.slow
def test_a_web_process_that_starts_while_the_database_is_away_says_so_and_serves_when_it_is_back(bank: TestBank) -> None:
    name = bank.database
    as_superuser(bank.cluster, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    with served(bank, name, keys_of(name)) as url:
        for address in ("/readyz", "/api/v1/specimens"):
            assert httpx.get(f"{url}{address}", timeout=60).status_code == 503
        with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

        until(lambda: httpx.get(f"{url}/readyz", timeout=60).status_code == 200)

        assert httpx.get(f"{url}/api/v1/specimens", timeout=60).status_code == 401
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM rule_table").fetchall() == [(1,)]
