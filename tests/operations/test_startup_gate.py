"""Nobody who was forgotten is known again because a database came back from a dump: really dumped, restored, and served."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from biobank.acts.bank import Bank
from biobank.postgres.backup import dump_all, restore_bank, restore_keys
from tests.conftest import Api, TestBank, start_web
from tests.donors.stories import band, erased_by_two, register
from tests.postgres.test_backup import owner_settings

FIND = {"name": "Quillfeather"}


@contextmanager
def empty_databases(bank: TestBank) -> Iterator[tuple[str, str]]:
    names = f"r_{uuid4().hex[:12]}", f"s_{uuid4().hex[:12]}"
    with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        try:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}")
            yield names
        finally:
            for name in names:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def served(bank: TestBank, database: str, keys: str) -> Iterator[str]:
    """A web process as `biobank serve` starts it, over other databases of the same cluster."""
    given = bank.bank.settings.model_copy(
        update={"database_url": bank.cluster.dsn("app", database), "keys_database_url": bank.cluster.dsn("app", keys)}
    ).model_dump(exclude_none=True)
    environ = dict(os.environ) | {f"BIOBANK_{k.upper()}": str(v) for k, v in given.items()}
    process, url = start_web(environ)
    try:
        httpx.get(f"{url}/healthz")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def over_other_keys(bank: TestBank, keys: str) -> TestBank:
    """The same bank with another store of donor keys."""
    settings = bank.bank.settings.model_copy(update={"keys_database_url": bank.cluster.dsn("app", keys)})
    return TestBank(Bank.open(settings), bank.cluster, bank.database)


def replayed(api: Api, database: str) -> int:
    with psycopg.connect(api.test_bank.cluster.dsn("owner", database)) as connection:
        row = connection.execute("SELECT count(*) FROM event WHERE kind = 'donor.erasure_replayed'").fetchone()
    assert row is not None
    return int(row[0])


def found_names(url: str, token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
    answer = httpx.post(f"{url}/api/v1/donors/search", json=FIND, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return [item["donor"] for item in answer.json()["items"]]


@pytest.mark.slow
def test_a_bank_restored_from_before_an_erasure_serves_nothing_of_that_person(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    forgotten, stays = register(api.clinician), register(api.clinician, external_ids=[])
    band(api, forgotten)
    token = bank.token("clinician")
    bank_dump, _ = dump_all(owner_settings(bank), tmp_path / "dumps")
    assert erased_by_two(api, forgotten).status_code == 200
    keys = "k" + bank.database[1:]
    with empty_databases(bank) as (database, _unused):
        restore_bank(owner_settings(bank, database), bank_dump)
        with psycopg.connect(bank.cluster.dsn("owner", database)) as connection:
            row = connection.execute("SELECT status FROM donor WHERE code = %s", (forgotten,)).fetchone()
            assert row is not None
            assert row[0] != "erased"
            connection.execute(f"GRANT CONNECT ON DATABASE {database} TO biobank_app")

        # The very first question after the start, without `after-restore`: that command is forgotten exactly when it matters.
        with served(bank, database, keys) as url:
            assert found_names(url, token) == [stays]
            assert httpx.get(f"{url}/readyz", timeout=60).json()["erasures"] == "replayed"
        assert replayed(api, database) == 1


def test_a_key_that_came_back_with_an_older_key_store_is_destroyed_again(
    api: Api, tmp_path: Path, serve: Callable[[TestBank], str]
) -> None:
    bank = api.test_bank
    forgotten, stays = register(api.clinician), register(api.clinician, external_ids=[])
    token = bank.token("clinician")
    _, keys_dump = dump_all(owner_settings(bank), tmp_path / "dumps")
    assert erased_by_two(api, forgotten).status_code == 200
    with empty_databases(bank) as (_unused, keys):
        restore_keys(owner_settings(bank, keys=keys), keys_dump)
        restored = over_other_keys(bank, keys)
        store = restored.bank.keystore_sync
        assert store.having_keys([forgotten, stays]) == sorted([forgotten, stays])

        assert found_names(serve(restored), token) == [stays]

        assert store.having_keys([forgotten, stays]) == [stays]
        assert forgotten in store.destroyed()
        store._engine.dispose()


def test_nothing_is_answered_while_the_key_store_cannot_say_who_was_forgotten(
    bank: TestBank, serve: Callable[[TestBank], str]
) -> None:
    url = serve(over_other_keys(bank, "no_such_database"))

    ready = httpx.get(f"{url}/readyz", timeout=60)
    answer = httpx.get(f"{url}/api/v1/auth/me", headers={"Authorization": f"Bearer {bank.token('clinician')}"}, timeout=60)
    alive = httpx.get(f"{url}/healthz", timeout=60)

    assert (ready.status_code, ready.json()["erasures"]) == (503, "not replayed: nothing is answered")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert alive.status_code == 200
