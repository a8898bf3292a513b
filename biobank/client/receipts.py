"""The receipts of a device: what the bank acknowledged, what of it was proven sealed, and what is evidence against the bank.

For programs that record events (`BankClient(receipts=ReceiptStore(...))`). One SQLite file, flushed at every change. What the
bank hands out is believed under the keys of a policy file that came by another way than from the bank's answers:

- an acknowledgement must be signed by a receipt key of the policy and name the events that were sent;
- an inclusion receipt must lead from exactly that leaf hash to a checkpoint under the policy;
- every checkpoint must be consistent with the newest one seen before, so every device watches for a second history.

An acknowledged event that is not proven although its merge delay has passed is **evidence**, and so is a pair of checkpoints
that do not extend each other. Neither is ever deleted here.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.transparency.note import NoteError, Verifier
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.receipt import Acknowledgement, verify_acknowledgement
from biobank.transparency.tree import ProofError, verify_consistency, verify_inclusion
from biobank.transparency.verify import Checkpoint, Policy, Untrue, open_checkpoint

GRACE: Final = timedelta(seconds=30)
"""Two clocks never agree; this much past the promise is not yet an accusation."""

_TABLES = """
CREATE TABLE IF NOT EXISTS acknowledged (
    leaf_hash TEXT PRIMARY KEY, stream TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
    sealed_by TEXT NOT NULL, acknowledgement TEXT NOT NULL, receipt TEXT);
CREATE TABLE IF NOT EXISTS seen (size INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (size, note));
CREATE TABLE IF NOT EXISTS evidence (at TEXT NOT NULL, what TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL,
    UNIQUE (what, first, second));
"""


class BadReceipt(Exception):
    """What the bank sent is not what it must be under the policy. It was not stored as a receipt; keep the answer."""


class TwoHistories(BadReceipt):
    """Two checkpoints, both signed by the log, that do not extend each other. Both are stored as evidence."""


@dataclass(frozen=True)
class Owed:
    """An acknowledged event without an inclusion receipt."""

    leaf_hash: bytes
    stream: str
    id: str
    seq: int
    sealed_by: datetime
    acknowledgement: str

    def overdue(self, at: datetime) -> bool:
        """Whether the promise has passed by more than two clocks may differ."""
        return at > self.sealed_by + GRACE


def open_acknowledgement(policy: Policy, note: str) -> Acknowledgement:
    """Check an acknowledgement under a policy. Raises BadReceipt."""
    try:
        found = verify_acknowledgement([Verifier.from_vkey(key.text) for key in policy.receipts], note)
    except NoteError as error:
        raise BadReceipt(f"The acknowledgement is not genuine: {error}.") from error
    if policy.origin is not None and found.origin != policy.origin:
        raise BadReceipt(f"The acknowledgement is of {found.origin}, not of {policy.origin}.")
    return found


def open_receipt(policy: Policy, text: str, leaf_hash: bytes) -> Checkpoint:
    """Check that an inclusion receipt shows `leaf_hash` in the policy's log; return its checkpoint. Raises BadReceipt."""
    try:
        receipt = InclusionReceipt.from_text(text)
        checkpoint = open_checkpoint(receipt.checkpoint_note.encode(), policy, clock.now().timestamp(), quorum=False)
        verify_inclusion(receipt.index, checkpoint.size, leaf_hash, receipt.path, checkpoint.root)
    except (ProofError, Untrue) as error:
        raise BadReceipt(f"The inclusion receipt does not show the event in the log: {error}.") from error
    return checkpoint


class ReceiptStore:
    """Receipts in one file. Several processes may use it; each call is one transaction."""

    def __init__(self, path: Path, policy: Policy) -> None:
        self.policy = policy
        self._path = path
        with self._open() as file:
            file.executescript(_TABLES)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        file = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            file.execute("PRAGMA synchronous = FULL")
            yield file
        finally:
            file.close()

    def keep_acknowledgement(self, note: str, expected: list[str] | None = None) -> Acknowledgement:
        """Check and store an acknowledgement; `expected` are the leaf hashes (hex) that the answer listed. Raises BadReceipt."""
        found = open_acknowledgement(self.policy, note)
        named = {event.leaf_hash.hex() for event in found.events}
        if expected is not None and not set(expected) <= named:
            raise BadReceipt("The acknowledgement leaves out an event that the answer says was recorded.")
        rows = [(e.leaf_hash.hex(), e.stream_kind, e.stream_id, e.seq, rfc3339(found.sealed_by), note) for e in found.events]
        with self._open() as file:
            file.executemany(
                "INSERT OR IGNORE INTO acknowledged (leaf_hash, stream, id, seq, sealed_by, acknowledgement) "
                "VALUES (?,?,?,?,?,?)",
                rows,
            )
        return found

    def keep_receipt(self, leaf_hash: bytes, text: str) -> Checkpoint:
        """Check and store an inclusion receipt of an acknowledged event. Raises BadReceipt."""
        checkpoint = open_receipt(self.policy, text, leaf_hash)
        with self._open() as file:
            file.execute("UPDATE acknowledged SET receipt = ? WHERE leaf_hash = ?", (text, leaf_hash.hex()))
        return checkpoint

    def owed(self) -> list[Owed]:
        """Return what is acknowledged and not yet proven, oldest promise first."""
        with self._open() as file:
            rows = file.execute(
                "SELECT leaf_hash, stream, id, seq, sealed_by, acknowledgement FROM acknowledged WHERE receipt IS NULL "
                "ORDER BY sealed_by, rowid"
            ).fetchall()
        return [Owed(bytes.fromhex(h), s, i, q, datetime.fromisoformat(by), note) for h, s, i, q, by, note in rows]

    def count(self) -> tuple[int, int]:
        """Return how many events are acknowledged, and how many of them are proven."""
        with self._open() as file:
            row = file.execute("SELECT count(*), count(receipt) FROM acknowledged").fetchone()
        return int(row[0]), int(row[1])

    def newest_seen(self) -> Checkpoint | None:
        """Return the newest checkpoint this device has seen and found consistent."""
        with self._open() as file:
            row = file.execute("SELECT note FROM seen ORDER BY size DESC LIMIT 1").fetchone()
        return None if row is None else open_checkpoint(row[0].encode(), self.policy, 0, quorum=False)

    def see(self, new: Checkpoint, proof: list[bytes]) -> None:
        """Remember a checkpoint after checking, by `proof`, that it and the newest one seen are one history.

        `proof` goes from the smaller to the larger of the two; it is not looked at for the first one seen. Raises TwoHistories.
        """
        old = self.newest_seen()
        if old is not None and min(old.size, new.size) > 0:
            first, second = sorted((old, new), key=lambda checkpoint: checkpoint.size)
            try:
                verify_consistency(first.size, second.size, first.root, second.root, [] if first.size == second.size else proof)
            except ProofError as error:
                self.accuse("two histories", first.note, second.note)
                raise TwoHistories(
                    f"The log shows two histories, of {first.size} and of {second.size} entries: {error}."
                ) from error
        with self._open() as file:
            file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (new.size, new.note))
            file.execute("DELETE FROM seen WHERE size < (SELECT max(size) FROM seen)")

    def accuse_missing(self, owed: Owed, checkpoint: str) -> None:
        """Store as evidence that an event is missing past its promise, with the checkpoint the bank showed instead."""
        self.accuse("missing", owed.acknowledgement, checkpoint)

    def evidence(self) -> list[tuple[str, str, str]]:
        """Return what speaks against the bank: what it is, and the two notes."""
        with self._open() as file:
            return file.execute("SELECT what, first, second FROM evidence ORDER BY at").fetchall()

    def accuse(self, what: str, first: str, second: str) -> None:
        """Store two notes that speak against the bank."""
        with self._open() as file:
            file.execute("INSERT OR IGNORE INTO evidence VALUES (?,?,?,?)", (rfc3339(clock.now()), what, first, second))
