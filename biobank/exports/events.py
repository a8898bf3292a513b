"""Exports are events too: who took a copy of the record, how much of it, and what the copy hashes to."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind

EXPORT_ID = Field(pattern=r"^[0-9a-f-]{36}$")


class ExportStarted(Event):
    """Someone began to take a copy; the filters are codes and times.

    `size`: the copy holds nothing but the first so many entries of the log, whose tree has the root hash `root`. Copies of what
    the bank knows now (FHIR, dossiers) and the change feed name none.
    """

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.export_started"] = "system.export_started"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    export: str = EXPORT_ID
    format: str = Field(pattern=r"^[a-z0-9]{2,20}$")
    filters: dict[str, str]
    size: int | None = Field(None, ge=1)
    root: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


class ExportFinished(Event):
    """The copy is whole, or it was broken off. `sha256` is of the bytes that were sent."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.export_finished"] = "system.export_finished"
    permission: ClassVar[Permission] = Permission.LOG_EXPORT

    export: str = EXPORT_ID
    complete: bool
    rows: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


VKEY = Field(pattern=r"^[!-~]{40,400}$")
"""A public key in its text form, `name+id+base64`."""


class LogKeyAnnounced(Event):
    """A new key will sign checkpoints beside the present one; it signs none that does not cover this entry."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.log_key_announced"] = "system.log_key_announced"

    log_key: str = VKEY


class LogKeyRetired(Event):
    """A key of the log is retired. A checkpoint larger than `to_size` that only it has signed is not the bank's."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.log_key_retired"] = "system.log_key_retired"

    log_key: str = VKEY
    to_size: int = Field(ge=0)


class SecretChanged(Event):
    """A secret of the bank's was changed, and nothing is under the one before any more. Its name, never its value."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.secret_changed"] = "system.secret_changed"

    secret: str = Field(pattern=r"^[a-z-]{2,40}$")


class LogRecovered(Event):
    """The first entry of a log that continues another one: what that one last signed, and what happened to it."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.log_recovered"] = "system.log_recovered"
    starts: ClassVar[bool] = True

    old_origin: str = Field(min_length=1, max_length=200)
    old_size: int = Field(ge=0)
    old_root: str = Field(pattern=r"^[0-9a-f]{64}$")
    new_origin: str = Field(min_length=1, max_length=200)
    log_key: str = VKEY
    incident_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
