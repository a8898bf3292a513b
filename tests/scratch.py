"""Folders for scratch clusters."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder that every account can reach, with a short path, gone afterwards; in memory unless it must be `on_disk`.

    pytest's own temporary folders are closed to others: for root the server would put its data into /var/lib, and keep it.
    """
    folder = Path(tempfile.mkdtemp(prefix="bb-", dir=None if on_disk else fast_folder()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for cluster in folder.rglob("postgres"):
            if cluster.is_symlink():  # made for a folder inside that a test had closed
                shutil.rmtree(cluster.resolve())
        shutil.rmtree(folder)


def fast_folder() -> str | None:
    """A folder in memory when the machine has room for it: databases of tests come and go by the hundred."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2**31 else None
