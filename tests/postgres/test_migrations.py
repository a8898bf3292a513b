"""The schema comes to be by Alembic only: up, checked against the models, down and up again."""

from itertools import product
from pathlib import Path

import psycopg
import pytest

from alembic import command
from biobank.foundation.db import tables_marked
from biobank.postgres import migrate
from biobank.postgres.embedded import EmbeddedPostgres
from tools.regenerate_initial import GUARDS, with_lists


@pytest.fixture
def empty(cluster: EmbeddedPostgres) -> tuple[str, str]:
    """Addresses of two empty databases."""
    with psycopg.connect(cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        for name in ("m_bank", "m_keys"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
    return cluster.dsn("owner", "m_bank"), cluster.dsn("owner", "m_keys")


def tables_of(address: str) -> set[str]:
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {str(r[0]) for r in rows}


def test_the_models_and_the_migrations_say_the_same(empty: tuple[str, str]) -> None:
    migrate.upgrade(*empty)

    command.check(migrate.config(empty[0]))
    command.check(migrate.config(empty[1], keys=True))


def test_the_way_down_leaves_nothing_and_the_way_up_works_again(empty: tuple[str, str]) -> None:
    migrate.upgrade(*empty)

    command.downgrade(migrate.config(empty[0]), "base")
    command.downgrade(migrate.config(empty[1], keys=True), "base")

    assert tables_of(empty[0]) == {"alembic_version"}
    assert tables_of(empty[1]) == {"alembic_version_keys"}
    migrate.upgrade(*empty)
    assert "event" in tables_of(empty[0])


def test_migrating_twice_changes_nothing(empty: tuple[str, str]) -> None:
    migrate.upgrade(*empty)
    before = tables_of(empty[0])

    migrate.upgrade(*empty)

    assert tables_of(empty[0]) == before


def test_every_table_of_the_log_has_its_guards_awake(empty: tuple[str, str]) -> None:
    migrate.upgrade(*empty)

    with psycopg.connect(empty[0]) as connection:
        rows = connection.execute(
            "SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND t.tgname IN ('no_change', 'no_delete', 'no_truncate')"
        ).fetchall()

    append_only, never_deleted = tables_marked("append_only"), tables_marked("never_deleted")
    assert "event" in append_only
    assert "custody" in never_deleted
    assert {(table, trigger) for table, trigger, _ in rows} == {
        *product((*append_only, "pending"), ("no_change", "no_truncate")),
        *product(never_deleted, ("no_delete", "no_truncate")),
    }
    assert {enabled for _, _, enabled in rows} == {"A"}


def test_the_lists_of_the_guards_migration_are_those_of_the_models() -> None:
    text = GUARDS.read_text()

    assert with_lists(text) == text


def test_a_migration_lets_go_of_a_locked_table_and_tries_again(empty: tuple[str, str]) -> None:
    migrate.upgrade(*empty)
    command.downgrade(migrate.config(empty[0]), "initial")
    with psycopg.connect(empty[0]) as holder:
        holder.execute("LOCK TABLE event")
        paused: list[float] = []

        def wait(seconds: float) -> None:
            paused.append(seconds)
            # Nobody waits behind the migration while it pauses, and it waits for nobody.
            waiting = holder.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
            assert waiting == (0,)
            if len(paused) == 2:
                holder.rollback()

        migrate.upgrade(*empty, pause=wait)

    assert paused == [1, 2]
    assert migrate.is_current(*empty)


def test_alembic_ini_is_found_in_the_checkout() -> None:
    assert migrate.alembic_ini() == Path(__file__).resolve().parents[2] / "alembic.ini"
