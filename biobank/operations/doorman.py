"""What is refused before anybody is asked who they are: another host's name, a body that is too large or too slow, costly JSON.

| a body | may have |
|---|---|
| of a stranger | `STRANGERS` bytes |
| of a form, by a browser that has a session cookie | `FORM` bytes |
| of a call whose token was proved | `CALL` bytes; reading, not rights, is what the token buys |
| of a file (`FILES`), by either | what the file may have |
| of JSON | `JSON_PARTS` values and `JSON_DEPTH` levels: reading it stops every other request of the process |

A body with a length is refused by its length, one without it as soon as it is longer, one that takes longer than `BODY_S` then;
the connection ends. A compressed body is not taken at all. The head of a request is bounded by `operations/wire.py`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import ClassVar

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobank.acts.bank import Bank
from biobank.acts.problems import Page, refused_ahead
from biobank.foundation.asgi import handing_back
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, NotSignedIn, PayloadTooLarge, Refusal
from biobank.quality.schemas import ATTACHMENT_BYTES

STRANGERS = 64 * 1024
FORM = 1024 * 1024
CALL = 4 * 1024 * 1024
AROUND = 64 * 1024
"""Bytes around the content of a file."""
FILES: Mapping[str, int] = {
    "/api/v1/attachments": ATTACHMENT_BYTES * 4 // 3 + AROUND,
    "/attachments/new": ATTACHMENT_BYTES + AROUND,
    "/scan/file": FORM + AROUND,
}
BODY_S = 120.0
JSON_PARTS = 60_000
JSON_DEPTH = 32
PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by balancers, which name a machine and no host."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


class UnknownHost(MalformedRequest):
    """The request names a host that this bank is not."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "unknown_host"
    title: ClassVar[str] = "Not this host"


class TooComplex(MalformedRequest):
    """The JSON has more values or levels than any request of ours."""

    code: ClassVar[str] = "too_complex"
    title: ClassVar[str] = "Too complex"


class CompressedBody(Refusal):
    """The body says that it is compressed: what it unpacks to is not known."""

    status: ClassVar[int] = 415
    code: ClassVar[str] = "compressed_body"
    title: ClassVar[str] = "Compressed body"


class TooSlow(Refusal):
    """The body did not come in time."""

    status: ClassVar[int] = 408
    code: ClassVar[str] = "too_slow"
    title: ClassVar[str] = "Too slow"


def require_simple(body: bytes) -> None:
    """Raise TooComplex when reading this JSON would cost more than any request of ours does. Pure, a few ms at most."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > JSON_PARTS:
        raise TooComplex(f"The body has more than {JSON_PARTS:,} values. Send it in parts.")
    if body.count(b"[") + body.count(b"{") <= JSON_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKET)
    for _ in range(JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    if b"[" in brackets or b"{" in brackets:
        raise TooComplex(f"The body is nested deeper than {JSON_DEPTH} levels, or its brackets do not match.")


@lru_cache
def allowed_hosts(*named: str) -> frozenset[str]:
    """Return the host names that the bank answers to, lower case, without a port; empty: it answers to every one."""
    if "*" in named:
        return frozenset()
    return frozenset(name.lower() for name in named) | {"localhost", "127.0.0.1", "[::1]"}


class Doorman:
    """ASGI middleware, the outermost but for the headers. `page` draws a refusal for a browser."""

    def __init__(self, app: ASGIApp, page: Page, session_cookie: Callable[[Settings], str], body_s: float = BODY_S) -> None:
        self.app = app
        self.page = page
        self.session_cookie = session_cookie
        self.body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that is no larger than it may be, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bank: Bank = scope["app"].state.bank
        headers = Headers(scope=scope)
        try:
            _require_host(scope["path"], headers, bank.settings)
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise CompressedBody("Send the body as it is, without Content-Encoding.")
            length, limit = headers.get("content-length", ""), self._limit(scope, headers, bank)
            if length.isdecimal() and int(length) > limit:
                raise _too_large(limit)
            if length in ("", "0") and "transfer-encoding" not in headers:
                await self.app(scope, receive, send)
                return
            media = headers.get("content-type", "").partition(";")[0].strip().lower()
            if media.startswith(("image/", "multipart/")):
                await self._counted(scope, receive, send, limit)
                return
            body = await self._whole(receive, limit)
            if body is None:
                return
            if not media or media.endswith("json"):
                require_simple(body)
        except Refusal as refusal:
            await self._refuse(refusal, scope, receive, send)
            return
        await self.app(scope, handing_back({"type": "http.request", "body": body, "more_body": False}, receive), send)

    def _limit(self, scope: Scope, headers: Headers, bank: Bank) -> int:
        path = scope["path"]
        if not path.startswith("/api/"):
            known = self.session_cookie(bank.settings) in Request(scope).cookies
            return FILES.get(path, FORM) if known else STRANGERS
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return STRANGERS
        try:
            bank.tokens.verify(token)
        except NotSignedIn:
            return STRANGERS
        return FILES.get(path, CALL)

    async def _whole(self, receive: Receive, limit: int) -> bytes | None:
        """Read a body no further than it may go; None when the caller went away meanwhile. Raises PayloadTooLarge, TooSlow."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise _too_large(limit)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise _too_slow() from None

    async def _counted(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Let a file stream through; too many bytes or too much time end the request whatever the route makes of it."""
        ends = asyncio.get_running_loop().time() + self.body_s
        seen, more, begun = 0, True, False
        refusal: Refusal | None = None

        async def counting() -> Message:
            nonlocal seen, more, refusal
            if not more:
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                refusal = _too_slow()
                return {"type": "http.disconnect"}
            seen += len(message.get("body", b""))
            more = message.get("more_body", False)
            if seen > limit:
                refusal = _too_large(limit)
            return message if refusal is None else {"type": "http.disconnect"}

        async def guarded(message: Message) -> None:
            nonlocal begun
            if refusal is None or begun:
                begun = True
                await send(message)

        try:
            await self.app(scope, counting, guarded)
        except Exception:
            if refusal is None:
                raise
        if refusal is not None and not begun:
            await self._refuse(refusal, scope, receive, send)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        response = await refused_ahead(Request(scope, receive), refusal, self.page)
        response.headers["Connection"] = "close"  # what is left of the body is not read
        await response(scope, receive, send)


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\]:/@,]+)(?::[0-9]{1,5})?")
"""A host, with or without a port. Who names two of them, or writes something behind the port, is not understood by guessing."""


def _require_host(path: str, headers: Headers, settings: Settings) -> None:
    named = headers.getlist("host")
    one = _HOST.fullmatch(named[0].lower()) if len(named) == 1 else None
    host = "" if one is None else one[1]
    allowed = allowed_hosts(settings.host_name, *settings.former_hosts, settings.host, *settings.allowed_hosts.split())
    if len(named) > 1 or (allowed and host not in allowed and path not in PROBES):
        raise UnknownHost(
            "This bank does not answer to this host name. Use its own address, or ask the administrator: BIOBANK_ALLOWED_HOSTS."
        )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body may have at most {limit // 1024:,} KiB. Send it in parts.")


def _too_slow() -> TooSlow:
    return TooSlow("The body did not come in time. Send it again, or in smaller parts.")
