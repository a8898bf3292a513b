"""Which legal basis can carry which material, and what it asks for: a table, and the one rule that reads it.

Quality determines the basis of a specimen; this module says which determinations are possible at all. The same rule is asked when
the basis is determined, when the specimen is released and when it is to be used. Each entry names its source and how well it is
known: `read` means that the source was read, `background` that it is common knowledge of the field which the bank confirms with
its own counsel. Nothing here says that a use works or is advisable.

What decides most of the table:

- Cells isolated from fat are a drug in the US (US v. California Stem Cell Treatment Center, 9th Cir., 27 September 2024; read),
  so SVF and cultured cells are no minimally manipulated tissue. In the EU enzymes and culture are substantial manipulation
  (PMC5709339; read).
- Whether mechanical micro- or nanofat is minimally manipulated is contested: the determination's reference has to be named.
- Platelet preparations are blood products outside 21 CFR 1271 (background): made and used at one visit, with a cleared device.
- No exosome product is approved (background): only a trial or an authorisation for one named patient can carry one.
- A basis is the law of a place. It is compared with the law of the bank that keeps the material when it is determined, when it is
  released and at every use, and with the law of the treating clinic at every use (docs/adr/0047).
- Regulation (EU) 2024/1938 (SoHO) applies from 7 August 2027 and ends Directive 2004/23/EC then (read).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.jurisdictions import Jurisdiction
from biobank.quality.events import RegulatoryBasis
from biobank.specimens.materials import MATERIALS, MaterialName, material_of


class BasisUndetermined(Conflict):
    """Nobody has determined under which law it may be used."""

    code = "regulatory_basis_undetermined"
    title = "Legal basis undetermined"


class BasisNotForMaterial(Conflict):
    """This basis cannot carry this material, or not as it was kept."""

    code = "basis_not_for_material"
    title = "Legal basis does not fit"


class BasisNotInForce(Conflict):
    """The law it names does not apply yet, or no longer."""

    code = "basis_not_in_force"
    title = "Legal basis not in force"


class AuthorisationMissing(Conflict):
    """This basis exists only by a number, a statute or a named determination."""

    code = "authorisation_required"
    title = "Authorisation required"


class BasisOfAnotherPlace(Conflict):
    """It is the law of another place than the one where the material is kept, or where it would be given."""

    code = "basis_of_another_place"
    title = "Law of another place"


M = MaterialName
B = RegulatoryBasis
_TISSUE: Final = frozenset({M.INTACT_FOLLICLES, M.LIPOASPIRATE, M.MICRO_NANOFAT})
_BLOOD: Final = frozenset({M.PRP, M.PRF})
_CULTURED: Final = frozenset({M.HF_STEM_CELLS, M.DERMAL_PAPILLA_CELLS, M.ADSC})
_CELLS: Final = _CULTURED | {M.SVF}
_ALL: Final = frozenset(MATERIALS) - {M.UNIDENTIFIED}
ANY_PLACE: Final = "any"
LAWS: Final[Mapping[Jurisdiction, str]] = {
    Jurisdiction.US: "the law of the United States",
    Jurisdiction.EU: "the law of the European Union",
    Jurisdiction.OTHER: "the law of another country",
}
_SOHO_FROM: Final = datetime(2027, 8, 7, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalBasis:
    """One row of the table.

    - `title`, `jurisdiction` (`US`, `EU`, `any`), `source`, `known` (`read` or `background`): for people;
    - `materials`: what it can carry;
    - `by_authorisation`: it exists only by a number or statute; `named_for`: for these materials the reference of a determination
      is named even where the basis as such needs none;
    - `fresh_only`: it carries nothing that was ever frozen (made and used at one visit);
    - `since`, `until`: when the law applies, until exclusive.
    """

    title: str
    jurisdiction: str
    materials: frozenset[MaterialName]
    source: str
    known: str = "background"
    by_authorisation: bool = False
    named_for: frozenset[MaterialName] = frozenset()
    fresh_only: bool = False
    since: datetime | None = None
    until: datetime | None = None


LEGAL_BASES: Final[Mapping[RegulatoryBasis, LegalBasis]] = {
    B.US_361: LegalBasis(
        title="Minimally manipulated tissue (US, section 361)",
        jurisdiction="US",
        materials=_TISSUE,
        named_for=frozenset({M.MICRO_NANOFAT}),
        source="21 CFR 1271.10(a); that SVF is excluded: 9th Cir. No. 22-56014",
    ),
    B.US_351_IND: LegalBasis(
        title="Investigational new drug (US, IND)",
        jurisdiction="US",
        materials=_ALL,
        by_authorisation=True,
        source="21 CFR 312",
    ),
    B.US_351_BLA: LegalBasis(
        title="Licensed biologic (US, BLA)",
        jurisdiction="US",
        materials=_CELLS | _TISSUE,
        by_authorisation=True,
        source="section 351 of the Public Health Service Act",
    ),
    B.US_SAME_SURGICAL_PROCEDURE: LegalBasis(
        title="Same surgical procedure (US)",
        jurisdiction="US",
        materials=frozenset({M.INTACT_FOLLICLES, M.LIPOASPIRATE}),
        fresh_only=True,
        known="read",
        source="21 CFR 1271.15(b) as read by the 9th Cir., No. 22-56014: what goes back is what was taken",
    ),
    B.US_BLOOD_PREPARATION: LegalBasis(
        title="Own blood preparation, made and used at one visit (US)",
        jurisdiction="US",
        materials=_BLOOD,
        by_authorisation=True,
        fresh_only=True,
        source="outside 21 CFR 1271; the clearance of the preparation device is named",
    ),
    B.US_STATE_EXCEPTION: LegalBasis(
        title="Exception in state law (US)",
        jurisdiction="US",
        materials=_CELLS,
        by_authorisation=True,
        known="read",
        source="for example Florida Statutes 458.3245 (Ch. 2025-185), which asks for a viability report after thawing",
    ),
    B.EU_TISSUE_CELL: LegalBasis(
        title="Tissue or cells (EU, Directive 2004/23/EC)",
        jurisdiction="EU",
        materials=_TISSUE,
        named_for=frozenset({M.MICRO_NANOFAT}),
        until=_SOHO_FROM,
        known="read",
        source="Directive 2004/23/EC; substantial manipulation: PMC5709339",
    ),
    B.EU_SOHO: LegalBasis(
        title="Substance of human origin (EU, Regulation 2024/1938)",
        jurisdiction="EU",
        materials=_TISSUE | _BLOOD,
        named_for=frozenset({M.MICRO_NANOFAT}),
        since=_SOHO_FROM,
        known="read",
        source="Regulation (EU) 2024/1938, applies from 7 August 2027",
    ),
    B.EU_ATMP_TRIAL: LegalBasis(
        title="Advanced therapy in a clinical trial (EU)",
        jurisdiction="EU",
        materials=_CELLS | {M.MICRO_NANOFAT, M.EXOSOME_PREPARATION},
        by_authorisation=True,
        source="Regulation (EC) 1394/2007",
    ),
    B.EU_ATMP_HOSPITAL_EXEMPTION: LegalBasis(
        title="Advanced therapy by hospital exemption (EU)",
        jurisdiction="EU",
        materials=_CELLS | {M.MICRO_NANOFAT},
        by_authorisation=True,
        source="Regulation (EC) 1394/2007, Article 28(2)",
    ),
    B.NAMED_PATIENT: LegalBasis(
        title="Authorisation for one named patient",
        jurisdiction="any",
        materials=_ALL,
        by_authorisation=True,
        source="the national rule that grants it, named with its number",
    ),
    B.RESEARCH_ONLY: LegalBasis(
        title="Research only, no treatment",
        jurisdiction="any",
        materials=_ALL,
        known="read",
        source="the bank's own decision",
    ),
}
"""Every basis that can be determined. `undetermined` is the absence of one."""


def bases_that_reach(jurisdictions: Iterable[str | None]) -> list[RegulatoryBasis]:
    """Return, in their order, the bases whose law reaches every one of these places; what a form offers. Pure."""
    places = set(jurisdictions)
    return [basis for basis in RegulatoryBasis if all(reaches(basis, one) for one in places)]


def reaches(basis: RegulatoryBasis, jurisdiction: str | None) -> bool:
    """Say whether the law of `basis` reaches a place that works under `jurisdiction`. Pure.

    None: nobody has said under whose law the place works; nothing is compared then, and setting up lists the place.
    """
    if basis is B.UNDETERMINED:
        return True
    return jurisdiction is None or LEGAL_BASES[basis].jurisdiction in (ANY_PLACE, jurisdiction)


def place_refusals(basis: RegulatoryBasis | str, code: str, jurisdiction: str | None, where: str) -> list[Refusal]:
    """Return why the law of `basis` does not reach the place of `code`: `where` says in the sentence which place. Pure."""
    basis = RegulatoryBasis(basis)
    if reaches(basis, jurisdiction):
        return []
    of = LAWS[Jurisdiction(str(jurisdiction))]
    return [
        BasisOfAnotherPlace(
            f"“{LEGAL_BASES[basis].title}” does not reach {code}: {where} works under {of}. Choose a basis of that law, or an "
            "authorisation for one named patient.",
            subject=code,
            basis=basis.value,
        )
    ]


def basis_refusals(
    basis: RegulatoryBasis | str, specimen: Snapshot, at: datetime, *, authorised: bool | None = None
) -> list[Refusal]:
    """Return every reason why `basis` cannot carry `specimen` at `at`; empty when it can. Pure.

    `authorised`: whether a number, statute or determination is named with it; None when that was asked before (a basis is never
    stored without what it asks for). `undetermined` carries nothing towards release or use.
    """
    basis, code = RegulatoryBasis(basis), specimen.code
    if basis is B.UNDETERMINED:
        return [
            BasisUndetermined(
                f"Nobody has determined yet under which law {code} may be used. Quality determines its legal basis first; until "
                "then it may be stored only.",
                subject=code,
                where_now=specimen.where_now,
            )
        ]
    entry, material = LEGAL_BASES[basis], material_of(specimen.material)
    found: list[Refusal] = []
    if material.name not in entry.materials:
        found.append(BasisNotForMaterial(_unfit(entry, specimen), subject=code, basis=basis.value, where_now=specimen.where_now))
    elif entry.fresh_only and _was_frozen(specimen):
        found.append(
            BasisNotForMaterial(
                f"{code} was frozen. “{entry.title}” is for what is made and used at one visit.",
                subject=code,
                basis=basis.value,
                where_now=specimen.where_now,
            )
        )
    found += place_refusals(basis, code, specimen.kept_under, "the bank that keeps it")
    if (entry.since is not None and at < entry.since) or (entry.until is not None and at >= entry.until):
        when = (
            f"from {entry.since.date().isoformat()}"
            if entry.since is not None and at < entry.since
            else f"until {entry.until.date().isoformat() if entry.until else ''}"
        )
        found.append(
            BasisNotInForce(
                f"“{entry.title}” applies {when} only. Choose the basis in force, or ask the bank's counsel.",
                subject=code,
                basis=basis.value,
            )
        )
    if authorised is False and (entry.by_authorisation or material.name in entry.named_for):
        what = "number or statute" if entry.by_authorisation else "reference of the determination that it is"
        found.append(
            AuthorisationMissing(
                f"“{entry.title}” holds for {material.title.lower()} only with the {what}. Enter it as the authorisation.",
                subject=code,
                basis=basis.value,
            )
        )
    return found


def _was_frozen(specimen: Snapshot) -> bool:
    projection = specimen.projection
    return projection.freeze_count > 0 or projection.condition in {Condition.FREEZING, Condition.FROZEN, Condition.THAWED}


def _unfit(entry: LegalBasis, specimen: Snapshot) -> str:
    name = material_of(specimen.material).title.lower()
    if specimen.material == M.EXOSOME_PREPARATION:
        return (
            f"{specimen.code} is an exosome preparation, and none is approved. It may be stored; it can be released only in a "
            "trial or under an authorisation for one named patient."
        )
    allowed = sorted(MATERIALS[one].title.lower() for one in entry.materials)
    return (
        f"{specimen.code} is {name}; “{entry.title}” can carry {', '.join(allowed[:-1])}{' and ' if allowed[1:] else ''}"
        f"{allowed[-1]} only ({entry.source}). Choose another basis."
    )
