"""What a night brings beside the plain case: answered twice, from elsewhere, of a sensor that is given up, under a new limit."""

import csv
import io
from typing import Any

from tests import seed
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.factories import make_box
from tests.granting import also
from tests.monitoring.stories import set_limits
from tests.monitoring.test_excursions import a_tank, frozen, put, read
from tests.monitoring.test_sensors import a_sensor, cold, key_of, send
from tests.pages.test_alarm_pages import alarms, steps, watch
from tests.pages.visitor import BROWSER, Visitor
from tests.shipping.stories import now_of, tubes
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later, refused, sign_and_post


def page_of(api: Api, user: str, path: str) -> str:
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in(user)
        return visitor.get_page(path)


def test_an_alarm_is_answered_once_by_who_is_there_and_not_when_it_is_over(api: Api) -> None:
    tank = a_tank(api)
    put(api, frozen(api)[0], a_box(api, parent=tank))
    read(api, tank, -50_000)
    assert watch(api) == 1
    (alarm,) = alarms(api)
    path = f"/alarms/{alarm['code']}"

    assert api.north_tech.post(f"{path}/acknowledge", json={}).status_code in (403, 404), "of another site"
    assert api.lab_tech.post(f"{path}/acknowledge", json={}).status_code == 200
    refused(api.lab_tech.post(f"{path}/acknowledge", json={}), 409, "already_acknowledged")
    refused(api.lab_tech2.post(f"{path}/acknowledge", json={}), 409, "already_acknowledged")
    assert [step for step, _ in steps(api, alarm["code"])] == ["raised", "acknowledged"]

    later(api, minutes=1)
    read(api, tank, -190_000)
    assert watch(api) == 1
    refused(api.lab_tech.post(f"{path}/acknowledge", json={}), 409, "alarm_over")
    silence = {"until": "2199-01-01T00:00:00Z", "reason": "being_filled"}
    refused(api.lab_tech.post(f"{path}/silence", json=silence), 409, "alarm_over")


def test_the_alarm_of_a_tank_goes_with_it_to_another_site_where_others_are_called_and_answer(api: Api) -> None:
    also(api, "lab_tech", "lab_tech", "NORTH")
    for site, who in (("LAB", "lab_tech2"), ("NORTH", "north_tech")):
        lines = [{"who": seed.USERS[who].code, "after_min": 0}]
        assert sign_and_post(api.quality, "decided", "/rotas", {"site": site, "lines": lines}).status_code == 200
    room = a_box(api, kind="room", name="North room", site="NORTH", rows=None, cols=None)
    tank = a_tank(api)
    put(api, frozen(api)[0], a_box(api, parent=tank))
    read(api, tank, -50_000)
    assert watch(api) == 1
    (alarm,) = alarms(api)
    code, excursion = alarm["code"], alarm["subject"]
    path = f"/alarms/{code}"
    assert api.lab_tech2.post(f"{path}/acknowledge", json={}).status_code == 200
    assert watch(api) == 0
    refused(api.north_tech.post(f"{path}/acknowledge", json={}), 404, "not_found")
    refused(api.north_tech.get(f"/excursions/{excursion}"), 404, "not_found")

    assert api.lab_tech.post(f"/storage-containers/{tank}/move", json={"to": room}).status_code == 200

    assert (watch(api), watch(api)) == (1, 0)
    there = api.north_tech.get(path).json()
    assert (there["site"], there["state"], there["acknowledged_by"]) == ("NORTH", "sounding", None)
    last = there["steps"][-1]
    assert (last["step"], last["reason"], last["told"]) == (
        "came_back",
        "taken_to_another_site",
        [seed.USERS["north_tech"].code],
    )
    assert code in page_of(api, "north_tech", "/") and code not in page_of(api, "lab_tech2", "/")
    page = page_of(api, "north_tech", path)
    assert "North room" in page and "taken to another site" in page
    assert api.north_tech.get(f"/excursions/{excursion}").json()["container"] == tank
    assert [one["code"] for one in api.north_tech.get("/excursions").json()["items"]] == [excursion]
    assert api.lab_tech2.get(f"/excursions/{excursion}").status_code == 200, "it began there"
    refused(api.lab_tech2.post(f"{path}/acknowledge", json={}), 404, "not_found")
    assert api.north_tech.post(f"{path}/acknowledge", json={}).status_code == 200
    assert '"taken_to_another_site"' in taken_log(api)

    later(api, minutes=5)
    read(api, tank, -190_000, client=api.north_tech)
    assert watch(api) == 1
    assert api.north_tech.get(path).json()["state"] == "resolved"


def test_the_alarm_of_a_sensor_that_is_given_up_is_over_and_says_so(api: Api) -> None:
    tank = a_tank(api)
    sensor = a_sensor(api, tank, minutes=30, measures=["temperature_mc"])
    key = key_of(api, sensor)
    assert send(api, key, cold(tank)).status_code == 201
    later(api, hours=1)
    assert watch(api) == 1
    (alarm,) = alarms(api)
    assert alarm["cause"] == "sensor_silent"

    assert by_two(api.admin, api.quality, f"/sensors/{sensor}/withdraw", {"reason": "broken"}).status_code == 200

    assert (watch(api), watch(api)) == (1, 0)
    last = api.lab_tech.get(f"/alarms/{alarm['code']}").json()["steps"][-1]
    assert (last["step"], last["reason"]) == ("resolved", "no_longer_waited_for")


def test_a_limit_that_is_tightened_while_an_alarm_stands_makes_no_second_one_and_is_what_ends_it(api: Api) -> None:
    tank = a_tank(api)
    put(api, frozen(api)[0], a_box(api, parent=tank))
    read(api, tank, -125_000)
    assert watch(api) == 1
    later(api, minutes=1)

    set_limits(api, tank, highest_mc=-150_000)
    assert watch(api) == 0
    later(api, minutes=5)
    read(api, tank, -140_000)
    assert watch(api) == 0, "within what its class may read, and outside what is asked of it now"
    later(api, minutes=5)
    read(api, tank, -180_000)
    assert watch(api) == 1
    assert api.quality.get("/excursions").json()["items"][0]["ended_at"] is not None


def tank_at(api: Api, site: str, name: str, slots: int) -> str:
    """A cold place of a site with one box; return the box."""
    bank = api.test_bank

    def place(**said: Any) -> str:
        return str(bank.write(lambda s: make_box(s, bank.act("admin"), site=site, **said)).code)

    outer = place(kind="tank", name=name, rows=None, cols=None, temperature_class="fridge")
    return place(parent=outer, name=f"Box of {name}", rows=1, cols=slots)


def test_each_site_spreads_as_it_decided_and_a_full_tank_sends_the_rest_to_the_next(api: Api) -> None:
    small, large = tank_at(api, "LAB", "Tank 1", 1), tank_at(api, "LAB", "Tank 2", 5)
    tank_at(api, "NORTH", "Tank N", 5)
    rule = {"site": "NORTH", "spread": False}
    assert sign_and_post(api.quality, "decided", "/split-storage", rule).status_code == 201
    codes = tubes(api, 4)
    placements = [{"specimen": code, "expected_seq": now_of(api, code)["seq"]} for code in codes]

    stored = api.lab_tech.post("/placements", json={"site": "LAB", "placements": placements})

    assert stored.status_code == 201, stored.text
    assert sorted(one["container"] for one in stored.json()["items"]) == sorted([small, large, large, large])
    assert api.lab_tech.get("/single-failure-report").json()["items"] == []
    moved = next(one["specimen"] for one in stored.json()["items"] if one["container"] == small)
    put(api, moved, large)
    listed = api.lab_tech.get("/single-failure-report").json()["items"]
    assert [one["units"] for one in listed] == [4], "the whole stock is in one tank after the move"
    page, table = (page_of(api, "lab_tech", path) for path in ("/all-in-one-place", "/all-in-one-place?as=csv"))
    rows = list(csv.reader(io.StringIO(table.lstrip("\ufeff"))))
    assert len(rows) == 2 and listed[0]["donor"] in rows[1] and listed[0]["donor"] in page
