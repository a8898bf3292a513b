"""Events of watching: what was read, and what was taken back."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind
from biobank.monitoring.judging import Doubt, Measure, Outside


class ReadingRecorded(Event):
    """A temperature (m°C) or a level (millionths of full) of a container.

    `doubt`: why it was asked back before it was recorded; whoever sent it said that it is so.
    """

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.reading_recorded"] = "container.reading_recorded"
    version: ClassVar[int] = 2
    permission: ClassVar[Permission] = Permission.STORAGE_RECORD

    reading: Measure
    value: int = Field(ge=-273_150, le=1_000_000)
    outside: Outside | None = None
    doubt: Doubt | None = None
    corrects: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="The event of the reading it replaces.")

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew warmth only, and counted the specimens that it held."""
        return {name: payload[name] for name in ("reading", "value")} | {"outside": "too_warm" if payload["excursion"] else None}
