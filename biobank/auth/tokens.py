"""Access tokens: ES256 JWTs by python-jose, with key ids, a JWKS and rotation. The only module that imports jose.

A token proves identity and nothing else. Its claims: `iss`, `aud` (both the issuer setting), `sub` (badge code), `sid` (the
login session whose row can be revoked), `jti`, `iat`, `exp`. Roles are never in it.

Keys are PEM files `secrets/token-keys/<kid>.pem`; the kid starts with the time it was made, so the newest sorts last and
signs. Older keys verify until their file is removed. `rotate` adds a key and `remove_key` takes one away; a running process
looks at the folder once a minute, and at once when it meets an unknown kid.
"""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk, jwt
from jose.exceptions import ExpiredSignatureError, JOSEError

from biobank.foundation import clock
from biobank.foundation.errors import NotSignedIn, TokenExpired

ALGORITHM = "ES256"
FOLDER = "token-keys"
CACHE_SIZE = 10_000
RELOAD_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Claims:
    """What a genuine token says."""

    subject: str
    session_id: UUID
    expires_at: datetime


def rotate(secrets: Path) -> str:
    """Make a new signing key and return its kid. Tokens of older keys stay valid until they expire."""
    folder = secrets / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kid = f"{clock.now():%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = folder / f".{kid}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / f"{kid}.pem")
    return kid


def remove_key(secrets: Path, kid: str) -> None:
    """Take a key away: what it signed is refused within a minute. Raises KeyError for an unknown kid or the last key."""
    folder = secrets / FOLDER
    kids = sorted(path.stem for path in folder.glob("*.pem"))
    if kid not in kids or len(kids) == 1:
        raise KeyError(kid)
    (folder / f"{kid}.pem").unlink()


class TokenRing:
    """Signs with the newest key, verifies with any, caches signature verification only."""

    def __init__(self, secrets: Path, issuer: str, lifetime_s: int) -> None:
        self._folder = secrets / FOLDER
        self._issuer = issuer
        self._lifetime = timedelta(seconds=lifetime_s)
        self._keys: OrderedDict[str, tuple[Any, Any, dict[str, str]]] = OrderedDict()
        self._loaded_at: datetime | None = None
        self._verified: OrderedDict[str, tuple[str, Claims]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, subject: str, session_id: UUID) -> tuple[str, int]:
        """Return a signed access token and its life in seconds."""
        self._load_when_old()
        if not self._keys:
            raise RuntimeError("There is no token key. `biobank migrate` makes the first one.")
        kid, (private, _public, _jwk) = next(reversed(self._keys.items()))
        instant = clock.now()
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": subject,
            "sid": str(session_id),
            "jti": uuid4().hex,
            "iat": int(instant.timestamp()),
            "exp": int((instant + self._lifetime).timestamp()),
        }
        return jwt.encode(claims, private, algorithm=ALGORITHM, headers={"kid": kid}), int(self._lifetime.total_seconds())

    def verify(self, token: str) -> Claims:
        """Return the claims of a genuine, unexpired token; raise TokenExpired or NotSignedIn."""
        self._load_when_old()
        known = self._verified.get(token)
        if known is None:
            known = self._verify_signature(token)
            with self._lock:
                self._verified[token] = known
                if len(self._verified) > CACHE_SIZE:
                    self._verified.popitem(last=False)
        kid, claims = known
        if kid not in self._keys:
            raise _unknown_key()
        if claims.expires_at <= clock.now():
            raise TokenExpired("The access token has expired. Refresh it or sign in again.")
        return claims

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JSON Web Key Set."""
        self._load()
        return {"keys": [public for _private, _key, public in self._keys.values()]}

    def _verify_signature(self, token: str) -> tuple[str, Claims]:
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            if kid not in self._keys:
                self._load()
            if kid not in self._keys:
                raise _unknown_key()
            # Expiry is judged against the bank's clock, not the system's: the two differ in test mode.
            claims = jwt.decode(
                token,
                self._keys[kid][1],
                algorithms=[ALGORITHM],
                audience=self._issuer,
                issuer=self._issuer,
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "require_aud": True,
                    "require_iss": True,
                    "require_exp": True,
                    "require_sub": True,
                    "require_iat": True,
                },
            )
            return kid, Claims(
                subject=str(claims["sub"]),
                session_id=UUID(claims["sid"]),
                expires_at=datetime.fromtimestamp(int(claims["exp"]), tz=clock.now().tzinfo),
            )
        except ExpiredSignatureError as error:
            raise TokenExpired("The access token has expired. Refresh it or sign in again.") from error
        except (JOSEError, KeyError, ValueError, TypeError) as error:
            raise NotSignedIn("The access token is not valid. Sign in again.") from error

    def _load_when_old(self) -> None:
        if self._loaded_at is None or abs(clock.now() - self._loaded_at) > RELOAD_AFTER:
            self._load()

    def _load(self) -> None:
        with self._lock:
            keys: OrderedDict[str, tuple[Any, Any, dict[str, str]]] = OrderedDict()
            for path in sorted(self._folder.glob("*.pem")):
                kid = path.stem
                if kid in self._keys:
                    keys[kid] = self._keys[kid]
                    continue
                private = jwk.construct(path.read_text(), ALGORITHM)
                public = private.public_key()
                document = {k: v.decode() if isinstance(v, bytes) else v for k, v in public.to_dict().items()}
                keys[kid] = (private, public, document | {"kid": kid, "use": "sig", "alg": ALGORITHM})
            self._keys = keys
            self._loaded_at = clock.now()


def _unknown_key() -> NotSignedIn:
    return NotSignedIn("The access token was signed by a key this bank does not know. Sign in again.")
