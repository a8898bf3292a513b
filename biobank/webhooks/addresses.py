"""Where messages may go: addresses that the settings list, and networks that are public or listed too.

A name is resolved once for each try, every address it has is judged, and the connection goes to one of those that were judged:
what a name means a moment later changes nothing.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict

Ip = IPv4Address | IPv6Address
_PORTS: Final = {"https": 443, "http": 80}
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""NAT64: an IPv4 address in another coat."""


class AddressNotListed(Conflict):
    """The settings do not list the address."""

    code = "address_not_listed"
    title = "Address not listed"


@dataclass(frozen=True)
class Address:
    """A place that messages go to, taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority: what the settings list."""
        return f"{self.scheme}://{self.authority}"


def address_of(url: str) -> Address | None:
    """Take an address apart; None for one that messages are never sent to: with a login, a query, a fragment or odd signs."""
    if not url.isascii() or any(sign <= " " or sign in "\\\x7f" for sign in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    odd = parts.username is not None or parts.password is not None or "?" in url or "#" in url
    if odd or parts.scheme not in _PORTS or not parts.hostname or port == 0:
        return None
    return Address(parts.scheme, parts.hostname.lower().rstrip("."), port or _PORTS[parts.scheme], parts.path or "/")


def listed(settings: Settings, url: str) -> Address | None:
    """Return the address when the settings list its origin."""
    known = {one.origin for text in settings.webhook_addresses.split() if (one := address_of(text)) is not None}
    address = address_of(url)
    return address if address is not None and address.origin in known else None


def require_listed(settings: Settings, url: str) -> Address:
    """Do the same, or raise AddressNotListed."""
    address = listed(settings, url)
    if address is None:
        raise AddressNotListed(
            "Events go only to addresses that the bank's operator lists in its settings, without a login, a question mark or a "
            "#. Have it listed, or correct what you typed."
        )
    return address


def permitted(settings: Settings, scheme: str, ip: Ip) -> bool:
    """Say whether a connection may go to this address: listed networks always; else public ones, and only over TLS."""
    plain: Ip | None = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    judged: Ip = ip if plain is None else plain
    networks = [ip_network(text) for text in settings.webhook_networks.split()]
    if any(judged.version == one.version and judged in one for one in networks):
        return True
    if isinstance(judged, IPv6Address) and (judged.sixtofour or judged.teredo or judged in _TRANSLATED):
        return False
    return scheme == "https" and judged.is_global and not judged.is_multicast


async def resolve(address: Address) -> Sequence[Ip]:
    """Return what a host's name stands for now, asked once. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(one[4][0]).partition("%")[0]) for one in found))
