"""Wire shapes of labels."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from biobank.custody.recording import Circumstances
from biobank.foundation.listed import CODED, FromList
from biobank.foundation.paging import Listed
from biobank.foundation.scanned_text import Scanned

Code = Annotated[str, Field(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,60}$")]
Dpi = Literal[203, 300, 600]
Reason = Annotated[str, CODED, FromList("labels")]
PrinterName = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,40}$")]


Workstation = Annotated[
    str | None,
    Field(
        pattern=r"^EQ-[0-9A-Z]{7}$",
        description="Where they are put on: a workstation whose session is open for this person. They are accounted for before "
        "it is closed.",
    ),
]


class PrintRequest(Circumstances):
    """Labels to print, numbered from here on."""

    specimens: Annotated[list[Code], Field(max_length=500)] = Field([])
    things: Annotated[list[Code], Field(max_length=500)] = Field(
        [], description="Containers, positions, kits, labels of a kit, wristbands, badges; not together with specimens."
    )
    template: TemplateName
    format: Literal["pdf", "zpl", "sheet"] = Field("pdf", description="`sheet` is PDF, many labels a page for office printers.")
    dpi: Dpi = 300
    reason: Reason = "first_print"
    workstation: Workstation = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.specimens) == bool(self.things):
            raise ValueError("name specimens or things, one of the two")
        return self


class BatchRequest(BaseModel):
    """Up to 20,000 labels, made in the background. Say which by exactly one member."""

    model_config = ConfigDict(extra="forbid")

    codes: Annotated[list[Code], Field(max_length=20_000)] = Field([])
    tubes_in: Code | None = Field(None, description="Every tube in this container and in those inside it.")
    positions_of: Code | None = Field(None, description="Every position of this box.")
    lot: Code | None = Field(None, description="Every unit of this lot.")
    kit: Code | None = Field(None, description="Every label that lies in this kit.")
    template: TemplateName
    format: Literal["pdf", "zpl", "sheet"] = "pdf"
    dpi: Dpi = 300
    reason: Reason = "first_print"
    printer: PrinterName | None = Field(None, description="Send them there instead of making a file.")
    workstation: Workstation = None

    @model_validator(mode="after")
    def _one_selection(self) -> Self:
        given = [self.tubes_in, self.positions_of, self.lot, self.kit]
        if bool(self.codes) + sum(one is not None for one in given) != 1:
            raise ValueError("name one set of labels: codes, the tubes in a place, the positions of a box, a lot or a kit")
        return self


class SendRequest(BaseModel):
    """Numbered prints to send to a printer, in the order of their serials. Also for sending the rest after a jam."""

    model_config = ConfigDict(extra="forbid")

    serials: Annotated[list[Annotated[int, Field(ge=1, le=2**62)]], Field(min_length=1, max_length=20_000)]
    printer: PrinterName


class PrinterPublic(BaseModel):
    """A printer that labels may be sent to."""

    name: str
    dpi: int


class PrinterList(Listed[PrinterPublic]):
    """The printers of this installation."""


class RuleRequest(Circumstances):
    """Which template, and which printer, a site uses for a kind of code."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    prefix: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="What the code begins with: `AD`, `BX` …")]
    template: TemplateName | None = Field(None, description="None takes the rule away.")
    printer: PrinterName | None = None


class RulePublic(BaseModel):
    """A print rule."""

    site: str
    prefix: str
    template: str
    printer: str | None


class RuleList(Listed[RulePublic]):
    """Print rules by site and prefix."""


class PrintPublic(BaseModel):
    """One numbered print."""

    serial: int
    code: str
    template: str
    copy_number: int
    print_number: int
    batch: int
    reason: str
    printed_at: AwareDatetime
    printed_by: str
    superseded_at: AwareDatetime | None = None
    destroyed_at: AwareDatetime | None = None
    verified_at: AwareDatetime | None = None


class PrintAnswer(BaseModel):
    """What was printed. Fetch the bytes at `file`; they are made from the ledger, so fetching twice prints nothing new."""

    items: list[PrintPublic]
    file: str
    receipt: str


class PrintList(Listed[PrintPublic]):
    """Prints of one specimen, newest first."""


class VerifyRequest(Circumstances):
    """What the scanner read from the printed label."""

    scanned: Scanned


class VerifyAnswer(BaseModel):
    """The label says what it should."""

    serial: int
    code: str
    verified: bool
    receipt: str


class LabelBatch(BaseModel):
    """Labels that were numbered together. Of one that nobody reconciled yet, the last six members are None.

    `scanned_back`: how many were scanned from their print and say what they should.
    """

    batch: int
    template: str
    printed: int
    scanned_back: int
    superseded: int
    printed_at: AwareDatetime
    printed_by: str
    site: str | None
    applied: int | None = None
    destroyed: int | None = None
    unaccounted: int | None = None
    reconciled_at: AwareDatetime | None = None
    counted_by: list[str] | None = None
    deviation: str | None = None


class LabelBatchList(Listed[LabelBatch]):
    """Batches of labels, newest first."""


class ReconcileLabels(Circumstances):
    """What became of the labels of a batch, as one of two people counted it. The rest is unaccounted."""

    applied: Annotated[int, Field(ge=0, le=20_000, description="How many stand on what they name.")]
    destroyed: Annotated[list[Annotated[int, Field(ge=1, le=2**62)]], Field(max_length=20_000)] = Field(
        description="Serials of the labels that you saw destroyed unused."
    )
    signature: str | None = Field(None, max_length=2000)
    pending_act: UUID | None = None


class LabelsReconciledAnswer(LabelBatch):
    """The batch as it was reconciled."""

    status: Literal["done"] = "done"
    receipt: str


class TemplatePublic(BaseModel):
    """A label template."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    width_mm: float
    height_mm: float
    prefixes: list[str]


class TemplateList(Listed[TemplatePublic]):
    """Every template of this installation."""
