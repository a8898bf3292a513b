"""What a place was at a time gone by: what stood in it, how warm it might be, what it was for, what a tube was allowed."""

from typing import Any

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.monitoring.stories import set_limits
from tests.monitoring.test_excursions import OPEN
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_exposure import COLD, VALIDATED, a_stored_tube, check_out, exposure, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post


def shown(api: Api, place: str, **then: str) -> dict[str, Any]:
    answer = api.lab_tech.get(f"/storage-containers/{place}", params=then)
    assert answer.status_code == 200, answer.text
    return {name: answer.json()[name] for name in ("occupied", "positions", "highest_mc", "safe", "parent", "path")}


def moment(api: Api) -> dict[str, str]:
    later(api, minutes=1)
    then = {"at": rfc3339(clock.now())}
    later(api, minutes=1)
    return then


def test_tanks_racks_and_boxes_answer_as_they_were(api: Api) -> None:
    tank = a_box(api, kind="tank", name="T1", **OPEN, **COLD)
    set_limits(api, tank, highest_mc=-140_000)
    other = a_box(api, kind="tank", name="T2", **OPEN, **COLD)
    safe = a_box(api, kind="tank", name="Evacuation", purpose="evacuation", **OPEN, **COLD)
    rack = a_box(api, kind="rack", name="R", parent=tank, **OPEN)
    box, empty = a_box(api, parent=rack), a_box(api, parent=tank, name="Empty")
    out, stays = a_tube(api), a_tube(api)
    for tube in (out, stays):
        assert put(api, tube, box).status_code == 201
    places = (tank, other, safe, rack, box, empty)
    then = moment(api)
    before = {place: shown(api, place) for place in places}
    assert {place: shown(api, place, **then) for place in places} == before
    assert (before[tank]["occupied"], before[rack]["occupied"], before[tank]["highest_mc"]) == (2, 2, -140_000)

    check_out(api, out)
    assert put(api, out, empty).status_code == 201
    set_limits(api, tank, highest_mc=-150_000)
    assert api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": safe}).status_code == 200

    assert {place: shown(api, place, **then) for place in places} == before
    now = moment(api)
    after = {place: shown(api, place) for place in places}
    assert {place: shown(api, place, **now) for place in places} == after
    assert [(after[one]["occupied"], after[one]["safe"]) for one in (tank, safe, rack)] == [(1, False), (1, True), (1, True)]
    assert after[tank]["highest_mc"] == -150_000
    assert sum(after[one]["positions"] for one in (tank, safe)) == before[tank]["positions"]


def test_the_budget_of_a_time_gone_by_is_the_one_that_stood_then(api: Api) -> None:
    tube, box = a_stored_tube(api)
    material = api.quality.get(f"/specimens/{tube}").json()["material"]

    def budget(amber: int, red: int) -> None:
        body = {"site": "LAB", "material": material, "condition": "frozen", "warm_amber_s": amber, "warm_red_s": red}
        assert sign_and_post(api.quality, "decided", "/material-limits", body | VALIDATED).status_code == 200

    check_out(api, tube)
    later(api, minutes=2)
    assert put(api, tube, box).status_code == 201
    none = moment(api)
    budget(3_000, 6_000)
    wide = moment(api)
    budget(10, 20)

    stood = [{name: exposure(api, tube, **then)[name] for name in ("budget", "amber_s", "red_s")} for then in (none, wide, {})]

    assert stood == [
        {"budget": None, "amber_s": None, "red_s": None},
        {"budget": "within", "amber_s": 3_000, "red_s": 6_000},
        {"budget": "red", "amber_s": 10, "red_s": 20},
    ]
