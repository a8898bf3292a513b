"""The statements that an engine sends, for tests of how many a page or an act needs."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Receive, Scope, Send

_answering: ContextVar[str | None] = ContextVar("answering", default=None)


class Answering:
    """ASGI middleware of the tests' server: notes for which address what follows is done."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        _answering.set(scope.get("path"))
        await self.app(scope, receive, send)


def count_statements(engine: Engine, seen: list[str], of: str | None = None) -> Callable[[], None]:
    """Append every statement sent through `engine` to `seen`; return a function that stops it.

    `of`: the address of the request whose statements count, where pages that are open ask for other things meanwhile.
    """

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if of is None or _answering.get() == of:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return lambda: event.remove(engine, "before_cursor_execute", note)
