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
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.foundation import clock
from biobank.foundation.db import table_of
from biobank.transparency import canonical
from biobank.vault.keystore import NONCE_BYTES, KeyDestroyed, Keystore
from biobank.vault.models import VaultDocument

DOMAIN = b"biobank/pii/v1\0"
SALT_BYTES = 32
_documents = table_of(VaultDocument)


class Erased(Exception):
    """The document cannot be read any more: its subject was erased."""


def commitment(salt: bytes, document: dict[str, Any]) -> bytes:
    """Return the 32-byte commitment to `document` under `salt`."""
    return hashlib.sha256(DOMAIN + salt + canonical.encode(document)).digest()


def put_document(session: Session, keystore: Keystore, subject: str, document: dict[str, Any]) -> bytes:
    """Encrypt `document` under the key of `subject`, store it and return its commitment.

    Raises KeyDestroyed when the subject was erased, and `canonical`'s errors when the document is outside the profile.
    """
    salt = os.urandom(SALT_BYTES)
    commit = commitment(salt, document)
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(keystore.key_for(subject)).encrypt(nonce, salt + canonical.encode(document), commit)
    session.execute(insert(_documents).values(commit=commit, subject=subject, ciphertext=nonce + sealed, written_at=clock.now()))
    return commit


def open_document(session: Session, keystore: Keystore, commit: bytes) -> dict[str, Any]:
    """Decrypt the document named by `commit`; raise Erased when its row or its key is gone."""
    row = session.execute(select(_documents.c.subject, _documents.c.ciphertext).where(_documents.c.commit == commit)).first()
    if row is None:
        raise Erased
    try:
        key = keystore.find_key(row.subject)
    except KeyDestroyed as error:
        raise Erased from error
    if key is None:
        raise Erased
    plain = AESGCM(key).decrypt(row.ciphertext[:NONCE_BYTES], row.ciphertext[NONCE_BYTES:], commit)
    document = canonical.parse(plain[SALT_BYTES:])
    return document
