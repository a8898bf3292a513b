"""A line of the service's log for every request: by whom, what was asked, and each decision about their rights in answering it.

Where a bank asks for it (`BIOBANK_LOG_DECISIONS`). The line names the route, not the address, and neither what was sent nor what
was answered. What the scan path decides stands in the custody log and among the attempts, and is not said here.
"""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobank.auth.decisions import noting

log = structlog.get_logger()


class DecisionLog:
    """ASGI middleware: writes the line once the answer is on its way."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, then say what was decided."""
        if scope["type"] != "http" or not scope["app"].state.bank.settings.log_decisions:
            await self.app(scope, receive, send)
            return
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with noting() as decisions:
            try:
                await self.app(scope, receive, sending)
            finally:
                if decisions:
                    route = getattr(scope.get("route"), "path", "none of ours")
                    log.info("decided", method=scope["method"], route=route, status=status, decisions=list(decisions))
