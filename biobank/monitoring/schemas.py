"""Wire shapes of readings."""

from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.foundation.paging import Listed
from biobank.monitoring.judging import Measure


class ReadingCreate(Circumstances):
    """A reading of a container, in m°C or in millionths of full."""

    reading: Measure
    value: Annotated[int, Field(ge=-273_150, le=1_000_000)]
    confirmed: bool = Field(default=False, description="It was asked back as hardly possible, and it is so.")

    @model_validator(mode="after")
    def _a_level_is_a_part(self) -> Self:
        if self.reading == "level_ppm" and self.value < 0:
            raise ValueError("a level lies between empty and full")
        return self


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
    corrects: int | None = None
    withdrawn_at: AwareDatetime | None = None
    held: list[str] = Field(default_factory=list, description="Specimens this reading put on temperature hold.")
    receipt: str | None = None


class ReadingList(Listed[ReadingPublic]):
    """Readings, newest first."""
