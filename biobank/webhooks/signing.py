"""Signing messages as Standard Webhooks says, and the secrets that sign.

A secret follows from a salt in the bank's database and the subscription's key in the key database: neither database alone gives
it away, and it can be computed again for every message. During a change two secrets sign.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import func, insert, or_, select, update
from sqlmodel import Session
from standardwebhooks import Webhook

from biobank.exports.as_cloud_event import MEDIA_TYPE
from biobank.vault import Keystore
from biobank.webhooks.models import webhook_secret

OVERLAP: Final = timedelta(days=1)
"""For how long the secret before signs too."""
_INFO: Final = b"biobank standard webhook secret v1"
_BYTES: Final = 32


def secret_of(key: bytes, salt: bytes) -> str:
    """Return the secret in the form of Standard Webhooks."""
    raw = HKDF(algorithm=SHA256(), length=_BYTES, salt=salt, info=_INFO).derive(key)
    return "whsec_" + base64.b64encode(raw).decode()


def add_secret(
    session: Session, keystore: Keystore, webhook: str, at: datetime, *, end_former: bool
) -> tuple[int, str, str, datetime | None]:
    """Make a new secret; return its number, the SHA-256 of its salt, itself, and until when the one before signs too."""
    table = webhook_secret.c
    last = session.execute(select(func.max(table.number)).where(table.webhook_code == webhook)).scalar() or 0
    until = at if end_former else at + OVERLAP
    still = (table.webhook_code == webhook, or_(table.ends_at.is_(None), table.ends_at > until))
    ended = session.execute(update(webhook_secret).where(*still).values(ends_at=until).returning(table.number)).all()
    number, salt = last + 1, secrets.token_bytes(_BYTES)
    session.execute(insert(webhook_secret).values(webhook_code=webhook, number=number, salt=salt, made_at=at))
    key = keystore.keys_for([webhook])[webhook]
    return number, hashlib.sha256(salt).hexdigest(), secret_of(key, salt), until if ended and not end_former else None


def signing_now(session: Session, keystore: Keystore, webhook: str, at: datetime) -> list[str]:
    """Return the secrets that sign at an instant, the newest first."""
    table = webhook_secret.c
    rows = session.execute(
        select(table.salt)
        .where(table.webhook_code == webhook, or_(table.ends_at.is_(None), table.ends_at > at))
        .order_by(table.number.desc())
    ).all()
    key = keystore.keys_for([webhook])[webhook] if rows else b""
    return [secret_of(key, bytes(row.salt)) for row in rows]


def headers_of(signers: Sequence[str], identity: str, at: datetime, body: bytes) -> dict[str, Any]:
    """Return the headers of a message, those of Standard Webhooks among them: `at` is the time of this try."""
    said = body.decode()
    return {
        "content-type": MEDIA_TYPE,
        "webhook-id": identity,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(one).sign(identity, at, said) for one in signers),
    }
