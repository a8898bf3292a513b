"""A database that has served a test serves the next one only when it is as good as new."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from biobank.postgres.embedded import EmbeddedPostgres
from tests.conftest import KEYS_TEMPLATE, TEMPLATE, Api, TestBank, drop_bank, open_bank, serve_now
from tests.washing import keys_of
from tests.withdrawals.stories import a_story


@pytest.fixture
def used(template: EmbeddedPostgres, secrets_dir: Path, tmp_path: Path) -> TestBank:
    """A bank that the test itself gives back."""
    return open_bank(template, secrets_dir, tmp_path)


def everything(cluster: EmbeddedPostgres, database: str) -> dict[str, Any]:
    """Every row of every table and where every sequence stands."""
    with psycopg.connect(cluster.dsn("owner", database)) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        ).fetchall()
        found: dict[str, Any] = {
            name: connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall() for (name,) in tables
        }
        found["sequences"] = connection.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1").fetchall()
        found["triggers"] = connection.execute(
            "SELECT tgname, tgenabled, pg_get_functiondef(tgfoid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid, 1"
        ).fetchall()
        return found


def test_after_a_whole_withdrawal_every_row_sequence_and_guard_is_again_as_in_the_templates(used: TestBank) -> None:
    api = Api(serve_now(used), used)
    a_story(api, vials=2).up_to("administer")
    with psycopg.connect(used.dsn(), autocommit=True) as owner:
        owner.execute("UPDATE app_user SET username = 'somebody' WHERE username = 'admin'")
        owner.execute("DELETE FROM user_role WHERE site_code = 'NORTH'")
    api.close()
    before = everything(used.cluster, used.database)
    assert before["event"] and before != everything(used.cluster, TEMPLATE)

    assert used.pair is not None
    assert used.pair.wash()

    assert everything(used.cluster, used.database) == everything(used.cluster, TEMPLATE)
    assert everything(used.cluster, keys_of(used.database)) == everything(used.cluster, KEYS_TEMPLATE)
    drop_bank(used)


def test_the_next_bank_takes_over_the_databases_and_the_connections(used: TestBank, secrets_dir: Path, tmp_path: Path) -> None:
    def pid(bank: TestBank) -> int:
        return int(bank.write(lambda s: s.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))

    first = used.database, pid(used)
    drop_bank(used)
    following = open_bank(used.cluster, secrets_dir, tmp_path)
    assert (following.database, pid(following)) == first
    drop_bank(following)


def a_guard_less(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn(), autocommit=True) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER no_change")
        owner.execute("ALTER TABLE event ENABLE ALWAYS TRIGGER no_change")


def a_right_more(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn(), autocommit=True) as owner:
        owner.execute("GRANT DELETE ON event TO biobank_app")


def a_setting(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn(), autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {bank.database} SET lock_timeout = 1")
        owner.execute(f"ALTER DATABASE {bank.database} RESET lock_timeout")


def a_lock(bank: TestBank) -> None:
    bank.write(lambda s: s.connection().exec_driver_sql("SELECT pg_advisory_lock(1)"))


def a_dead_connection(bank: TestBank) -> None:
    bank.write(lambda s: None)
    with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (bank.database,))


def somebody_else(bank: TestBank) -> None:
    _others.append(psycopg.connect(bank.dsn("app"), autocommit=True))


_others: list["psycopg.Connection[Any]"] = []


@pytest.mark.parametrize("left", [a_guard_less, a_right_more, a_setting, a_lock, a_dead_connection, somebody_else])
def test_a_database_on_which_more_than_rows_was_changed_is_dropped(used: TestBank, left: Callable[[TestBank], None]) -> None:
    left(used)
    drop_bank(used)
    with psycopg.connect(used.cluster.dsn("owner", "postgres")) as connection:
        names = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
    while _others:
        _others.pop().close()
    assert used.database not in names
    assert keys_of(used.database) not in names
