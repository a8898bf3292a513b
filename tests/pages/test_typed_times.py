"""A time typed on the night of a clock change: which of two hours is asked for, an hour that never was is refused. Everywhere."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from biobank.foundation.clock import now
from biobank.foundation.local_time import instants_of
from biobank.pages.ui.forms import FormFault, fields_of, parse
from biobank.pages.ui.posted import Form
from biobank.pages.ui.typed_times import as_typed, day_typed, days_meant, instant_typed, shown_twice
from biobank.storage.schemas import StoreRequest
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank
from tests.pages.visitor import Visit
from tests.storage.test_every_way_of_placing import a_tube
from tests.withdrawals.stories import later

VIENNA, LONDON = ZoneInfo("Europe/Vienna"), ZoneInfo("Europe/London")


class Planned(BaseModel):
    """A form with a time that must be given and one that need not be."""

    since: AwareDatetime
    until: AwareDatetime | None = None


def typed(text: str, which: str = "", zone: ZoneInfo = VIENNA) -> datetime:
    form = Form([("occurred_at", text), ("which_occurred_at", which)])
    found = parse(StoreRequest, form, zone, "occurred_at").occurred_at
    assert found is not None
    return found


@pytest.mark.parametrize(("which", "hour"), [("+02:00", 0), ("+01:00", 1)])
def test_an_hour_that_came_twice_is_asked_for_and_taken_as_said(which: str, hour: int) -> None:
    assert typed("2026-10-25T02:30", which) == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    assert typed(f"2026-10-25T02:30{which}") == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    for nothing in ("", "+03:00", "first"):
        with pytest.raises(FormFault) as fault:
            typed("2026-10-25T02:30", nothing)
        assert "twice" in fault.value.fields["occurred_at"] and "UTC+02:00" in fault.value.fields["occurred_at"]
        assert "2026" not in str(fault.value.fields)


@pytest.mark.parametrize("text", ["2026-03-29T02:30", "2026-03-29T02:00", "2026-03-29T02:59:59"])
def test_an_hour_that_never_was_is_refused_whatever_is_said_of_it(text: str) -> None:
    for which in ("", "+01:00", "+02:00"):
        with pytest.raises(FormFault) as fault:
            typed(text, which)
        assert "never showed" in fault.value.fields["occurred_at"]


def test_what_was_said_of_one_time_says_nothing_of_another_or_of_a_day_without_a_change() -> None:
    assert typed("2026-10-26T02:30", "+02:00") == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    form = Form([("since", "2026-10-25T02:10"), ("which_since", "+02:00"), ("until", "2026-10-25T02:40")])
    with pytest.raises(FormFault) as fault:
        parse(Planned, form, VIENNA, "since", "until")
    assert list(fault.value.fields) == ["until"]


def test_the_question_is_drawn_at_the_field_with_what_was_answered() -> None:
    (field,) = fields_of(Planned, "since", values=Form([("since", "2026-10-25T02:30"), ("which_since", "+01:00")]))
    assert (field.kind, field.value, field.which) == ("datetime", "2026-10-25T02:30", "+01:00")
    assert [key for key, _ in shown_twice(field.value, VIENNA)] == ["+02:00", "+01:00"]
    for other in ("", None, "2026-10-26T02:30", "2026-03-29T02:30", "2026-10-25T02:30+02:00", "yesterday", "0001-01-01T00:00"):
        assert shown_twice(other, VIENNA) == []


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from([VIENNA, LONDON, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_what_is_asked_what_is_refused_and_what_is_taken_cover_every_time(shown: datetime, zone: ZoneInfo) -> None:
    text, found = shown.isoformat(), instants_of(shown, zone)
    choices = [key for key, _ in shown_twice(text, zone)]
    assert len(choices) == (2 if len(found) == 2 else 0)
    if len(found) == 1:
        assert instant_typed(text, None, zone) == found[0]
    else:
        with pytest.raises(ValueError, match="twice" if found else "never"):
            instant_typed(text, None, zone)
    assert [instant_typed(text, which, zone) for which in choices] == (found if choices else [])


@pytest.mark.parametrize(
    "text",
    ["2026-03-12", "12.03.2026", "12. 3. 2026", "12.3.2026", "12 Mar 2026", "12 March 2026", "March 12, 2026", " 12  mar  2026 "],
)
def test_a_day_is_typed_in_the_style_of_the_site(text: str) -> None:
    assert day_typed(text) == date(2026, 3, 12)
    assert instant_typed(f"{text.strip()} 14:05", None, VIENNA) == datetime(2026, 3, 12, 13, 5, tzinfo=UTC)
    assert instant_typed(f"{text.strip()}, 14:05:30", None, VIENNA) == datetime(2026, 3, 12, 13, 5, 30, tzinfo=UTC)
    assert days_meant(text) == []


@pytest.mark.parametrize("text", ["13/03/2026", "03/13/2026", "13-3-2026", "3/13/2026"])
def test_a_day_between_strokes_that_can_be_one_only_is_taken(text: str) -> None:
    assert day_typed(text) == date(2026, 3, 13)
    assert day_typed("04/04/2026") == date(2026, 4, 4)


@pytest.mark.parametrize(
    "text", ["12.13.2026", "31 Feb 2026", "03/12/26", "12 Ma 2026", "20260312", "soon", "2026-13-01", "12.03"]
)
def test_what_is_no_day_is_asked_for_again_and_nothing_is_guessed(text: str) -> None:
    for typed_text in (text, f"{text}, 14:05"):
        with pytest.raises(ValueError, match="enter a day"):
            instant_typed(typed_text, None, VIENNA) if "14:05" in typed_text else day_typed(typed_text)
    with pytest.raises(ValueError, match="and a time"):
        instant_typed("12 Mar 2026", None, VIENNA)


def test_a_day_that_can_be_two_is_asked_back_and_taken_as_answered() -> None:
    with pytest.raises(ValueError, match="two days"):
        day_typed("03/12/2026")
    asked = dict(days_meant("03/12/2026"))
    assert asked == {"2026-03-12": "12 Mar 2026", "2026-12-03": "3 Dec 2026"}
    assert [day_typed("03/12/2026", one) for one in asked] == [date(2026, 3, 12), date(2026, 12, 3)]
    with pytest.raises(ValueError, match="two days"):
        day_typed("03/12/2026", "2026-03-13")

    with pytest.raises(ValueError, match="two days"):
        instant_typed("03/12/2026 14:05", None, VIENNA)
    times = shown_twice("03/12/2026 14:05", VIENNA)
    assert [label for _, label in times] == ["12 Mar 2026, 14:05 (UTC+01:00)", "3 Dec 2026, 14:05 (UTC+01:00)"]
    assert instant_typed("03/12/2026 14:05", times[1][0], VIENNA) == datetime(2026, 12, 3, 13, 5, tzinfo=UTC)


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_what_a_page_writes_into_a_field_is_read_as_the_same_day(day: date) -> None:
    assert day_typed(str(as_typed(day.isoformat(), VIENNA))) == day
    assert day in [day_typed(f"{day:%m/%d/%Y}", key) for key, _ in days_meant(f"{day:%m/%d/%Y}") or [("", "")]]


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_what_a_page_writes_into_a_field_is_read_as_the_same_time(shown: datetime) -> None:
    text = str(as_typed(shown.replace(microsecond=0).isoformat(), LONDON))
    assert [key for key, _ in shown_twice(text, LONDON)] == [key for key, _ in shown_twice(shown.isoformat()[:19], LONDON)]
    if len(instants_of(shown.replace(microsecond=0), LONDON)) == 1:
        assert instant_typed(text, None, LONDON) == instants_of(shown.replace(microsecond=0), LONDON)[0]


def test_a_birth_date_that_can_be_two_days_is_asked_back_on_the_form_and_registered_as_answered(api: Api, visit: Visit) -> None:
    page = visit("clinician")
    typed_in = {
        "clinic_site": "CLINIC",
        "family_name": "Okafor",
        "given_names": "Ada",
        "date_of_birth": "03/12/1980",
        "sex": "female",
    }

    asked = page.submit("/donors/new", typed_in)
    assert asked.status_code == 422 and 'name="which_date_of_birth"' in asked.text and "12 Mar 1980" in asked.text
    done = page.submit("/donors/new", typed_in | {"which_date_of_birth": "1980-12-03"}, follow_redirects=True)

    assert done.status_code == 200
    code = str(done.url.path).rsplit("/", 1)[1]
    assert api.clinician.get(f"/donors/{code}/identity").json()["date_of_birth"] == "1980-12-03"


def autumn(after: datetime) -> datetime:
    """01:30 in London in the next night in which summer time ends."""
    day = after.replace(hour=1, minute=30, second=0, microsecond=0, tzinfo=None) + timedelta(days=1)
    while len(instants_of(day, LONDON)) < 2:
        day += timedelta(days=1)
    return day


def test_a_reading_of_the_night_of_the_change_is_typed_on_the_page_and_recorded_as_said(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    night = autumn(now())
    later(api, minutes=(night.replace(tzinfo=UTC) + timedelta(hours=5) - now()).total_seconds() // 60)
    tech, page = visit("lab_tech"), f"/storage/{tank}/reading"
    form = {"reading": "temperature_mc", "value": "-180", "occurred_at": night.isoformat(), "reason_text": "Clocks changed"}
    assert 'name="which_occurred_at"' not in tech.get_page(page)

    asked = tech.submit(page, form)
    assert asked.status_code == 422 and 'name="which_occurred_at"' in asked.text and "The second time" in asked.text
    assert api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"] == []
    done = tech.submit(page, form | {"which_occurred_at": "+00:00"}, follow_redirects=True)

    assert done.status_code == 200
    (one,) = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]
    assert datetime.fromisoformat(one["at"]) == night.replace(tzinfo=UTC)


def test_how_it_stood_in_the_night_of_the_change_asks_which_hour(api: Api, visit: Visit) -> None:
    tube, night = a_tube(api), autumn(now())
    later(api, minutes=(night.replace(tzinfo=UTC) + timedelta(hours=5) - now()).total_seconds() // 60)
    tech, here = visit("lab_tech"), f"/specimens/{tube}/as-of?at={night.isoformat()}"
    assert 'name="which_at"' in tech.get_page(here, 422)
    page = tech.get_page(f"{here}&which_at=%2B01:00")
    assert 'id="answer"' in page and 'value="+01:00" selected' in page
    assert "never showed" in tech.get_page(f"/specimens/{tube}/as-of?as_known_at=2026-03-29T01:30", 422)


def test_a_time_without_a_day_is_of_today_at_site_time() -> None:
    today = now().astimezone(VIENNA).date()
    typed = instant_typed("14:05", None, VIENNA)
    assert typed == datetime.combine(today, time(14, 5), VIENNA)
    assert instant_typed(" 9:05:30 ", None, VIENNA) == datetime.combine(today, time(9, 5, 30), VIENNA)
    for text in ("25:05", "14", "14:5"):
        with pytest.raises(ValueError, match="and a time"):
            instant_typed(text, None, VIENNA)
