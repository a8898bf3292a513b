"""A reading of an earlier time is judged by where its container stood then, and by the limits that had been set by then."""

from datetime import datetime, timedelta
from typing import Any

from biobank.foundation import clock
from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN, a_tank, frozen, held, move, put, read
from tests.monitoring.test_logger_files import a_file, keep, send
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later, sign_and_post

MINUS_80 = {"temperature_class": "minus_80"}


def set_limits(api: Api, **body: Any) -> None:
    assert sign_and_post(api.quality, "decided", "/place-limits", body).status_code == 200


def a_freezer(api: Api) -> str:
    return a_box(api, kind="freezer", name="Freezer", **OPEN, **MINUS_80)


def moment(api: Api) -> datetime:
    later(api, minutes=10)
    then = clock.now()
    later(api, minutes=10)
    return then


def test_a_rack_that_stood_in_a_freezer_is_not_judged_as_one_in_nitrogen(api: Api) -> None:
    freezer, tank = a_freezer(api), a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=freezer, **OPEN)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=rack))
    then = moment(api)
    move(api, rack, tank)
    later(api, minutes=10)

    assert read(api, rack, -75_000, then)["outside"] is None
    assert held(api, tube) == []
    assert read(api, rack, -75_000)["outside"] == "too_warm"


def test_a_rack_that_was_too_warm_for_nitrogen_is_held_after_it_moved_into_a_freezer(api: Api) -> None:
    freezer, tank = a_freezer(api), a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=tank, **OPEN)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=rack))
    then = moment(api)
    move(api, rack, freezer)
    later(api, minutes=10)

    assert read(api, rack, -90_000, then)["outside"] == "too_warm"
    assert held(api, tube) == ["excursion"]


def test_a_limit_judges_nothing_of_the_time_before_it_was_set(api: Api) -> None:
    tank, sibling = a_tank(api), a_tank(api, "Sibling")
    then = moment(api)
    set_limits(api, container=tank, highest_mc=-150_000)
    set_limits(api, site="LAB", temperature_class="ln2_vapour", highest_mc=-145_000)
    later(api, minutes=10)

    assert [read(api, place, -140_000, then)["outside"] for place in (tank, sibling)] == [None, None]
    assert [read(api, place, -148_000)["outside"] for place in (tank, sibling)] == ["too_warm", None]


def test_a_limit_that_was_taken_away_still_judges_its_own_time(api: Api) -> None:
    tank = a_tank(api)
    set_limits(api, container=tank, highest_mc=-170_000)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=10)
    wrong = read(api, tank, -160_000)
    later(api, minutes=10)
    assert by_two(api.quality, api.quality2, "/place-limits", {"container": tank}, "decided").status_code == 200
    later(api, minutes=10)

    body = {"reason": "misread", "value": -159_000, "confirmed": True}
    answer = api.lab_tech.post(f"/storage-containers/{tank}/readings/{wrong['id']}/withdraw", json=body)

    assert answer.status_code == 200, answer.text
    assert held(api, tube) == ["excursion"]
    assert read(api, tank, -159_000)["outside"] is None


def test_each_row_of_a_loggers_file_is_judged_by_the_limits_of_its_own_time(api: Api) -> None:
    freezer, tank = a_freezer(api), a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=freezer, **OPEN)
    start = clock.now()
    later(api, minutes=60)
    move(api, rack, tank)
    later(api, minutes=60)
    set_limits(api, container=tank, highest_mc=-150_000)
    later(api, minutes=60)
    rows = [(start + timedelta(minutes=5 + 5 * n), "-80,0" if n < 11 else "-140,0") for n in range(35)]

    done = send(api, rack, keep(api, a_file(rows)), confirmed=True)

    assert done.status_code == 201, done.text
    readings = api.lab_tech.get(f"/storage-containers/{rack}/readings").json()["items"]
    outside = sorted(datetime.fromisoformat(one["at"]) for one in readings if one["outside"] == "too_warm")
    assert len(outside) == 11 and outside[0] > start + timedelta(hours=2)
