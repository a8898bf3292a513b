"""What processing may have left in a tube, and which of it its donor is allergic to.

Residues follow the lineage: what went into any run on the way to the tube, the freezing of the tube itself included. The
cryoprotectant is named by the freezing run. A run whose reagents nobody named leaves its residues unknown, and that is said: no
residue named is not the same as no residue.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from biobank.donors.allergies import Substance, allergies_of

_RUNS: Final = text(
    """
    WITH RECURSIVE up AS (
        SELECT code AS tube, code FROM specimen WHERE code = ANY(:tubes)
        UNION
        SELECT up.tube, p.parent_code FROM up JOIN specimen_parent p ON p.child_code = up.code
    )
    SELECT DISTINCT up.tube, r.id, r.process, r.reagent_lots, r.parameters
    FROM up JOIN specimen s ON s.code = up.code
    JOIN processing r ON (r.lot_code = s.lot_code)
        OR (r.lot_code IS NULL AND EXISTS (
            SELECT 1 FROM processing_input i WHERE i.processing_id = r.id AND i.specimen_code = up.code))
    """
)
_WORDS: Final = {
    Substance.DMSO: frozenset({"dmso", "dimethylsulfoxide", "dimethyl"}),
    Substance.BOVINE_SERUM: frozenset({"fbs", "fcs", "bovine"}),
    Substance.HUMAN_ALBUMIN: frozenset({"hsa", "albumin"}),
    Substance.DEXTRAN: frozenset({"dextran"}),
    Substance.HYDROXYETHYL_STARCH: frozenset({"hes", "hydroxyethyl"}),
}
"""Words by which a cryoprotectant's name says what is in it, in small letters."""


@dataclass(frozen=True)
class Residues:
    """What may be in a tube. `unknown`: at least one run names no reagents."""

    substances: frozenset[Substance] = frozenset()
    unknown: bool = False


@dataclass(frozen=True)
class AllergyMet:
    """A residue of a tube that its donor is allergic to, as the person who approves reads it."""

    tube: str
    substance: Substance

    @property
    def sentence(self) -> str:
        """What to read before approving."""
        named = self.substance.value.replace("_", " ").replace("dmso", "DMSO")
        return f"{self.tube} may hold {named}, and its donor is recorded as allergic to it."


def residues_of(session: Session, tubes: Collection[str]) -> dict[str, Residues]:
    """Return what may be left in each tube: one statement for the runs."""
    found: dict[str, list[Any]] = {code: [] for code in tubes}
    for row in session.execute(_RUNS, {"tubes": sorted(tubes)}):
        found[row.tube].append(row)
    return {code: _of(rows) for code, rows in found.items()}


def allergies_met(session: Session, tubes: dict[str, str]) -> list[AllergyMet]:
    """Return where a donor's allergies meet residues; `tubes`: donor code by tube code. For requests and approvals."""
    return allergies_among(session, tubes, allergies_of(session, set(tubes.values())))


def allergies_among(session: Session, tubes: dict[str, str], known: Mapping[str, frozenset[Substance]]) -> list[AllergyMet]:
    """Return the same of allergies that were read; it asks for nothing when there are none."""
    if not any(known.values()):
        return []
    left = residues_of(session, tubes)
    return [
        AllergyMet(tube, substance)
        for tube, donor in sorted(tubes.items())
        for substance in sorted(left[tube].substances & known[donor])
    ]


def _of(rows: Collection[Any]) -> Residues:
    named = " ".join(str(row.parameters.get("cryoprotectant", "")) for row in rows).lower()
    said = frozenset(re.findall("[a-z]+", named))
    substances = {substance for substance, words in _WORDS.items() if words & said}
    return Residues(frozenset(substances), any(not row.reagent_lots for row in rows))
