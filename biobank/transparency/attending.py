"""What goes on beside sealing, in a thread and over a connection of its own: witnesses, the register, the audit, the reports.

None of it may hold up a seal, so none of it is in the sealer's loop. Web processes see neither the register nor a witness;
they read what this writes into ``log_report``, and when that was: an old report is itself bad news.

The audit looks for events that are in none of the three places an event may be in (pending, leaf, quarantine): all of them at
the start and once a day, the recent ones every minute. What it found stays found until it is accounted for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
import structlog

from biobank.foundation import clock
from biobank.foundation.connections import REACH
from biobank.foundation.lifeline import Lifeline
from biobank.foundation.schema_version import THIS
from biobank.foundation.stopping import Stop
from biobank.transparency.checkpoint import open_checkpoint
from biobank.transparency.note import NoteError
from biobank.transparency.register import RegisterError
from biobank.transparency.sealer import Log, run
from biobank.transparency.sealing import Connection, LogHalted
from biobank.transparency.stored_tiles import TileMissing
from biobank.transparency.witnessing import Peer, consult, feed

FEED_EVERY_S: Final = 1.0
REPORT_EVERY_S: Final = 15.0
AUDIT_EVERY_S: Final = 60.0
WHOLE_AUDIT_EVERY_S: Final = 24 * 3600.0
STUCK_AFTER_S: Final = 30.0
OVERLAP: Final = timedelta(minutes=5)
"""How far an audit of recent events reaches back before the last one: longer than any transaction that records one."""

_REPORT = """
    INSERT INTO log_report (part, state, size, since, reported_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (part) DO UPDATE
    SET state = EXCLUDED.state, size = EXCLUDED.size, since = EXCLUDED.since, reported_at = EXCLUDED.reported_at
"""
_UNACCOUNTED = """
    SELECT event.leaf_hash FROM event
    WHERE event.recorded_at >= %s
      AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.leaf_hash = event.leaf_hash)
      AND NOT EXISTS (SELECT 1 FROM leaf WHERE leaf.leaf_hash = event.leaf_hash)
      AND NOT EXISTS (SELECT 1 FROM log_quarantine WHERE log_quarantine.leaf_hash = event.leaf_hash)
    LIMIT 1000
"""
_STILL = _UNACCOUNTED.replace("event.recorded_at >= %s", "event.leaf_hash = ANY(%s)")
_BEGINNING = datetime.fromisoformat("1900-01-01T00:00:00+00:00")

log = structlog.get_logger("biobank.attending")


@dataclass
class Pulse:
    """When the sealer's loop last came round, by the monotonic clock."""

    at: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """The loop came round."""
        self.at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether the loop has not come round for too long."""
        return time.monotonic() - self.at > STUCK_AFTER_S


def report(connection: Connection, part: str, state: str, size: int | None = None, since: datetime | None = None) -> None:
    """Write the latest word about one part of the log."""
    connection.execute(_REPORT, (part, state, size, since, clock.now()))


def report_halt(dsn: str, reason: str) -> None:
    """Say why the log is halted, if the database still listens; the process ends in any case."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            report(connection, "sealer", f"halted: {reason}")
    except psycopg.Error:
        log.error("halt_not_reported", reason=reason)


class Attendant:
    """See the module. ``round`` does what is due; ``working`` does it in a thread for as long as a block lasts."""

    def __init__(
        self,
        dsn: str,
        sealed_log: Log,
        peers: Sequence[Peer],
        pulse: Pulse,
        on_connection: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """``on_connection`` is called with every new connection."""
        self._dsn = dsn
        self._on_connection = on_connection
        self._log = sealed_log
        self._peers = tuple(peers)
        self._pulse = pulse
        self._reported: dict[str, float] = {}
        self._audited: datetime | None = None
        self._whole_audit_at = 0.0
        self._missing: set[bytes] = set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Attend in a thread until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,), name="attendant", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)

    def _run(self, stop: Stop) -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(
                    self._dsn, autocommit=True, application_name=THIS.connection_name("attendant"), **REACH
                ) as connection:
                    self._on_connection(connection)
                    while not stop.is_set():
                        self.round(connection)
                        stop.wait(FEED_EVERY_S)
            except (psycopg.Error, OSError, TileMissing) as exc:
                log.error("attending_interrupted", fault=type(exc).__name__)
                stop.wait(5)

    def round(self, connection: Connection, *, now: bool = False) -> None:
        """Feed the witnesses; report and audit when due, or ``now``."""
        for peer in self._peers:
            standing = feed(connection, peer)
            key = f"witness {peer.name}"
            if now or self._due(key, REPORT_EVERY_S) or standing.state != "ok":
                report(connection, key, standing.state, standing.size, standing.since)
        if now or self._due("sealer", REPORT_EVERY_S):
            report(connection, "sealer", "stuck" if self._pulse.stuck else "running")
            self._report_register(connection)
        if now or self._due("audit", AUDIT_EVERY_S):
            self._audit(connection)

    def _due(self, what: str, every_s: float) -> bool:
        at = time.monotonic()
        if at - self._reported.get(what, -every_s) < every_s:
            return False
        self._reported[what] = at
        return True

    def _report_register(self, connection: Connection) -> None:
        self._log = self._log.reopened()
        keys = tuple(self._log.known_keys) or tuple(signer.verifier for signer in self._log.signers)
        try:
            checkpoint = open_checkpoint(self._log.register.read(), self._log.origin, keys)
        except (RegisterError, NoteError, OSError) as exc:
            report(connection, "register", f"unreadable: {type(exc).__name__}")
        else:
            report(connection, "register", "ok", checkpoint.size)

    def _audit(self, connection: Connection) -> None:
        whole = time.monotonic() - self._whole_audit_at > WHOLE_AUDIT_EVERY_S or self._audited is None
        started = clock.now()
        since = _BEGINNING if whole or self._audited is None else self._audited - OVERLAP
        found: set[bytes] = {bytes(row[0]) for row in self._rows(connection, _UNACCOUNTED, (since,))}
        if self._missing:
            found |= {bytes(row[0]) for row in self._rows(connection, _STILL, (list(self._missing),))}
        for leaf_hash in sorted(found - self._missing):
            log.error("event_unaccounted", leaf_hash=leaf_hash.hex())
        self._missing = found
        self._audited = started
        if whole:
            self._whole_audit_at = time.monotonic()
        report(connection, "audit", "ok" if not found else "events are in no place they may be in", len(found))

    @staticmethod
    def _rows(connection: Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return connection.execute(sql, values, binary=True).fetchall()


def seal_and_attend(dsn: str, stop: Stop, sealed_log: Log, peers: Sequence[Peer], **options: Any) -> None:
    """Run the sealer with its attendant until ``stop`` is set; ``options`` are those of ``sealer.run``.

    Raises what ``sealer.run`` raises; a halt is written into the reports first.
    """
    pulse, lifeline = Pulse(), Lifeline(dsn)
    options |= {"before_work": lambda c: consult(c, peers), "on_round": pulse.beat, "on_connection": lifeline.hold}
    try:
        with lifeline.watching(), Attendant(dsn, sealed_log, peers, pulse, lifeline.hold).working():
            run(dsn, stop, sealed_log, **options)
    except LogHalted as halted:
        report_halt(dsn, halted.reason)  # after the attendant has gone, or it might say "running" again
        raise
