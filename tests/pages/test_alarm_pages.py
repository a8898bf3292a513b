"""An alarm is raised once while something is wrong, goes up the rota, is quiet only for a time, and is over with its cause."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from biobank.alarms.events import Told
from biobank.alarms.rota import lines_due
from biobank.alarms.watch import watch_for_alarms
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.today import read_tasks
from tests import seed
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import a_tank, frozen, move, put, read
from tests.pages.visitor import Visit
from tests.shipping.stories import offered, ship, stage, tubes
from tests.shipping.test_handovers import expire
from tests.storage.test_exposure import a_stored_tube, check_out
from tests.storage.test_storing import a_box
from tests.unfinished.test_open_acts import timer
from tests.withdrawals.stories import later, sign_and_post

TECH, TECH2 = seed.USERS["lab_tech"].code, seed.USERS["lab_tech2"].code


def watch(api: Api) -> int:
    return api.test_bank.write(lambda s: watch_for_alarms(s, stage(api.test_bank)))  # type: ignore[no-any-return]


def alarms(api: Api, **asked: str) -> list[dict[str, Any]]:
    answer = api.quality.get("/alarms", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


def steps(api: Api, code: str) -> list[tuple[str, list[str]]]:
    return [(one["step"], one["told"]) for one in api.lab_tech.get(f"/alarms/{code}").json()["steps"]]


def set_rota(api: Api, *lines: tuple[str, int]) -> Any:
    body = {"site": "LAB", "lines": [{"who": who, "after_min": minutes} for who, minutes in lines]}
    return sign_and_post(api.quality, "decided", "/rotas", body)


def test_nobody_answers_and_the_alarm_goes_up_the_rota_and_is_over_when_it_is_cold_again(api: Api, visit: Visit) -> None:
    assert set_rota(api, (TECH, 0), ("quality", 10), (TECH2, 30)).status_code == 200
    tank = a_tank(api)
    read(api, tank, -50_000)

    assert (watch(api), watch(api)) == (1, 0)

    (one,) = alarms(api, state="sounding")
    code = one["code"]
    assert steps(api, code) == [("raised", [TECH])]
    assert code in visit("lab_tech").get_page("/") and code not in visit("lab_tech_north_quality").get_page("/")
    path = " · ".join(api.lab_tech.get(f"/storage-containers/{tank}").json()["path"])
    assert path in visit("lab_tech").get_page(f"/alarms/{code}"), "a person is told which place, by its name"
    excursion = visit("lab_tech").get_page(f"/excursions/{one['subject']}")
    assert path in excursion and "Read the place again" in excursion and "ends with the next reading" in excursion
    later(api, minutes=11)
    assert (watch(api), watch(api)) == (1, 0)
    later(api, minutes=20)
    watch(api)
    assert steps(api, code)[1:] == [("escalated", ["quality"]), ("escalated", [TECH2])]
    read(api, tank, -180_000)
    watch(api)
    (over,) = alarms(api, state="resolved")
    assert (over["code"], steps(api, code)[-1]) == (code, ("resolved", []))
    refused = api.lab_tech.post(f"/alarms/{code}/acknowledge", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "alarm_over")
    assert code not in visit("lab_tech").get_page("/")


def test_who_looks_after_it_stops_the_calls_for_a_time_and_it_comes_back(api: Api, visit: Visit) -> None:
    assert set_rota(api, ("lab_tech", 0), ("quality", 10)).status_code == 200
    tank = a_tank(api)
    read(api, tank, -50_000)
    watch(api)
    (one,) = alarms(api)
    page, code = f"/alarms/{one['code']}", one["code"]

    assert "You look after it." in visit("lab_tech").submit(f"{page}/acknowledge", {}, follow_redirects=True).text

    again = api.lab_tech2.post(f"{page}/acknowledge", json={})
    assert (again.status_code, again.json()["code"]) == (409, "already_acknowledged")
    later(api, minutes=60)
    assert watch(api) == 0
    assert alarms(api, state="acknowledged")[0]["acknowledged_by"] == TECH
    later(api, minutes=61)
    assert watch(api) == 1
    assert steps(api, code)[-1] == ("came_back", ["lab_tech"])
    assert alarms(api, state="sounding")[0]["acknowledged_by"] is None
    taken = api.lab_tech2.post(f"{page}/acknowledge", json={})
    assert (taken.status_code, alarms(api, state="acknowledged")[0]["acknowledged_by"]) == (200, TECH2), taken.text
    body = {"until": rfc3339(clock.now() + timedelta(hours=1)), "reason": "being_filled"}
    assert api.lab_tech.post(f"{page}/silence", json=body).status_code == 200
    later(api, hours=2)
    watch(api)
    later(api, minutes=11)
    watch(api)
    assert [step for step, _told in steps(api, code)[2:]] == ["came_back", "acknowledged", "silenced", "came_back", "escalated"]
    read(api, tank, -180_000)
    watch(api)
    log = taken_log(api)
    for kind in (
        "system.rota_set",
        "system.alarm_raised",
        "system.alarm_acknowledged",
        "system.alarm_came_back",
        "system.alarm_silenced",
        "system.alarm_escalated",
        "system.alarm_resolved",
    ):
        assert f'"{kind}"' in log, kind


def test_silence_is_bounded_has_a_reason_and_comes_back(api: Api) -> None:
    read(api, a_tank(api), -50_000)
    watch(api)
    (one,) = alarms(api)
    path = f"/alarms/{one['code']}/silence"

    for hours in (-1, 9):
        body = {"until": rfc3339(clock.now() + timedelta(hours=hours)), "reason": "being_filled"}
        answer = api.lab_tech.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "silence_not_bounded")
    assert api.clinician.post(path, json=body).status_code in (403, 404)
    body = {"until": rfc3339(clock.now() + timedelta(hours=7)), "reason": "being_filled"}
    assert api.lab_tech.post(path, json=body).status_code == 200
    later(api, hours=6)
    assert (watch(api), len(alarms(api, state="silenced"))) == (0, 1)
    later(api, hours=2)
    assert (watch(api), len(alarms(api, state="sounding"))) == (1, 1)


@pytest.mark.parametrize(
    ("said", "before", "after"),
    [({"cold_until": 24}, 23, 25), ({"cold_until": 24, "expected_by": 60}, 23, 25), ({}, 47, 49)],
)
def test_a_shipment_whose_cold_ends_or_that_nobody_said_a_date_for_calls_somebody(
    api: Api, said: dict[str, int], before: int, after: int
) -> None:
    ends = {name: rfc3339(clock.now() + timedelta(hours=hours)) for name, hours in said.items()}
    sent = ship(api, api.lab_tech, tubes(api, frozen=True), temperature_class="ln2_vapour", **ends)
    assert sent.status_code == 201, sent.text

    later(api, hours=before)
    assert watch(api) == 0
    later(api, hours=after - before)

    assert watch(api) == 1
    assert [(one["cause"], one["subject"]) for one in alarms(api)] == [("shipment_overdue", sent.json()["code"])]
    actor, bank = api.test_bank.actor("lab_tech"), api.test_bank.bank
    tasks = api.test_bank.write(lambda s: [(one.urgency, one.subject) for one in read_tasks(s, actor, bank)])
    assert ("overdue", sent.json()["code"]) in tasks, "the alarm and Today ask one rule"


def test_an_overdue_shipment_and_a_hand_over_that_ran_out_raise_alarms(api: Api) -> None:
    due = rfc3339(clock.now() + timedelta(hours=5))
    sent = ship(api, api.lab_tech, tubes(api, 1), expected_by=due)
    assert sent.status_code == 201, sent.text
    tube, _box = a_stored_tube(api)
    check_out(api, tube)
    name = offered(api, [tube])
    assert watch(api) == 0

    later(api, hours=100)
    expire(api)

    assert (watch(api), watch(api)) == (2, 0)
    assert {(one["cause"], one["subject"]) for one in alarms(api)} == {
        ("shipment_overdue", sent.json()["code"]),
        ("handover_overdue", name),
    }
    # What the bank's own timer writes about it attends to nothing.
    assert timer(api) >= 1
    assert (watch(api), len(alarms(api, state="sounding"))) == (0, 2)
    offered(api, [tube])
    assert watch(api) == 1
    assert [one["cause"] for one in alarms(api, state="resolved")] == ["handover_overdue"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([("lab_tech", 5)], "rota_not_in_order"),
        ([("lab_tech", 0), ("quality", 30), (TECH, 10)], "rota_not_in_order"),
        ([("nobody_here", 0)], "nobody_to_call"),
        ([("US-0000000", 0)], "not_found"),
    ],
)
def test_a_rota_goes_up_and_names_people_there_are(api: Api, lines: list[tuple[str, int]], code: str) -> None:
    answer = set_rota(api, *lines)

    assert answer.json()["code"] == code
    assert api.lab_tech.get("/rotas").json()["items"] == []


def test_quality_sets_on_the_page_who_is_called_and_others_do_not(api: Api, visit: Visit) -> None:
    page = "/rotas/LAB/set"
    form = {"role-lines-0": "lab_tech", "after_min-lines-0": "0", "badge-lines-1": TECH2, "after_min-lines-1": "15"}
    form |= {"rows-lines": "4", "password": seed.PASSWORD}
    assert visit("lab_tech").get(page).status_code == 403

    done = visit("quality").submit(page, form, follow_redirects=True)

    assert "Set for LAB." in done.text, done.text[-3000:]
    assert "after 15 min" in visit("lab_tech").get_page("/rotas")
    (one,) = api.lab_tech.get("/rotas").json()["items"]
    assert one["lines"] == [{"who": "lab_tech", "after_min": 0}, {"who": TECH2, "after_min": 15}]


def test_a_line_of_the_rota_is_due_when_its_minutes_are_over() -> None:
    lines = [Told(who="lab_tech", after_min=0), Told(who="quality", after_min=10), Told(who="admin", after_min=10)]
    start = datetime.fromisoformat("2026-11-29T02:00:00+00:00")

    assert [lines_due(lines, start, start + timedelta(minutes=m)) for m in (0, 9, 10, 99)] == [1, 1, 3, 3]


def test_the_database_keeps_one_open_alarm_of_a_cause_and_none_that_is_quiet_for_ever(api: Api) -> None:
    read(api, a_tank(api), -50_000)
    assert set_rota(api, ("lab_tech", 0)).status_code == 200
    watch(api)
    again = (
        "INSERT INTO alarm (code, cause, subject, site_code, raised_at, sounding_since, heard) "
        "SELECT 'AL-0000000', cause, subject, site_code, raised_at, sounding_since, heard FROM alarm"
    )
    for name, statement in (
        ("an_alarm_is_quiet_until_a_time", "UPDATE alarm SET quiet = 'silenced'"),
        ("alarm_quiet_is_known", "UPDATE alarm SET quiet = 'muted', quiet_until = now()"),
        ("an_acknowledged_alarm_says_by_whom", "UPDATE alarm SET acknowledged_at = now()"),
        ("a_rota_runs_forwards", "UPDATE rota_line SET after_min = -1"),
        ("one_open_alarm_per_cause", again),
    ):
        with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.IntegrityError, match=name):
            connection.execute(statement)


def test_the_alarm_of_a_tank_that_failed_ends_when_it_is_empty_and_all_is_assessed(api: Api) -> None:
    tank, other, (tube, new) = a_tank(api), a_tank(api, "Other"), frozen(api, 2)
    box = a_box(api, parent=tank)
    put(api, tube, box)
    (code,) = read(api, tank, -50_000)["excursions"]
    assert watch(api) == 1
    (alarm,) = alarms(api)
    move(api, box, other)
    later(api, minutes=5)
    assert watch(api) == 0, "what it reached is not assessed"
    assert assess(api.quality, code).status_code == 200

    assert watch(api) == 1

    last = api.lab_tech.get(f"/alarms/{alarm['code']}").json()["steps"][-1]
    assert (last["step"], last["reason"]) == ("resolved", "emptied_and_assessed")
    again = a_box(api, parent=tank)
    put(api, new, again)
    assert watch(api) == 1 and alarms(api)[0]["cause"] == "excursion", "somebody put a tube into it"


def every_task(api: Api, login: str) -> list[tuple[str, str]]:
    actor = api.test_bank.actor(login)
    tasks = api.test_bank.write(lambda s: read_tasks(s, actor, api.test_bank.bank))
    return [(one.what, one.subject) for one in tasks]


def shut(api: Api, badge: str) -> None:
    answer = api.admin.patch(f"/users/{badge}", json={"active": False, "reason": "left_the_bank"})
    assert answer.status_code == 200, answer.text


def test_a_line_of_the_rota_that_reaches_nobody_is_passed_over_and_told(api: Api, visit: Visit) -> None:
    assert set_rota(api, (TECH2, 0), ("quality", 10), (TECH, 20)).status_code == 200
    shut(api, TECH2)

    (rota,) = api.lab_tech.get("/rotas").json()["items"]
    assert rota["nobody"] == [TECH2]
    assert ("Set anew who is called", "LAB") in every_task(api, "quality")
    assert "Set anew who is called" not in {what for what, _ in every_task(api, "lab_tech")}
    assert f"{TECH2} (nobody to call), then Quality after 10 min" in visit("quality").get_page("/rotas")
    read(api, a_tank(api), -15_000)
    watch(api)

    (one,) = alarms(api)
    assert steps(api, one["code"]) == [("raised", ["quality"])]
    later(api, minutes=21)
    watch(api)
    assert steps(api, one["code"])[1:] == [("escalated", [TECH])]


def test_where_a_rota_reaches_nobody_at_all_everybody_who_handles_material_there_is_called(api: Api, visit: Visit) -> None:
    assert set_rota(api, (TECH2, 0)).status_code == 200
    read(api, a_tank(api), -15_000)
    watch(api)
    (one,) = alarms(api)
    assert steps(api, one["code"]) == [("raised", [TECH2])] and one["code"] not in visit("lab_tech").get_page("/")

    shut(api, TECH2)

    assert one["code"] in visit("lab_tech").get_page("/")
    assert one["code"] not in visit("north_tech").get_page("/")
    assert "So everybody who handles material there, at once" in visit("quality").get_page("/rotas")


def test_an_excursion_that_is_over_before_anybody_looks_calls_and_is_qualitys_until_it_is_assessed(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=10)
    found = read(api, tank, -15_000)["excursions"]
    later(api, minutes=1)
    read(api, tank, -190_000)
    later(api, minutes=1)

    assert (watch(api), watch(api)) == (1, 0)

    (one,) = alarms(api)
    assert (one["cause"], one["subject"], one["state"]) == ("excursion", found[0], "sounding")
    assert ("Assess what an excursion reached", found[0]) in every_task(api, "quality")
    assert "Assess what an excursion reached" not in {what for what, _ in every_task(api, "lab_tech")}
    assert assess(api.quality, found[0]).status_code == 200
    assert (watch(api), watch(api)) == (1, 0)
    assert [one["state"] for one in alarms(api)] == ["resolved"]
    log = taken_log(api)
    assert '"because":"assessed"' in log
    assert "Assess what an excursion reached" not in {what for what, _ in every_task(api, "quality")}


def test_an_excursion_that_somebody_was_called_for_is_over_with_its_place(api: Api) -> None:
    tank, (tube,) = a_tank(api), frozen(api)
    put(api, tube, a_box(api, parent=tank))
    later(api, minutes=10)
    read(api, tank, -15_000)
    watch(api)
    later(api, minutes=10)
    read(api, tank, -190_000)

    assert (watch(api), watch(api)) == (1, 0)
    assert [one["state"] for one in alarms(api)] == ["resolved"], "what is left to assess is quality's task, and calls nobody"


@pytest.mark.parametrize("answer", ["acknowledge", "silence"])
def test_an_alarm_that_somebody_answered_calls_again_as_soon_as_it_gets_worse(api: Api, visit: Visit, answer: str) -> None:
    assert set_rota(api, ("lab_tech", 0)).status_code == 200
    tank = a_tank(api)
    read(api, tank, 100_000, reading="level_ppm")
    watch(api)
    (one,) = alarms(api)
    quiet = {} if answer == "acknowledge" else {"until": rfc3339(clock.now() + timedelta(hours=6)), "reason": "being_filled"}
    assert api.lab_tech.post(f"/alarms/{one['code']}/{answer}", json=quiet).status_code == 200

    later(api, minutes=10)
    read(api, tank, 99_000, reading="level_ppm")
    assert watch(api) == 1, "below 10 %"
    assert api.lab_tech.post(f"/alarms/{one['code']}/acknowledge", json={}).status_code == 200
    later(api, minutes=10)
    read(api, tank, 98_000, reading="level_ppm")
    assert watch(api) == 0, "no worse than it was when somebody answered"
    for degrees in (-125_000, -50_000, 20_000):
        read(api, tank, degrees)
        assert watch(api) == 1, degrees
        assert steps(api, one["code"])[-1] == ("came_back", ["lab_tech"])
        assert api.lab_tech.post(f"/alarms/{one['code']}/acknowledge", json={}).status_code == 200
        later(api, minutes=10)
    assert "got worse" in visit("lab_tech").get_page(f"/alarms/{one['code']}").lower()
