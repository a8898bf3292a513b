"""Time zones by the names of the IANA list, and as people say them: by a city."""

from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

from pydantic import Field

AREAS: Final = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)


class NamesZone:
    """Marks a field that holds the name of a time zone: forms offer the names, and take a city for its zone."""


TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$", description="Such as Europe/London."), NamesZone()]


def zone_typed(text: str) -> str:
    """Return the name of the zone that somebody typed: "europe/vienna", "Vienna", "New York". Pure.

    Raises ValueError with what to type instead where there is none, or where a city stands in two areas.
    """
    typed = "_".join(text.split()).casefold()
    found = _known().get(typed, ())
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"there are several. Type one of {', '.join(found)}.")
    raise ValueError("there is no such time zone. Type a large city of it, such as Vienna, or choose from the list.")


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """Return what may be typed, in small letters, with the zones it means."""
    known: dict[str, tuple[str, ...]] = {}
    for name in sorted(available_timezones()):
        if name.split("/")[0] in AREAS:
            city = name.rsplit("/", 1)[-1].casefold()
            known[city] = (*known.get(city, ()), name)
    return known | {name.casefold(): (name,) for name in available_timezones()}
