"""The response headers that keep a page ours.

No inline code, no inline style, nothing from elsewhere: what the policy forbids, a template cannot slip in.
"""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

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


def security_headers(response: Response) -> None:
    """Put the headers on `response`; `no-store` too, unless the answer has already said how it may be kept."""
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", PAGE_CACHE)
