"""The fingerprint of everything that opens a login: what of it stands in the log, and says nothing about a password.

    fingerprint = SHA-256("biobank/credentials/v1\\0" || JSON of what is stored: password hash, personal key, app, passkeys, PIN)

A stored password hash holds 16 random bytes of salt, a wrapped key 28 and the app's secret is a ciphertext, so whoever reads the
log alone has nothing to try a password against: without the salt every password fits. Whoever reads the tables sees the hash
itself, fingerprint or not. What changes with each use (the step of a code, the counter of a passkey) is no part of it.
"""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.models import passkey, personal_key, second_factor, user
from biobank.auth.station_models import badge_pin

DOMAIN = b"biobank/credentials/v1\0"


def fingerprints_of(session: Session, codes: Collection[str]) -> dict[str, str | None]:
    """Return the fingerprint of each of these logins, in hex; None where nothing opens it."""
    wanted = sorted(codes)
    held: dict[str, dict[str, Any]] = {code: {} for code in wanted}
    for row in session.execute(select(user.c.code, user.c.password_hash).where(user.c.code.in_(wanted))):
        if row.password_hash is not None:
            held[row.code]["password"] = row.password_hash
    keys = select(personal_key.c.user_code, personal_key.c.public, personal_key.c.wrapped)
    for row in session.execute(keys.where(personal_key.c.user_code.in_(wanted), personal_key.c.ended_at.is_(None))):
        held[row.user_code]["key"] = [bytes(row.public).hex(), bytes(row.wrapped).hex()]
    apps = select(second_factor.c.user_code, second_factor.c.secret)
    for row in session.execute(apps.where(second_factor.c.user_code.in_(wanted), second_factor.c.confirmed_at.is_not(None))):
        held[row.user_code]["app"] = bytes(row.secret).hex()
    kept = select(passkey.c.user_code, passkey.c.credential, passkey.c.public_key).order_by(passkey.c.credential)
    for row in session.execute(kept.where(passkey.c.user_code.in_(wanted))):
        held[row.user_code].setdefault("passkeys", []).append([bytes(row.credential).hex(), bytes(row.public_key).hex()])
    pins = select(badge_pin.c.user_code, badge_pin.c.pin)
    for row in session.execute(pins.where(badge_pin.c.user_code.in_(wanted))):
        held[row.user_code]["pin"] = bytes(row.pin).hex()
    return {code: _digest(code, what) for code, what in held.items()}


def _digest(code: str, what: dict[str, Any]) -> str | None:
    if not what:
        return None
    text = json.dumps({"login": code} | what, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(DOMAIN + text.encode()).hexdigest()
