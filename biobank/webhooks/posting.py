"""Sending one message to one address, within a time, to where its name led when it was asked, and nowhere else."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

import httpx

from biobank.foundation.config import Settings
from biobank.webhooks.addresses import Address, Ip, listed, permitted, resolve

WITHIN_S: Final = 15.0
"""From the first look at the name to the status of the answer, however slowly the other side speaks."""
GONE: Final = 410
_OF_THE_ADDRESS: Final = frozenset({401, 403, 404, 407, 408, 425, 429})
"""Refusals that say nothing about the message: the next would meet them too."""


class Outcome(StrEnum):
    """What became of a try."""

    DELIVERED = "delivered"
    NOT_LISTED = "not_listed"
    NO_ADDRESS = "no_address"
    PRIVATE_ADDRESS = "private_address"
    NOT_REACHED = "not_reached"
    WRONG_CERTIFICATE = "wrong_certificate"
    TIMED_OUT = "timed_out"
    BROKEN_OFF = "broken_off"
    REDIRECTED = "redirected"
    GONE = "gone"
    REFUSED = "refused"
    SAID_NO = "said_no"


@dataclass(frozen=True)
class Sent:
    """The outcome of a try, and the status of the answer where there was one."""

    outcome: Outcome
    status: int | None = None


def post(settings: Settings, url: str, headers: Mapping[str, str], body: bytes, within_s: float | None = None) -> Sent:
    """Send a message and wait for the status of the answer, whose body is not read. Raises nothing that the other side causes."""
    return asyncio.run(_post(settings, url, headers, body, WITHIN_S if within_s is None else within_s))


async def _post(settings: Settings, url: str, headers: Mapping[str, str], body: bytes, within_s: float) -> Sent:
    address = listed(settings, url)
    if address is None:
        return Sent(Outcome.NOT_LISTED)
    try:
        async with asyncio.timeout(within_s):
            try:
                found = await resolve(address)
            except (OSError, UnicodeError):
                return Sent(Outcome.NO_ADDRESS)
            if not found or not all(permitted(settings, address.scheme, ip) for ip in found):
                return Sent(Outcome.PRIVATE_ADDRESS if found else Outcome.NO_ADDRESS)
            return _outcome(await _status(settings, address, found[0], headers, body))
    except (TimeoutError, httpx.TimeoutException):
        return Sent(Outcome.TIMED_OUT)
    except httpx.ConnectError as error:
        return Sent(Outcome.WRONG_CERTIFICATE if _of_tls(error) else Outcome.NOT_REACHED)
    except httpx.HTTPError:
        return Sent(Outcome.BROKEN_OFF)


async def _status(settings: Settings, address: Address, ip: Ip, headers: Mapping[str, str], body: bytes) -> int:
    """Post to an address that was judged. The certificate must be the name's; there is no proxy, and no redirect is followed."""
    there = f"[{ip}]" if ip.version == 6 else str(ip)
    given = {**headers, "host": address.authority, "user-agent": "biobank", "accept": "*/*", "accept-encoding": "identity"}
    trusted = _trusted(settings.webhook_ca_file) if address.scheme == "https" else False
    async with (
        httpx.AsyncClient(verify=trusted, trust_env=False, timeout=WITHIN_S) as client,
        client.stream(
            "POST",
            f"{address.scheme}://{there}:{address.port}{address.path}",
            content=body,
            headers=given,
            extensions={"sni_hostname": address.host},
        ) as answer,
    ):
        return answer.status_code


@lru_cache(maxsize=4)
def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


def _outcome(status: int) -> Sent:
    if 200 <= status < 300:
        return Sent(Outcome.DELIVERED, status)
    if 300 <= status < 400:
        return Sent(Outcome.REDIRECTED, status)
    if status == GONE:
        return Sent(Outcome.GONE, status)
    return Sent(Outcome.REFUSED if 400 <= status < 500 and status not in _OF_THE_ADDRESS else Outcome.SAID_NO, status)


def _of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
