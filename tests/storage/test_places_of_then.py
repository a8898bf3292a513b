"""What is entered late is asked by the places as they were then: they existed, and no other tube stood in the slot."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN
from tests.quality.test_paper import filed
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import COLD, a_tank_with_a_rack, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, refused


def late(at: datetime) -> dict[str, Any]:
    return {"occurred_at": rfc3339(at), "late_entry": True, "reason_text": "written down late"}


def in_a_list(api: Api, tube: str, box: str, **more: Any) -> Any:
    body: dict[str, Any] = {"placements": [{"specimen": tube, "expected_seq": seq_of(api, tube)}]}
    return api.lab_tech.post(f"/storage-containers/{box}/placements", json=body | more)


def in_safety(api: Api, tube: str, box: str, **more: Any) -> Any:
    return api.lab_tech.post(f"/storage-containers/{box}/evacuate", json={"scanned": [tube]} | more)


@pytest.mark.parametrize("way", [put, in_a_list])
def test_nothing_is_put_into_a_box_before_that_existed(api: Api, way: Any) -> None:
    tube = a_tube(api)
    later(api, hours=1)
    early = clock.now()
    later(api, hours=1)
    box = a_box(api, **COLD)
    later(api, minutes=1)

    refused(way(api, tube, box, **late(early)), 409, "before_it_existed")
    assert way(api, tube, box).status_code in (200, 201)


def test_no_rack_goes_into_a_tank_before_that_existed(api: Api) -> None:
    _tank, rack, _box, _tube = a_tank_with_a_rack(api)
    later(api, hours=1)
    early = clock.now()
    later(api, hours=1)
    new = a_box(api, kind="tank", name="New", **OPEN, **COLD)
    later(api, minutes=1)

    move = f"/storage-containers/{rack}/move"
    refused(api.lab_tech.post(move, json={"to": new} | late(early)), 409, "before_it_existed")
    assert api.lab_tech.post(move, json={"to": new}).status_code == 200


@pytest.mark.parametrize("way", [put, in_a_list])
def test_no_tube_is_put_into_a_slot_at_a_time_when_another_stood_in_it(api: Api, way: Any) -> None:
    box, other = a_box(api, rows=1, cols=1, **COLD), a_box(api, name="Other", **COLD)
    first, second = a_tube(api), a_tube(api)
    assert put(api, first, box).status_code == 201
    later(api, hours=1)
    while_taken = clock.now()
    later(api, minutes=30)
    assert put(api, first, other).status_code == 201
    later(api, minutes=10)
    when_free = clock.now()
    later(api, minutes=30)

    asked = way(api, second, box, **late(while_taken))
    refused(asked, 409, "out_of_order")
    assert "another tube stood in that position" in asked.json()["detail"]
    assert way(api, second, box, **late(when_free)).status_code in (200, 201)
    shown = api.lab_tech.get(f"/storage-containers/{box}/map", params={"at": rfc3339(while_taken)}).json()
    assert [slot["specimen"] for slot in shown["slots"]] == [first]


def test_with_the_slot_unknown_it_is_taken_as_it_was_said(api: Api) -> None:
    box, other = a_box(api, **COLD), a_box(api, name="Other", **COLD)
    first, second = a_tube(api), a_tube(api)
    assert put(api, first, box).status_code == 201
    later(api, hours=1)
    early = clock.now()
    later(api, minutes=30)
    assert put(api, first, other).status_code == 201
    later(api, minutes=30)

    assert put(api, second, box, slot_unknown=True, **late(early)).status_code == 201


def test_what_was_put_there_by_mistake_and_undone_never_stood_there(api: Api) -> None:
    box, right = a_box(api, rows=1, cols=1, **COLD), a_box(api, name="Right", **COLD)
    wrong, tube = a_tube(api), a_tube(api)
    assert put(api, wrong, right).status_code == 201
    later(api, minutes=5)
    assert put(api, wrong, box).status_code == 201
    early = clock.now() + timedelta(minutes=1)
    later(api, minutes=5)
    last = api.lab_tech.get(f"/specimens/{wrong}/custody").json()["items"][-1]
    undo = {"reverses": last["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": last["seq"]}
    assert api.lab_tech.post(f"/specimens/{wrong}/reverse", json=undo).status_code == 200
    later(api, minutes=5)

    assert put(api, tube, box, **late(early)).status_code == 201


def test_cold_first_is_taken_and_dated_when_its_place_began_and_its_slot_was_free(api: Api) -> None:
    tube, held, early = a_tube(api), a_tube(api), clock.now()
    later(api, hours=1)
    safe = a_box(api, rows=1, cols=1, purpose="quarantine", **COLD)
    began = clock.now()
    assert put(api, held, safe).status_code == 201
    later(api, minutes=10)
    assert put(api, held, a_box(api, name="Other", **COLD)).status_code == 201
    left = clock.now()
    later(api, minutes=10)

    answer = in_safety(api, tube, safe, **late(early))

    assert answer.status_code == 200, answer.text
    dated = datetime.fromisoformat(api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["occurred_at"])
    assert began + timedelta(minutes=9) < dated <= left


def test_two_people_who_write_of_a_box_that_was_not_there_yet_are_asked_too(api: Api) -> None:
    tube, early = a_tube(api), clock.now() + timedelta(minutes=5)
    later(api, hours=1)
    box = a_box(api, **COLD)
    later(api, minutes=10)
    form = filed(api, began_at=rfc3339(early - timedelta(minutes=4))).json()["code"]

    answer = put(api, tube, box, occurred_at=rfc3339(early), paper=form)

    refused(answer, 409, "before_it_existed")
