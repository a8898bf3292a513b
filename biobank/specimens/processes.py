"""The registry of processes: what each takes, what it makes of it, and how amounts and passage numbers follow.

A run that makes something takes specimens of one donor and gives one lot. What must balance:

    conserved   splitting, pooling, sampling: used = made + stated loss, in one unit
    shrinks     washing, mechanical processing: made ≤ used
    yield       isolation, outgrowth: another unit comes out; the ratio is recorded
    fold        culture: cells to cells; the ratio is recorded

How much comes out of a run that does not conserve is nobody's to know beforehand. But cells that were kept for treatment can
end in a run of which almost nothing comes out as they can in a bin, so below the `least` of a process two people are asked, as
for any other end (`quality/ending.py`). Each least is a starting value of this registry, far below usual yields and without a
source of its own; it refuses no run that two people allowed. Passages are counted together, from the first of them.

Freezing and thawing change specimens where they are and make nothing (`freezing.py`). The rules of a run are in `run_rules.py`.

Passage numbers step by one: the first culture of a primary isolate is P0, a passage of Pn is Pn+1, and splitting or sampling
leaves the number. A number that could be typed at will would let a P7 be issued as a P2.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from biobank.specimens.materials import MATERIALS, MaterialName, Unit


class ProcessName(StrEnum):
    """A process that makes specimens. Names are stored and signed; they never change."""

    WASH = "wash"
    MICROFAT = "microfat"
    SVF_ISOLATION = "svf_isolation"
    FOLLICLE_OUTGROWTH = "follicle_outgrowth"
    EXPANSION = "expansion"
    PASSAGE = "passage"
    ALIQUOTING = "aliquoting"
    QC_SAMPLING = "qc_sampling"
    EXOSOME_ISOLATION = "exosome_isolation"


class Balance(StrEnum):
    """How much may come out of what went in; see the module's table."""

    CONSERVED = "conserved"
    SHRINKS = "shrinks"
    YIELD = "yield"
    FOLD = "fold"


class PassageRule(StrEnum):
    """What becomes of the passage number."""

    NONE = "none"
    FIRST = "first"
    NEXT = "next"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One entry: what it takes, what it makes of each, and its rules.

    `units`: (unit in, unit out) where the materials alone do not say it; `culture`: what comes out grows in vessels;
    `leaves_input`: it may use nothing up (medium is taken from a culture); `tests_only`: what it makes is never therapeutic;
    `least`: (made, used) below whose ratio almost nothing came out, in the units of what is made and of what is used.
    """

    name: ProcessName
    title: str
    makes: dict[MaterialName, frozenset[MaterialName]]
    balance: Balance
    passage: PassageRule = PassageRule.NONE
    units: tuple[Unit, Unit] | None = None
    culture: bool = False
    leaves_input: bool = False
    tests_only: bool = False
    least: tuple[int, int] | None = None

    @property
    def counts_on(self) -> bool:
        """Whether what comes out is what went in, in the same measure, so that it is counted on from before the run."""
        return self.balance is Balance.CONSERVED or self.passage is PassageRule.NEXT

    def yields_almost_nothing(self, made: int, used: int) -> bool:
        """Say whether so little came out of what went in, each in its own unit, that the cells are as good as gone. Pure."""
        return self.least is not None and made * self.least[1] < used * self.least[0]


M = MaterialName
_Makes = dict[MaterialName, frozenset[MaterialName]]
_KNOWN: Final[list[MaterialName]] = [name for name in MaterialName if name is not M.UNIDENTIFIED]
_THE_SAME: Final[_Makes] = {name: frozenset({name}) for name in _KNOWN}
_CULTURED: Final[_Makes] = {name: frozenset({name}) for name, entry in MATERIALS.items() if entry.passaged}

_ENTRIES: Final = (
    Process(
        name=ProcessName.WASH,
        title="Wash",
        makes={M.LIPOASPIRATE: frozenset({M.LIPOASPIRATE})},
        balance=Balance.SHRINKS,
        units=(Unit.UL_RAW, Unit.UL_WASHED),
        least=(1, 10),
    ),
    Process(
        name=ProcessName.MICROFAT,
        title="Mechanical processing to micro- or nanofat",
        makes={M.LIPOASPIRATE: frozenset({M.MICRO_NANOFAT})},
        balance=Balance.SHRINKS,
        least=(1, 10),
    ),
    Process(
        name=ProcessName.SVF_ISOLATION,
        title="Isolation of the stromal vascular fraction",
        makes={M.LIPOASPIRATE: frozenset({M.SVF}), M.MICRO_NANOFAT: frozenset({M.SVF})},
        balance=Balance.YIELD,
        least=(1, 1),  # a thousand cells of a millilitre of fat
    ),
    Process(
        name=ProcessName.FOLLICLE_OUTGROWTH,
        title="Outgrowth from follicles",
        makes={M.INTACT_FOLLICLES: frozenset({M.HF_STEM_CELLS, M.DERMAL_PAPILLA_CELLS})},
        balance=Balance.YIELD,
        least=(10, 1),  # ten cells of a follicle
        passage=PassageRule.FIRST,
        culture=True,
    ),
    Process(
        name=ProcessName.EXPANSION,
        title="First culture",
        makes={M.SVF: frozenset({M.ADSC})},
        balance=Balance.FOLD,
        least=(1, 100),
        passage=PassageRule.FIRST,
        culture=True,
    ),
    Process(
        name=ProcessName.PASSAGE,
        title="Passage",
        makes=_CULTURED,
        balance=Balance.FOLD,
        least=(1, 10),
        passage=PassageRule.NEXT,
        culture=True,
    ),
    Process(
        name=ProcessName.ALIQUOTING,
        title="Filling, splitting or pooling",
        makes=_THE_SAME,
        balance=Balance.CONSERVED,
        passage=PassageRule.SAME,
    ),
    Process(
        name=ProcessName.QC_SAMPLING,
        title="Sampling for tests",
        makes=_THE_SAME,
        balance=Balance.CONSERVED,
        passage=PassageRule.SAME,
        tests_only=True,
    ),
    Process(
        name=ProcessName.EXOSOME_ISOLATION,
        title="Isolation of exosomes from culture medium",
        makes={name: frozenset({M.EXOSOME_PREPARATION}) for name in _CULTURED},
        balance=Balance.YIELD,
        leaves_input=True,
    ),
)

PROCESSES: Final[dict[ProcessName, Process]] = {entry.name: entry for entry in _ENTRIES}
"""Every process by its name."""


def growing(material: str) -> Process | None:
    """Return the process by which cells of this material are grown: a first culture or a passage; None where none does."""
    return next((entry for entry in _ENTRIES if entry.culture and material in entry.makes), None)
