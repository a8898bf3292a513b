"""Documents of personal data: sealed under the subject's key, named by a salted commitment.

    salt       = 32 random bytes
    commit     = SHA-256("biobank/pii/v1\\0" || salt || RFC 8785 JSON of the document)
    ciphertext = nonce(12) || AES-256-GCM(subject key, nonce, salt || JSON, associated data = commit)

The salt matters: birth dates and record numbers are few enough to try them all against a bare hash. The commitment binds
the plaintext, GCM protects it; when the key is gone the commitment in the log still verifies everything else and says
nothing about the person.
"""

import hashlib
import os
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select, true
from sqlmodel import Session

from biobank.foundation import clock
from biobank.foundation.many_rows import insert_rows
from biobank.transparency import canonical
from biobank.vault.keystore import NONCE_BYTES, Keystore
from biobank.vault.models import vault_document as _documents

DOMAIN = b"biobank/pii/v1\0"
SALT_BYTES = 32


class Erased(Exception):
    """The document cannot be read any more: its subject was erased."""


def commitment(salt: bytes, document: dict[str, Any]) -> bytes:
    """Return the 32-byte commitment to `document` under `salt`."""
    return hashlib.sha256(DOMAIN + salt + canonical.encode(document)).digest()


def put_document(session: Session, keystore: Keystore, subject: str, document: dict[str, Any]) -> bytes:
    """Encrypt `document` under the key of `subject`, store it and return its commitment. Raises as `put_documents`."""
    return put_documents(session, keystore, [(subject, document)])[0]


def put_documents(session: Session, keystore: Keystore, said: Sequence[tuple[str, dict[str, Any]]]) -> list[bytes]:
    """Encrypt each document under the key of its subject, store them and return their commitments, in order.

    Raises KeyDestroyed when a subject was erased, and `canonical`'s errors when a document is outside the profile.
    """
    if not said:
        return []
    keys = {subject: AESGCM(key) for subject, key in keystore.keys_for({subject for subject, _ in said}).items()}
    at = clock.now()
    rows: list[dict[str, Any]] = []
    for subject, document in said:
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        commit = commitment(salt, document)
        sealed = keys[subject].encrypt(nonce, salt + canonical.encode(document), commit)
        rows.append({"commit": commit, "subject": subject, "ciphertext": nonce + sealed, "written_at": at})
    insert_rows(session, _documents, rows)
    return [row["commit"] for row in rows]


def forget_documents(session: Session, subject: str, *, commit: bytes | None = None, before: datetime | None = None) -> int:
    """Delete documents of a subject that no log quotes: the one named, or those written before an instant; return how many."""
    which = true() if commit is None else _documents.c.commit == commit
    old = true() if before is None else _documents.c.written_at < before
    gone = session.execute(delete(_documents).where(_documents.c.subject == subject, which, old))
    return int(getattr(gone, "rowcount", 0))


def open_document(session: Session, keystore: Keystore, commit: bytes) -> dict[str, Any]:
    """Decrypt the document named by `commit`; raise Erased when its row or its key is gone."""
    opened = open_documents(session, keystore, [commit])
    if commit not in opened:
        raise Erased
    return opened[commit]


def open_documents(session: Session, keystore: Keystore, commits: Collection[bytes]) -> dict[bytes, dict[str, Any]]:
    """Decrypt the documents named by `commits`, by commitment; those whose row or key is gone are left out."""
    if not commits:
        return {}
    statement = select(_documents.c.commit, _documents.c.subject, _documents.c.ciphertext)
    rows = session.execute(statement.where(_documents.c.commit.in_(sorted(commits)))).all()
    keys = {subject: AESGCM(key) for subject, key in keystore.keys_left({row.subject for row in rows}).items()}
    opened: dict[bytes, dict[str, Any]] = {}
    for row in rows:
        if row.subject in keys:
            commit = bytes(row.commit)
            plain = keys[row.subject].decrypt(row.ciphertext[:NONCE_BYTES], row.ciphertext[NONCE_BYTES:], commit)
            opened[commit] = canonical.parse(plain[SALT_BYTES:])
    return opened
