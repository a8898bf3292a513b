"""The folder of one embedded cluster, and the two programs run on it: `initdb` once, `postgres` at every start.

The folder belongs to whoever starts the server. The account that runs the server can write only in its subfolders
`data` and `socket`, so root never writes where that account could have laid a link.
"""

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from biobank.foundation.durable_files import flush_folder, write_private
from biobank.postgres.programs import Account, EmbeddedPostgresError, reachable

PORT: Final = 5432
"""Only names the socket file: there is no TCP."""

ACCOUNTS: Final = ("biobank", "postgres", "nobody")
"""Accounts under which root runs the server, the first that exists: PostgreSQL refuses to run as root."""

_LONGEST_SOCKET_DIR: Final = 103 - len(f"/.s.PGSQL.{PORT}")  # sun_path holds 107 bytes on Linux, 103 on macOS
_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # Parallel plans and index builds take shared memory from /dev/shm, which has only 64 MB in many containers.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The server log must not carry personal data: no statement texts, no DETAIL lines with row values.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Cluster:
    """One cluster folder under a state directory, for a caller that holds the lock `server_lock`.

    Every program started here inherits that descriptor, so the lock stays taken until the last of them is gone.
    """

    def __init__(self, state_dir: Path, server_lock: int) -> None:
        self.home = _home(state_dir)
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.account = _account(self.data)
        self._lock = server_lock

    def create(self, programs: Path, major: int, owner: str, password: str) -> None:
        """Run initdb under another name, then rename: a start killed half-way leaves nothing that looks whole."""
        uid, gid = self.account or Account(os.geteuid(), os.getegid())
        try:
            pwd.getpwuid(uid)
        except KeyError as error:
            raise EmbeddedPostgresError(
                f"The user id {uid} is not in /etc/passwd, where initdb looks. Add it, or set BIOBANK_DATABASE_URL."
            ) from error
        fresh, password_file = self.home / "data.new", self.home / "password"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        write_private(password_file, password.encode())
        os.chown(fresh, uid, gid)
        os.chown(password_file, uid, gid)
        command: list[str | Path] = [programs / "initdb", "-D", fresh, "-U", owner, f"--pwfile={password_file}"]
        command += ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--no-locale"]
        if major >= 17:  # the builtin provider: code point order, whatever the C library of the host thinks of C.UTF-8
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = subprocess.run(  # noqa: S603  # a fixed command line, no shell
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **self._surroundings()
        )
        password_file.unlink()
        if made.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {_last_words(made.stdout)}")
        fresh.rename(self.data)
        flush_folder(self.home)

    def launch(self, programs: Path, socket_dir: Path, more: Mapping[str, str] = MappingProxyType({})) -> subprocess.Popen[bytes]:
        """Start `postgres` as a direct child: pg_ctl would hide its death, and gives up on a long crash recovery.

        `more` are settings beside ours; both go before those in the folder.
        """
        surroundings = self._surroundings()
        stale = self.data / "postmaster.pid"
        if stale.exists() and (pid := stale.read_text().partition("\n")[0].strip()).isdigit():
            # Nobody serves this data (we hold the lock), so the process that has this number now is a stranger. Told
            # that it is our grandparent, PostgreSQL does not take it for a rival. It still checks shared memory.
            surroundings["env"]["PG_GRANDPARENT_PID"] = pid
        if self.log.exists():
            self.log.replace(self.home / "server.log.1")
        settings = _SETTINGS | {"unix_socket_directories": str(socket_dir)} | dict(more)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command: list[str | Path] = [programs / "postgres", "-D", self.data, *options]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            server: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  # a fixed command line, no shell
                command, stdout=output, stderr=output, **surroundings
            )
        return server

    def socket_dir(self) -> Path:
        """A private folder for the socket: here, or in a temporary folder where this path is too long for a socket."""
        uid, gid = self.account or Account(os.geteuid(), os.getegid())
        name = f"biobank-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"
        short = Path("/tmp")  # noqa: S108  # the folder made there is private, and its owner and mode are checked
        for place in (self.home / "socket", Path(tempfile.gettempdir()) / name, short / name):
            if len(os.fsencode(place)) > _LONGEST_SOCKET_DIR:
                continue
            if self.account is not None and not reachable(place.parent, self.account):
                continue
            place.mkdir(mode=0o700, exist_ok=True)
            status = place.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (uid, os.geteuid()) or status.st_mode & 0o077:
                raise EmbeddedPostgresError(f"{place} is not a private folder of the server's account. Remove it.")
            os.chown(place, uid, gid, follow_symlinks=False)
            return place
        raise EmbeddedPostgresError(f"{self.home} and the temporary folder have too long a path for a socket.")

    def last_words(self) -> str:
        """The end of the server's log, for an error message."""
        return _last_words(self.log.read_bytes())

    def _surroundings(self) -> dict[str, Any]:
        """Popen arguments: run as the account, tied to our life, holding the lock, unheard by the terminal's Ctrl-C."""
        arguments: dict[str, Any] = {
            "cwd": self.home,
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # none of the caller's PG* variables
            "stdin": subprocess.DEVNULL,
            "pass_fds": (self._lock,),
            "start_new_session": True,
            "preexec_fn": _tie_to_parent(os.getpid()),
        }
        if self.account is not None:
            arguments |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return arguments


def end(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown; after a minute the immediate one, from which the next start recovers. Never SIGKILL."""
    for stop_signal, patience_s in ((signal.SIGINT, 60), (signal.SIGQUIT, 30)):
        server.send_signal(stop_signal)
        try:
            server.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            continue
    raise EmbeddedPostgresError(f"PostgreSQL (process {server.pid}) did not stop when asked to, twice.")


def _home(state_dir: Path) -> Path:
    """`state_dir`/postgres, made if missing; where the server's account cannot reach it, what it then links to."""
    place = state_dir / "postgres"
    if place.is_symlink() and not place.exists():
        raise EmbeddedPostgresError(
            f"{place} points to {place.readlink()}, which is missing. Bring it back, or delete the link to begin anew."
        )
    if not place.exists():
        account = _account(place / "data")
        if account is None or reachable(state_dir, account):
            place.mkdir()
        else:
            mark = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
            elsewhere = Path("/var/lib") / f"biobank-{mark}"
            elsewhere.mkdir(exist_ok=True)
            place.symlink_to(elsewhere)
    home = place.resolve()
    if home.stat().st_uid == os.geteuid():
        home.chmod(0o711)
    return home


def _account(data: Path) -> Account | None:
    """Whom to run the server as; None for ourselves. Root takes the owner of the data, else the first of ACCOUNTS."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        status = data.lstat()
        return Account(status.st_uid, status.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(ACCOUNTS)} exists. Create one of them."
    )


def _tie_to_parent(parent: int) -> Callable[[], None]:
    """What the child runs before its program: ask the kernel for a SIGINT, a fast shutdown, when the parent dies."""

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(1, int(signal.SIGINT), 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)  # it died before we could ask

    return tie


def _last_words(output: bytes) -> str:
    return " / ".join(output.decode(errors="replace").strip().splitlines()[-3:])
