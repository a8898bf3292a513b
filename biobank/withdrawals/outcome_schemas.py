"""What the outcome protocol asks for and answers: a measure planned, taken back or recorded, and the plan with its results."""

from datetime import date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from biobank.custody.recording import Instant
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.paging import Listed
from biobank.quality.schemas import Code
from biobank.withdrawals.schemas import WithdrawalAct

NotMeasured = Annotated[str, CODED, FromList("outcome")]
Status = Literal["planned", "due", "measured", "not_done", "taken_back"]


class PlanMeasure(WithdrawalAct):
    """One measure that is to be taken after each unit was given."""

    measure: Annotated[str, CODED]
    unit: Annotated[str, CODED]
    low: int = Field(ge=-(10**9), le=10**9, description="The lower end of the scale, in the unit.")
    high: int = Field(ge=-(10**9), le=10**9, description="The upper end of the scale, in the unit.")
    due_days: int = Field(ge=1, le=3650, description="Days after the giving; the day is the clinic's.")
    window_days: int = Field(ge=0, le=365, description="For how many days after that day it may still be taken.")
    photograph: bool = Field(description="A photograph goes with it.")

    @model_validator(mode="after")
    def _two_ends(self) -> Self:
        if self.low >= self.high:
            raise ValueError("the lower end of the scale is less than the upper")
        return self


class TakeBackMeasure(WithdrawalAct):
    """A planned measure is not taken after all."""

    reason: NotMeasured


class RecordMeasure(WithdrawalAct):
    """What was measured, or why it was not done."""

    measure: UUID
    specimen: Code = Field(description="The unit that was given.")
    value: int | None = Field(default=None, ge=-(10**9), le=10**9, description="In the plan's unit, within its scale.")
    not_done: NotMeasured | None = Field(default=None, description="Why it was not done; then there is no value.")
    photograph_sha256: FileHash | None = None
    measured_at: Instant | None = Field(default=None, description="When it was taken. Left out: now.")
    corrects: NotMeasured | None = Field(
        default=None, description="Why the result that stands is wrong; with another result only."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.not_done is None):
            raise ValueError("say what was measured or why it was not done, one of both")
        return self


class PlannedMeasure(BaseModel):
    """A measure of the plan and, for a unit that was given, how it stands. `value` and photograph: for those entitled."""

    id: UUID
    withdrawal: str
    measure: str
    unit: str
    low: int
    high: int
    due_days: int
    window_days: int
    photograph: bool
    specimen: str | None = Field(description="The unit that was given; null while nothing was.")
    came_after: list[str] = Field(description="What stood against giving it when that was entered, and came after it.")
    due_on: date | None
    until: date | None
    status: Status
    missed: bool = Field(description="Its days are over and nobody said a word: it was not done.")
    value: int | None
    not_done: str | None
    photograph_sha256: str | None
    measured_at: datetime | None
    recorded_by: str | None
    taken_back_because: str | None


class OutcomeProtocol(BaseModel):
    """Every measure planned for a withdrawal, by day, once for each unit given."""

    withdrawal: str
    donor: str
    reads: bool = Field(description="Whether you read the figures and photographs.")
    items: list[PlannedMeasure]


class OutcomeProtocolAnswer(OutcomeProtocol):
    """How it stands after the act, and our signature under it."""

    receipt: str


class PlannedMeasureList(Listed[PlannedMeasure]):
    """Measures of units that were given, the earliest day first; no figure stands here."""
