"""Watches the order in which transactions lock rows. It is on in every test: a lock taken too late fails the act that took it."""

from typing import Any

from sqlalchemy import Connection, Engine, event

from biobank.custody.locks import ORDER


def watch_locks() -> None:
    """Make a statement fail that locks a table standing before one that its transaction holds already."""
    event.listen(Engine, "before_cursor_execute", _note)
    event.listen(Engine, "commit", _forget)
    event.listen(Engine, "rollback", _forget)
    event.listen(Engine, "savepoint", _remember)
    event.listen(Engine, "rollback_savepoint", _restore)
    event.listen(Engine, "release_savepoint", _keep)


def _note(connection: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    locks: tuple[str, ...] = () if context is None else context.execution_options.get("locks", ())
    held: frozenset[str] = connection.info.get("held", frozenset())
    for name in locks:
        late = sorted(other for other in held if ORDER.index(other) > ORDER.index(name))
        assert not late or name in held, f"{name} is locked after {late}: see custody/locks.py"
    connection.info["held"] = held.union(locks)


def _forget(connection: Connection) -> None:
    if connection.invalidated:  # the database went away, and what was held there with it
        return
    connection.info.pop("held", None)
    connection.info.pop("held_before", None)


def _remember(connection: Connection, _name: None) -> None:
    connection.info.setdefault("held_before", []).append(connection.info.get("held", frozenset()))


def _restore(connection: Connection, _name: str, _context: Any) -> None:
    connection.info["held"] = connection.info["held_before"].pop()


def _keep(connection: Connection, _name: str, _context: Any) -> None:
    connection.info["held_before"].pop()
