"""A second server beside an embedded one: a standby that follows it, and is promoted when the first is gone."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from biobank.postgres.cluster import PORT, Cluster
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.postgres.programs import find, usable_by
from tests.scratch import reachable_folder

BIN = os.environ.get("BIOBANK_TEST_PG_BIN")


def as_account(cluster: Cluster) -> dict[str, Any]:
    """Popen arguments of a program that runs as the server does."""
    account = cluster.account
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def programs_of(cluster: Cluster) -> Path:
    """The folder of the programs that the server runs."""
    return usable_by(find(cluster.data, Path(BIN) if BIN else None), cluster.account, cluster.home)


def folder_for(cluster: Cluster, place: Path) -> Path:
    """Make a folder that the server's account may write to."""
    place.mkdir(mode=0o700)
    if cluster.account is not None:
        os.chown(place, cluster.account.uid, cluster.account.gid)
    return place


def base_backup(cluster: Cluster, address: str, target: Path, *options: str) -> None:
    """Copy the running server's files into the new folder `target`."""
    folder_for(cluster, target)
    command = [
        str(programs_of(cluster) / "pg_basebackup"),
        f"--dbname={address}",
        f"--pgdata={target}",
        "--checkpoint=fast",
        *options,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=cluster.home, **as_account(cluster))


class SecondNode:
    """The standby. `folder` is where its socket is."""

    def __init__(self, first: EmbeddedPostgres, of: Cluster, folder: Path) -> None:
        self.folder, self._first = folder, first
        base_backup(of, first.dsn("owner", "postgres"), folder / "data", "--write-recovery-conf")
        settings = {
            "unix_socket_directories": folder,
            "listen_addresses": "",
            "port": PORT,
            "cluster_name": "second",
            "fsync": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(programs_of(of) / "postgres"), "-D", str(folder / "data"), *options]
        with (folder / "log").open("wb") as log:
            self._server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **as_account(of))

    def dsn(self, of: str) -> str:
        """The same database and login at this server."""
        return psycopg.conninfo.make_conninfo(of, host=str(self.folder))

    def both(self, of: str) -> str:
        """One address of both servers, whichever takes writes."""
        (first,) = parse_qs(urlsplit(of).query)["host"]
        return f"{of.partition('?')[0]}?host={first},{self.folder}&port={PORT},{PORT}&target_session_attrs=read-write"

    def ask(self, question: str) -> Any:
        """Ask it as its superuser."""
        with psycopg.connect(self.dsn(self._first.dsn("owner", "postgres")), autocommit=True) as connection:
            return connection.execute(question).fetchall()[0][0]

    def promote(self) -> None:
        """Let it take writes."""
        assert self.ask("SELECT pg_promote()")

    def stop(self) -> None:
        """End it."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(timeout=30)


@contextmanager
def second_node(first: EmbeddedPostgres, folder: Path) -> Iterator[SecondNode]:
    """A standby of the server in `folder` that follows it, and that every COMMIT there waits for."""
    with reachable_folder() as place:
        of = Cluster(folder, -1)
        if of.account is not None:
            os.chown(place, of.account.uid, of.account.gid)
        second = SecondNode(first, of, place)
        try:
            with psycopg.connect(first.dsn("owner", "postgres"), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'second'")
                connection.execute("SELECT pg_reload_conf()")
                deadline = time.monotonic() + 60
                while connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall() != [("sync",)]:
                    assert time.monotonic() < deadline, (place / "log").read_text()
                    time.sleep(0.05)
            yield second
        finally:
            second.stop()
