"""The schema comes to be by Alembic only: up, checked against the models, down and up again."""

from pathlib import Path

import psycopg
import pytest

from alembic import command
from biobank.postgres import migrate
from biobank.postgres.embedded import EmbeddedPostgres


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
            "SELECT c.relname, t.tgname, t.tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND c.relname IN ('event', 'leaf', 'tile', 'tree_head', 'checkpoint')"
        ).fetchall()

    assert {(r[0], r[1]) for r in rows} == {
        (table, name) for table in ("event", "leaf", "tile", "tree_head", "checkpoint") for name in ("no_change", "no_truncate")
    }
    assert {bytes(r[2]) if isinstance(r[2], bytes) else r[2] for r in rows} <= {"A", b"A"}


def test_alembic_ini_is_found_in_the_checkout() -> None:
    assert migrate.alembic_ini() == Path(__file__).resolve().parents[2] / "alembic.ini"
