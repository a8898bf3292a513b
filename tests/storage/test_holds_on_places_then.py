"""A hold on a place goes with what was in it, now and in every answer about a time gone by."""

import random

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_exposure import COLD, a_tank_with_a_rack, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later


def a_hold(api: Api, place: str) -> None:
    body = {"scope_kind": "container", "scope_id": place, "kind": "quality", "reason": "misread"}
    assert api.quality.post("/holds", json=body).status_code == 201


def held_by(api: Api, tube: str, **then: str) -> list[str]:
    return sorted(hold["scope_id"] for hold in api.quality.get(f"/specimens/{tube}", params=then).json()["holds"])


def carry(api: Api, thing: str, into: str) -> None:
    answer = api.lab_tech.post(f"/storage-containers/{thing}/move", json={"to": into})
    assert answer.status_code == 200, answer.text


def test_a_hold_on_a_tank_stays_on_what_its_rack_carried_out_of_it_in_an_answer_about_then(api: Api) -> None:
    tank, rack, _box, tube = a_tank_with_a_rack(api)
    other = a_box(api, kind="tank", name="Other", **OPEN, **COLD)
    a_hold(api, tank)
    later(api, minutes=10)
    carry(api, rack, other)
    later(api, minutes=10)
    carried = rfc3339(clock.now())
    later(api, minutes=10)
    assert put(api, tube, a_box(api, name="Elsewhere", **COLD)).status_code == 201
    later(api, minutes=10)

    assert held_by(api, tube) == [tank]
    assert held_by(api, tube, at=carried) == [tank]
    assert held_by(api, tube, at=rfc3339(clock.now())) == [tank]


def test_what_comes_into_a_box_s_former_tank_after_it_left_holds_nothing_that_was_never_there(api: Api) -> None:
    tank, _rack, box, tube = a_tank_with_a_rack(api)
    other = a_box(api, kind="tank", name="Other", **OPEN, **COLD)
    later(api, minutes=1)
    assert put(api, tube, a_box(api, name="Elsewhere", **COLD)).status_code == 201
    later(api, minutes=1)
    carry(api, box, other)
    a_hold(api, other)
    later(api, minutes=1)

    assert held_by(api, tube) == held_by(api, tube, at=rfc3339(clock.now())) == []
    assert tank != other


def test_present_holds_on_places_and_those_of_an_answer_about_now_agree_on_random_histories(api: Api) -> None:
    dice = random.Random(26)
    tanks = [a_box(api, kind="tank", name=f"Tank {n}", **OPEN, **COLD) for n in range(3)]
    racks = [a_box(api, kind="rack", name=f"Rack {n}", parent=tanks[n % 3], **OPEN) for n in range(2)]
    boxes = [a_box(api, name=f"Box {n}", parent=racks[n % 2]) for n in range(3)]
    tubes = [a_tube(api) for _ in range(3)]
    for tube in tubes:
        assert put(api, tube, dice.choice(boxes)).status_code == 201
    asked = []
    for _ in range(24):
        later(api, minutes=3)
        act = dice.choice(["rack", "box", "tube", "tube", "hold"])
        if act == "rack":
            carry(api, dice.choice(racks), dice.choice(tanks))
        elif act == "box":
            carry(api, dice.choice(boxes), dice.choice(racks))
        elif act == "tube":
            assert put(api, dice.choice(tubes), dice.choice(boxes)).status_code == 201
        else:
            a_hold(api, dice.choice([*tanks, *racks, *boxes]))
        later(api, minutes=1)
        asked.append((rfc3339(clock.now()), {tube: held_by(api, tube) for tube in tubes}))
    later(api, minutes=1)

    for at, held in asked:
        assert {tube: held_by(api, tube, at=at) for tube in tubes} == held
    assert any(holds for _, held in asked for holds in held.values())
