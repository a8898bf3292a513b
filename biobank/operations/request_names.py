"""Every request has a name, by which its answer, the lines of the service's log about it and its job belong together.

A caller may bring one (`X-Request-ID`) or the trace that it belongs to (`traceparent`, W3C Trace Context); else one is made.
Every answer says it (`X-Request-ID`), and one about a fault of ours in its body, too, where a person reads it.
"""

import re
from typing import Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from biobank.foundation.logs import REQUEST, REQUEST_HEADER

HEADER: Final = REQUEST_HEADER.lower().encode()
_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
"""What a caller's name may look like; any other is not taken over, because it goes into every line of the log."""
_TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class RequestNames:
    """ASGI middleware: the outermost, so that no answer is without a name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request while it is answered, and its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"])
        trace = _TRACE.fullmatch(given.get(b"traceparent", b""))
        named = {"trace_id": trace[1].decode()} if trace else {}
        brought = given.get(HEADER, b"")
        name = brought.decode() if _NAME.fullmatch(brought) else named.get("trace_id") or uuid4().hex

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, name.encode())]
            await send(message)

        # For the handler of faults, which the framework puts outside of every middleware.
        scope.setdefault("state", {})[REQUEST] = name
        with bound_contextvars(**{REQUEST: name}, **named):
            await self.app(scope, receive, sending)
