"""Secrets that are changed while the bank runs: a new one is used at once, the one before stays until nothing needs it.

The file `<name>` holds today's secret, `<name>.former` the one before while a change is under way. Processes look at both at
every use, so no process has to be told. A change that was broken off is gone on with by the same command.
"""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from biobank.foundation import clock
from biobank.foundation.config import MINIMUM_SECRET_BYTES, read_secret
from biobank.foundation.durable_files import flush_folder, write_private

_read: dict[str, tuple[tuple[int, int, int], bytes]] = {}
"""What was read last of each file, and what the file looked like: asking that again costs a hundredth of reading.

Every scan asks twice, so by plain text: joining paths as objects cost it more than the digest did.
"""


def secrets_of(folder: Path, name: str) -> tuple[bytes, ...]:
    """Return a secret, and behind it the one before while it is being changed. Raises WeakSettings."""
    present, former = _value(folder, name), _value(folder, f"{name}.former")
    if present is None:
        present = read_secret(folder, name)  # which says what is missing
    return (present,) if former is None else (present, former)


def changed_at(folder: Path, name: str) -> datetime:
    """Return since when today's secret stands: by our own clock, which dates the sessions that are compared with it."""
    return datetime.fromtimestamp((folder / name).stat().st_mtime, UTC)


def _value(folder: Path, name: str) -> bytes | None:
    path = f"{folder}/{name}"
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    looks = (found.st_ino, found.st_mtime_ns, found.st_mode)
    kept = _read.get(path)
    if kept is None or kept[0] != looks:
        kept = _read[path] = (looks, read_secret(folder, name))
    return kept[1]


def begin_change(folder: Path, name: str) -> None:
    """Put a new random secret in the place of the present one, which stays as the former. Nothing, where a change is under way.

    Dying between the two steps leaves a former that is today's as well: the same call goes on from there.
    """
    present, former = read_secret(folder, name), _former(folder, name)
    if not former.exists():
        write_private(former, present)
    if read_secret(folder, former.name) == present:
        write_private(folder / name, secrets.token_bytes(MINIMUM_SECRET_BYTES), clock.now())


def end_change(folder: Path, name: str) -> None:
    """Forget the former secret: nothing is under it any more."""
    _former(folder, name).unlink(missing_ok=True)
    flush_folder(folder)


def _former(folder: Path, name: str) -> Path:
    return folder / f"{name}.former"
