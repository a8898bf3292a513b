"""What stands against a tube as soon as it is brought in: it is put on record, because it is in the tank, and held.

The same limits, clocks and consents are asked that every harvest and run here asks. What happened before this bank kept the
record cannot be refused any more; so what they would have stopped or held is held.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy import Row
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds
from biobank.custody.ledger import append
from biobank.custody.material_limits import FROZEN_TOO_OLD, Limits
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import Condition, HoldKind
from biobank.donors.consents import ConsentIsRevoked, consents_given, covering_consent
from biobank.importing.plan import Vial
from biobank.specimens.events import FROZEN_AGAIN, HELD_BEFORE, TOO_OLD_A_PASSAGE
from biobank.specimens.limits import limits_of
from biobank.specimens.materials import MATERIALS, MaterialName, tissue_of

TAKEN_BACK: Final = "consent_revoked"
"""The donor took back the consent to banking such tissue."""
_SAID: Final[Mapping[str, str]] = {
    HELD_BEFORE: "Held, because by the old record something stands against it.",
    FROZEN_TOO_OLD: "Held: it was frozen longer after it was taken than it stays fit for use.",
    FROZEN_AGAIN: "Held: by the old record it was frozen more than once.",
    TOO_OLD_A_PASSAGE: "Held: it was grown further than this material is grown here for treatment.",
    TAKEN_BACK: "Held: its donor took back the consent to banking such tissue. Quality decides what becomes of it.",
}


@dataclass(frozen=True)
class Standards:
    """What the bank asks of tubes, read once for many: consents to banking by donor, and limits of its site."""

    limits: Callable[[str, str], Limits]
    """Of a material in a condition."""
    consents: Mapping[str, "Sequence[Row[object]]"]
    at: datetime

    @classmethod
    def read(cls, session: Session, site: str, donors: Sequence[str], at: datetime) -> "Standards":
        """Read them."""
        limits = cache(lambda material, condition: limits_of(session, material, condition, frozenset({site})))
        return cls(limits, consents_given(session, donors, "banking", at), at)

    def against(self, vial: Vial, donor: str) -> list[tuple[HoldKind, str]]:
        """Return the holds, with their reasons, that a tube is brought in under."""
        material = MATERIALS[MaterialName(vial.material)]
        found = [(HoldKind.QUALITY, HELD_BEFORE)] if vial.held else []
        fresh = self.limits(material.name, Condition.FRESH).use_by_s
        # A day is all that is known: taken at its end, frozen at the beginning of the other.
        at_least = vial.frozen - vial.collected - timedelta(days=1)
        if fresh is not None and not material.passaged and at_least > timedelta(seconds=fresh):
            found.append((HoldKind.QUALITY, FROZEN_TOO_OLD))
        if vial.freezes > 1:
            found.append((HoldKind.QUALITY, FROZEN_AGAIN))
        highest = self.limits(material.name, Condition.IN_CULTURE).highest_passage
        if highest is not None and vial.passage is not None and vial.passage > highest:
            found.append((HoldKind.QUALITY, TOO_OLD_A_PASSAGE))
        tissue = tissue_of(material.name, material.prefixes[0])
        if isinstance(covering_consent(self.consents[donor], donor, "banking", self.at, tissue=tissue.value), ConsentIsRevoked):
            found.append((HoldKind.CONSENT, TAKEN_BACK))
        return found


def hold_at_once(
    session: Session, act: Act, brought: Mapping[str, Sequence[tuple[HoldKind, str]]], site: str
) -> dict[str, list[str]]:
    """Place the holds under which tubes were brought in, by code; return what is to be said of each."""
    held = {code: against for code, against in brought.items() if against}
    if held:
        tubes = load(session, held)  # made in this transaction: nobody else sees them yet
        facts = []
        for code, against in held.items():
            tube = tubes[code]
            head = head_of(session, act, NOW, subject=tube.donor_code, site=site, last=tube.last_occurred_at)
            facts += [holds.specimen_hold_fact(tube, kind, head, reason=reason) for kind, reason in against]
        holds.keep_placed(session, facts, append(session, facts))
    return {code: [_SAID[reason] for _kind, reason in against] for code, against in held.items()}
