"""What is being done, told to whoever traces it; `operations/telemetry.py` puts a tracer here when the bank is told to.

Without one a span costs a look at a variable. The names of spans and of what is said about them are words of the program. A code
of the bank is given as a code, so that the tracer hides it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class Span(Protocol):
    """Something that is being done."""

    def say(self, name: str, value: str | int) -> None:
        """Say more of it: `value` is a word of ours or a number, never what a person wrote."""


class Tracer(Protocol):
    """Who follows what is done."""

    def span(
        self, name: str, said: Mapping[str, str | int], codes: Mapping[str, str], request: str | None
    ) -> AbstractContextManager[Span]:
        """Follow it until the block ends."""


class _Nobody:
    def say(self, name: str, value: str | int) -> None:
        """Nobody listens."""


_UNSEEN: Final = nullcontext(_Nobody())


class Tracing:
    """The tracer of this process; there is one at most."""

    tracer: Tracer | None = None


def span(
    name: str,
    said: Mapping[str, str | int] | None = None,
    *,
    codes: Mapping[str, str] | None = None,
    request: str | None = None,
) -> AbstractContextManager[Span]:
    """Follow what is done until the block ends. `said`: our own words and numbers; `codes` are hidden; `request`: its name."""
    if Tracing.tracer is None:
        return _UNSEEN
    return Tracing.tracer.span(name, said or {}, codes or {}, request)
