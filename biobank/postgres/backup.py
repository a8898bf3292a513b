"""Dumps and their restoring: the bank in one file, the donor keys in another, because they must not be kept equally long.

A dump is `pg_dump`'s custom format, made as the owner, consistent in itself. After a restore and before serving, erasures are
replayed (`operations/startup_gate.py`, docs/operations.md): a key destroyed since the dump stays destroyed, because the keys'
dump is restored only when the key store itself was lost.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

import psycopg

from biobank.foundation import clock
from biobank.foundation.config import Settings, WeakSettings
from biobank.postgres.programs import find_program


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
    _replay(address, dump)


SETTING_OF_NEWER_SERVERS = b"SET transaction_timeout = "
"""pg_restore of PostgreSQL 17 and later says this to every server, and older ones do not know it."""


def _replay(address: str, dump: Path) -> None:
    """Write the dump as a script and let psql run it in one transaction, without what an older server does not understand.

    The programs are the newest found, the server may be one of 15: a dump must go back to where it came from.
    """
    script = [str(find_program("pg_restore")), "--file=-", str(dump)]
    bare, environ = _bare(address)
    run = [
        str(find_program("psql")),
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--file=-",
        f"--dbname={bare}",
    ]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(script, stdout=subprocess.PIPE, stderr=complaints) as reading,  # noqa: S603 - our own command
        subprocess.Popen(run, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints) as writing,  # noqa: S603 - our own command
    ):
        assert reading.stdout is not None
        assert writing.stdin is not None
        try:
            _pass_on(reading.stdout, writing.stdin)
            if reading.wait() != 0:
                # The end of a torn script would look like its end, and half a bank would be committed.
                writing.kill()
            writing.stdin.close()
        except BrokenPipeError:
            reading.kill()
        failed = [name for name, process in (("pg_restore", reading), ("psql", writing)) if process.wait() != 0]
        complaints.seek(0)
        words = complaints.read().decode(errors="replace").strip()
    if failed:
        raise BackupFailed(f"{' and '.join(failed)}: {words}")


def _pass_on(script: IO[bytes], target: IO[bytes]) -> None:
    """Copy a script, leaving that setting out of its head; rows of data are not looked at."""
    for line in script:
        if not line.startswith(SETTING_OF_NEWER_SERVERS):
            target.write(line)
        if line.startswith(b"SELECT pg_catalog.set_config"):
            break
    shutil.copyfileobj(script, target, 1024 * 1024)


def _bare(address: str) -> tuple[str, dict[str, str]]:
    """Return the address without its password, and an environment with it: every account can read a command line."""
    parts = urlsplit(address)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc))
    return bare, dict(os.environ) | ({"PGPASSWORD": parts.password} if parts.password else {})


def _run(program: str, address: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs."""
    bare, environ = _bare(address)
    command = [str(find_program(program)), "--no-password", f"--dbname={bare}", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        raise BackupFailed(f"{program}: {done.stderr.strip()}")
