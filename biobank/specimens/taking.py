"""How each harvested material is taken from a person: by which method, from where. Part of the registry of materials.

A method that is not in the table for a material cannot have given it: fat does not come out of a punch of the scalp, follicles do
not come through a liposuction cannula, blood comes out of a vein. That is what the words mean, so it is refused. The lists of
places name, for each method, where such tissue is; none was read as a list in one source (`source` says what was). A clinic that
takes from another place adds its word here, in one line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.specimens.materials import MATERIALS, MaterialName

KEEP: Final = "Keep the containers closed and cool, with this patient's papers, until this is solved."


class HarvestMethod(StrEnum):
    """How material leaves the body. Names are stored and signed; they never change."""

    LIPOASPIRATION = "lipoaspiration"
    EXCISION = "excision"
    FOLLICULAR_UNIT_EXCISION = "follicular_unit_excision"
    STRIP_EXCISION = "strip_excision"
    PUNCH_BIOPSY = "punch_biopsy"
    PLUCKING = "plucking"
    VENEPUNCTURE = "venepuncture"


class Side(StrEnum):
    """Which side of the body, as the surgeon says it."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    MIDLINE = "midline"


@dataclass(frozen=True, slots=True)
class Taking:
    """One way of taking a material: the places it is taken from, and what was read about it."""

    sites: tuple[str, ...]
    source: str


_SCALP: Final = ("scalp", "occipital_scalp", "parietal_scalp", "temporal_scalp", "frontal_scalp", "vertex_scalp", "nape")
_BODY_HAIR: Final = ("beard", "chest", "abdomen", "back", "arm", "axilla", "leg", "pubic_region")
_FAT: Final = ("abdomen", "flank", "hip", "thigh", "inner_thigh", "outer_thigh", "knee", "calf", "buttock", "back", "arm")
_FAT_AND_CHEST: Final = (*_FAT, "chest", "submental_region", "pubic_region")
_VEINS: Final = ("antecubital_fossa", "forearm", "hand", "foot", "central_line")

_HAIR_SKIN: Final = Taking((*_SCALP, *_BODY_HAIR), "background: follicles lie in the skin that bears hair")
_VEIN: Final = Taking(_VEINS, "background: PRP and PRF are prepared from blood drawn from a vein")

M, H = MaterialName, HarvestMethod
TAKEN: Final[Mapping[MaterialName, Mapping[HarvestMethod, Taking]]] = {
    M.INTACT_FOLLICLES: {
        H.FOLLICULAR_UNIT_EXCISION: _HAIR_SKIN,
        H.STRIP_EXCISION: Taking(_SCALP, "background: a strip is cut from the scalp and divided"),
        H.PUNCH_BIOPSY: _HAIR_SKIN,
        H.EXCISION: _HAIR_SKIN,
        H.PLUCKING: _HAIR_SKIN,
    },
    M.LIPOASPIRATE: {
        H.LIPOASPIRATION: Taking(_FAT_AND_CHEST, "Tsekouras 2017, PMC5756658: aspirates of subcutaneous fat; places: background"),
        H.EXCISION: Taking(_FAT_AND_CHEST, "Devitt 2015, doi 10.1155/2015/146421: fat of abdominoplasty; places: background"),
    },
    M.PRP: {H.VENEPUNCTURE: _VEIN},
    M.PRF: {H.VENEPUNCTURE: _VEIN},
}
"""Every harvested material, the methods that give it, and the places of each method."""


class NotTakenSo(Conflict):
    """This material is not taken by this method, or not from this place."""

    code = "not_taken_so"
    title = "Not taken in this way"


def taking_refusal(material: MaterialName, method: HarvestMethod, site: str) -> NotTakenSo | None:
    """Return why this material cannot have been taken by this method from this place, or None. Pure."""
    ways, title = TAKEN.get(material, {}), MATERIALS[material].title
    way = ways.get(method)
    if way is None:
        how = _either(list(ways))
        return NotTakenSo(
            f"{title}: not taken by {_said(method)}, only by {how}. Say how this container was filled.", where_now=KEEP
        )
    if site not in way.sites:
        return NotTakenSo(
            f"{title}: not taken by {_said(method)} from {_said(site)}, only from {_either(way.sites)}. Say where it is from.",
            where_now=KEEP,
        )
    return None


def sites_of(materials: list[MaterialName]) -> list[str]:
    """Return the places from which any of the materials is taken, in alphabetical order."""
    return sorted({site for material in materials for way in TAKEN[material].values() for site in way.sites})


def _said(word: str) -> str:
    return words(word).lower()


def _either(some: Sequence[str]) -> str:
    *first, last = [_said(one) for one in some]
    return f"{', '.join(first)} or {last}" if first else last
