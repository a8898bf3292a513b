"""What was decided about a caller's rights while a request was answered, granted and refused: kept for one line of the log.

Nothing is kept unless somebody asked for it (`noting`), so a bank that does not want these lines pays for one look at a variable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from biobank.auth.permissions import Permission
from biobank.auth.scope import Breadth, Scope

_noted: ContextVar[dict[str, None] | None] = ContextVar("decisions", default=None)


@contextmanager
def noting() -> Iterator[dict[str, None]]:
    """Keep what is decided within, each once and in order: `US-0000001 specimen:read at LAB: granted`."""
    found: dict[str, None] = {}
    before = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(before)


def note_decision(who: str, permission: Permission, at: Any, *, granted: bool) -> None:
    """Keep that somebody may, or may not, do something at a place."""
    noted = _noted.get()
    if noted is not None:
        noted[f"{who} {permission.value} {_place(at)}: {'granted' if granted else 'refused'}"] = None


def note_scope(who: str, permissions: tuple[Permission, ...], scope: Scope) -> None:
    """Keep where somebody may do something: what bounds a list."""
    noted = _noted.get()
    if noted is not None:
        where = "everywhere" if scope.everywhere else ", ".join(sorted(scope.sites)) or "nowhere"
        noted[f"{who} {' or '.join(one.value for one in permissions)}: {where}"] = None


def _place(at: Any) -> str:
    if isinstance(at, str):
        return f"at {at}"
    if at is None:
        return "of what has no site"
    return at.value if isinstance(at, Breadth) else f"at one of {', '.join(sorted(filter(None, at)))}"
