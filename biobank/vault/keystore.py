"""One key per subject, in a database of its own with a backup of its own.

Erasing a person is destroying their key. That only works when no backup of the keys outlives the erasure for long, so the
keys live apart from the bank's database (`BIOBANK_KEYS_DATABASE_URL`) and their backups are kept for days, not years.
Keys are wrapped with AES-256-GCM under the `vault-master` secret; the subject's code is the associated data, so a wrapped
key cannot be moved to another subject.
"""

import os
from collections.abc import Collection, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, DateTime, Engine, LargeBinary, MetaData, Table, Text, select
from sqlalchemy.dialects.postgresql import insert

from biobank.foundation import clock
from biobank.foundation.many_rows import GIVEN, insert_given, json_of

keys_metadata = MetaData()
"""The metadata of the key database; `alembic/keys_versions` brings it to be."""

subject_key = Table(
    "subject_key",
    keys_metadata,
    Column("subject", Text, primary_key=True),
    Column("wrapped", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("destroyed_at", DateTime(timezone=True)),
)

NONCE_BYTES = 12
KEY_BYTES = 32


class KeyDestroyed(Exception):
    """The subject was erased: there is no key and there will be none."""


class Keystore:
    """Keys of subjects.

    `engine` is a synchronous engine, or the synchronous face of an async one when the caller runs inside `run_sync`
    (then no call here blocks the event loop). It must be in AUTOCOMMIT: every statement here stands alone, and a key must
    be durable before the first document under it is.
    """

    def __init__(self, engine: Engine, master: bytes) -> None:
        self._engine = engine
        self._master = AESGCM(master[:KEY_BYTES])

    def keys_for(self, subjects: Collection[str]) -> dict[str, bytes]:
        """Return the 32-byte key of each subject, making those that are missing; raise KeyDestroyed after an erasure."""
        found = self._find(subjects)
        missing = sorted(set(subjects) - set(found))
        if not missing:
            return found
        fresh = {subject: AESGCM.generate_key(256) for subject in missing}
        rows = [{"subject": s, "wrapped": self._wrap(s, key), "created_at": clock.now()} for s, key in fresh.items()]
        statement = insert_given(subject_key, tuple(rows[0])).on_conflict_do_nothing().returning(subject_key.c.subject)
        with self._engine.connect() as connection:
            made = set(connection.execute(statement, {GIVEN: json_of(rows)}).scalars())
        # Whoever was quicker made the key that counts.
        return found | {s: key for s, key in fresh.items() if s in made} | self._find(set(missing) - made)

    def find_key(self, subject: str) -> bytes | None:
        """Return the key of `subject` or None when it never had one; raise KeyDestroyed after an erasure."""
        return self._find([subject]).get(subject)

    def keys_left(self, subjects: Collection[str]) -> dict[str, bytes]:
        """Return the keys of those subjects who have one that was not destroyed."""
        return {subject: self._unwrap(subject, wrapped) for subject, wrapped in self._wrapped(subjects) if wrapped is not None}

    def _find(self, subjects: Collection[str]) -> dict[str, bytes]:
        rows = self._wrapped(subjects)
        if gone := next((subject for subject, wrapped in rows if wrapped is None), None):
            raise KeyDestroyed(gone)
        return {subject: self._unwrap(subject, wrapped) for subject, wrapped in rows if wrapped is not None}

    def _wrapped(self, subjects: Collection[str]) -> list[tuple[str, bytes | None]]:
        if not subjects:
            return []
        statement = select(subject_key.c.subject, subject_key.c.wrapped).where(subject_key.c.subject.in_(sorted(subjects)))
        with self._engine.connect() as connection:
            return [(row.subject, row.wrapped) for row in connection.execute(statement)]

    def _wrap(self, subject: str, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, key, subject.encode())

    def _unwrap(self, subject: str, wrapped: bytes) -> bytes:
        return self._master.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())

    def destroy(self, subject: str) -> datetime:
        """Destroy the key of `subject` for ever and return the instant. Idempotent."""
        instant = clock.now()
        with self._engine.connect() as connection:
            connection.execute(
                insert(subject_key)
                .values(subject=subject, wrapped=None, created_at=instant, destroyed_at=instant)
                .on_conflict_do_update(index_elements=["subject"], set_={"wrapped": None, "destroyed_at": instant})
            )
        return instant

    def having_keys(self, subjects: Sequence[str]) -> list[str]:
        """Return those of `subjects` that have a key, in order."""
        if not subjects:
            return []
        statement = select(subject_key.c.subject).where(subject_key.c.subject.in_(subjects), subject_key.c.wrapped.is_not(None))
        with self._engine.connect() as connection:
            return sorted(connection.execute(statement).scalars())

    def destroyed(self) -> dict[str, datetime]:
        """Return every erased subject with the instant of its erasure."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(subject_key.c.subject, subject_key.c.destroyed_at).where(subject_key.c.wrapped.is_(None))
            )
            return {row.subject: row.destroyed_at for row in rows}
