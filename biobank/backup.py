"""Dumps: the bank in one file, the donor keys in another, because they must not be kept equally long.

A dump is `pg_dump`'s custom format, made as the owner, consistent in itself. Restoring the bank replays erasures before it
serves (docs/operations.md): a key destroyed since the dump stays destroyed, because the keys' dump is restored only when
the key store itself was lost.
"""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from biobank import clock
from biobank.config import Settings, WeakSettings
from biobank.postgres_programs import find_program


class BackupFailed(WeakSettings):
    """pg_dump said no; its words follow."""


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


def _dump(address: str, target: Path) -> Path:
    """Dump one database; the password goes by the environment, because a command line can be read by every account."""
    parts = urlsplit(address)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc))
    part = target.with_suffix(".part")
    environ = dict(os.environ) | ({"PGPASSWORD": parts.password} if parts.password else {})
    command = [str(find_program("pg_dump")), "--format=custom", "--no-password", f"--file={part}", bare]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        raise BackupFailed(f"pg_dump: {done.stderr.strip()}")
    part.chmod(0o600)
    part.rename(target)
    return target
