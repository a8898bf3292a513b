"""Wire shapes of alarms."""

from pydantic import AwareDatetime, BaseModel, Field

from biobank.custody.recording import Circumstances
from biobank.foundation.listed import Handling
from biobank.foundation.paging import Listed


class AcknowledgeAlarm(Circumstances):
    """I look after it."""


class SilenceAlarm(Circumstances):
    """Quiet until a stated time, for a reason."""

    until: AwareDatetime
    reason: Handling


class AlarmPublic(BaseModel):
    """An alarm as it stands: sounding, acknowledged, silenced or resolved."""

    code: str
    cause: str
    subject: str
    site: str
    raised_at: AwareDatetime
    state: str
    called: int = Field(description="How many lines of the rota it has reached.")
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    quiet_until: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None


class AlarmList(Listed[AlarmPublic]):
    """Alarms, newest first."""


class AlarmStepPublic(BaseModel):
    """A step: what, when, by whom; whom it called, until when it made quiet, why."""

    step: str
    at: AwareDatetime
    by: str
    told: list[str]
    until: AwareDatetime | None = None
    reason: str | None = None


class AlarmDetail(AlarmPublic):
    """With its steps, oldest first."""

    steps: list[AlarmStepPublic]


class AlarmAnswer(AlarmDetail):
    """As it stands now, and our signature."""

    receipt: str
