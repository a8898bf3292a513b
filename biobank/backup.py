"""Dumps and their restoring: the bank in one file, the donor keys in another, because they must not be kept equally long.

A dump is `pg_dump`'s custom format, made as the owner, consistent in itself. After a restore and before serving, erasures are
replayed (`restored.py`, docs/operations.md): a key destroyed since the dump stays destroyed, because the keys' dump is restored
only when the key store itself was lost.
"""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from biobank import clock
from biobank.config import Settings, WeakSettings
from biobank.postgres_programs import find_program


class BackupFailed(WeakSettings):
    """A dump could not be made or restored; PostgreSQL's words follow."""


def dump_all(settings: Settings, folder: Path) -> list[Path]:
    """Dump both databases into `folder` (made with mode 0700) and return the files.

    Raises BackupFailed, and WeakSettings when the owner's addresses are missing.
    """
    if settings.owner_database_url is None or settings.keys_owner_database_url is None:
        raise WeakSettings("Set BIOBANK_OWNER_DATABASE_URL and BIOBANK_KEYS_OWNER_DATABASE_URL to back up.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = f"{clock.now():%Y%m%dT%H%M%SZ}"
    return [
        _dump(settings.owner_database_url, folder / f"bank-{stamp}.dump"),
        _dump(settings.keys_owner_database_url, folder / f"keys-{stamp}.dump"),
    ]


def restore_bank(settings: Settings, dump: Path) -> None:
    """Restore a dump of the bank into its empty database, in one transaction.

    Raises BackupFailed when the database holds tables already, and WeakSettings when the owner's address is missing.
    """
    if settings.owner_database_url is None:
        raise WeakSettings("Set BIOBANK_OWNER_DATABASE_URL to restore.")
    _restore(settings.owner_database_url, dump)


def restore_keys(settings: Settings, dump: Path) -> None:
    """Restore a dump of the donor keys into their empty database. Only when the key store itself was lost: see the module.

    Raises BackupFailed when the database holds tables already, and WeakSettings when the owner's address is missing.
    """
    if settings.keys_owner_database_url is None:
        raise WeakSettings("Set BIOBANK_KEYS_OWNER_DATABASE_URL to restore.")
    _restore(settings.keys_owner_database_url, dump)


def _dump(address: str, target: Path) -> Path:
    part = target.with_suffix(".part")
    _run("pg_dump", address, "--format=custom", f"--file={part}")
    part.chmod(0o600)
    part.rename(target)
    return target


def _restore(address: str, dump: Path) -> None:
    if not dump.is_file():
        raise BackupFailed(f"There is no file {dump}.")
    with psycopg.connect(address) as connection:
        taken = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' LIMIT 1").fetchone()
    if taken is not None:
        raise BackupFailed("This database holds tables already. Restore into an empty one: nothing is ever overwritten.")
    _run("pg_restore", address, "--exit-on-error", "--single-transaction", str(dump))


def _run(program: str, address: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, because every account can read a command line."""
    parts = urlsplit(address)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc))
    environ = dict(os.environ) | ({"PGPASSWORD": parts.password} if parts.password else {})
    command = [str(find_program(program)), "--no-password", f"--dbname={bare}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        raise BackupFailed(f"{program}: {done.stderr.strip()}")
