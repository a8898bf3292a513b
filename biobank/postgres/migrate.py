"""Bringing the schema to be: Alembic on the bank's database and on the store of donor keys. The only way it comes to be."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy.exc import OperationalError

from alembic import command

LOCK_TIMEOUT: Final = "3s"
"""How long a migration waits for a lock; everyone else waits behind it."""
TRIES: Final = 30


class AnotherMigrates(Exception):
    """Another process migrates this database now."""

    def __init__(self) -> None:
        super().__init__("Another process has been migrating this database for minutes. Let it end, and migrate again.")


def retried(run: Callable[[], None], *, pause: Callable[[float], None]) -> None:
    """Run a migration until it gets its locks: `TRIES` times, with `pause` (in seconds) between them, up to 5 s long.

    Raises the OperationalError or AnotherMigrates of the last try; any other error at once.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return run()
        except (OperationalError, AnotherMigrates) as error:
            if attempt == TRIES or not isinstance(
                getattr(error, "orig", error), (psycopg.errors.LockNotAvailable, AnotherMigrates)
            ):
                raise
            pause(min(attempt, 5))


def alembic_ini() -> Path:
    """Return alembic.ini: of the checkout when there is one, else the copy that travelled in the wheel."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent, package / "_bundled"):
        if (folder / "alembic.ini").is_file() and (folder / "alembic" / "env.py").is_file():
            return folder / "alembic.ini"
    raise FileNotFoundError("alembic.ini is neither beside the package nor in it; the installation is not whole.")


def config(url: str, *, keys: bool = False) -> Config:
    """Return an Alembic configuration for one of the two databases; `url` is a plain `postgresql://` address."""
    made = Config(str(alembic_ini()), ini_section="keys" if keys else "alembic")
    attributes: dict[Any, Any] = made.attributes
    attributes["url"] = url
    return made


def is_current(owner_url: str, keys_owner_url: str) -> bool:
    """Say whether both databases are at the newest revision, without loading the models."""
    return all(
        _revision(url, table) == ScriptDirectory.from_config(config(url, keys=keys)).get_current_head()
        for url, table, keys in (
            (owner_url, "alembic_version", False),
            (keys_owner_url, "alembic_version_keys", True),
        )
    )


def _revision(url: str, table: str) -> str | None:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
            return None
        row = connection.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(table))).fetchone()
        return None if row is None else str(row[0])


def upgrade(
    owner_url: str,
    keys_owner_url: str,
    pause: Callable[[float], None] = time.sleep,
    *,
    although_others_work: bool = False,
) -> None:
    """Bring both databases to the newest revision. Idempotent; one at a time; tries again when a table is locked.

    What comes before a migration that raises OthersAtWork (`biobank.postgres.rolling`) stays done. It is not asked
    `although_others_work`.
    """
    for made in (config(owner_url), config(keys_owner_url, keys=True)):
        made.attributes["pause"] = pause
        made.attributes["although_others_work"] = although_others_work
        command.upgrade(made, "head")
