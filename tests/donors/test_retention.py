"""From which day on a person may be forgotten. Pure."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.custody.states import TERMINAL, State
from biobank.donors.retention import SpecimenEnd, erasure_outlook, years_after

TODAY = date(2030, 6, 1)
DAYS = st.datetimes(datetime(2000, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))
ENDS = st.builds(
    SpecimenEnd,
    code=st.just("AD26-KH0KJQL"),
    state=st.sampled_from(sorted(TERMINAL)),
    since=DAYS,
    expires_at=st.none() | DAYS,
)


def ended(state: State, year: int, *, expires: int | None = None) -> SpecimenEnd:
    expires_at = None if expires is None else datetime(expires, 5, 1, tzinfo=UTC)
    return SpecimenEnd("AD26-KH0KJQL", state, datetime(year, 5, 1, tzinfo=UTC), expires_at)


def test_a_person_who_gave_nothing_may_be_forgotten_today() -> None:
    outlook = erasure_outlook(TODAY, [], [], [])
    assert (outlook.everything_goes, outlook.earliest_on, outlook.because) == (True, None, ())


@pytest.mark.parametrize(
    ("specimens", "earliest"),
    [
        ([ended(State.ADMINISTERED, 2025)], date(2055, 5, 1)),
        ([ended(State.DISCARDED, 2025)], date(2035, 5, 1)),
        ([ended(State.DISCARDED, 2025, expires=2028)], date(2038, 5, 1)),
        ([ended(State.DISCARDED, 2029), ended(State.ADMINISTERED, 2001)], date(2039, 5, 1)),
        ([ended(State.TRANSFERRED_OUT, 2025)], date(2035, 5, 1)),
    ],
)
def test_records_are_kept_ten_years_and_thirty_after_use(specimens: list[SpecimenEnd], earliest: date) -> None:
    outlook = erasure_outlook(TODAY, specimens, [], [])
    assert (outlook.everything_goes, outlook.earliest_on) == (False, earliest)
    assert earliest.isoformat() in outlook.sentence


def test_on_the_day_itself_everything_may_go() -> None:
    assert erasure_outlook(date(2035, 5, 1), [ended(State.DISCARDED, 2025)], [], []).everything_goes
    assert not erasure_outlook(date(2035, 4, 30), [ended(State.DISCARDED, 2025)], [], []).everything_goes


def test_a_harvest_without_specimens_is_a_record_too() -> None:
    outlook = erasure_outlook(TODAY, [], [datetime(2026, 5, 1, tzinfo=UTC)], [])
    assert outlook.earliest_on == date(2036, 5, 1)


@given(st.lists(ENDS, max_size=5), st.sampled_from(sorted(set(State) - TERMINAL)))
def test_one_living_tube_leaves_no_date(specimens: list[SpecimenEnd], state: State) -> None:
    living = SpecimenEnd("HF26-MC061ET", state, datetime(2020, 1, 1, tzinfo=UTC))
    outlook = erasure_outlook(TODAY, [*specimens, living], [], [])
    assert (outlook.everything_goes, outlook.earliest_on, outlook.because) == (False, None, ("living_cells",))
    assert "HF26-MC061ET" in outlook.sentence


def test_a_tube_without_a_record_counts_as_living() -> None:
    assert erasure_outlook(TODAY, [SpecimenEnd("AD26-KH0KJQL", None, None)], [], []).because == ("living_cells",)


@given(st.lists(ENDS, max_size=5))
def test_a_hold_that_forbids_destroying_leaves_no_date(specimens: list[SpecimenEnd]) -> None:
    outlook = erasure_outlook(TODAY, specimens, [], ["recall", "legal"])
    assert (outlook.everything_goes, outlook.earliest_on, outlook.because) == (False, None, ("legal_hold", "recall_hold"))


@given(st.lists(ENDS, min_size=1, max_size=5))
def test_every_tube_more_can_only_keep_the_records_longer(specimens: list[SpecimenEnd]) -> None:
    whole = erasure_outlook(TODAY, specimens, [], [])
    for number in range(len(specimens)):
        fewer = erasure_outlook(TODAY, specimens[:number] + specimens[number + 1 :], [], [])
        assert (fewer.earliest_on or TODAY) <= (whole.earliest_on or TODAY)


def test_a_leap_day_becomes_the_first_of_march() -> None:
    assert years_after(date(2024, 2, 29), 10) == date(2034, 3, 1)
    assert years_after(date(2024, 2, 29), 4) == date(2028, 2, 29)
