"""Wire shapes of scanning."""

from pydantic import BaseModel, ConfigDict, Field

from biobank.foundation.scanned_text import Scanned


class ScanRequest(BaseModel):
    """What a scanner, a camera or a keyboard gave."""

    model_config = ConfigDict(extra="forbid")

    text: Scanned


class ScanAnswer(BaseModel):
    """What the code names. For a specimen also where it stands and what its last sequence is."""

    kind: str = Field(description="specimen · container · position · donor · lot · withdrawal · kit · wristband · other")
    code: str
    page: str | None = Field(default=None, description="Where a person looks at it.")
    issuer: str | None = Field(default=None, description="Set when the text was a foreign identifier of ours.")
    state: str | None = None
    seq: int | None = None
    container: str | None = None
    position: str | None = None
    where_now: str | None = None


class DecodeAnswer(BaseModel):
    """The text of the label in the middle of a camera frame, or null with what to do."""

    text: str | None
    box_permille: tuple[int, int, int, int] | None = Field(
        default=None, description="Where the label is: left, top, width and height in thousandths of the frame."
    )
    advice: str | None = Field(default=None, description="What to do so that a label can be read: closer, light, distance.")
