"""Events of acts that were begun and not finished in their time."""

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.states import StreamKind
from biobank.specimens.events import INSTANT
from biobank.withdrawals.events import WithdrawalEvent

ACT = Field(pattern=r"^[a-z_]{3,40}$", description="The kind of act that was begun.")


class _TimedOut(BaseModel):
    begun: str = ACT
    since: str = Field(pattern=INSTANT, description="When it was begun.")
    minutes: int = Field(ge=1, le=10**7, description="How long it might take.")


class SpecimenTimedOut(_TimedOut, Event):
    """A thaw, run, removal, arrival or search of this specimen was begun and not finished in its time. It still can be."""

    kind: Literal["specimen.timed_out"] = "specimen.timed_out"


class WithdrawalTimedOut(_TimedOut, WithdrawalEvent):
    """A pick or a bedside check was begun and not finished in its time. It can still be finished."""

    kind: Literal["withdrawal.timed_out"] = "withdrawal.timed_out"


class ContainerTimedOut(_TimedOut, Event):
    """This container was lifted out, or a count of it begun, and not put back or finished in its time. It can still be."""

    stream: ClassVar[StreamKind] = StreamKind.CONTAINER
    kind: Literal["container.timed_out"] = "container.timed_out"


class BenchTimedOut(_TimedOut, Event):
    """A workstation was opened and not cleared and closed in its time. It can still be."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.bench_timed_out"] = "system.bench_timed_out"


class OpenActLimitSet(Event):
    """Quality set how long an act of a kind may stay open at a site."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.open_act_limit_set"] = "system.open_act_limit_set"
    permission: ClassVar[Permission] = Permission.QUALITY_DECIDE

    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    begun: str = ACT
    minutes: int = Field(ge=1, le=10**7)
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$", description="The signature's id.")
