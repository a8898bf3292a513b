"""Wire shapes of labels."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from biobank.custody.recording import Circumstances

Code = Annotated[str, Field(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,60}$")]
Scanned = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")]
Dpi = Literal[203, 300, 600]


class PrintRequest(Circumstances):
    """Labels to print, numbered from here on."""

    specimens: Annotated[list[Code], Field(min_length=1, max_length=500)]
    template: TemplateName
    format: Literal["pdf", "zpl", "sheet"] = Field("pdf", description="`sheet` is PDF, many labels a page for office printers.")
    dpi: Dpi = 300
    reason: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,40}$")] = "first_print"


class PrintPublic(BaseModel):
    """One numbered print."""

    serial: int
    code: str
    template: str
    copy_number: int
    reason: str
    printed_at: AwareDatetime
    printed_by: str
    superseded_at: AwareDatetime | None = None
    verified_at: AwareDatetime | None = None


class PrintAnswer(BaseModel):
    """What was printed. Fetch the bytes at `file`; they are made from the ledger, so fetching twice prints nothing new."""

    items: list[PrintPublic]
    file: str
    receipt: str


class PrintList(BaseModel):
    """Prints of one specimen, newest first."""

    items: list[PrintPublic]
    next: str | None = None


class VerifyRequest(Circumstances):
    """What the scanner read from the printed label."""

    scanned: Scanned


class VerifyAnswer(BaseModel):
    """The label says what it should."""

    serial: int
    code: str
    verified: bool
    receipt: str


class TemplatePublic(BaseModel):
    """A label template."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    width_mm: float
    height_mm: float
    prefixes: list[str]


class TemplateList(BaseModel):
    """Every template of this installation."""

    items: list[TemplatePublic]
    next: str | None = None
