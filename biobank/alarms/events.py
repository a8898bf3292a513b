"""Events of alarms and of the rota. The stream of an alarm is named by its code, that of a rota by its site."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.events import CODE, REASON
from biobank.custody.states import StreamKind
from biobank.specimens.events import INSTANT

CauseName = Literal[
    "excursion",
    "shipment_overdue",
    "handover_overdue",
    "differs_from_log",
    "sensor_silent",
    "sensor_doubtful",
    "identities_read",
]
Because = Literal["still_there", "got_worse", "taken_to_another_site"]
WHO = r"^(US-[0-9A-Z]{7}|[a-z_]{2,20})$"


class Told(BaseModel):
    """A line of a rota: a badge code or a role, and after how many minutes it is called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    who: str = Field(pattern=WHO)
    after_min: int = Field(ge=0, le=1440)


class _OfAlarm(Event):
    stream: ClassVar[StreamKind] = StreamKind.SYSTEM

    alarm: str = Field(pattern=r"^AL-[0-9A-Z]{7}$")


class AlarmRaised(_OfAlarm):
    """Something is wrong: which, since when, and who is called at once."""

    kind: Literal["system.alarm_raised"] = "system.alarm_raised"

    cause: CauseName
    subject: str = Field(pattern=r"^[A-Za-z0-9-]{3,40}$")
    since: str = Field(pattern=INSTANT)
    told: tuple[str, ...] = Field(default=(), max_length=20)


class AlarmEscalated(_OfAlarm):
    """Nobody answered in the minutes of the rota: more people are called."""

    kind: Literal["system.alarm_escalated"] = "system.alarm_escalated"

    told: tuple[str, ...] = Field(max_length=20)


class AlarmAcknowledged(_OfAlarm):
    """A person looks after it. It calls nobody until `until`, and comes back then if the cause is still there."""

    kind: Literal["system.alarm_acknowledged"] = "system.alarm_acknowledged"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD

    until: str = Field(pattern=INSTANT)


class AlarmSilenced(_OfAlarm):
    """A person made it quiet until a stated time, for a reason."""

    kind: Literal["system.alarm_silenced"] = "system.alarm_silenced"
    permission: ClassVar[Permission] = Permission.CUSTODY_RECORD

    until: str = Field(pattern=INSTANT)
    reason: str = REASON


class AlarmCameBack(_OfAlarm):
    """Its quiet time is over and its cause is still there, or it got worse than when somebody answered, or its place was moved
    to another site, whose people are called.
    """

    kind: Literal["system.alarm_came_back"] = "system.alarm_came_back"

    because: Because
    told: tuple[str, ...] = Field(default=(), max_length=20)


class AlarmResolved(_OfAlarm):
    """Its cause is gone."""

    kind: Literal["system.alarm_resolved"] = "system.alarm_resolved"

    because: Literal[
        "within_limits_again",
        "readings_withdrawn",
        "emptied_and_assessed",
        "assessed",
        "arrived",
        "attended_to",
        "agrees_with_the_log",
        "heard_again",
        "no_longer_waited_for",
    ]


class RotaSet(Event):
    """Who is called at a site, in which order and after how many minutes; signed."""

    stream: ClassVar[StreamKind] = StreamKind.SYSTEM
    kind: Literal["system.rota_set"] = "system.rota_set"
    signers: ClassVar[frozenset[Permission]] = frozenset({Permission.SITE_MANAGE, Permission.QUALITY_DECIDE})

    site: str = CODE
    lines: tuple[Told, ...] = Field(max_length=20)
    signature: str = Field(pattern=r"^[0-9a-f-]{36}$")
