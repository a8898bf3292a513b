"""Who may try a password how often: counted by what asks, so that a stranger's guesses stop nobody but strangers.

| asks | known by | counted | hashes in |
|---|---|---|---|
| a session that stands: a signature, the idle lock, a change of password | its session | by session | the lane of the known |
| a device where this login signed in before | its cookie | by login and device | the lane of the known |
| anybody else | – | by login name, and by address over all names | the lane of strangers |

Each count allows so many failures in ten minutes. A stranger's failures fill the last row only: the owner's own device signs in
and a signature at the bedside is given meanwhile (OWASP: device cookies). The cookie says only that a browser once knew the
password; the password is asked all the same.

A hash costs 50 ms of a core and 64 MiB. Each lane takes so many at once and lets so many wait; who comes then is told when to
come again, before anything is written or hashed.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import ClassVar
from uuid import UUID

from biobank.foundation.errors import Unavailable

DEVICE_COOKIE = "device"
DEVICE_COOKIES = (f"__Host-{DEVICE_COOKIE}", DEVICE_COOKIE)
"""Its name where cookies are secure, and where they are not."""
DEVICE_S = 400 * 24 * 3600
"""The longest that browsers keep a cookie."""
ADDRESS_FACTOR = 10
"""An address may fail for this many logins: a clinic may stand behind one."""
MOST_LOGINS = 30
PASS_LENGTH = 16 + 64
LONGEST_COOKIE = MOST_LOGINS * (PASS_LENGTH + 1)


class SignInBusy(Unavailable):
    """Too many passwords are being proved at this moment. Nothing was counted against the login."""

    code: ClassVar[str] = "sign_in_busy"
    title: ClassVar[str] = "Busy with others"


@dataclass
class Lane:
    """Threads that hash, and how many may wait for them."""

    threads: int
    waiting: int
    executor: ThreadPoolExecutor = field(init=False)
    _taken: int = 0

    def __post_init__(self) -> None:
        self.executor = ThreadPoolExecutor(self.threads, thread_name_prefix="password")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place in the lane for as long as the block runs; raise SignInBusy when none is free."""
        if self._taken >= self.threads + self.waiting:
            raise SignInBusy("Many people sign in at this moment. Wait two seconds and send the same again.", retry_after_s=2)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


KNOWN = Lane(threads=2, waiting=30)
STRANGERS = Lane(threads=1, waiting=7)


@dataclass(frozen=True)
class Asking:
    """What asks for a proof: a session that stands, or a device with the cookie it sent, from an address."""

    session: UUID | None = None
    cookie: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Counted:
    """Under which keyed hashes a failure is counted, and in which lane its hash is made. `address` None: not counted by it."""

    by: bytes
    address: bytes | None
    lane: Lane
    known: bool


def counted(key: bytes, name: str, asking: Asking) -> Counted:
    """Say how a try for the login `name` (casefolded) is counted."""
    if asking.session is not None:
        return Counted(keyed_hash(key, "session", str(asking.session)), None, KNOWN, True)
    pass_of_device = _pass_of(key, name, asking.cookie)
    if pass_of_device is not None:
        return Counted(keyed_hash(key, "device", name, pass_of_device), None, KNOWN, True)
    network = network_of(asking.address)
    return Counted(keyed_hash(key, "", name), None if network is None else keyed_hash(key, "address", network), STRANGERS, False)


def remembered(key: bytes, name: str, cookie: str | None) -> str:
    """Return the cookie of a device, which held `cookie`, where the login `name` has just proved its password.

    It holds a pass for each of the last `MOST_LOGINS` logins: a tablet at the bench is everybody's.
    """
    own, nonce = name.casefold(), secrets.token_hex(8)
    others = [one for one in _passes(cookie) if one != _pass_of(key, own, one)]
    return ".".join([*others, nonce + _tag(key, own, nonce)][-MOST_LOGINS:])


def marks_of(cookie: str | None) -> tuple[str, ...]:
    """Return by what a browser is known: a hash of each pass that it was given at a sign-in.

    A pass is drawn anew at every sign-in, so two browsers share none, and two people who sign in on one share what it holds.
    """
    return tuple(hashlib.blake2b(one.encode(), digest_size=16).hexdigest() for one in _passes(cookie))


def _passes(cookie: str | None) -> list[str]:
    return [one for one in (cookie or "")[:LONGEST_COOKIE].split(".") if len(one) == PASS_LENGTH and one.isascii()]


def _pass_of(key: bytes, name: str, cookie: str | None) -> str | None:
    """Return the pass that a cookie holds for this login."""
    for one in _passes(cookie):
        if hmac.compare_digest(_tag(key, name, one[:16]), one[16:]):
            return one
    return None


def _tag(key: bytes, name: str, nonce: str) -> str:
    return keyed_hash(key, "cookie", name, nonce).hex()


def keyed_hash(key: bytes, *parts: str) -> bytes:
    """Return what is kept of what asked: nothing that can be read back without the bank's secret."""
    text = parts[-1] if parts[0] == "" else "\0".join(parts)  # the name alone, as attempts were always counted
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=32).digest()


def network_of(address: str | None) -> str | None:
    """Return an IPv4 address, or the /64 that one household or machine has of IPv6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    return str(found) if found.version == 4 else str(ip_network(f"{found}/64", strict=False))
