"""Scanned labels: a label that was replaced, or recorded as destroyed, stops whoever scans it.

Labels say which print of their code they are (`foundation/codes.py: read_label`); older ones do not and are read as ever. Which
prints still stand, the print ledger knows. Everything that reads a scan asks here, so that an outdated label is found at every
scan; only what brings a tube to a cold place, counts what stands in one, or reports the label itself goes on in spite of it.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.answers_and_attempts import keep_attempt
from biobank.custody.legality import TO_QUARANTINE
from biobank.foundation.codes import SPECIMENS, Code, MalformedCode, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.from_above import FromAbove


class LabelSuperseded(Conflict):
    """The label was replaced or recorded as destroyed; it should not be on anything any more."""

    code = "label_superseded"
    title = "An outdated label"

    def __init__(self, detail: str, *, of: Code, **members: Any) -> None:
        where = TO_QUARANTINE if of.prefix in SPECIMENS else None
        super().__init__(detail, subject=of.text, where_now=members.pop("where_now", where), **members)


class LabelOfNoPrint(Conflict):
    """The label says that it is a print which this bank never made."""

    code = "label_of_no_print"
    title = "A label that nobody printed here"

    def __init__(self, code: Code) -> None:
        super().__init__(
            f"This bank never printed this label of {code.text}. Whatever it is on may not be what it says: set it aside cold and"
            " call quality.",
            subject=code.text,
            where_now=TO_QUARANTINE if code.prefix in SPECIMENS else None,
        )


prints_against: FromAbove[Callable[[Session, Collection[Code]], dict[str, Refusal]]] = FromAbove("labels")
"""What stands against labels that say which print they are, by what they say."""


def note_outdated(session: Session, act: Act, scans: Iterable[str]) -> None:
    """Keep an attempt for every outdated label among the scans of an act that goes on in spite of it: cold first, and a count
    says what is there."""
    labels = labels_in(dict.fromkeys(scans), act.bank.settings)
    for refusal in outdated(session, labels.values()).values():
        keep_attempt(session, act, refusal, evidence=True)


PrintedLabels = dict[str, Refusal]
NO_LABELS: Final[PrintedLabels] = {}


def outdated(session: Session, codes: Iterable[Code]) -> PrintedLabels:
    """Return what stands against scanned labels, by what each says (`Code.label`); those that still stand are absent."""
    printed = [code for code in codes if code.print_number is not None]
    return prints_against.get()(session, printed) if printed else NO_LABELS


def refusal_of(code: Code, against: PrintedLabels) -> Refusal | None:
    """Return what `outdated` found against one scanned label."""
    return against.get(code.label) if against else None


def read_current(session: Session, text: str, settings: Settings) -> Code:
    """Read a scan of something that is no tube, or whose record is looked at afterwards.

    Raises what `resolve_payload` raises, LabelSuperseded and LabelOfNoPrint.
    """
    code = resolve_payload(text, settings.host_name, settings.former_hosts)
    refusal = refusal_of(code, outdated(session, [code]))
    if refusal is not None:
        raise refusal
    return code


def labels_in(texts: Iterable[str], settings: Settings) -> dict[str, Code]:
    """Return, by its text, what is the text of a label that says which print it is. Pure."""
    found = {}
    for text in texts:
        try:
            code = resolve_payload(text, settings.host_name, settings.former_hosts)
        except (MalformedCode, Conflict):
            continue
        if code.print_number is not None:
            found[text] = code
    return found
