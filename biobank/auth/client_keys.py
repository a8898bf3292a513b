"""Keys of API clients: `bbk_` and 256 random bits, sent as bearer tokens, proved by one look-up of a keyed hash.

What is kept is HMAC-SHA256 under the bank's secret `client-keys`: whoever writes to the database alone cannot make a key that
counts. While that secret is being changed a key is known under both, and is put under the new one while it is used.

A process remembers which keys it has met, so that a call costs no statement of its own; whether the key still stands is read with
the rights of its client, in the call's own transaction (`auth/identity.py`). Wrong keys are counted by address, and after
`WRONG_ALLOWED` of them the database is not asked any more. Counts are of one process and are forgotten with it.
"""

import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select, update

from biobank.auth.models import api_client as _client
from biobank.auth.throttle import network_of
from biobank.auth.tokens import Claims
from biobank.foundation import clock
from biobank.foundation.db import Database
from biobank.foundation.errors import NotSignedIn, TooManyAttempts

BEGINS: Final = "bbk_"
SHOWN: Final = 12
"""Characters of a key by which people tell it: `bbk_` and eight more, which leaves 208 bits."""
DOMAIN: Final = b"biobank/client-key/v1\0"
WRONG_ALLOWED: Final = 30
WRONG_WITHIN: Final = timedelta(minutes=10)
NOTED_EVERY: Final = timedelta(minutes=1)
REMEMBERED: Final = 10_000

_find = select(_client.c.code, _client.c.key_id, _client.c.expires_at).where(
    _client.c.key_hash.in_(bindparam("hashes", expanding=True))
)
_use = update(_client).where(_client.c.key_id == bindparam("key"))


class ClientKeyUnknown(NotSignedIn):
    """The key belongs to no API client, or not any more."""

    code = "client_key_unknown"
    title = "Unknown key"


class TooManyCalls(TooManyAttempts):
    """An API client called more often within a minute than one may; `retry_after_s` says when it goes on."""

    code = "too_many_calls"
    title = "Too many calls"


def key_hash(secret: bytes, key: str) -> bytes:
    """Return what is kept of a key, under one of the bank's secrets."""
    return hmac.digest(secret, DOMAIN + key.encode(errors="replace"), "sha256")


@dataclass
class _Met:
    """A key that this process has met: the calls since `noted_at`, when they were last written down, and those of this minute."""

    claims: Claims
    noted_at: datetime
    calls: int = 0
    minute: datetime | None = None
    in_minute: int = 0


@dataclass
class ClientKeys:
    """Proves keys. `secrets`: the bank's secret, and behind it the one before while it is being changed."""

    database: Database
    secrets: Callable[[], tuple[bytes, ...]]
    calls_per_min: int
    _met: "OrderedDict[bytes, _Met]" = field(default_factory=OrderedDict)
    _wrong: "OrderedDict[str, list[datetime]]" = field(default_factory=OrderedDict)

    async def prove(self, key: str, address: str | None) -> Claims:
        """Return the claims of a key; raise ClientKeyUnknown, TooManyAttempts after wrong ones, TooManyCalls.

        Claims say who calls and no more: an ended key is refused where rights are read.
        """
        known = hashlib.sha256(key.encode(errors="replace")).digest()
        met = self._met.get(known)
        if met is None:
            met = await self._look_up(key, network_of(address) or "")
            self._met[known] = met
            if len(self._met) > REMEMBERED:
                self._met.popitem(last=False)
        self._count(met)
        await self._note(met, key)
        return met.claims

    async def _look_up(self, key: str, network: str) -> _Met:
        at = clock.now()
        wrong = [one for one in self._wrong.get(network, ()) if one > at - WRONG_WITHIN]
        if len(wrong) >= WRONG_ALLOWED:
            wait = math.ceil((wrong[0] + WRONG_WITHIN - at).total_seconds())
            raise TooManyAttempts(f"Too many wrong keys came from here. Try again in {wait} seconds.", retry_after_s=wait)
        hashes = [key_hash(secret, key) for secret in self.secrets()]
        row = await self.database.read(lambda s: s.execute(_find, {"hashes": hashes}).first())
        if row is None:
            self._wrong[network] = [*wrong, at]
            self._wrong.move_to_end(network)
            if len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)
            raise ClientKeyUnknown("This is not the key of an API client, or not any more.")
        return _Met(Claims(row.code, row.key_id, row.expires_at), at - NOTED_EVERY)

    def _count(self, met: _Met) -> None:
        at = clock.now()
        if met.minute is None or not timedelta(0) <= at - met.minute < timedelta(minutes=1):
            met.minute, met.in_minute = at, 0
        if met.in_minute >= self.calls_per_min:
            wait = math.ceil((met.minute + timedelta(minutes=1) - at).total_seconds())
            said = f"This API client may call {self.calls_per_min} times a minute. Go on in {wait} seconds."
            raise TooManyCalls(said, retry_after_s=wait)
        met.in_minute += 1
        met.calls += 1

    async def _note(self, met: _Met, key: str) -> None:
        """Write down when a key was used and how often, at most once a minute; and its hash under today's secret."""
        at = clock.now()
        if abs(at - met.noted_at) < NOTED_EVERY:
            return
        calls, met.calls, met.noted_at = met.calls, 0, at
        used = {"last_used_at": at, "calls": _client.c.calls + calls, "key_hash": key_hash(self.secrets()[0], key)}
        await self.database.write(lambda s: s.execute(_use.values(used), {"key": met.claims.session_id}))
