"""Labels are events of the specimen they name: printed with a number and a reason, verified by scanning back."""

from typing import ClassVar, Literal

from pydantic import Field

from biobank.auth.permissions import Permission
from biobank.custody.event import Event

TEMPLATE = Field(pattern=r"^[a-z0-9-]{2,60}$")


class Labelled(Event):
    """A label was printed. The first print of a template is copy 1; every further one says which and why."""

    kind: Literal["specimen.labelled"] = "specimen.labelled"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT
    annotates: ClassVar[bool] = True
    label: ClassVar[str] = "Print label"

    serial: int = Field(ge=1)
    template: str = TEMPLATE
    copy_number: int = Field(ge=1, le=10_000)
    reason: str = Field(pattern=r"^[a-z0-9_]{2,40}$")
    statements: tuple[str, ...] = Field(default=(), max_length=20, description="Keys of the statements it had to carry.")


class LabelVerified(Event):
    """The printed label was scanned and says what it should."""

    kind: Literal["specimen.label_verified"] = "specimen.label_verified"
    permission: ClassVar[Permission] = Permission.LABEL_PRINT
    annotates: ClassVar[bool] = True

    serial: int = Field(ge=1)
