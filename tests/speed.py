"""What makes tests quick without changing what they show: cheap hashes and handshakes, no waiting for a disk, one cache."""

import base64
import hashlib
import hmac
import os
from typing import Any

import psycopg
from argon2 import PasswordHasher
from sqlalchemy import Engine, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.util import LRUCache

from biobank.auth import passwords
from biobank.postgres.embedded import LOGINS, EmbeddedPostgres


def work_quickly() -> None:
    """Hash passwords at the smallest cost, and let every engine of the process use one cache of compiled statements.

    The hash is the real one: a story of a withdrawal has a dozen signatures of 50 ms each otherwise. Each test opens three
    engines of one shape, and compiling the same statements again was a fifth of its time.
    """
    passwords._cost = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    compiled: LRUCache[Any, Any] = LRUCache(5_000)

    def alike(one: Any, other: object) -> bool:
        wo_returning = "use_insertmanyvalues_wo_returning"
        return type(one) is type(other) and getattr(one, wo_returning) is getattr(other, wo_returning)

    # The cache belongs to an engine, and its keys to the engine's dialect, compared by identity.
    Engine._compiled_cache = property(lambda self: compiled, lambda self, own: None)  # type: ignore[assignment]
    PGDialect_psycopg.__eq__ = alike  # type: ignore[method-assign]
    PGDialect_psycopg.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]


def made_quick(postgres: EmbeddedPostgres) -> None:
    """Let the server not wait for a disk, and let its logins have passwords that are quickly checked.

    Tests copy two databases each; waiting proves nothing there. Crash tests start clusters of their own, with the settings that a
    bank runs with.
    """
    with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
        for role, login in LOGINS.items():
            secret = str(make_url(postgres.dsn(role, "postgres")).password)
            connection.execute(f"ALTER ROLE {login} PASSWORD '{verifier_of_one_round(secret)}'")


def verifier_of_one_round(secret: str) -> str:
    """What PostgreSQL keeps of a password, at one round in place of 4,096: a test makes ten connections, each is 8 ms cheaper."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 1)
    client, server = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    kept = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server)]
    return f"SCRAM-SHA-256$1:{kept[0]}${kept[1]}:{kept[2]}"
