"""The sealer: the one process that seals pending events and publishes checkpoints.

It runs beside the web workers with a database login of its own and the log's key. Several may run by accident or for
standby: a row lock lets one seal at a time, the register lets one history out. It polls, because a notification from
every insert would serialise all commits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog

from biobank.foundation.connections import LOST, REACH, SESSIONS_ONLY, hear_warnings, meet_in_one_session
from biobank.foundation.errors import Unavailable
from biobank.foundation.schema_version import THIS
from biobank.foundation.stopping import Stop
from biobank.transparency.keys import KeyFileError, key_stamp, load_log_signers
from biobank.transparency.note import NoteSigner, NoteVerifier
from biobank.transparency.publishing import Publishing
from biobank.transparency.register import FileRegister, Register
from biobank.transparency.sealing import Batch, ClockApart, ClockWentBack, Connection, LogHalted, Miscomputed, Sealing

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 5.0
IDLE_TRANSACTION_TIMEOUT: Final = "60s"
"""After this long the server ends a sealer that was suspended while it held the lock, so that another can take over."""

_WEAK_LOGINS: Final = """
    SELECT DISTINCT COALESCE(rolname, 'all') FROM pg_db_role_setting
    LEFT JOIN pg_roles ON pg_roles.oid = setrole LEFT JOIN pg_database ON pg_database.oid = setdatabase,
    unnest(setconfig) AS setting
    WHERE (setdatabase = 0 OR datname = current_database())
    AND setting LIKE 'synchronous_commit=%' AND split_part(setting, '=', 2) NOT IN ('on', 'remote_apply')
"""

log = structlog.get_logger("biobank.sealer")


@dataclass(frozen=True)
class Log:
    """Which log is sealed, by which keys, against which register."""

    origin: str
    signers: Sequence[NoteSigner]
    register: Register
    known_keys: Sequence[NoteVerifier] = ()
    """Keys by which the registered checkpoint may be signed; by default those of the signers."""

    secrets: Path | None = None
    """Where the keys were read from; a running sealer takes up the keys of a rotation from there."""
    stamp: tuple[tuple[str, int, int], ...] = ()
    """What the key files looked like when they were read."""
    told: Path | None = None
    """A file for the public halves of the keys in use, read by a witness that is run with the bank."""

    @classmethod
    def open(cls, origin: str, secrets: Path, register: Path, told: Path | None = None) -> Log:
        """The log whose keys lie in the folder ``secrets`` and whose register is the file ``register``.

        Raises KeyFileError, OSError when the public halves cannot be written to ``told``.
        """
        stamp = key_stamp(secrets)
        made = cls(origin, load_log_signers(secrets, origin), FileRegister(register), secrets=secrets, stamp=stamp, told=told)
        made._tell()
        return made

    def _tell(self) -> None:
        if self.told is not None:
            fresh = self.told.with_name(self.told.name + ".new")
            fresh.write_text("".join(f"{signer.verifier.to_vkey()}\n" for signer in self.signers), encoding="utf-8")
            fresh.replace(self.told)

    @property
    def outdated(self) -> bool:
        """Whether the key files are no longer those that were read."""
        return self.secrets is not None and key_stamp(self.secrets) != self.stamp

    def reopened(self) -> Log:
        """Return the log with the keys that lie there now; with those it has when the new ones cannot be used."""
        if self.secrets is None or not self.outdated:
            return self
        stamp = key_stamp(self.secrets)
        try:
            signers: Sequence[NoteSigner] = load_log_signers(self.secrets, self.origin)
        except KeyFileError as exc:
            log.error("log_keys_unusable", fault=str(exc))
            signers = self.signers
        changed = replace(self, signers=signers, stamp=stamp)
        changed._tell()
        return changed


def run(
    dsn: str,
    stop: Stop,
    sealed_log: Log,
    *,
    poll_seconds: float = 0.2,
    skew_seconds: float = 5.0,
    allow_unsafe_database: bool = False,
    before_work: Callable[[Connection], None] = lambda _: None,
    on_round: Callable[[], None] = lambda: None,
    on_connection: Callable[[Connection], None] = lambda _: None,
) -> None:
    """Seal and publish until ``stop`` is set. The last act before returning is not a rush: what is pending stays pending.

    Lost connections, a full register disk, a security module that is away and a clock that went back or is far from that of the
    database are logged and waited out. Raises LogHalted when going on needs a person, and psycopg errors that waiting cannot
    cure (a missing table, a missing grant).
    ``skew_seconds`` is how far this clock may lie behind the last seal. ``allow_unsafe_database`` accepts a server that
    does not flush its commits, for tests only. ``before_work`` is called once the stored log has been held against its
    register and before anything is sealed on it; ``on_round`` at every turn of the loop; ``on_connection`` with every new
    connection. A log opened from files takes up new
    keys when those appear.
    """
    retry = FIRST_RETRY_S
    while not stop.is_set():
        sealed_log = sealed_log.reopened()
        try:
            with _connect(dsn) as connection:
                on_connection(connection)
                sealer = Sealer(connection, sealed_log, skew=timedelta(seconds=skew_seconds))
                _require_own_session(dsn, connection)
                if not allow_unsafe_database:
                    _require_durable_commits(connection)
                sealer.begin()
                before_work(connection)
                retry = FIRST_RETRY_S
                while not stop.is_set() and not sealed_log.outdated:
                    on_round()
                    batch = sealer.step()
                    if batch is None or not batch.full:
                        stop.wait(poll_seconds)
        except (*LOST, Unavailable, OSError, ClockWentBack, ClockApart, Miscomputed) as exc:
            # The text of a database error can quote rows; its class and state say enough.
            state = exc.sqlstate if isinstance(exc, psycopg.Error) else str(exc)
            log.error("sealing_interrupted", fault=type(exc).__name__, state=state, retry_s=retry)
            stop.wait(retry)
            retry = min(LONGEST_RETRY_S, retry * 2)
        except LogHalted as exc:
            log.critical("log_halted", reason=exc.reason, detail=str(exc))
            raise


def drain(dsn: str, sealed_log: Log) -> int:
    """Seal and publish until nothing is pending, and return how many events that were. For set-up, tests and rehearsals.

    Raises LogHalted, ClockWentBack, Miscomputed, or what psycopg raises.
    """
    events = 0
    with _connect(dsn) as connection:
        sealer = Sealer(connection, sealed_log)
        sealer.begin()
        while (batch := sealer.step()) is not None:
            events += batch.events
    return events


class Sealer:
    """Sealing and publishing over one connection, one step at a time."""

    def __init__(self, connection: Connection, sealed_log: Log, *, skew: timedelta = timedelta(seconds=5)) -> None:
        self._sealing = Sealing(connection, skew=skew)
        self._publishing = Publishing(
            connection, sealed_log.register, sealed_log.origin, sealed_log.signers, sealed_log.known_keys
        )
        self._published = False

    def begin(self) -> None:
        """Create the register and the empty head of a new log; hold an old one against its register.

        Publishing comes before the first batch: nothing is sealed on top of a database that lost what was published.
        """
        self._publishing.ensure_register()
        self._sealing.begin()
        self._publishing.publish()
        self._published = True

    def step(self) -> Batch | None:
        """Seal one batch and publish. Publishes also when there was nothing to seal but the last head is not out yet."""
        batch = self._sealing.seal()
        if batch is not None:
            self._published = False
        if not self._published:
            started = time.monotonic()
            checkpoint = self._publishing.publish()
            self._published = True
            publish_s = time.monotonic() - started
            if batch is not None:
                log.info(
                    "log_sealed",
                    events=batch.events,
                    size=checkpoint.size,
                    seal_ms=round(batch.seconds * 1000, 1),
                    publish_ms=round(publish_s * 1000, 1),
                    oldest_age_ms=round(batch.oldest_age_s * 1000),
                )
        return batch


def _connect(dsn: str) -> Connection:
    connection: Connection = psycopg.connect(dsn, autocommit=True, application_name=THIS.connection_name("sealer"), **REACH)
    hear_warnings(connection)
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (IDLE_TRANSACTION_TIMEOUT,))
    return connection


def _require_own_session(dsn: str, connection: Connection) -> None:
    """Raise LogHalted when a pooler lends this connection another session of the server for every transaction."""
    with _connect(dsn) as other:
        if meet_in_one_session(connection, other):
            raise LogHalted("pooled_transactions", SESSIONS_ONLY)


def _require_durable_commits(connection: Connection) -> None:
    """Raise LogHalted unless a COMMIT means that the data is on disk, here and for every login that has settings of its own."""

    def setting(name: str) -> Any:
        return connection.execute("SELECT current_setting(%s)", (name,)).fetchall()[0][0]

    wrong = [name for name in ("fsync", "full_page_writes") if setting(name) != "on"]
    if setting("synchronous_commit") not in ("on", "remote_apply"):
        wrong.append("synchronous_commit")
    if wrong:
        raise LogHalted("unsafe_database", f"the server may lose what it has committed: {', '.join(wrong)} is not on")
    weak = [row[0] for row in connection.execute(_WEAK_LOGINS).fetchall()]
    if weak:  # whoever records events acknowledges them, so it is their commits that count
        raise LogHalted("unsafe_database", f"synchronous_commit is weakened for a login of its own: {', '.join(weak)}")
