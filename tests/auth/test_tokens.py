"""Access tokens: only ours, only ES256, only for us, only in time; keys turn without anyone noticing."""

import base64
import hmac
import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwt

from biobank.auth.tokens import ALGORITHM, FOLDER, TokenRing, remove_key, rotate
from biobank.foundation import clock
from biobank.foundation.errors import NotSignedIn, TokenExpired
from tests.conftest import Api

ISSUER = "biobank"
LIFETIME_S = 900


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    rotate(tmp_path)
    return tmp_path


@pytest.fixture
def ring(secrets: Path) -> TokenRing:
    return TokenRing(secrets, ISSUER, LIFETIME_S)


def newest(secrets: Path) -> tuple[str, str]:
    path = max((secrets / FOLDER).glob("*.pem"))
    return path.stem, path.read_text()


def public_pem(private: str) -> bytes:
    key = serialization.load_pem_private_key(private.encode(), password=None)
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def forged(secrets: Path, *, key: str | None = None, kid: str | None = None, drop: str | None = None, **changed: Any) -> str:
    """A token like ours but for what is named."""
    own_kid, pem = newest(secrets)
    at = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": "US-1234567",
        "sid": str(uuid4()),
        "jti": "x",
        "iat": at,
        "exp": at + LIFETIME_S,
    } | changed
    claims.pop(drop or "", None)
    return jwt.encode(claims, key or pem, algorithm=ALGORITHM, headers={"kid": kid or own_kid})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{body}.{b64(sign(body.encode()))}"


def claims_now() -> dict[str, Any]:
    at = int(clock.now().timestamp())
    return {"iss": ISSUER, "aud": ISSUER, "sub": "US-1234567", "sid": str(uuid4()), "iat": at, "exp": at + 900}


def test_our_own_token_is_genuine(secrets: Path, ring: TokenRing) -> None:
    session = uuid4()
    token, seconds = ring.issue("US-1234567", session)

    assert ring.verify(token).session_id == session
    assert seconds == LIFETIME_S
    assert ring.verify(forged(secrets)).subject == "US-1234567"


def test_a_token_says_who_and_nothing_about_what_they_may_do(ring: TokenRing) -> None:
    claims = jwt.get_unverified_claims(ring.issue("US-1234567", uuid4())[0])

    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another-bank"},
        {"aud": "another-bank"},
        {"aud": ["another-bank"]},
        {"kid": "20200101T000000-unknown1"},
        {"kid": "../../etc/passwd"},
        {"sid": "not a session"},
        {"drop": "exp"},
        {"drop": "sub"},
        {"drop": "iss"},
        {"drop": "aud"},
        {"drop": "sid"},
        {"drop": "iat"},
    ],
)
def test_a_token_with_one_thing_wrong_is_refused(secrets: Path, ring: TokenRing, changed: dict[str, Any]) -> None:
    with pytest.raises(NotSignedIn):
        ring.verify(forged(secrets, **changed))


def test_a_token_of_a_stranger_under_our_key_id_is_refused(secrets: Path, ring: TokenRing) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    with pytest.raises(NotSignedIn):
        ring.verify(forged(secrets, key=stranger.decode()))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_refused(secrets: Path, ring: TokenRing, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": newest(secrets)[0]}

    with pytest.raises(NotSignedIn):
        ring.verify(raw(header, claims_now(), lambda _: b""))


@pytest.mark.parametrize("secret", ["pem", "der", "jwk"])
def test_our_public_key_is_not_accepted_as_a_shared_secret(secrets: Path, ring: TokenRing, secret: str) -> None:
    """The old confusion: HS256 over what everyone can read."""
    kid, private = newest(secrets)
    pem = public_pem(private)
    key = {
        "pem": pem,
        "der": base64.b64decode(b"".join(pem.splitlines()[1:-1])),
        "jwk": json.dumps(ring.jwks()["keys"][0]).encode(),
    }[secret]
    token = raw({"alg": "HS256", "typ": "JWT", "kid": kid}, claims_now(), lambda m: hmac.new(key, m, sha256).digest())

    with pytest.raises(NotSignedIn):
        ring.verify(token)


def test_a_key_in_the_header_is_not_trusted(secrets: Path, ring: TokenRing) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    pem = stranger.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    point = stranger.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32, "big")), "y": b64(point.y.to_bytes(32, "big"))}
    token = jwt.encode(claims_now(), pem, algorithm=ALGORITHM, headers={"kid": newest(secrets)[0], "jwk": jwk, "jku": "x"})

    with pytest.raises(NotSignedIn):
        ring.verify(token)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "e30.e30.e30", "\u00e9.\u00e9.\u00e9", "a" * 5000])
def test_what_is_no_token_is_refused(ring: TokenRing, text: str) -> None:
    with pytest.raises(NotSignedIn):
        ring.verify(text)


def test_every_changed_character_of_a_token_is_noticed(ring: TokenRing) -> None:
    token, _ = ring.issue("US-1234567", uuid4())
    ring.verify(token)
    for place in range(0, len(token) - 1, 7):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(NotSignedIn):
            ring.verify(token[:place] + other + token[place + 1 :])


def test_a_token_expires_also_when_its_signature_was_verified_before(ring: TokenRing) -> None:
    token, _ = ring.issue("US-1234567", uuid4())
    ring.verify(token)
    clock.set_offset(timedelta(seconds=LIFETIME_S + 1), test_mode=True)
    try:
        with pytest.raises(TokenExpired):
            ring.verify(token)
    finally:
        clock.set_offset(timedelta(0), test_mode=True)


def test_a_new_key_signs_and_the_old_one_still_verifies(secrets: Path, ring: TokenRing) -> None:
    old, _ = ring.issue("US-1234567", uuid4())
    time.sleep(1.1)  # key ids carry seconds; two within one second would be ordered by chance
    kid = rotate(secrets)
    other_process = TokenRing(secrets, ISSUER, LIFETIME_S)
    new, _ = other_process.issue("US-1234567", uuid4())

    assert jwt.get_unverified_header(new)["kid"] == kid
    assert ring.verify(new)
    assert other_process.verify(old)
    assert [k["kid"] for k in ring.jwks()["keys"]][-1] == kid


def test_a_key_that_was_removed_verifies_nothing(secrets: Path, ring: TokenRing) -> None:
    token, _ = ring.issue("US-1234567", uuid4())
    os.remove(secrets / FOLDER / f"{newest(secrets)[0]}.pem")

    with pytest.raises(NotSignedIn):
        TokenRing(secrets, ISSUER, LIFETIME_S).verify(token)


def test_the_key_file_can_be_read_by_its_owner_only(secrets: Path) -> None:
    path = secrets / FOLDER / f"{newest(secrets)[0]}.pem"

    assert path.stat().st_mode & 0o077 == 0


def test_the_published_keys_verify_our_tokens_and_hold_no_private_part(api: Api) -> None:
    keys = httpx.get(f"{api.url}/.well-known/jwks.json").json()["keys"]
    token = api.test_bank.token("lab_tech")

    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = [k for k in keys if k["kid"] == kid]

    assert jwt.decode(token, key, algorithms=[ALGORITHM], audience=ISSUER, issuer=ISSUER)["sub"]
    assert all("d" not in k and k["alg"] == ALGORITHM and k["crv"] == "P-256" for k in keys)


def test_a_running_process_forgets_a_removed_key_within_a_minute(secrets: Path, ring: TokenRing) -> None:
    token, _ = ring.issue("US-1234567", uuid4())
    ring.verify(token)
    old = newest(secrets)[0]
    with pytest.raises(KeyError):
        remove_key(secrets, old)
    rotate(secrets)
    remove_key(secrets, old)
    clock.set_offset(timedelta(seconds=61), test_mode=True)
    try:
        with pytest.raises(NotSignedIn):
            ring.verify(token)
    finally:
        clock.set_offset(timedelta(0), test_mode=True)
