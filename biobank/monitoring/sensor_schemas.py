"""Wire shapes of sensors and of what they send."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import FreeText, Instant
from biobank.foundation.listed import Handling
from biobank.foundation.paging import Listed
from biobank.monitoring.judging import Measure
from biobank.monitoring.schemas import Token, Value
from biobank.storage.schemas import Code

MOST_READINGS = 200
"""Values in one call: some hours of a sensor that was cut off."""


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("names one twice")
    return values


def _as_printed(values: list[str]) -> list[str]:
    return [value.upper() for value in values]


Containers = Annotated[list[Code], AfterValidator(_as_printed), AfterValidator(_each_once), Field(min_length=1, max_length=20)]
Measures = Annotated[list[Measure], AfterValidator(_each_once), Field(min_length=1, max_length=2)]
Minutes = Annotated[int, Field(ge=1, le=10_080, description="Without a value for this long, it is an alarm.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MakeSensor(_Body):
    """An instrument and what it reads: each of the measures in each of the containers."""

    name: Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    containers: Containers
    measures: Measures
    silent_after_min: Minutes


class _ByTwo(_Body):
    signature: Token = None
    pending_act: UUID | None = None


class ChangeSensor(_ByTwo):
    """All that it reads from now on. Two people sign "decided"; the second names the first's proposal in `pending_act`."""

    containers: Containers
    measures: Measures
    silent_after_min: Minutes


class GrantSensorKey(_ByTwo):
    """A new key. Two people sign "decided"; the second draws it with POST /sensors/{code}/key/draw."""


class WithdrawSensor(_ByTwo):
    """The end of the account. Two people sign "decided"."""

    reason: Handling


class SensorPublic(BaseModel):
    """A sensor: `in_use`, `without_key` or `withdrawn`; `last_heard_at` is the time of its latest value."""

    code: str
    name: str
    site: str
    state: str
    containers: list[str]
    silent_after_min: int
    last_heard_at: AwareDatetime | None
    made_at: AwareDatetime
    keyed_at: AwareDatetime | None
    key_for: str | None = Field(description="Who may draw its key, once, until `key_until`.")
    key_until: AwareDatetime | None
    withdrawn_at: AwareDatetime | None


class SensorList(Listed[SensorPublic]):
    """Sensors, the latest first."""


class SensorPlacePublic(BaseModel):
    """A measure that it reads of a container, and the time of its latest value."""

    container: str
    reading: str
    since: AwareDatetime
    last_at: AwareDatetime | None


class SensorDoubtPublic(BaseModel):
    """A value that can hardly be right, or would free what is held. It acts on nothing until a person says whether it is so."""

    container: str
    reading: str
    value: int
    at: AwareDatetime
    doubt: str


class SensorDetail(SensorPublic):
    """With what it reads and the values that wait for an answer, the first hundred."""

    reads: list[SensorPlacePublic]
    doubts: list[SensorDoubtPublic]


class SensorAnswer(SensorDetail):
    """As it stands now, and our signature."""

    status: Literal["done"] = "done"
    receipt: str


class DrawnKey(BaseModel):
    """A key, shown this once: the header `Sensor-Key` of POST /sensor-readings."""

    code: str
    name: str
    key: str
    receipt: str


class SensorReading(_Body):
    """A value as the instrument read it, in m°C or in millionths of full, and when."""

    container: Code
    reading: Measure
    value: Value
    at: Instant

    @model_validator(mode="after")
    def _a_level_is_a_part(self) -> Self:
        if self.reading == "level_ppm" and self.value < 0:
            raise ValueError("a level lies between empty and full")
        return self


class SensorReadings(_Body):
    """What an instrument read since it last sent: sending it again changes nothing."""

    readings: Annotated[list[SensorReading], Field(min_length=1, max_length=MOST_READINGS)]


class SensorReadingsAnswer(BaseModel):
    """What became of the values: recorded, known before, or kept back because they can hardly be right."""

    recorded: int
    known: int
    doubted: int
    excursions: list[str] = Field(description="Excursions that they opened or changed.")
    receipt: str | None = Field(description="Our signature; null when every value was known.")


class AnswerSensorDoubts(_Body):
    """A person looked: `right` records the values as they are, as readings of theirs; `wrong` leaves them without effect."""

    answer: Literal["right", "wrong"]
    reason_text: FreeText
    signature: Token = Field(default=None, description="Quality's, where a value takes specimens out of an excursion.")


class SensorDoubtsAnswered(BaseModel):
    """How many values were answered and how many wait still; the excursions that they opened or changed."""

    answered: int
    left: int
    excursions: list[str]
    receipt: str
