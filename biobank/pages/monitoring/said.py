"""How limits and readings are written for people: °C and percent, in words."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.terms import counted, words
from biobank.monitoring.schemas import ReadingPublic
from biobank.pages.ui.filters import quantity_text
from biobank.storage.limits import NAMES

_SAID = {
    "lowest_mc": ("not below {}", "millidegrees_c"),
    "highest_mc": ("not above {}", "millidegrees_c"),
    "lowest_level_ppm": ("level not below {}", "ppm"),
    "rise_mc_per_min": ("warming not faster than {} a minute", "millidegrees_c"),
    "fall_ppm_per_h": ("level falling not faster than {} an hour", "ppm"),
}
UNITS = {"temperature_mc": "millidegrees_c", "level_ppm": "ppm"}
MEASURED = {"temperature_mc": "Temperature", "level_ppm": "Nitrogen level"}


def limits_in_words(limits: Any) -> str:
    """Say limits in one line; `limits` has the members of PlaceLimits."""
    said = [(name, getattr(limits, name)) for name in NAMES]
    return ", ".join(_SAID[name][0].format(quantity_text(value, _SAID[name][1])) for name, value in said if value is not None)


def reading_row(one: ReadingPublic) -> dict[str, Any]:
    """Return the cells of a reading."""
    value = quantity_text(one.value, UNITS[one.reading])
    return {
        "at": one.at,
        "reading": MEASURED[one.reading] if one.sensor is None else f"{MEASURED[one.reading]}, by {one.sensor}",
        "value": value if one.outside is None else f"{value}, {words(one.outside).lower()}",
        "state": "taken_back" if one.withdrawn_at is not None else "alarm" if one.excursion else "pass",
    }


def held_and_freed(held: int, freed: int) -> str:
    """Say how many specimens a reading put under hold and how many left it."""
    parts = [f"{counted(held, 'specimen')} came under hold"] if held else []
    parts += [f"{counted(freed, 'specimen')} left the hold"] if freed else []
    return f"{', '.join(parts)}." if parts else "No specimen's hold changed."


def sentence_on_own_cold(codes: Sequence[str]) -> str:
    """Say which containers inside a place what is read around them does not reach; empty when there are none."""
    if not codes:
        return ""
    them = (
        "keeps its own cold; look at its own readings" if len(codes) == 1 else "keep their own cold; look at their own readings"
    )
    return f"{', '.join(codes)} {them}."


def wrong_link(actor: Actor, site: str, one: ReadingPublic) -> Markup | None:
    """Return the way to take a reading back, for whoever may."""
    if one.withdrawn_at is not None or not actor.may(Permission.STORAGE_RECORD, at=site):
        return None
    here = f"/storage/{one.container}/readings/{one.id}/withdraw"
    return Markup('<a href="{}">Take back</a>').format(here)
