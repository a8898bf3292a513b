"""Events of bench sessions, on the system's streams: one stream a session. No personal data."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind

BADGE = r"^US-[0-9A-Z]{7}$"
SPECIMEN = r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$"
What = Literal["harvest", "processing", "freezing", "thaw", "labelling", "packing", "other"]


class BenchOpened(Event):
    """A person looked at a workstation, found nothing of another person there, and opened it for one donor."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.bench_opened"] = "system.bench_opened"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    workstation: str = Field(pattern=r"^EQ-[0-9A-Z]{7}$")
    donor: str = Field(pattern=r"^DN-[0-9A-Z]{7}$")
    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    second: str | None = Field(default=None, pattern=BADGE, description="Who looked as well, with a signature of their own.")


class BenchHandled(Event):
    """Specimens of the session's donor were handled at the workstation."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.bench_handled"] = "system.bench_handled"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    what: What
    used_in: str | None = Field(default=None, pattern=r"^[0-9A-Za-z-]{3,40}$", description="The run that handled them.")
    count: int = Field(ge=1, le=20_000)
    specimens: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of their codes, sorted, one a line.")


class BenchClosed(Event):
    """The workstation was looked at again, nothing was left there, every label was accounted for, and the session ended."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.bench_closed"] = "system.bench_closed"
    permission: ClassVar[Permission] = Permission.PROCESSING_RECORD

    opened: str = Field(pattern=r"^[0-9a-f]{64}$", description="Leaf hash of the event that opened it.")
    label_batches: tuple[int, ...] = Field(default=(), max_length=500)
    second: str | None = Field(default=None, pattern=BADGE)
