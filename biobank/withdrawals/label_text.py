"""A tube whose code nothing reads is named by its place and by what two people each read on it, blind.

Neither is shown what the record expects nor what the other read; the bank compares. What was read has to fit this tube and no
other: of everything recorded in its box, of the withdrawal's own tubes and of all that the bank has of this donor exactly one,
for the hand may have reached into another box. The recipient's code is always read,
because the pick list does not show it; with it the number of the unit, or part of the tube's code.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import and_, or_, select
from sqlmodel import Session

from biobank.custody.models import custody
from biobank.custody.states import TERMINAL
from biobank.foundation.codes import MalformedCode, parse_code
from biobank.foundation.errors import Conflict, MalformedRequest
from biobank.specimens.models import specimen

LEAST_CHARACTERS: Final = 3
"""Characters of the part behind the hyphen that are read, where the unit's number is not."""
UNREAD: Final = "?"


class LabelTextTooLittle(MalformedRequest):
    """What was read does not tell one tube from the others around it."""

    code = "label_text_too_little"
    title = "Read more of the label"


class LabelTextDiffers(Conflict):
    """What was read on the tube is not what the label of this tube says."""

    code = "label_text_differs"
    title = "Not the tube to take"


class LabelRead(BaseModel):
    """What one person reads on a tube, as it stands there. `code` has a `?` for every character that cannot be read."""

    model_config = ConfigDict(extra="forbid")

    recipient: Annotated[str, Field(pattern=r"^[Dd][Nn][- ]?[0-9A-Za-z]{7}$", description="The recipient's code, from DN on.")]
    unit_number: Annotated[int, Field(ge=1, le=100_000)] | None = Field(None, description="3 of “3 of 12”.")
    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z?][0-9A-Za-z? -]{2,19}$")] | None = None


@dataclass(frozen=True)
class Labelled:
    """What the label of a tube says, as far as it is compared."""

    code: str
    recipient: str | None
    unit_number: int | None


def enough(read: LabelRead) -> bool:
    """Say whether enough was read to be compared at all. Pure."""
    tail = _bare(read.code or "")[-7:]
    return read.unit_number is not None or sum(one != UNREAD for one in tail) >= LEAST_CHARACTERS


def fits(read: LabelRead, label: Labelled) -> bool:
    """Say whether everything that was read stands on this label. Pure."""
    try:
        recipient = parse_code(read.recipient).text
    except MalformedCode:
        return False
    if recipient != label.recipient or read.unit_number not in (None, label.unit_number):
        return False
    if read.code is None:
        return True
    seen, whole = _bare(read.code), _bare(label.code)
    return len(seen) == len(whole) and all(a in (UNREAD, b) for a, b in zip(seen, whole, strict=True))


def _bare(code: str) -> str:
    return "".join(code.upper().replace("-", "").split())


def read_labels(session: Session, boxes: Collection[str], tubes: Collection[str], donor: str) -> list[Labelled]:
    """Return what stands on everything recorded in these boxes, on these tubes, and on what there is of the donor."""
    there = and_(specimen.c.donor_code == donor, custody.c.state.not_in([state.value for state in TERMINAL]))
    rows = session.execute(
        select(specimen.c.code, specimen.c.donor_code, specimen.c.unit_number)
        .join(custody, custody.c.code == specimen.c.code)
        .where(or_(custody.c.container_code.in_(sorted(boxes)), specimen.c.code.in_(sorted(tubes)), there))
        .order_by(specimen.c.code)
    )
    return [Labelled(*row) for row in rows]


def tube_read(read: LabelRead, labels: Iterable[Labelled], waiting: Collection[str]) -> str | None:
    """Return the one tube that was read, when it is one of those that wait; None when it is none of them. Pure.

    Raises LabelTextTooLittle when what was read fits several.
    """
    if not enough(read):
        raise LabelTextTooLittle(
            f"Read the number of the unit as well, or at least {LEAST_CHARACTERS} characters of the code behind its hyphen."
        )
    fitting = [one.code for one in labels if fits(read, one)]
    if len(fitting) > 1 and set(fitting) & set(waiting):
        raise LabelTextTooLittle("What you read stands on several tubes here. Read more of the label.")
    return fitting[0] if len(fitting) == 1 and fitting[0] in waiting else None


def text_differs(withdrawal: str, tubes: Collection[str], where_now: str) -> LabelTextDiffers:
    """The refusal of a tube whose label says something else. Its sentence names nothing that was expected."""
    return LabelTextDiffers(
        "What you read on the tube is not what the tube to take says. Stop: put it away cold and call quality.",
        where_now=where_now,
        subject=min(tubes) if len(tubes) == 1 else withdrawal,
        withdrawal=withdrawal,
    )
