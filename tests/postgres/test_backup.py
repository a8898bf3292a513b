"""Dumps that can be restored: the same rows in an empty database, and never over anything."""

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from biobank.foundation.config import Settings
from biobank.postgres.backup import BackupFailed, dump_all, restore_bank, restore_keys
from tests.conftest import Api, TestBank
from tests.donors.stories import register


def owner_settings(bank: TestBank, database: str | None = None, keys: str | None = None) -> Settings:
    return Settings(
        owner_database_url=bank.cluster.dsn("owner", database or bank.database),
        keys_owner_database_url=bank.cluster.dsn("owner", keys or "k" + bank.database[1:]),
    )


def rows(address: str) -> dict[str, int]:
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        counted = ((name, connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()) for (name,) in tables)
        return {name: count[0] for name, count in counted if count is not None}


def test_a_dump_restores_every_row_into_empty_databases(api: Api, tmp_path: Path) -> None:
    bank = api.test_bank
    register(api.clinician)
    original = owner_settings(bank)
    bank_dump, keys_dump = dump_all(original, tmp_path / "dumps")
    names = [f"r_{uuid4().hex[:12]}" for _ in range(2)]
    with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        try:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}")
            restored = owner_settings(bank, *names)

            restore_bank(restored, bank_dump)
            restore_keys(restored, keys_dump)

            assert original.owner_database_url and restored.owner_database_url
            assert original.keys_owner_database_url and restored.keys_owner_database_url
            there = rows(restored.owner_database_url)
            assert there == rows(original.owner_database_url)
            assert there["event"] > 0
            assert rows(restored.keys_owner_database_url) == rows(original.keys_owner_database_url)
        finally:
            for name in names:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_nothing_is_restored_over_a_bank(bank: TestBank, tmp_path: Path) -> None:
    settings = owner_settings(bank)
    bank_dump, _ = dump_all(settings, tmp_path)

    with pytest.raises(BackupFailed, match="holds tables already"):
        restore_bank(settings, bank_dump)


def test_a_dump_can_be_read_by_its_owner_only(bank: TestBank, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"

    made = dump_all(owner_settings(bank), folder)

    assert {oct(p.stat().st_mode & 0o777) for p in (*made, folder)} == {"0o600", "0o700"}


@pytest.mark.parametrize("left_permille", [10, 995])
def test_a_torn_dump_is_refused_and_leaves_nothing(bank: TestBank, tmp_path: Path, left_permille: int) -> None:
    torn, whole = tmp_path / "torn.dump", dump_all(owner_settings(bank), tmp_path)[0].read_bytes()
    torn.write_bytes(whole[: len(whole) * left_permille // 1000])
    name = f"r_{uuid4().hex[:12]}"
    with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            with pytest.raises(BackupFailed, match="pg_restore"):
                restore_bank(owner_settings(bank, name), torn)
            assert rows(bank.cluster.dsn("owner", name)) == {}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
