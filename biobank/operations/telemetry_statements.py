"""A span for each statement that the database is sent within something that is followed: its text, never what was put into it."""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psycopg
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span
from sqlalchemy import Engine, event

from biobank.foundation.db import Direct

if TYPE_CHECKING:
    from biobank.operations.telemetry import Telemetry

LONGEST: Final = 2000
"""Characters of a statement's text."""
_LITERAL: Final = re.compile(r"[eE]?'(?:[^'\\]|''|\\.)*'|\$(\w*)\$.*?\$\1\$|(?<![\w$%.\"])-?\d+(?:\.\d+)?\b", re.DOTALL)
_TABLE: Final = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\"?([a-z_0-9]+)", re.IGNORECASE)
_WORD: Final = re.compile(r"\s*([A-Za-z]+)")

_listening: list[tuple[str, Callable[..., None]]] = []


@lru_cache(maxsize=2048)
def said_of(statement: str) -> tuple[str, dict[str, str]]:
    """Return the name of a statement's span and what is said of it. What was written into its text itself is taken out. Pure."""
    word = found[1].upper() if (found := _WORD.match(statement)) else "OTHER"
    about = {"db.system.name": "postgresql", "db.operation.name": word, "db.query.text": _LITERAL.sub("?", statement)[:LONGEST]}
    table = _TABLE.search(about["db.query.text"])
    if table is None:
        return word, about
    return f"{word} {table[1]}", about | {"db.collection.name": table[1]}


def follow_statements(telemetry: "Telemetry") -> None:
    """Listen to every engine and to the scan path's connections."""

    def ended(statement: str, started_ns: int, fault: BaseException | None = None) -> None:
        name, about = said_of(statement)
        now = time.time_ns()
        one = telemetry.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=about, start_time=started_ns)
        if fault is not None:
            one.set_attribute("error.type", type(fault).__name__)
            one.set_status(Status(StatusCode.ERROR))
        one.end(now)
        telemetry.statements.record((now - started_ns) / 1e9, {"db.operation.name": about["db.operation.name"]})

    def before(_connection: Any, _cursor: Any, _statement: str, _given: Any, context: Any, _many: bool) -> None:
        if context is not None and get_current_span().is_recording():
            context.followed_since = time.time_ns()

    def after(_connection: Any, _cursor: Any, statement: str, _given: Any, context: Any, _many: bool) -> None:
        if (since := getattr(context, "followed_since", None)) is not None:
            ended(statement, since)

    def failed(error: Any) -> None:
        if (since := getattr(error.execution_context, "followed_since", None)) is not None and error.statement:
            ended(error.statement, since, error.original_exception)

    class Followed(psycopg.AsyncCursor[Any]):
        async def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            if not get_current_span().is_recording():
                return await super().execute(query, *args, **kwargs)
            text = query.decode() if isinstance(query, bytes) else query if isinstance(query, str) else "OTHER"
            since = time.time_ns()
            try:
                done = await super().execute(query, *args, **kwargs)
            except BaseException as error:
                ended(text, since, error)
                raise
            ended(text, since)
            return done

    _listening[:] = [("before_cursor_execute", before), ("after_cursor_execute", after), ("handle_error", failed)]
    for name, listener in _listening:
        event.listen(Engine, name, listener)
    Direct.cursors = Followed


def leave_statements() -> None:
    """Listen no more."""
    while _listening:
        event.remove(Engine, *_listening.pop())
    Direct.cursors = psycopg.AsyncCursor
