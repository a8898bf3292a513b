"""A copy of a cluster as it was at a named time: restored beside the running one, started, looked at, thrown away.

Its files come from a base backup and an archive of write-ahead log (`BaseAndArchive`), or from the program that keeps both
(`ByProgram`: pgBackRest, Barman). The copy listens on a private socket only, archives nothing, and ends with this process.
"""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

import psycopg

from biobank.foundation.config import WeakSettings
from biobank.postgres.cluster import PORT, Cluster, end
from biobank.postgres.programs import find, usable_by

PATIENCE_S: Final = 24 * 3600
"""How long a recovery may take: what is archived since the base backup is replayed."""
_ENDED_EARLY: Final = "recovery ended before configured recovery target was reached"
_NEWEST: Final = re.compile(r"last completed transaction was at log time ([0-9: .-]+)")
_SETTINGS: Final = {
    # It must neither touch the archive it came from nor wait for a standby of the original.
    "archive_mode": "off",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "hot_standby": "off",
    "recovery_target_action": "promote",
    "recovery_target_timeline": "latest",
    "shared_preload_libraries": "",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "fsync": "off",
}


class RestoreFailed(WeakSettings):
    """The copy could not be brought to the named time; the message says how far it came."""


class Source(Protocol):
    """Where a copy's files come from."""

    @property
    def restore_command(self) -> str | None:
        """What fetches `%f` of the archive to `%p`; None when the files say it themselves."""
        ...

    def bring(self, data: Path, at: datetime) -> None:
        """Fill the empty folder `data`. Raises RestoreFailed."""
        ...


@dataclass(frozen=True)
class BaseAndArchive:
    """A folder of base backups (`pg_basebackup --pgdata=BASES/NAME`), and the folder that `archive_command` fills."""

    bases: Path
    archive: Path

    @property
    def restore_command(self) -> str:
        """Copy from the archive."""
        return f"cp {shlex.quote(str(self.archive.absolute()))}/%f %p"

    def bring(self, data: Path, at: datetime) -> None:
        """Copy the newest backup that was whole by `at`: its label says when it began, its manifest when it was written."""
        whole = [one for one in self.bases.iterdir() if (one / "backup_manifest").exists()]
        before = [one for one in whole if (one / "backup_manifest").stat().st_mtime <= at.timestamp()]
        if not before:
            raise RestoreFailed(f"No base backup in {self.bases} was whole by {at:%Y-%m-%d %H:%M:%S} UTC. Name a later time.")
        newest = max(before, key=lambda one: (one / "backup_manifest").stat().st_mtime)
        shutil.copytree(newest, data, dirs_exist_ok=True, symlinks=True)


@dataclass(frozen=True)
class ByProgram:
    """A command that fills `{folder}` for `{time}`, run as whoever runs this; both words are replaced in it."""

    command: str

    @property
    def restore_command(self) -> None:
        """It writes that into the files itself."""

    def bring(self, data: Path, at: datetime) -> None:
        """Run it."""
        words = {"{folder}": str(data), "{time}": f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"}
        told = [re.sub(r"\{(folder|time)\}", lambda found: words[found[0]], word) for word in shlex.split(self.command)]
        done = subprocess.run(told, capture_output=True, text=True, check=False)  # noqa: S603 - the administrator's own command
        if done.returncode != 0:
            raise RestoreFailed(f"{told[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")


@dataclass(frozen=True)
class Copy:
    """A copy that runs. `newest_at`: when the last transaction in it was committed, if recovery said so."""

    socket_dir: Path
    newest_at: datetime | None

    def address(self, login: str, database: str) -> str:
        """The libpq address of a database in it; no password is asked on this socket, which its owner alone can reach."""
        return f"postgresql://{quote(login)}@/{quote(database)}?host={quote(str(self.socket_dir), safe='')}&port={PORT}"


@contextmanager
def restored_copy(place: Path, source: Source, at: datetime, *, bin_dir: Path | None = None) -> Iterator[Copy]:
    """Yield a running copy as of `at`, made in the folder `place`, which is the caller's to delete.

    Raises RestoreFailed, EmbeddedPostgresError.
    """
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        cluster = Cluster(place, lock)
        cluster.data.mkdir(mode=0o700)
        source.bring(cluster.data, at)
        _make_startable(cluster)
        programs = usable_by(find(cluster.data, bin_dir), cluster.account, cluster.home)
        settings = _SETTINGS | {
            "hba_file": str(cluster.home / "hba.conf"),
            "recovery_target_time": f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00",
        }
        if source.restore_command is not None:
            settings["restore_command"] = source.restore_command
        socket_dir = cluster.socket_dir()
        server = cluster.launch(programs, socket_dir, settings)
    finally:
        os.close(lock)
    try:
        _wait(cluster, server, socket_dir, at)
        yield Copy(socket_dir, _newest(cluster))
    finally:
        if server.poll() is None:
            end(server)


def _make_startable(cluster: Cluster) -> None:
    """Turn brought files into a cluster that recovers: its own rules of access, no trace of the server it came from."""
    for name in ("postmaster.pid", "standby.signal", "postmaster.opts"):
        (cluster.data / name).unlink(missing_ok=True)
    (cluster.data / "recovery.signal").touch()
    for name in ("postgresql.conf", "pg_ident.conf"):  # some systems keep them elsewhere, and the copy needs nothing they say
        (cluster.data / name).touch()
    (cluster.home / "hba.conf").write_text("local all all trust\n")
    (cluster.home / "hba.conf").chmod(0o644)
    if cluster.account is not None:
        for path in (cluster.data, *cluster.data.rglob("*")):
            os.chown(path, cluster.account.uid, cluster.account.gid, follow_symlinks=False)
    cluster.data.chmod(0o700)


def _wait(cluster: Cluster, server: "subprocess.Popen[bytes]", socket_dir: Path, at: datetime) -> None:
    deadline = time.monotonic() + PATIENCE_S
    address = f"dbname=template1 host={socket_dir} port={PORT} user={{}}"
    while True:
        if server.poll() is not None:
            raise RestoreFailed(_why(cluster, at))
        try:
            # No such login is refused by a server that is up, and by no other.
            psycopg.connect(address.format("nobody_at_all"), connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if "does not exist" in str(error):
                return
        if time.monotonic() > deadline:
            raise RestoreFailed(f"Recovery was not done within {PATIENCE_S // 3600} hours.")
        time.sleep(0.1)


def _why(cluster: Cluster, at: datetime) -> str:
    if _ENDED_EARLY in cluster.log.read_text(errors="replace"):
        newest = _newest(cluster)
        upto = "no transaction" if newest is None else f"transactions until {newest:%Y-%m-%d %H:%M:%S} UTC"
        return f"The archive ends before {at:%Y-%m-%d %H:%M:%S} UTC: it has {upto}. What came later is not in it."
    return f"The copy did not start: {cluster.last_words()}"


def _newest(cluster: Cluster) -> datetime | None:
    found = _NEWEST.findall(cluster.log.read_text(errors="replace"))
    return datetime.fromisoformat(found[-1].strip()).replace(tzinfo=UTC) if found else None
