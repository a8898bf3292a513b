"""Wire shapes of readings."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.foundation.listed import Handling
from biobank.foundation.paging import Listed
from biobank.monitoring.judging import Measure

Token = Annotated[str, Field(min_length=1, max_length=100)] | None
Value = Annotated[int, Field(ge=-273_150, le=1_000_000)]


class ReadingCreate(Circumstances):
    """A reading of a container, in m°C or in millionths of full."""

    reading: Measure
    value: Value
    confirmed: bool = Field(default=False, description="It was asked back as hardly possible, and it is so.")

    signature: Token = Field(default=None, description="Quality's, where the reading takes specimens out of an excursion.")

    @model_validator(mode="after")
    def _a_level_is_a_part(self) -> Self:
        if self.reading == "level_ppm" and self.value < 0:
            raise ValueError("a level lies between empty and full")
        return self


class WithdrawReading(Circumstances):
    """A reading was wrong. With `value`, what it should have been is recorded in its place, at its time."""

    reason: Handling
    value: Value | None = None
    confirmed: bool = Field(default=False, description="The value was asked back as hardly possible, and it is so.")
    signature: Token = Field(default=None, description="Quality's, where it takes specimens out of an excursion.")


class ReadingPublic(BaseModel):
    """A reading. `excursion`: it lies outside the limits, and `outside` says in what."""

    id: int
    container: str
    reading: str
    value: int
    at: AwareDatetime
    excursion: bool
    outside: str | None = None
    confirmed: bool = False
    sensor: str | None = Field(default=None, description="The sensor that sent it; null: a person or a logger's file.")
    withdrawn_at: AwareDatetime | None = None
    held: list[str] = Field(default_factory=list, description="Specimens it put on temperature hold, the first thousand.")
    excursions: list[str] = Field(default_factory=list, description="Excursions that it opened or changed.")
    added: int = Field(default=0, description="Specimens that came into their sets.")
    removed: int = Field(default=0, description="Specimens that are no longer in them.")
    receipt: str | None = None


class ReadingList(Listed[ReadingPublic]):
    """Readings, newest first."""


class FurthestOutside(BaseModel):
    """Of one measure, in one way in which it was outside, the value furthest out."""

    measure: str
    outside: str
    peak: int = Field(description="m°C, or millionths of full.")


class ExcursionPublic(BaseModel):
    """When a place was outside its limits, how far, and how many specimens of how many donors that reached."""

    code: str
    container: str
    site: str
    began_at: AwareDatetime
    last_at: AwareDatetime = Field(description="The last reading outside.")
    ended_at: AwareDatetime | None = Field(default=None, description="The first reading within limits again.")
    measure: str = Field(description="With `outside` and `peak`: the gravest of `worst`.")
    outside: str
    peak: int = Field(description="m°C, or millionths of full.")
    worst: list[FurthestOutside]
    by_limit: bool = Field(
        default=False,
        description="It began when a limit was set: nothing outside was read then, and `peak` is what was read last before.",
    )
    annulled_at: AwareDatetime | None = None
    hold_id: UUID | None = None
    specimens: int = 0
    donors: int = 0
    to_assess: int = 0
    seen: str = Field(description="Changes with anything that is said here, and with the set. Who assesses sends it back.")


class ExcursionList(Listed[ExcursionPublic]):
    """Excursions, newest first."""


class AffectedSpecimen(BaseModel):
    """A specimen of the set: since when it was affected, where it is now, and what was decided of it."""

    specimen: str
    donor: str | None
    since: AwareDatetime
    state: str
    site: str | None
    decision: str | None


class AffectedDonor(BaseModel):
    """A donor of the set, with how many specimens, and how many are still to be assessed."""

    donor: str | None
    specimens: int
    to_assess: int


class ExcursionDetail(ExcursionPublic):
    """With its donors, and its specimens, the first thousand.

    `keep_their_own_cold`: containers inside that it did not reach; their own readings speak for them.
    """

    keep_their_own_cold: list[str]
    by_donor: list[AffectedDonor]
    items: list[AffectedSpecimen]
