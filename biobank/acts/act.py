"""The context of one act: who, when, how, and the bank it happens in. Passed to every use case beside the session."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from biobank.acts.bank import Bank
from biobank.auth.actor import SYSTEM, Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Place
from biobank.foundation import clock
from biobank.transparency import canonical
from biobank.vault import Keystore

CREDENTIALS = frozenset({"password", "signature", "new_password", "refresh_token", "confirmations"})
"""Members of a body that prove a person. They are left out of every hash and never stored."""


def act_hash(method: str, path: str, body: Any) -> bytes:
    """Return the hash that names an act, for idempotency and for signatures.

    SHA-256 over the RFC 8785 JSON of `{"body": B, "method": M, "path": P}` where B is the JSON body without its top-level
    members `password`, `signature`, `new_password`, `refresh_token`, `confirmations`, or null when there is no body, or
    `{"sha256": hex}` of its bytes when it is no JSON. A body outside the profile (a float, say) is hashed as the JSON that
    Python writes for it with sorted keys.
    """
    if isinstance(body, dict):
        body = {k: v for k, v in body.items() if k not in CREDENTIALS}
    document = {"method": method, "path": path, "body": body}
    try:
        return hashlib.sha256(canonical.encode(document)).digest()
    except ValueError:
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Act:
    """One request, timer or command, as use cases see it."""

    actor: Actor
    bank: Bank
    keystore: Keystore
    at: datetime = field(default_factory=clock.now)
    method: str = "RUN"
    path: str = ""
    source: str = "live"
    device: str | None = None
    browser: tuple[str, ...] = ()
    """By what the browser is known that sent it, as the bank gave it at sign-ins; empty for a client without cookies."""
    request_hash: bytes = b""
    idempotency_key: str | None = None

    def may(self, permission: Permission, *, at: Place) -> bool:
        """Say whether the one who acts holds `permission` at a place."""
        return self.actor.may(permission, at=at)

    def require(self, permission: Permission, *, at: Place, subject: str | None = None) -> None:
        """Raise NotPermitted unless the one who acts holds `permission` at a place."""
        self.actor.require(permission, at=at, subject=subject)

    @classmethod
    def system(cls, bank: Bank, *, path: str, source: str = "live") -> "Act":
        """An act of the bank itself, outside a request (timers, set-up, imports)."""
        return cls(actor=SYSTEM, bank=bank, keystore=bank.keystore_sync, path=path, source=source)

    @classmethod
    def of(cls, actor: Actor, bank: Bank, *, path: str, source: str = "live") -> "Act":
        """An act of a named login outside a request (the command line)."""
        return cls(actor=actor, bank=bank, keystore=bank.keystore_sync, path=path, source=source)
