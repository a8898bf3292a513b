"""One key per subject, in a database of its own with a backup of its own.

Erasing a person is destroying their key. That only works when no backup of the keys outlives the erasure for long, so the
keys live apart from the bank's database (`BIOBANK_KEYS_DATABASE_URL`) and their backups are kept for days, not years.
Keys are wrapped with AES-256-GCM under the `vault-master` secret; the subject's code is the associated data, so a wrapped
key cannot be moved to another subject.
"""

import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, DateTime, Engine, LargeBinary, MetaData, Table, Text, select, update
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


class Rewrapped(NamedTuple):
    """What one slice did. `last`: after which subject the next begins; None: that was the end."""

    last: str | None
    looked_at: int
    changed: int


class Keystore:
    """Keys of subjects.

    `engine` is a synchronous engine, or the synchronous face of an async one when the caller runs inside `run_sync`
    (then no call here blocks the event loop). It must be in AUTOCOMMIT: every statement here stands alone, and a key must
    be durable before the first document under it is. `masters` gives the master secret, and behind it the one before while
    it is being changed; it is asked at every use.
    """

    def __init__(self, engine: Engine, masters: Callable[[], Sequence[bytes]]) -> None:
        self._engine = engine
        self._masters = masters

    def keys_for(self, subjects: Collection[str]) -> dict[str, bytes]:
        """Return the 32-byte key of each subject, making those that are missing; raise KeyDestroyed after an erasure."""
        found = self._find(subjects)
        missing = sorted(set(subjects) - set(found))
        if not missing:
            return found
        fresh = {subject: AESGCM.generate_key(256) for subject in missing}
        master = self._masters()[0]
        rows = [{"subject": s, "wrapped": _wrap(master, s, key), "created_at": clock.now()} for s, key in fresh.items()]
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
        return self._unwrapped(self._wrapped(subjects))

    def wrap_anew(self, after: str, limit: int) -> Rewrapped:
        """Wrap the next keys under the newest master, where they are under an older one. Harmless to repeat.

        A key that is destroyed meanwhile stays destroyed: only what still stands as it was read is replaced.
        """
        master = self._masters()[0]
        statement = (
            select(subject_key.c.subject, subject_key.c.wrapped)
            .where(subject_key.c.subject > after, subject_key.c.wrapped.is_not(None))
            .order_by(subject_key.c.subject)
            .limit(limit)
        )
        changed = 0
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            for row in rows:
                if _unwrap(master, row.subject, row.wrapped) is None:
                    key = self._unwrapped([(row.subject, row.wrapped)])[row.subject]
                    stands = (subject_key.c.subject == row.subject, subject_key.c.wrapped == row.wrapped)
                    connection.execute(update(subject_key).where(*stands).values(wrapped=_wrap(master, row.subject, key)))
                    changed += 1
        return Rewrapped(rows[-1].subject if len(rows) == limit else None, len(rows), changed)

    def _find(self, subjects: Collection[str]) -> dict[str, bytes]:
        rows = self._wrapped(subjects)
        if gone := next((subject for subject, wrapped in rows if wrapped is None), None):
            raise KeyDestroyed(gone)
        return self._unwrapped(rows)

    def _unwrapped(self, rows: Sequence[tuple[str, bytes | None]]) -> dict[str, bytes]:
        """Return the keys of rows that have one. Raises InvalidTag when none of the masters fits."""
        found: dict[str, bytes] = {}
        masters = self._masters() if rows else ()
        for subject, wrapped in rows:
            if wrapped is not None:
                key = next((k for master in masters if (k := _unwrap(master, subject, wrapped)) is not None), None)
                if key is None:
                    raise InvalidTag
                found[subject] = key
        return found

    def _wrapped(self, subjects: Collection[str]) -> list[tuple[str, bytes | None]]:
        if not subjects:
            return []
        statement = select(subject_key.c.subject, subject_key.c.wrapped).where(subject_key.c.subject.in_(sorted(subjects)))
        with self._engine.connect() as connection:
            return [(row.subject, row.wrapped) for row in connection.execute(statement)]

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


def _wrap(master: bytes, subject: str, key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master[:KEY_BYTES]).encrypt(nonce, key, subject.encode())


def _unwrap(master: bytes, subject: str, wrapped: bytes) -> bytes | None:
    """Return the key, or None when it is not under this master."""
    try:
        return AESGCM(master[:KEY_BYTES]).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject.encode())
    except InvalidTag:
        return None
