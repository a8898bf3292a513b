"""What a scanner sent at the bench or at the bedside, turned into our codes.

A tube frozen long ago may carry another issuer's identifier only; it resolves when exactly one specimen has it.
"""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.codes import SPECIMENS, Prefix, parse_code
from biobank.foundation.errors import MalformedRequest
from biobank.specimens.resolving import tube_for_use
from biobank.specimens.scanned_labels import read_current


class AnotherKindOfCode(MalformedRequest):
    """A code of ours, of the wrong kind: a box where a tube was asked for."""

    code = "another_kind_of_code"
    title = "Another kind of code"


def read_scan(session: Session, act: Act, text: str, *kinds: Prefix) -> str:
    """Return the code a scan says. Raises MalformedCode, CheckCharacterWrong, ForeignLabel, AnotherKindOfCode, LabelSuperseded,
    LabelOfNoPrint.
    """
    return _of_kind(read_current(session, text, act.bank.settings).text, *kinds)


def read_tube(session: Session, act: Act, text: str) -> str:
    """Return the code of a scanned tube, by its label or by another issuer's identifier. Raises what `read_scan` raises, and
    AmbiguousIdentifier and IdentifierAddedLater.
    """
    return _of_kind(tube_for_use(session, text, act.bank.settings), *sorted(SPECIMENS))


def _of_kind(code: str, *kinds: Prefix) -> str:
    if kinds and parse_code(code).prefix not in kinds:
        wanted = " or ".join(f"{kind.value}-…" for kind in kinds)
        raise AnotherKindOfCode(f"{code} is not what is asked for here; scan {wanted}.", subject=code)
    return code
