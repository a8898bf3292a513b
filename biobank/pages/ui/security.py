"""The response headers that keep a page ours.

No inline code, no inline style, nothing from elsewhere: what the policy forbids, a template cannot slip in.
"""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        # The camera reads labels; nothing else of the device is ours to ask for.
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
        "X-Content-Type-Options": "nosniff",
        # A code in an address is not personal data, and still nobody else's business.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
"""Sent with every answer, page or API."""

PAGE_CACHE = "no-store"
"""A page shows custody at one instant: the back button must ask again, and a shared bench must keep nothing."""


_RAW_HEADERS = [
    (name.lower().encode(), value.encode()) for name, value in (*SECURITY_HEADERS.items(), ("Cache-Control", PAGE_CACHE))
]


def security_headers(response: Response) -> None:
    """Put the headers on `response`; `no-store` too, unless the answer has already said how it may be kept."""
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", PAGE_CACHE)


class SecurityHeaders:
    """Puts the headers on every answer that does not have them, API and errors included. Plain ASGI: it buffers nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the head of its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [header for header in _RAW_HEADERS if header[0] not in present]
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, complete)
