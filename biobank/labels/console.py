"""Labels for the command line: previews of many codes in one file, and prints that the bank itself numbers."""

from collections.abc import Sequence

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import SYSTEM_CODE, Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.custody.recording import NOW
from biobank.foundation.codes import parse_code
from biobank.foundation.listed import require_words
from biobank.labels.files import Drawing, WrongTemplate, preview, printed, template_for
from biobank.labels.prints import number_prints
from biobank.labels.registered import House

AT_THE_CONSOLE = Actor(SYSTEM_CODE, frozenset(RoleGrant(role, None) for role in Role))
"""The bank itself, at the console of its machine."""


def draw_labels(bank: Bank, codes: Sequence[str], template: str | None, fmt: str, dpi: int, reason: str | None) -> bytes:
    """Return the file of labels of one template; with a `reason` they are numbered and recorded first.

    Raises MalformedCode, UnknownTemplate, WrongTemplate, NotFound, NotInRegister for a reason of no list, and
    ReprintWithoutReason when a copy says "first_print".
    """
    name = template_for(template, codes[0]).name
    if template is None and len({parse_code(code).prefix for code in codes}) > 1:
        raise WrongTemplate("These codes are of different kinds. Name a --template that fits all, or write them apart.")
    act = Act.of(AT_THE_CONSOLE, bank, path="cli/label")
    house = House.of(bank.settings)

    def unit(session: Session) -> Drawing:
        if reason is not None:
            require_words(session, [reason])
            done = number_prints(session, act, codes, name, reason, NOW)
            return printed(session, act.actor, done.serials, house)
        drawn = [preview(session, act.actor, code, name, house) for code in codes]
        return Drawing(drawn[0].template, tuple(label for drawing in drawn for label in drawing.labels), house.host)

    drawing = bank.database.write_now(unit)
    if fmt in ("pdf", "zpl", "sheet"):
        return drawing.file(fmt, dpi).content  # type: ignore[arg-type]  # one of the three
    return drawing.one(fmt, dpi)[0]
