"""Personal keys: an Ed25519 pair for each login, whose private half only its owner's password unlocks.

The pair is made when its owner first chooses a password. The database holds the private half encrypted under what one run of
Argon2 over the password gives beside the stored hash (`passwords.py`), so neither the database nor the bank's secrets open it. A
change of password wraps the same key anew; a reset ends it, and the next password brings another.

Who says whose key it is: the act that lets somebody choose a password (a first role, a reset) makes a pair for that one enrolment
and puts its public half in the log, under the signatures of the act's two people. Its private half waits, encrypted under a
secret of the bank, and signs the personal key that the owner's password brings; then it is gone. A key that somebody writes into
the tables has no such signature.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import bindparam, exists, insert, select, update
from sqlmodel import Session

from biobank.auth.models import personal_key as _key
from biobank.auth.models import user as _user
from biobank.auth.models import user_role as _role
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.foundation.errors import NotPermitted

SALT, NONCE = 16, 12
_COSIGNING = sorted(role.value for role in Role if Permission.ROLE_COSIGN in ROLE_PERMISSIONS[role])

_in_force = select(_key.c.public, _key.c.wrapped, _key.c.made_at).where(
    _key.c.user_code == bindparam("user"), _key.c.ended_at.is_(None)
)
_others_sign = select(
    exists()
    .where(_key.c.user_code != bindparam("user"), _key.c.ended_at.is_(None))
    .where(_user.c.code == _key.c.user_code, _user.c.active)
    .where(_role.c.user_code == _key.c.user_code, _role.c.role.in_(_COSIGNING))
)


class NoPersonalKey(NotPermitted):
    """This login has no key to sign with, and the bank's people sign by key."""

    code = "no_personal_key"
    title = "No key to sign with"


def new_key() -> Ed25519PrivateKey:
    """Make a pair."""
    return Ed25519PrivateKey.generate()


def public_of(key: Ed25519PrivateKey) -> bytes:
    """Return the public half, 32 bytes."""
    return key.public_key().public_bytes_raw()


def wrap(key: Ed25519PrivateKey, secret: bytes, owner: str) -> bytes:
    """Encrypt a private half under `secret`, for the login `owner`: salt, nonce, ciphertext."""
    box, salt, nonce = _box(secret)
    return salt + nonce + box.encrypt(nonce, key.private_bytes_raw(), owner.encode())


def unwrap(wrapped: bytes, secret: bytes, owner: str) -> Ed25519PrivateKey:
    """Decrypt what `wrap` made. Raises NoPersonalKey when it is another's, or another secret's."""
    box, salt, nonce = _box(secret, wrapped[:SALT], wrapped[SALT : SALT + NONCE])
    try:
        return Ed25519PrivateKey.from_private_bytes(box.decrypt(nonce, wrapped[len(salt + nonce) :], owner.encode()))
    except InvalidTag:
        raise NoPersonalKey(
            "Your key could not be opened with your password: what is stored of it was changed. Have your password reset.",
        ) from None


def keep_enrolment(session: Session, owner: str, pair: Ed25519PrivateKey, secrets: Sequence[bytes]) -> None:
    """Keep what will vouch for the next key of a login, encrypted under the newest of the bank's secrets."""
    session.execute(update(_user).where(_user.c.code == owner).values(enrolment=wrap(pair, secrets[0], owner)))


def take_enrolment(session: Session, owner: str, wrapped: bytes, secrets: Sequence[bytes]) -> Ed25519PrivateKey:
    """Return what vouches for the next key of a login, this once."""
    session.execute(update(_user).where(_user.c.code == owner).values(enrolment=None))
    return _under_any(wrapped, secrets, owner)


def wrap_enrolments_anew(session: Session, secrets: Sequence[bytes]) -> int:
    """Put every enrolment that waits under the newest of the bank's secrets; return how many. Harmless to repeat."""
    rows = session.execute(select(_user.c.code, _user.c.enrolment).where(_user.c.enrolment.is_not(None)).with_for_update()).all()
    for row in rows:
        keep_enrolment(session, row.code, _under_any(bytes(row.enrolment), secrets, row.code), secrets)
    return len(rows)


def _under_any(wrapped: bytes, secrets: Sequence[bytes], owner: str) -> Ed25519PrivateKey:
    *others, last = secrets
    for secret in others:
        with suppress(NoPersonalKey):
            return unwrap(wrapped, secret, owner)
    return unwrap(wrapped, last, owner)


def key_in_force(session: Session, owner: str, unlocks: bytes | None) -> Ed25519PrivateKey | None:
    """Return the key of a login whose password was just proved; None while nobody of the bank needs one.

    Raises NoPersonalKey when the login has none and somebody else's key could vouch for one.
    """
    row = session.execute(_in_force.with_for_update(read=True), {"user": owner}).first()
    if row is not None and unlocks is not None:
        return unwrap(bytes(row.wrapped), unlocks, owner)
    if row is not None or session.scalar(_others_sign, {"user": owner}):
        raise NoPersonalKey(
            "Your login has no key to sign with. Have your password reset by an administrator and quality: choosing a new one "
            "brings a key."
        )
    return None


def public_in_force(session: Session, owner: str) -> bytes | None:
    """Return the public half of the key that a login signs with now; None when it has none."""
    row = session.execute(_in_force, {"user": owner}).first()
    return None if row is None else bytes(row.public)


def made_at(session: Session, owner: str) -> datetime | None:
    """Return since when a login has the key that it signs with; None when it has none."""
    row = session.execute(_in_force, {"user": owner}).first()
    return None if row is None else row.made_at


def keep_key(session: Session, owner: str, key: Ed25519PrivateKey, unlocks: bytes, at: datetime) -> None:
    """Store the new key of a login, which has none in force."""
    values = {"public": public_of(key), "user_code": owner, "wrapped": wrap(key, unlocks, owner), "made_at": at}
    session.execute(insert(_key).values(**values))


def end_key(session: Session, owner: str, at: datetime) -> None:
    """End the key of a login, if there is one."""
    session.execute(update(_key).where(_key.c.user_code == owner, _key.c.ended_at.is_(None)).values(ended_at=at))


def rewrap(session: Session, owner: str, unlocks: bytes, by: bytes) -> None:
    """Wrap the key of a login, if there is one, so that `by` opens it and `unlocks` no more."""
    row = session.execute(_in_force.with_for_update(), {"user": owner}).first()
    if row is not None:
        fresh = wrap(unwrap(bytes(row.wrapped), unlocks, owner), by, owner)
        session.execute(update(_key).where(_key.c.public == row.public).values(wrapped=fresh))


def _box(secret: bytes, salt: bytes | None = None, nonce: bytes | None = None) -> tuple[AESGCM, bytes, bytes]:
    salt, nonce = salt or os.urandom(SALT), nonce or os.urandom(NONCE)
    derived = HKDF(SHA256(), 32, salt, b"biobank/personal-key/wrap/v1").derive(secret)
    return AESGCM(derived), salt, nonce
