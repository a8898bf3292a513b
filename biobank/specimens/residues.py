"""What processing may have left in a tube, and which of it its donor is allergic to.

Residues follow the lineage: what went into any run on the way to the tube, the freezing of the tube itself included, the media
of the kit that it was taken with, and the medium that it travelled in. A reagent lot or medium says what it may leave in its
entry of the registers; what a run says in words (its cryoprotectant, say) is read for the names of substances. A run that names
no reagents, or one whose entry says nothing, leaves its residues unknown, and that is said: no residue named is not the same as
no residue.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from biobank.donors.allergies import Substance, allergies_of
from biobank.registers.queries import contents_of

_RUNS: Final = text(
    """
    WITH RECURSIVE up AS (
        SELECT code AS tube, code FROM specimen WHERE code = ANY(:tubes)
        UNION
        SELECT up.tube, p.parent_code FROM up JOIN specimen_parent p ON p.child_code = up.code
    )
    SELECT up.tube, r.reagent_lots AS lots, r.parameters
    FROM up JOIN specimen s ON s.code = up.code
    JOIN processing r ON (r.lot_code = s.lot_code)
        OR (r.lot_code IS NULL AND EXISTS (
            SELECT 1 FROM processing_input i WHERE i.processing_id = r.id AND i.specimen_code = up.code))
    UNION ALL
    SELECT up.tube, k.media_lots, NULL
    FROM up JOIN specimen s ON s.code = up.code JOIN harvest h ON h.code = s.harvest_code JOIN kit k ON k.code = h.kit_code
    UNION ALL
    SELECT up.tube, ARRAY[h.transport_medium], NULL
    FROM up JOIN specimen s ON s.code = up.code JOIN harvest h ON h.code = s.harvest_code
    WHERE h.transport_medium LIKE 'RG-%'
    """
)
WORDS: Final = {
    Substance.DMSO: frozenset({"dmso", "dimethylsulfoxide", "dimethyl"}),
    Substance.BOVINE_SERUM: frozenset({"fbs", "fcs", "bovine"}),
    Substance.HUMAN_ALBUMIN: frozenset({"hsa", "albumin"}),
    Substance.PENICILLIN: frozenset({"penicillin"}),
    Substance.STREPTOMYCIN: frozenset({"streptomycin"}),
    Substance.GENTAMICIN: frozenset({"gentamicin"}),
    Substance.AMPHOTERICIN_B: frozenset({"amphotericin"}),
    Substance.COLLAGENASE: frozenset({"collagenase"}),
    Substance.TRYPSIN: frozenset({"trypsin"}),
    Substance.HEPARIN: frozenset({"heparin"}),
    Substance.DEXTRAN: frozenset({"dextran"}),
    Substance.HYDROXYETHYL_STARCH: frozenset({"hes", "hydroxyethyl"}),
}
"""Words by which the text of a run says what is in it, in small letters. Every substance has some."""


@dataclass(frozen=True)
class Residues:
    """What may be in a tube. `unknown`: at least one run names no reagents, or one that says nothing of what it leaves."""

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


@dataclass(frozen=True)
class ResiduesUnknown:
    """A tube in which more may be left than the record says, of a donor with an allergy, as the person who approves reads it."""

    tube: str

    @property
    def sentence(self) -> str:
        """What to read before approving."""
        return (
            f"Not everything that may be left in {self.tube} is on record, and its donor has an allergy. Ask the laboratory "
            "which reagents it used."
        )


def residues_of(session: Session, tubes: Collection[str]) -> dict[str, Residues]:
    """Return what may be left in each tube: one statement for the runs, one for the registers."""
    found: dict[str, list[Any]] = {code: [] for code in tubes}
    for row in session.execute(_RUNS, {"tubes": sorted(tubes)}):
        found[row.tube].append(row)
    contents = contents_of(session, {lot for rows in found.values() for row in rows for lot in row.lots})
    return {code: _of(rows, contents) for code, rows in found.items()}


def allergies_met(session: Session, tubes: dict[str, str]) -> list[AllergyMet | ResiduesUnknown]:
    """Return where a donor's allergies meet residues, or may; `tubes`: donor code by tube code. For requests and approvals."""
    return allergies_among(session, tubes, allergies_of(session, set(tubes.values())))


def allergies_among(
    session: Session, tubes: dict[str, str], known: Mapping[str, frozenset[Substance]]
) -> list[AllergyMet | ResiduesUnknown]:
    """Return the same of allergies that were read; it asks for nothing when there are none."""
    if not any(known.values()):
        return []
    left = residues_of(session, tubes)
    found: list[AllergyMet | ResiduesUnknown] = []
    for tube, donor in sorted(tubes.items()):
        found += [AllergyMet(tube, substance) for substance in sorted(left[tube].substances & known[donor])]
        if known[donor] and left[tube].unknown:
            found.append(ResiduesUnknown(tube))
    return found


def _of(rows: Collection[Any], contents: Mapping[str, frozenset[Substance]]) -> Residues:
    runs = [row for row in rows if row.parameters is not None]
    named = " ".join(said for row in runs for said in row.parameters.values() if isinstance(said, str)).lower()
    words = frozenset(re.findall("[a-z]+", named))
    lots = {lot for row in rows for lot in row.lots}
    substances = {substance for substance, own in WORDS.items() if own & words}
    return Residues(
        frozenset(substances).union(*(contents.get(lot, frozenset()) for lot in lots)),
        any(not row.lots and not row.parameters.get("no_reagents") for row in runs) or any(lot not in contents for lot in lots),
    )
