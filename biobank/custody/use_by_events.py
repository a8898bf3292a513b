"""What another limit does to the time until when a specimen may be used."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.custody.effects import Effect, body
from biobank.custody.event import Event
from biobank.custody.events import CODE


class UseByShortened(Event):
    """A site where it came, or is, allows a shorter time of use than its record said: it is too old for use earlier."""

    kind: Literal["specimen.use_by_shortened"] = "specimen.use_by_shortened"
    effect: ClassVar[Effect] = {"use_by": body("ends_at")}

    site: str = CODE
    began_at: str = Field(max_length=32, description="Since when it is what it is now: when that clock started.")
    allowed_s: int = Field(ge=1, le=2**31 - 1, description="How long the strictest site or the registry allows, seconds.")
    ends_at: str = Field(max_length=32, description="From when on it is too old for use.")
