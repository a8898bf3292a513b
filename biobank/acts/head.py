"""HEAD asks what GET would answer, without the answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Ask the GET route and send its status and headers; an address without GET says 405 and what it takes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on untouched."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, without_body)
