"""HEAD asks what GET would answer, without the answer."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _HeadersAreEnough(OSError):
    """Nobody reads on: an answer that streams ends here, as it does when its reader goes away."""


class HeadAsGet:
    """Ask the GET route and send its status and headers; an address without GET says 405 and what it takes.

    A file that is streamed is broken off before its first byte, so that no record says that somebody has it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on untouched."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        ended = False

        async def without_body(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})
            if ended and message.get("more_body", False):
                raise _HeadersAreEnough

        try:
            await self.app(asked, receive, without_body)
        except (ClientDisconnect, _HeadersAreEnough):
            if not ended:
                raise
        finally:
            scope["route"] = asked.get("route")
