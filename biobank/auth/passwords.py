"""Passwords: Argon2id by pwdlib, the policy, and where the work is done.

A verification takes some 50 ms of one core and 64 MiB, so it runs in a few threads (`auth/throttle.py: Lane`): it neither blocks
the event loop nor lets a storm of sign-ins take all memory. It is finished **before** a transaction opens, because a transaction
that waits for a hash holds a connection for nothing.

A login that does not exist costs the same time as a wrong password: the password is verified against a dummy, a hash
of random bytes made with the same parameters.

One run of Argon2 gives two secrets that say nothing of each other: what is stored, to know the password again, and what unlocks
its owner's personal key (`personal_keys.py`) and is never stored. Hashes from before that are verified as they are, and replaced.

Policy (NIST SP 800-63B-4 §3.1.1): at least 12 characters, no composition rules, no expiry, nothing that contains the login
name, nothing on a list of the commonest. Passwords are compared in Unicode NFKC, so that two keyboards type the same one.
"""

import asyncio
import base64
import hmac
import os
import secrets
import unicodedata
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.low_level import Type, hash_secret_raw
from pwdlib import PasswordHash

from biobank.auth.breaches import is_breached
from biobank.foundation.errors import Conflict

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 256

_hasher = PasswordHash.recommended()
_cost = PasswordHasher()
"""The cost of a hash: Argon2id, 64 MiB, three passes, four lanes."""
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
class Hashed:
    """A password's hash as it is `stored`, and the 32 bytes that it `unlocks` with, which are never stored."""

    stored: str
    unlocks: bytes = field(repr=False)


@dataclass(frozen=True)
class Verified:
    """The outcome of a verification; `rehashed` is a new hash to store when the way of hashing has changed since.

    `unlocks` goes with the hash that was verified; None for a hash from before passwords unlocked anything.
    """

    genuine: bool
    rehashed: Hashed | None = None
    unlocks: bytes | None = field(default=None, repr=False)


def hash_now(password: str) -> Hashed:
    """Hash `password` with Argon2id. Blocks for some 50 ms: from a request use `hash_password`."""
    return _run(_normal(password).encode(), secrets.token_bytes(16), _cost.time_cost, _cost.memory_cost, _cost.parallelism)


def verify_now(password: str, stored: str | None) -> Verified:
    """Compare `password` with a stored hash, or with the dummy when there is none. Blocks for some 50 ms."""
    dummy = _dummy()  # made before the branch, so that the first unknown login is not the one that waits for it
    known = stored if stored is not None else dummy
    if not known.endswith(_SPLIT):
        genuine = _hasher.verify(_normal(password), known)
        return Verified(genuine, hash_now(password) if genuine else None)
    _, _, _, cost, salt, *_ = known.split("$")
    memory, passes, lanes = (int(part.partition("=")[2]) for part in cost.split(","))
    again = _run(_normal(password).encode(), base64.b64decode(salt), passes, memory, lanes)
    genuine = hmac.compare_digest(again.stored.encode(), known.encode()) and stored is not None
    outdated = (passes, memory, lanes) != (_cost.time_cost, _cost.memory_cost, _cost.parallelism)
    return Verified(genuine, hash_now(password) if genuine and outdated else None, again.unlocks if genuine else None)


_SPLIT = "$split"
"""Ends a hash of which only one half is stored."""


def _run(password: bytes, salt: bytes, passes: int, memory_kib: int, lanes: int) -> Hashed:
    """Run Argon2id once, and part what it gives under two names: neither half can be computed from the other (HMAC as a PRF)."""
    made = hash_secret_raw(password, salt, passes, memory_kib, lanes, hash_len=32, type=Type.ID)
    known, unlocks = (hmac.digest(made, b"biobank/password/v1/" + name, "sha256") for name in (b"verify", b"unlock"))
    salted, kept = (base64.b64encode(part).decode() for part in (salt, known))
    return Hashed(f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salted}${kept}{_SPLIT}", unlocks)


async def hash_password(password: str) -> Hashed:
    """Hash in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, hash_now, password)


async def verify_password(password: str, stored: str | None, threads: Executor) -> Verified:
    """Verify in one of `threads`; `stored` None means that there is no such login and takes the same time."""
    return await asyncio.get_running_loop().run_in_executor(threads, verify_now, password, stored)


def require_strong(password: str, username: str, *, unlike: str | None = None, breached: Path | None = None) -> None:
    """Raise WeakPassword unless `password` may be chosen by `username`; `unlike` is the one it replaces.

    `breached`: the bank's list of passwords from breaches. Raises Unavailable when that cannot be read.
    """
    plain = _normal(password)
    if len(plain) < MINIMUM_LENGTH:
        raise WeakPassword(f"Choose at least {MINIMUM_LENGTH} characters; three or four words do well.", reason="too_short")
    if username.casefold() in plain.casefold():
        raise WeakPassword("Choose a password that does not contain the login name.", reason="contains_username")
    if unlike is not None and plain == _normal(unlike):
        raise WeakPassword("Choose a password that differs from the present one.", reason="unchanged")
    if _is_common(plain):
        raise WeakPassword("Many people use this password, so it is tried first. Choose another.", reason="too_common")
    if breached is not None and (is_breached(plain, breached) or is_breached(password, breached)):
        raise WeakPassword("This password is known from a breach, so it is tried first. Choose another.", reason="breached")


def _is_common(password: str) -> bool:
    """Say whether nothing is left but a common stem, once repetition, digits at the ends and signs are taken away."""
    folded = "".join(c for c in password.casefold() if c.isalnum())
    trimmed = folded.strip("0123456789")
    return len(set(password)) < 4 or any(repeated(text) in COMMON_STEMS for text in (folded, trimmed))


def repeated(text: str) -> str:
    """Return the shortest piece that `text` repeats, or `text` itself."""
    for size in range(1, len(text) // 2 + 1):
        if text == text[:size] * (len(text) // size):
            return text[:size]
    return text


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


@cache
def _dummy() -> str:
    return hash_now(secrets.token_hex(32)).stored
