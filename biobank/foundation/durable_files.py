"""Files that survive a power cut: written whole or not at all, and found again under their names."""

import os
from datetime import datetime
from pathlib import Path


def write_private(path: Path, data: bytes, dated: datetime | None = None) -> None:
    """Write a small file with mode 0600 in the place of what stands there, and make it durable. Raises OSError.

    `dated`: the time that the file bears, for whoever compares it with times of our own clock; a disk may have another.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        if dated is not None:
            os.utime(file.fileno(), (dated.timestamp(), dated.timestamp()))
        os.fsync(file.fileno())
    fresh.replace(path)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Make what was named, renamed or removed in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
