"""A time on a wall clock is one instant, two, or none; read back, each instant shows what was on the clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.local_time import instants_of

ZONES = [
    ZoneInfo(name)
    for name in (
        "Europe/Vienna",
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "UTC",
    )
]
SHOWN = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1))


@given(SHOWN, st.sampled_from(ZONES))
def test_every_instant_found_shows_what_was_on_the_clock(shown: datetime, zone: ZoneInfo) -> None:
    found = instants_of(shown, zone)
    assert found == sorted(set(found)) and len(found) <= 2
    assert all(one.tzinfo is UTC and one.astimezone(zone).replace(tzinfo=None, fold=0) == shown for one in found)


@given(SHOWN, st.sampled_from(ZONES))
def test_every_instant_is_found_by_what_a_clock_showed_then(instant: datetime, zone: ZoneInfo) -> None:
    at = instant.replace(tzinfo=UTC)
    assert at in instants_of(at.astimezone(zone).replace(tzinfo=None, fold=0), zone)


@pytest.mark.parametrize(
    ("zone", "shown", "found"),
    [
        ("Europe/Vienna", "2026-10-25T02:30", ["00:30", "01:30"]),
        ("Europe/Vienna", "2026-10-25T02:59:59", ["00:59", "01:59"]),
        ("Europe/Vienna", "2026-10-25T03:00", ["02:00"]),
        ("Europe/Vienna", "2026-10-25T01:59", ["23:59"]),
        ("Europe/Vienna", "2026-03-29T02:00", []),
        ("Europe/Vienna", "2026-03-29T02:59", []),
        ("Europe/Vienna", "2026-03-29T03:00", ["01:00"]),
        ("Europe/London", "2026-10-25T01:30", ["00:30", "01:30"]),
        ("America/New_York", "2026-11-01T01:30", ["05:30", "06:30"]),
        ("America/New_York", "2026-03-08T02:30", []),
        ("Australia/Lord_Howe", "2026-04-05T01:45", ["14:45", "15:15"]),  # half an hour
        ("Africa/Cairo", "2026-04-24T00:30", []),
        ("Pacific/Apia", "2011-12-30T12:00", []),  # a whole day
        ("Asia/Kathmandu", "2026-10-25T02:30", ["20:45"]),
    ],
)
def test_the_nights_of_a_change(zone: str, shown: str, found: list[str]) -> None:
    assert [f"{one:%H:%M}" for one in instants_of(datetime.fromisoformat(shown), ZoneInfo(zone))] == found


def test_the_ends_of_the_calendar_are_said() -> None:
    with pytest.raises(OverflowError):
        instants_of(datetime.fromisoformat("0001-01-01T00:01"), ZoneInfo("Europe/Vienna"))
