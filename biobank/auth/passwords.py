"""Passwords: Argon2id by pwdlib, the policy, and where the work is done.

A verification takes some 50 ms of one core and 64 MiB, so it runs in a few threads (`auth/throttle.py: Lane`): it neither blocks
the event loop nor lets a storm of sign-ins take all memory. It is finished **before** a transaction opens, because a transaction
that waits for a hash holds a connection for nothing.

A login that does not exist costs the same time as a wrong password: the password is verified against a dummy, a hash
of random bytes made with the same parameters.

Policy (NIST SP 800-63B-4 §3.1.1): at least 12 characters, no composition rules, no expiry, nothing that contains the login
name, nothing on a list of the commonest. Passwords are compared in Unicode NFKC, so that two keyboards type the same one.
"""

import asyncio
import os
import secrets
import unicodedata
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from pwdlib import PasswordHash

from biobank.foundation.errors import Conflict

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 256

_hasher = PasswordHash.recommended()
_threads = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2), thread_name_prefix="password")

COMMON_STEMS = frozenset(
    {
        "password",
        "passwort",
        "passw0rd",
        "p4ssword",
        "letmein",
        "welcome",
        "iloveyou",
        "qwerty",
        "qwertz",
        "azerty",
        "asdfgh",
        "zxcvbn",
        "abcdef",
        "abcdefgh",
        "administrator",
        "changeme",
        "default",
        "secret",
        "monkey",
        "dragon",
        "football",
        "baseball",
        "superman",
        "princess",
        "sunshine",
        "trustno",
        "biobank",
        "laboratory",
        "clinic",
        "hospital",
        "123456",
        "1234567890",
        "0123456789",
        "987654321",
        "111111",
        "000000",
        "1q2w3e4r",
        "1qaz2wsx",
        "qwertyuiop",
        "correcthorsebatterystaple",
    }
)
"""Stems of the passwords found most often in published breaches that reach our length by repetition or by digits."""


class WeakPassword(Conflict):
    """The new password is refused; `reason` says which rule."""

    code = "weak_password"
    title = "Password too weak"


@dataclass(frozen=True)
class Verified:
    """The outcome of a verification; `rehashed` is a new hash to store when the parameters have changed since."""

    genuine: bool
    rehashed: str | None = None


def hash_now(password: str) -> str:
    """Return the Argon2id hash of `password`. Blocks for some 50 ms: from a request use `hash_password`."""
    return _hasher.hash(_normal(password))


def verify_now(password: str, stored: str | None) -> Verified:
    """Compare `password` with a stored hash, or with the dummy when there is none. Blocks for some 50 ms."""
    dummy = _dummy()  # made before the branch, so that the first unknown login is not the one that waits for it
    genuine, rehashed = _hasher.verify_and_update(_normal(password), stored if stored is not None else dummy)
    return Verified(genuine and stored is not None, rehashed if stored is not None else None)


async def hash_password(password: str) -> str:
    """Hash in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, hash_now, password)


async def verify_password(password: str, stored: str | None, threads: Executor) -> Verified:
    """Verify in one of `threads`; `stored` None means that there is no such login and takes the same time."""
    return await asyncio.get_running_loop().run_in_executor(threads, verify_now, password, stored)


def require_strong(password: str, username: str, *, unlike: str | None = None) -> None:
    """Raise WeakPassword unless `password` may be chosen by `username`; `unlike` is the one it replaces."""
    plain = _normal(password)
    if len(plain) < MINIMUM_LENGTH:
        raise WeakPassword(f"Choose at least {MINIMUM_LENGTH} characters; three or four words do well.", reason="too_short")
    if username.casefold() in plain.casefold():
        raise WeakPassword("Choose a password that does not contain the login name.", reason="contains_username")
    if unlike is not None and plain == _normal(unlike):
        raise WeakPassword("Choose a password that differs from the present one.", reason="unchanged")
    if _is_common(plain):
        raise WeakPassword("Many people use this password, so it is tried first. Choose another.", reason="too_common")


def _is_common(password: str) -> bool:
    """Say whether nothing is left but a common stem, once repetition, digits at the ends and signs are taken away."""
    folded = "".join(c for c in password.casefold() if c.isalnum())
    trimmed = folded.strip("0123456789")
    return len(set(password)) < 4 or any(text and _repeats(text) in COMMON_STEMS for text in (folded, trimmed))


def _repeats(text: str) -> str:
    """Return the shortest piece that `text` repeats, or `text` itself."""
    for size in range(1, len(text) // 2 + 1):
        if len(text) % size == 0 and text == text[:size] * (len(text) // size):
            return text[:size]
    return text


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


@cache
def _dummy() -> str:
    return _hasher.hash(secrets.token_bytes(32))
