"""A night in which a tank runs dry: the level falls, its sensor dies, one person empties the tank, quality decides once."""

from typing import Any

from biobank.foundation import clock
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import OPEN, a_tank, frozen, held, put
from tests.monitoring.test_sensors import a_sensor, key_of, send
from tests.pages.test_alarm_pages import TECH, TECH2, alarms, set_rota, steps, watch
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later

TUBES = 6


def test_a_tank_runs_dry_at_night_and_one_person_saves_what_is_in_it(api: Api) -> None:
    tank, tubes = a_full_tank(api)
    sensor = a_sensor(api, tank, minutes=15, measures=["level_ppm"])
    key = key_of(api, sensor)
    assert set_rota(api, (TECH, 0), ("quality", 10), (TECH2, 20)).status_code == 200
    later(api, minutes=1)
    level(api, key, tank, 600_000)
    later(api, hours=3)

    excursion, alarm = the_level_falls_and_an_alarm_is_raised(api, key, tank)
    nobody_answers_and_it_goes_up_the_rota(api, alarm)
    silent = the_sensor_dies_and_that_is_an_alarm_of_its_own(api, sensor)
    safe = one_person_brings_the_tank_to_safety(api, tank, alarm, silent)
    everything_is_held_and_its_donors_are_listed(api, excursion, tubes)
    both_come_back_while_the_cause_is_there_and_end_with_it(api, tank, sensor, alarm, silent)
    quality_decides_once(api, excursion, tubes)

    assert api.lab_tech.get(f"/storage-containers/{safe}").json()["occupied"] == TUBES
    log = taken_log(api)
    for step in ("raised", "escalated", "acknowledged", "came_back", "resolved"):
        assert f'"system.alarm_{step}"' in log, step


def level(api: Api, key: str, tank: str, ppm: int) -> dict[str, Any]:
    sent = send(api, key, (tank, "level_ppm", ppm, clock.now()))
    assert sent.status_code == 201 and sent.json()["recorded"] == 1, sent.text
    return sent.json()  # type: ignore[no-any-return]


def a_full_tank(api: Api) -> tuple[str, list[str]]:
    """A tank with two racks of tubes, each of another donor."""
    tank, tubes = a_tank(api, "Tank of the night"), frozen(api, TUBES)
    for number in range(2):
        rack = a_box(api, kind="rack", name=f"Rack {number}", parent=tank, **OPEN)
        box = a_box(api, rows=5, cols=2, parent=rack)
        for tube in tubes[number * 3 : (number + 1) * 3]:
            put(api, tube, box)
    return tank, tubes


def the_level_falls_and_an_alarm_is_raised(api: Api, key: str, tank: str) -> tuple[str, str]:
    assert watch(api) == 1, "three hours without a value are silence, too"
    (silence,) = alarms(api, cause="sensor_silent")
    (excursion,) = level(api, key, tank, 110_000)["excursions"]
    assert watch(api) == 2 and steps(api, silence["code"])[-1] == ("resolved", [])
    (alarm,) = alarms(api, state="sounding")
    assert (alarm["subject"], watch(api)) == (excursion, 0)
    return excursion, alarm["code"]


def nobody_answers_and_it_goes_up_the_rota(api: Api, alarm: str) -> None:
    later(api, minutes=11)
    watch(api)
    later(api, minutes=2)
    watch(api)
    assert steps(api, alarm) == [("raised", [TECH]), ("escalated", ["quality"])]


def the_sensor_dies_and_that_is_an_alarm_of_its_own(api: Api, sensor: str) -> str:
    later(api, minutes=3)
    assert watch(api) == 1
    (silent,) = alarms(api, cause="sensor_silent", state="sounding")
    assert silent["subject"] == sensor
    return str(silent["code"])


def one_person_brings_the_tank_to_safety(api: Api, tank: str, alarm: str, silent: str) -> str:
    """The last of the rota looks after both, scans the tank, and everything in it stands in the evacuation tank. One act."""
    for code in (alarm, silent):
        assert api.lab_tech2.post(f"/alarms/{code}/acknowledge", json={}).status_code == 200
    safe = a_box(api, kind="tank", name="Evacuation", purpose="evacuation", temperature_class="ln2_vapour", **OPEN)
    answer = api.lab_tech2.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [tank]})
    assert answer.status_code == 200, answer.text
    assert sum(one["tubes"] for one in answer.json()["containers"]) == TUBES
    return safe


def everything_is_held_and_its_donors_are_listed(api: Api, excursion: str, tubes: list[str]) -> None:
    one = api.quality.get(f"/excursions/{excursion}").json()
    assert {item["specimen"] for item in one["items"]} == set(tubes)
    assert sum(donor["specimens"] for donor in one["by_donor"]) == TUBES and one["donors"] == len(one["by_donor"])
    assert held(api, tubes[0]) == ["excursion"]
    assert len(api.quality.get("/holds", params={"active": True}).json()["items"]) == 1, "one hold over the set"


def both_come_back_while_the_cause_is_there_and_end_with_it(api: Api, tank: str, sensor: str, alarm: str, silent: str) -> None:
    """The tank is filled again and its sensor gets a new key, as it would a new instrument; both causes are gone."""
    later(api, hours=2, minutes=1)
    watch(api)
    assert [steps(api, code)[-1] for code in (alarm, silent)] == [("came_back", [TECH])] * 2
    refused = api.quality.post(f"/alarms/{alarm}/silence", json={"until": "2099-01-01T00:00:00Z", "reason": "too_loud"})
    assert refused.json()["code"] == "silence_not_bounded"
    assert by_two(api.admin, api.quality, f"/sensors/{sensor}/key", {}).status_code == 200
    key = str(api.quality.post(f"/sensors/{sensor}/key/draw").json()["key"])
    later(api, seconds=5)
    level(api, key, tank, 700_000)
    watch(api)
    assert [steps(api, code)[-1] for code in (alarm, silent)] == [("resolved", [])] * 2
    assert alarms(api, state="open") == []


def quality_decides_once(api: Api, excursion: str, tubes: list[str]) -> None:
    """The temperature never left its limits: the whole set is released by one signature."""
    done = assess(api.quality, excursion)
    assert (done.status_code, done.json()["assessed"], done.json()["to_assess"]) == (200, TUBES, 0), done.text
    assert [held(api, tube) for tube in (tubes[0], tubes[-1])] == [[], []]
