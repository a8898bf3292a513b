"""The processes of a running bank: the parent starts PostgreSQL when none is given, then web, sealer and worker as children.

Each child gets only the addresses it needs: a web worker never sees the owner's, the sealer never sees the app's.
"""

import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from biobank.foundation.config import Settings
from biobank.foundation.stopping import Stop
from biobank.postgres.embedded import EmbeddedPostgres

log = structlog.get_logger("biobank")
PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 5
"""What a child has for ending by itself. With what the parent does before and after, the whole bank ends within ten seconds."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A child that lived this long was well: the next pause is the shortest again."""
IDLE_S = 5
"""What a kept connection has from one request to the next. A proxy lets go sooner, or a request meets the hanging up."""
PROGRAM = [sys.executable, "-m", "biobank"]
OWN_WITNESS = "witness.local"
"""Name of the key of a witness that is run with the bank."""
NEEDS_A_PERSON = 4
"""Exit code of a sealer whose log is halted; see `biobank/cli.py`."""


@contextmanager
def served_database(settings: Settings) -> Iterator[Settings]:
    """Yield settings whose addresses are all there: the given server's, or an embedded one that lives as long as this."""
    if settings.database_url is not None or settings.owner_database_url is not None:
        yield settings
        return
    with EmbeddedPostgres(settings.state_dir) as postgres:
        yield settings.model_copy(
            update={
                "database_url": postgres.dsn("app"),
                "owner_database_url": postgres.dsn("owner"),
                "sealer_database_url": postgres.dsn("sealer"),
                "auditor_database_url": postgres.dsn("auditor"),
                "keys_database_url": postgres.dsn("app", "biobank_keys"),
                "keys_owner_database_url": postgres.dsn("owner", "biobank_keys"),
            }
        )


def prepare(settings: Settings, *, although_others_work: bool = False) -> None:
    """Bring schema and secrets to be. Needs the owner's addresses. Quick when there is nothing to do.

    Raises OthersAtWork when programs are at work that the new schema does not serve, unless `although_others_work`.
    """
    from biobank.postgres import migrate

    if settings.owner_database_url is None or settings.keys_owner_database_url is None:
        raise SystemExit("Set BIOBANK_OWNER_DATABASE_URL and BIOBANK_KEYS_OWNER_DATABASE_URL to migrate.")
    from biobank.acts.bank import SECRETS, ensure_secrets

    made = all((settings.secrets / name).exists() for name in SECRETS)
    if made and migrate.is_current(settings.owner_database_url, settings.keys_owner_database_url):
        return
    ensure_secrets(settings.secrets, settings.log_origin, settings.log_secrets)
    migrate.upgrade(settings.owner_database_url, settings.keys_owner_database_url, although_others_work=although_others_work)


def adopt_rules(settings: Settings) -> None:
    """Let the log say under which rule table this software writes, before any part of it does."""
    from biobank.acts.bank import Bank
    from biobank.custody.rulebook import adopt_rules_now
    from biobank.registries import event_kinds, tables

    assert event_kinds.MODULES
    assert tables.MODULES
    bank = Bank.open(settings)
    try:
        adopt_rules_now(bank)
    finally:
        bank.database.sync_engine.dispose()


def refuse_shared_sessions(settings: Settings) -> None:
    """Raise WeakSettings when the database is there and stands behind a pooler in transaction mode."""
    import psycopg

    from biobank.foundation.connections import require_own_sessions

    with suppress(psycopg.OperationalError):
        require_own_sessions(settings.database_url or "")


def adopt_rules_when_possible(settings: Settings, stop: Stop) -> None:
    """Do so, waiting for a database that does not answer or takes no writes, until `stop` is set.

    A cluster that is choosing a new leader is no reason for a process to end. Raises WeakSettings behind a pooler in transaction
    mode, whose sessions are not ours.
    """
    import psycopg
    from sqlalchemy.exc import OperationalError

    from biobank.foundation.connections import require_own_sessions

    pause = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            require_own_sessions(settings.database_url or "")
            adopt_rules(settings)
            return
        except (OperationalError, psycopg.OperationalError) as error:
            fault = str(getattr(error, "orig", error)).partition("\n")[0]
            log.warning("waiting_for_the_database", fault=fault, retry_s=pause)
            stop.wait(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)


def environment(settings: Settings, *addresses: str) -> dict[str, str]:
    """Return a child's environment: every setting, but only the named addresses."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("BIOBANK_")}
    for name, value in settings.model_dump(exclude_none=True).items():
        if name.endswith("database_url") and name not in addresses:
            continue
        given[f"BIOBANK_{name.upper()}"] = str(value.absolute() if isinstance(value, Path) else value)
    return given


@dataclass
class Child:
    """One child process and how to start it again. `pause_s` grows while it keeps ending soon after its start."""

    command: list[str]
    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"
    started: float
    pause_s: float = FIRST_PAUSE_S
    again_at: float | None = None


@dataclass
class Children:
    """Child processes that die with their parent, and are started again when they end by themselves."""

    children: dict[str, Child] = field(default_factory=dict)
    ends_within_s: float = STOP_TIMEOUT_S

    def start(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        """Start one child."""
        self.children[name] = Child(command, environ, _spawn(command, environ), time.monotonic())

    def wait(self, essential: str, stop: Stop) -> int:
        """Wait until the essential child ends (its exit code) or `stop` is set (0). Any other child is looked after."""
        while not stop.wait(0.2):
            code = self.children[essential].process.poll()
            if code is not None:
                return code
            self.look_after()
        return 0

    def look_after(self) -> None:
        """Start again what ended, after a pause.

        Except a child that says it needs a person (`NEEDS_A_PERSON`): a halted log must not be talked into going on.
        """
        for name, child in self.children.items():
            code = child.process.poll()
            if code is not None:
                self._look_after(name, child, code)

    def _look_after(self, name: str, child: Child, code: int) -> None:
        now = time.monotonic()
        if child.again_at is None:
            lived = now - child.started
            child.pause_s = FIRST_PAUSE_S if lived > STEADY_S else min(child.pause_s * 2, LONGEST_PAUSE_S)
            child.again_at = now + child.pause_s if code != NEEDS_A_PERSON else float("inf")
            log.error("a part of the bank stopped", part=name, exit_code=code, again_in_s=child.again_at - now)
        elif now >= child.again_at:
            child.process, child.started, child.again_at = _spawn(child.command, child.environ), now, None

    def stop(self) -> None:
        """End every child, politely first."""
        self._end(list(self.children.values()))

    def end(self, name: str) -> None:
        """End one child, politely first, and forget it."""
        self._end([self.children.pop(name)])

    def _end(self, ending: list[Child]) -> None:
        processes = [child.process for child in ending]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.ends_within_s
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # Its group: a web server of several processes must not leave one behind.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _spawn(command: list[str], environ: dict[str, str]) -> "subprocess.Popen[bytes]":
    # Our own command; the hook only calls prctl.
    return subprocess.Popen(command, env=environ, preexec_fn=_die_with_parent, process_group=0)  # noqa: S603


def start_all(settings: Settings, children: Children, *, web_only: bool = False) -> None:
    """Start sealer, worker and web over settings whose addresses are whole."""
    app = ("database_url", "keys_database_url", "auditor_database_url")
    if not web_only:
        if settings.own_witness and settings.policy_path is None:
            settings = with_witness(settings, children)
        children.start("sealer", [*PROGRAM, "sealer"], environment(settings, "sealer_database_url"))
        children.start("worker", [*PROGRAM, "worker"], environment(settings, *app))
    children.start("web", web_command(settings), environment(settings, *app))


def with_witness(settings: Settings, children: Children) -> Settings:
    """Start a witness in a folder of its own, with no setting of the bank's; return settings by which the sealer asks it."""
    from biobank.transparency.witness import open_cosigner, write_policy

    folder = (settings.state_dir / "witness").absolute()
    keys, policy, port = folder / "log-keys", folder / "policy", free_port("127.0.0.1")
    key = open_cosigner(folder, OWN_WITNESS).verifier
    write_policy(policy, settings.log_origin, OWN_WITNESS, key, f"http://127.0.0.1:{port}")
    words = ["--state", str(folder), "--name", OWN_WITNESS, "--logs", str(keys), "--port", str(port)]
    keys.touch()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIOBANK_")}
    children.start("witness", [*PROGRAM, "witness", *words], environ)
    return settings.model_copy(update={"policy_path": policy, "log_keys_file": keys})


def free_port(host: str, wanted: int = 0) -> int:
    """Return `wanted` when it is free on `host`, else one that the system chooses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return int(probe.getsockname()[1])


def web_command(settings: Settings) -> list[str]:
    """Return the command of the web server."""
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "biobank.asgi:app",
        "--host",
        settings.host,
        "--port",
        str(settings.port),
        "--workers",
        str(settings.workers),
        "--log-level",
        "warning",
        "--no-access-log",
        "--no-server-header",
        "--loop",
        "uvloop",
        "--http",
        "biobank.operations.wire:BoundedProtocol",
        "--timeout-keep-alive",
        str(IDLE_S),
        "--forwarded-allow-ips",
        ",".join(settings.proxy_addresses.split()),
        "--timeout-graceful-shutdown",
        "3",
        *_tls(settings),
    ]


def _tls(settings: Settings) -> list[str]:
    """Return what makes the web server end TLS, and ask its callers (the proxy) for a certificate."""
    words = {"--ssl-certfile": settings.tls_certificate, "--ssl-keyfile": settings.tls_key}
    words |= {"--ssl-ca-certs": settings.tls_callers}
    told = [word for name, path in words.items() if path is not None for word in (name, str(path))]
    return [*told, "--ssl-cert-reqs", str(int(ssl.CERT_REQUIRED))] if settings.tls_callers else told


def _die_with_parent() -> None:
    """Ask the kernel to end this child when its parent dies, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # Ctrl-C reaches the whole terminal group; the parent alone decides the order of the end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
