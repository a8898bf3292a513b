"""The registry of materials: what can be in a tube here, how it is counted, kept and judged.

An entry says what the software must refuse; it is no procedure and makes no claim about the use of a material. Its facts
and what is known of them (retrieved sources are named; "background" was not read in its source and is the bank's to confirm):

intact_follicles
    A follicular unit holds one to four hairs: units and follicles are different numbers, and some are cut in taking.
    Survival is of *follicles* that grow, not of cells. Kept cool or at room temperature for hours: 26 °C against 1 °C made no
    difference at 5 h (Raposio 1999), room temperature lost 60 % by 24 h (Kim 2002). Frozen whole follicles: five patients
    (Obara 2019, doi 10.1038/s41598-019-45740-9), vitrification poor in mice (PMC4523096); so slow-frozen in nitrogen only.
hf_stem_cells, dermal_papilla_cells
    Cells grown out of follicles, by passage. No storage source of their own was found; kept as cultured cells are.
lipoaspirate
    Raw volume holds blood and tumescent fluid; washed volume does not, and one is never added to the other. Up to 24 h at room
    temperature without loss of yield, then decline (Carvalho 2011, doi 10.1159/000324892).
micro_nanofat
    Fat cut or emulsified mechanically. Whether that is minimal manipulation is contested in the US: needs a determination.
svf
    Stromal vascular fraction: a suspension of mixed cells, counted as nucleated cells. Red cells and debris mislead trypan blue.
adsc
    Adherent cells grown from it, by passage. In nitrogen 78 % after more than ten years against 79 % after three to seven
    (Shaik 2018, doi 10.1038/s41598-018-26546-7).
prp, prf
    Blood products prepared at the visit; outside 21 CFR 1271 (background). No storage source was found: no frozen PRF, and
    frozen PRP only as the bank's own validated procedure.
exosome_preparation
    Particles from the medium of a culture, no cells. A biologic drug; storage at −80 °C is background.
unidentified
    An item nobody can name. It may be kept anywhere cold and is nothing else until two people resolve it.

−20 °C is allowed for nothing that lives: no live cells after a month (Son 2010; doi 10.1186/s13287-019-1395-6). −80 °C is a
step on the way to nitrogen: cells lose months there (PMC3557435, other cells); how long is the viability estimate's question.

The default regulatory basis of everything is `undetermined`: it may be stored, it is never released
(standards: 21 CFR 1271.10(a), 1271.15(b); decided per specimen by quality, `quality/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from biobank.custody.states import Condition
from biobank.foundation.codes import Prefix

UNDETERMINED: Final = "undetermined"
"""The regulatory basis of what nobody has judged yet. May be stored, may not be released."""


class MaterialName(StrEnum):
    """What a specimen is made of. Names are stored and signed; they never change."""

    INTACT_FOLLICLES = "intact_follicles"
    HF_STEM_CELLS = "hf_stem_cells"
    DERMAL_PAPILLA_CELLS = "dermal_papilla_cells"
    LIPOASPIRATE = "lipoaspirate"
    MICRO_NANOFAT = "micro_nanofat"
    SVF = "svf"
    ADSC = "adsc"
    PRP = "prp"
    PRF = "prf"
    EXOSOME_PREPARATION = "exosome_preparation"
    UNIDENTIFIED = "unidentified"


class Unit(StrEnum):
    """What an amount counts. Amounts in different units are never added."""

    FOLLICULAR_UNITS = "follicular_units"
    FOLLICLES = "follicles"
    UL_RAW = "ul_raw"
    UL_WASHED = "ul_washed"
    UL = "ul"
    CELLS = "cells"
    PARTICLES = "particles"
    ITEM = "item"


class TemperatureClass(StrEnum):
    """How cold a place is, as `storage_container.temperature_class` says it."""

    LN2_LIQUID = "ln2_liquid"
    LN2_VAPOUR = "ln2_vapour"
    MINUS_150 = "minus_150"
    MINUS_80 = "minus_80"
    MINUS_20 = "minus_20"
    FRIDGE = "fridge"
    INCUBATOR = "incubator"
    AMBIENT = "ambient"


class Tissue(StrEnum):
    """What was taken from the person, as a consent names it (`donors/events.py`)."""

    HAIR_FOLLICLE = "hair_follicle"
    ADIPOSE = "adipose"
    BLOOD = "blood"


class Estimand(StrEnum):
    """What a viability assay of a material estimates. The two are never mixed (standards §4.3)."""

    CELL_MEMBRANE_INTEGRITY = "cell_membrane_integrity"
    FOLLICLE_OUTGROWTH = "follicle_outgrowth"


class Assay(StrEnum):
    """How living and dead were told apart."""

    TRYPAN_BLUE = "trypan_blue"
    AO_PI = "ao_pi"
    SEVEN_AAD = "7aad"
    ANNEXIN_V_7AAD = "annexin_v_7aad"
    NUCLEOCOUNTER = "nucleocounter"
    OUTGROWTH = "outgrowth"


NITROGEN: Final = frozenset({TemperatureClass.LN2_LIQUID, TemperatureClass.LN2_VAPOUR, TemperatureClass.MINUS_150})
"""Below −130 °C, where nothing happens to a frozen cell in years."""
_FROZEN_CELLS: Final = NITROGEN | {TemperatureClass.MINUS_80}
_COOL: Final = frozenset({TemperatureClass.FRIDGE, TemperatureClass.AMBIENT})
_CULTURE: Final = frozenset({TemperatureClass.INCUBATOR})
_OF_CULTURE: Final = ("sterility", "endotoxin", "mycoplasma")
_DYES: Final = (Assay.TRYPAN_BLUE, Assay.AO_PI, Assay.SEVEN_AAD, Assay.ANNEXIN_V_7AAD, Assay.NUCLEOCOUNTER)


@dataclass(frozen=True, slots=True)
class UseBy:
    """How long a material in one condition stays fit for use, in seconds, and where that was read.

    `published`: the source is one, and a site may only be stricter; else it is where the clock starts until a site sets its own.
    """

    seconds: int
    source: str
    published: bool = True


_HOUR: Final = 3600
_SAME_DAY: Final = UseBy(
    24 * _HOUR,
    "starting value of this registry for a same-day product, without a published source; quality sets the site's own",
    False,
)
_ONCE_THAWED: Final = {
    Condition.THAWED: UseBy(
        4 * _HOUR,
        "starting value of this registry, as long as for ADSC at most, without a published source; quality sets the site's own",
        False,
    )
}
"""What lives is used soon once it is thawed, whether or not somebody published how soon."""


CONTACT_BEGINS: Final = UseBy(
    _HOUR, "starting value of this registry, without a published source; quality sets the site's own by its validation", False
)
"""How long living cells are in a cryoprotectant before they are cooled, until a site says it for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One entry of the registry.

    - `title`, `short`: words for people, and for the width of a vial label;
    - `prefixes`: the codes its tubes may carry. A code says which harvest programme a tube came from, so blood drawn at a hair
      visit is HF and at a fat visit AD (docs/adr/0010);
    - `tissue`: what a banking consent must cover; None: the tissue of the harvest programme its code names;
    - `units`: what its amount may count;
    - `parents`: the materials it may be made from; empty with `harvested`: taken from the person;
    - `fresh`, `frozen`: temperature classes it may be kept in; no `frozen` class: it is not frozen here;
    - `passaged`: cultured, so a passage number belongs to it;
    - `assays`, `estimand`: how its viability is measured and what the percentage is of; none: it has no living cells to count;
    - `release_tests`: the tests of its lot that a release rests on. Sterility, endotoxin and mycoplasma of cultured cells are
      what published release criteria ask for (Sci. 2022, 4664917; PMC5993622); what came out of culture medium is asked the same;
    - `use_by`: the clock that a condition starts, where a source names one, the product is of the day or it was thawed; a site
      may set it shorter, and one without a published source as it says (`limits.py`). No source says how long any of them may be
      warm while frozen, so a budget of warm time exists only where a site sets one;
    - `default_basis`: the regulatory basis of a new specimen.
    """

    name: MaterialName
    title: str
    short: str
    prefixes: tuple[Prefix, ...]
    units: tuple[Unit, ...]
    tissue: Tissue | None = None
    parents: frozenset[MaterialName] = frozenset()
    harvested: bool = False
    fresh: frozenset[TemperatureClass] = _COOL
    frozen: frozenset[TemperatureClass] = frozenset()
    passaged: bool = False
    assays: tuple[Assay, ...] = ()
    estimand: Estimand | None = None
    release_tests: tuple[str, ...] = ()
    use_by: Mapping[Condition, UseBy] = field(default_factory=dict)
    default_basis: str = UNDETERMINED

    @property
    def of_a_person(self) -> bool:
        """Whether it was taken from somebody who is known, or made of what was."""
        return self.harvested or bool(self.parents)

    @property
    def contact(self) -> UseBy | None:
        """How long it may be in a cryoprotectant; None for what is not frozen, or has no living cells to harm."""
        return CONTACT_BEGINS if self.freezable and self.assays else None

    @property
    def freezable(self) -> bool:
        """Whether it may be frozen here at all."""
        return bool(self.frozen)

    def classes_for(self, condition: Condition) -> frozenset[TemperatureClass]:
        """Return the temperature classes in which the material may be kept in this condition.

        Safety moves into quarantine do not ask: cold first.
        """
        if condition in {Condition.FROZEN, Condition.FREEZING}:
            return self.frozen
        if condition is Condition.IN_CULTURE:
            return _CULTURE
        return self.fresh


M = MaterialName
_HAIR: Final = (Prefix.HAIR_FOLLICLE,)
_FAT: Final = (Prefix.ADIPOSE,)
_EITHER: Final = (Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE)

_ENTRIES: Final = (
    Material(
        name=M.INTACT_FOLLICLES,
        title="Intact hair follicles",
        short="FOLLICLES",
        prefixes=_HAIR,
        units=(Unit.FOLLICLES, Unit.FOLLICULAR_UNITS),
        harvested=True,
        frozen=NITROGEN,
        assays=(Assay.OUTGROWTH,),
        estimand=Estimand.FOLLICLE_OUTGROWTH,
        use_by=_ONCE_THAWED
        | {Condition.FRESH: UseBy(6 * _HOUR, "Kim 2002, Ann Dermatol 14(3): in the room 92 % grow at 6 h, 40 % at 24 h")},
    ),
    Material(
        name=M.HF_STEM_CELLS,
        title="Hair-follicle-derived cells",
        short="HFDC",
        prefixes=_HAIR,
        units=(Unit.CELLS,),
        parents=frozenset({M.INTACT_FOLLICLES, M.HF_STEM_CELLS}),
        frozen=_FROZEN_CELLS,
        passaged=True,
        release_tests=_OF_CULTURE,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by=_ONCE_THAWED,
    ),
    Material(
        name=M.DERMAL_PAPILLA_CELLS,
        title="Dermal papilla cells",
        short="DPC",
        prefixes=_HAIR,
        units=(Unit.CELLS,),
        parents=frozenset({M.INTACT_FOLLICLES, M.DERMAL_PAPILLA_CELLS}),
        frozen=_FROZEN_CELLS,
        passaged=True,
        release_tests=_OF_CULTURE,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by=_ONCE_THAWED,
    ),
    Material(
        name=M.LIPOASPIRATE,
        title="Lipoaspirate",
        short="LIPO",
        prefixes=_FAT,
        units=(Unit.UL_RAW, Unit.UL_WASHED),
        parents=frozenset({M.LIPOASPIRATE}),
        harvested=True,
        frozen=_FROZEN_CELLS,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by=_ONCE_THAWED
        | {Condition.FRESH: UseBy(24 * _HOUR, "Carvalho 2011, doi 10.1159/000324892: yield unchanged up to 24 h")},
    ),
    Material(
        name=M.MICRO_NANOFAT,
        title="Micro- or nanofat",
        short="NANOFAT",
        prefixes=_FAT,
        units=(Unit.UL,),
        parents=frozenset({M.LIPOASPIRATE, M.MICRO_NANOFAT}),
        frozen=_FROZEN_CELLS,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by=_ONCE_THAWED,
    ),
    Material(
        name=M.SVF,
        title="Stromal vascular fraction",
        short="SVF",
        prefixes=_FAT,
        units=(Unit.CELLS,),
        parents=frozenset({M.LIPOASPIRATE, M.MICRO_NANOFAT, M.SVF}),
        frozen=_FROZEN_CELLS,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by=_ONCE_THAWED,
    ),
    Material(
        name=M.ADSC,
        title="Adipose-derived stromal cells",
        short="ADSC",
        prefixes=_FAT,
        units=(Unit.CELLS,),
        parents=frozenset({M.SVF, M.ADSC}),
        frozen=_FROZEN_CELLS,
        passaged=True,
        release_tests=_OF_CULTURE,
        assays=_DYES,
        estimand=Estimand.CELL_MEMBRANE_INTEGRITY,
        use_by={Condition.THAWED: UseBy(4 * _HOUR, "Wu 2019, doi 10.3892/mmr.2019.9842: 2 h best, 4 h latest")},
    ),
    Material(
        name=M.PRP,
        title="Platelet-rich plasma",
        short="PRP",
        prefixes=_EITHER,
        tissue=Tissue.BLOOD,
        units=(Unit.UL,),
        parents=frozenset({M.PRP}),
        harvested=True,
        fresh=frozenset({TemperatureClass.AMBIENT}),
        frozen=_FROZEN_CELLS,
        use_by=_ONCE_THAWED | {Condition.FRESH: _SAME_DAY},
    ),
    Material(
        name=M.PRF,
        title="Platelet-rich fibrin",
        short="PRF",
        prefixes=_EITHER,
        tissue=Tissue.BLOOD,
        units=(Unit.UL,),
        parents=frozenset({M.PRF}),
        harvested=True,
        use_by={Condition.FRESH: _SAME_DAY},
    ),
    Material(
        name=M.EXOSOME_PREPARATION,
        title="Exosome preparation",
        short="EXOSOMES",
        prefixes=_EITHER,
        units=(Unit.PARTICLES, Unit.UL),
        parents=frozenset({M.ADSC, M.HF_STEM_CELLS, M.DERMAL_PAPILLA_CELLS, M.EXOSOME_PREPARATION}),
        fresh=frozenset({TemperatureClass.FRIDGE}),
        frozen=_FROZEN_CELLS,
        release_tests=_OF_CULTURE,
        use_by=_ONCE_THAWED,
    ),
    Material(
        name=M.UNIDENTIFIED,
        title="Unidentified item",
        short="UNIDENTIFIED",
        prefixes=(Prefix.UNIDENTIFIED,),
        units=(Unit.ITEM,),
        fresh=frozenset(TemperatureClass),
        frozen=frozenset(TemperatureClass),
    ),
)

MATERIALS: Final[dict[MaterialName, Material]] = {entry.name: entry for entry in _ENTRIES}
"""Every material by its name."""


def material_of(name: str) -> Material:
    """Return an entry; raise KeyError for a name that is not one (stored names always are)."""
    return MATERIALS[MaterialName(name)]


def tissue_of(name: str, prefix: Prefix) -> Tissue:
    """Return the tissue whose banking consent covers a material under a code of this prefix (HF or AD)."""
    return material_of(name).tissue or _TISSUE_OF[prefix]


_TISSUE_OF: Final = {Prefix.HAIR_FOLLICLE: Tissue.HAIR_FOLLICLE, Prefix.ADIPOSE: Tissue.ADIPOSE}


def amount_text(amount: int, unit: str) -> str:
    """Write an amount as on a label: `1.0 mL`, `1.2 M cells`, `36 follicles`. Truncated, never rounded up."""
    if unit in {Unit.UL, Unit.UL_RAW, Unit.UL_WASHED}:
        words = {Unit.UL_RAW.value: " raw", Unit.UL_WASHED.value: " washed"}.get(unit, "")
        return (f"{amount} µL" if amount < 1000 else f"{_tenths(amount, 1000)} mL") + words
    if unit in {Unit.CELLS, Unit.PARTICLES}:
        for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
            if amount >= size:
                return f"{_tenths(amount, size)} {letter} {unit}"
    return f"{amount} {unit.replace('_', ' ')}"


def _tenths(amount: int, size: int) -> str:
    tenths = amount * 10 // size
    return f"{tenths // 10}.{tenths % 10}"
