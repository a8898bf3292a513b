"""A day and a time as people type it: site time, and in the night of a clock change which of the two hours it was. Pure."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from biobank.foundation.local_time import instants_of

WHICH: Final = "which_"
"""Before a field's name: the field that says which of two instants was meant, by its offset (`+02:00`)."""


def instant_typed(text: str, which: str | None, zone: ZoneInfo) -> datetime:
    """Return the instant that was typed, in site time where no zone stands in it.

    Raises ValueError with what to type instead: for what is no day and time, for a time that the clock skipped, and for one that
    it showed twice while `which` names neither.
    """
    try:
        shown = datetime.fromisoformat(text)
        if shown.tzinfo is not None:
            return shown
        found = instants_of(shown, zone)
    except (ValueError, OverflowError):
        raise ValueError("enter a day and a time, such as 2026-11-03T14:05.") from None
    if not found:
        raise ValueError("the clock never showed this time: summer time began and it was put forward. Look when it was.")
    if len(found) == 1:
        return found[0]
    offsets = [_offset(one, zone) for one in found]
    if which in offsets:
        return found[offsets.index(which)]
    raise ValueError(
        "the clock showed this time twice, because summer time ended. "
        f"Say which it was: the first time (UTC{offsets[0]}) or the second (UTC{offsets[1]})."
    )


def shown_twice(text: object, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return what may be meant by a typed time that the clock showed twice, as choices of a form; nothing for any other."""
    try:
        shown = datetime.fromisoformat(str(text))
        found = [] if shown.tzinfo is not None else instants_of(shown, zone)
    except (ValueError, OverflowError):
        return []
    if len(found) < 2:
        return []
    first, second = (_offset(one, zone) for one in found)
    return [
        (first, f"The first time, before the clock was put back (UTC{first})"),
        (second, f"The second time, after it was put back (UTC{second})"),
    ]


def _offset(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat()[-6:]
