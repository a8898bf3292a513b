"""Exports are events too: who took a copy of the record, how much of it, and what the copy hashes to."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind

EXPORT_ID = Field(pattern=r"^[0-9a-f-]{36}$")


class ExportStarted(Event):
    """Someone began to take a copy; the filters are codes and times."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.export_started"] = "system.export_started"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    export: str = EXPORT_ID
    format: str = Field(pattern=r"^[a-z0-9]{2,20}$")
    filters: dict[str, str]


class ExportFinished(Event):
    """The copy is whole, or it was broken off; `sha256` is of the bytes that were sent."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.export_finished"] = "system.export_finished"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    export: str = EXPORT_ID
    complete: bool
    rows: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
