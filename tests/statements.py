"""The statements that an engine sends, for tests of how many a page or an act needs."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event


def count_statements(engine: Engine, seen: list[str]) -> Callable[[], None]:
    """Append every statement sent through `engine` to `seen`; return a function that stops it."""

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return lambda: event.remove(engine, "before_cursor_execute", note)
