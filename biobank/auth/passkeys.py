"""Passkeys (WebAuthn): a key in a person's own device that answers beside the password, at a sign-in and under a signature.

The challenge that a device signs is ours and stands in no table: random bytes, until when it counts, and a MAC over both and what
it is for. It works once (`passkey_challenge` keeps those that were used), for five minutes. The device adds the address of the
page, so that an answer given to another site is none here; and it counts, so that a copied one is noticed. The answer travels
where the code of an authenticator app does, as the JSON that the browser gives.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException

from biobank.auth.models import passkey as _passkey
from biobank.auth.models import passkey_challenge as _used
from biobank.auth.second_factor import SecondFactorNeeded, WrongSecondFactor
from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict, NotFound

Purpose = Literal["sign_in", "own", "enrol"]
"""For what a challenge is: a sign-in, an act of who is signed in (a signature, say), or a new passkey."""

COUNTS_FOR: Final = timedelta(minutes=5)
MOST: Final = 10
"""Passkeys of one login."""
_NONCE, _TIME, _MAC = 16, 8, 32


class PasskeyNotAccepted(WrongSecondFactor):
    """The answer of a passkey is of no passkey of this login, of another site or challenge, too old, or was used before."""

    code = "passkey_not_accepted"
    title = "Passkey not accepted"


class PasskeyNotMade(Conflict):
    """What was sent as a new passkey is none, is for another site, or answers no question of ours that still counts."""

    code = "passkey_not_made"
    title = "No passkey was made"


class PasskeyKnown(Conflict):
    """This passkey is registered already, or the login has as many as one may."""

    code = "passkey_known"
    title = "Passkey not added"


@dataclass(frozen=True)
class Relying:
    """The site that passkeys are made for: its name, and the addresses of its pages. `local`: any port of this machine too."""

    name: str
    origins: tuple[str, ...]
    local: bool

    @classmethod
    def of(cls, settings: Settings) -> "Relying":
        """Return the one of a bank: where its cookies need no TLS, as at a demonstration, it is `localhost`."""
        if not settings.secure_cookies:
            return cls("localhost", (), local=True)
        origins = tuple(settings.passkey_origins.split()) or (f"https://{settings.host_name.lower()}",)
        return cls(str(urlsplit(origins[0]).hostname), origins, local=False)

    def expected(self, origin: str) -> list[str]:
        """Return the origins that count, `origin` among them where it is of this machine."""
        here = self.local and re.fullmatch(r"http://localhost(:\d{1,5})?", origin) is not None
        return [*self.origins, *([origin] if here else [])]


def new_challenge(keys: Sequence[bytes], purpose: Purpose, at: datetime) -> str:
    """Make a challenge, as base64url text."""
    said = os.urandom(_NONCE) + int((at + COUNTS_FOR).timestamp()).to_bytes(_TIME, "big")
    return bytes_to_base64url(said + _mac(keys[0], purpose, said))


def _mac(key: bytes, purpose: Purpose, said: bytes) -> bytes:
    return hmac.digest(key, b"biobank/passkey/challenge/v1\0" + purpose.encode() + b"\0" + said, "sha256")


def is_answer(second: str | None) -> bool:
    """Say whether what was sent as second factor is a passkey's answer."""
    return second is not None and second.lstrip().startswith("{")


def require_answer(second: str | None, *, app: bool) -> None:
    """Raise unless a login with passkeys sent an answer of one; `app`: it has an app too, whose code will do.

    Raises SecondFactorNeeded, WrongSecondFactor.
    """
    if not (second or "").strip():
        either = " or the six digits of your app" if app else ""
        raise SecondFactorNeeded(f"Your password is right. Use your passkey{either} as well.")
    if not app and not is_answer(second):
        raise WrongSecondFactor("Your login has no authenticator app: use your passkey.")


def use(
    session: Session, keys: Sequence[bytes], relying: Relying, user: str, answer: str, purpose: Purpose, at: datetime
) -> None:
    """Accept an answer of one of the login's passkeys, once. Raises PasskeyNotAccepted."""
    given, challenge, origin = _parsed(answer)
    held = select(_passkey).where(_passkey.c.credential == _bytes_of(given.get("id")), _passkey.c.user_code == user)
    row = session.execute(held.with_for_update()).first()
    if row is None:
        raise PasskeyNotAccepted("This passkey is not one of your login. Use one that your account page lists.")
    _use_challenge(session, keys, challenge, purpose, at)
    try:
        verified = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=relying.name,
            expected_origin=relying.expected(origin),
            credential_public_key=bytes(row.public_key),
            credential_current_sign_count=row.sign_count,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError):
        raise _NOT_OURS from None
    session.execute(update(_passkey).where(_passkey.c.id == row.id).values(sign_count=verified.new_sign_count, last_used_at=at))


_NOT_OURS = PasskeyNotAccepted(
    "The answer of the passkey does not fit: it was asked by another page, was used before, or its device was copied. Try again."
)


def add(session: Session, keys: Sequence[bytes], relying: Relying, user: str, answer: str, at: datetime) -> tuple[UUID, str]:
    """Register a new passkey of a login; return its id and the SHA-256 of its credential.

    Raises PasskeyNotMade, PasskeyKnown.
    """
    try:
        given, challenge, origin = _parsed(answer)
        _use_challenge(session, keys, challenge, "enrol", at)
        made = verify_registration_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=relying.name,
            expected_origin=relying.expected(origin),
        )
    except (PasskeyNotAccepted, WebAuthnException, ValueError, TypeError, KeyError):
        raise PasskeyNotMade(
            "What your device made is no passkey for this page, or came too late. Load the page again and make another."
        ) from None
    held = session.execute(select(_passkey.c.id).where(_passkey.c.user_code == user)).all()
    values = {
        "id": uuid4(),
        "user_code": user,
        "credential": made.credential_id,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "created_at": at,
    }
    row = insert(_passkey).values(**values).on_conflict_do_nothing(index_elements=["credential"]).returning(_passkey.c.id)
    if len(held) >= MOST or session.execute(row).first() is None:
        raise PasskeyKnown(f"This passkey is registered already, or you have {MOST}, which is as many as one may have.")
    return values["id"], hashlib.sha256(made.credential_id).hexdigest()  # type: ignore[return-value]


def remove(session: Session, user: str, passkey: UUID | None = None) -> list[str]:
    """Remove one passkey of a login, or all; return the SHA-256 of each credential. Raises NotFound for another's."""
    which = _passkey.c.user_code == user
    gone = delete(_passkey).where(which if passkey is None else which & (_passkey.c.id == passkey))
    rows = session.execute(gone.returning(_passkey.c.credential)).all()
    if passkey is not None and not rows:
        raise NotFound("There is no passkey of yours with this id.")
    return sorted(hashlib.sha256(row.credential).hexdigest() for row in rows)


def passkeys_of(session: Session, user: str) -> list[Any]:
    """Return the passkeys of a login, the oldest first."""
    return list(session.execute(select(_passkey).where(_passkey.c.user_code == user).order_by(_passkey.c.created_at)).all())


def forget_used(session: Session, before: datetime) -> int:
    """Forget used challenges that would not count any more anyway; return how many."""
    gone = session.execute(delete(_used).where(_used.c.at < before).returning(_used.c.at)).all()
    return len(gone)


def _parsed(answer: str) -> tuple[dict[str, Any], bytes, str]:
    """Return an answer, the challenge under it, and the origin that the browser says."""
    try:
        given = json.loads(answer)
        said = parse_client_data_json(base64url_to_bytes(given["response"]["clientDataJSON"]))
    except (WebAuthnException, ValueError, TypeError, KeyError, RecursionError):
        raise PasskeyNotAccepted("This is no answer of a passkey. Load the page again and try once more.") from None
    return given, said.challenge, said.origin


def _bytes_of(text: Any) -> bytes:
    try:
        return base64url_to_bytes(str(text))
    except ValueError:
        return b""


def _use_challenge(session: Session, keys: Sequence[bytes], challenge: bytes, purpose: Purpose, at: datetime) -> None:
    said, mac = challenge[:-_MAC], challenge[-_MAC:]
    ours = len(said) == _NONCE + _TIME and any(hmac.compare_digest(mac, _mac(key, purpose, said)) for key in keys)
    if not ours or int.from_bytes(said[_NONCE:], "big") < at.timestamp():
        raise PasskeyNotAccepted("The passkey answered too late, or another question. Load the page again and try once more.")
    digest = hashlib.sha256(challenge).digest()
    kept = insert(_used).values(digest=digest, at=at).on_conflict_do_nothing().returning(_used.c.digest)
    if session.execute(kept).first() is None:
        raise PasskeyNotAccepted("This answer of the passkey was used before. Load the page again and try once more.")
