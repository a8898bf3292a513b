"""What a clock on the wall showed, as an instant. Pure.

When summer time ends, a clock shows an hour twice; when it begins, it skips one. Which of two instants is meant only a person can
say, and an hour that was skipped is no time at all: nobody gets one of them in silence.
"""

from datetime import UTC, datetime, tzinfo


def instants_of(shown: datetime, zone: tzinfo) -> list[datetime]:
    """Return when a clock of the zone showed this (a time without a zone), in UTC and in order: once, twice, or never.

    Raises OverflowError at the ends of the calendar.
    """
    first, second = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return [first.astimezone(UTC)]
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != shown:
        return []
    return [first.astimezone(UTC), second.astimezone(UTC)]
