"""Living cells in a vial from a count of a small part of it, with what is uncertain about that. Pure.

    cells = live · dilution / volume looked at · volume of the suspension

The number of living cells in the volume looked at is Poisson; drawing, diluting and filling the chamber add a relative error.
On the logarithmic scale, first order:

    variance = 1 / live + CV²         interval = cells · exp(± 1.96 · √variance)

CV: manual counts repeat within 5 to 15 %; `parameters.toml` says what is taken. With no living cell seen the lower end is
zero and the upper end comes from the exact 97.5 % Poisson limit −ln 0.025 = 3.69 cells.
"""

import math
from dataclasses import dataclass
from typing import Final

from biobank.specimens.viability import Z95

_NONE_SEEN: Final = -math.log(0.025)


@dataclass(frozen=True, slots=True)
class Cells:
    """An amount of living cells with its 95 % interval, in whole cells, rounded outwards."""

    cells: int
    lower: int
    upper: int


def living_in(live: int, dilution_milli: int, volume_nl: int, suspension_ul: int, cv: float) -> Cells:
    """Return the living cells in `suspension_ul` µL of which `volume_nl` nL were looked at, `dilution_milli`/1000-fold diluted.

    Raises ValueError unless every volume, the dilution and `cv` are positive and `live` is not negative.
    """
    if live < 0 or min(dilution_milli, volume_nl, suspension_ul) < 1 or cv <= 0:
        raise ValueError("cells in a vial need positive volumes and a count")
    each = dilution_milli * suspension_ul / volume_nl
    if live == 0:
        return Cells(0, 0, math.ceil(_NONE_SEEN * each * math.exp(Z95 * cv)))
    factor = math.exp(Z95 * math.sqrt(1 / live + cv * cv))
    return Cells(round(live * each), math.floor(live * each / factor), math.ceil(live * each * factor))
