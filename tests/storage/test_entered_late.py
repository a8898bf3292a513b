"""What is entered later than it happened says what is true of the tubes that went elsewhere meanwhile, and of slots."""

from typing import Any

import pytest

from biobank.custody.legality import what_now
from biobank.custody.projection import Projection
from tests.conftest import Api
from tests.quality.test_paper import filed
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_exposure import COLD, a_tank_with_a_rack, check_out, exposure, put
from tests.storage.test_holds_on_places_then import a_hold, held_by
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import ago, later, refused

LATE = {"late_entry": True, "reason_text": "entered later than it was done"}


def lift_late(api: Api, rack: str, paper: str | None, *, ends: str = "put-back", **more: Any) -> None:
    """The rack was lifted 90 minutes ago and back 65 minutes ago; both are entered now."""
    how = LATE if paper is None else {"paper": paper}
    for act, minutes in (("lift", 90), (ends, 65)):
        body = how | {"occurred_at": ago(minutes=minutes)} | (more if act == ends else {})
        answer = api.lab_tech.post(f"/storage-containers/{rack}/{act}", json=body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("ends", ["put-back", "move"])
@pytest.mark.parametrize(("from_paper", "seconds"), [(True, 1500), (False, 3600)])
def test_a_lift_that_is_entered_late_counts_for_a_tube_that_left_the_rack_meanwhile(
    api: Api, from_paper: bool, seconds: int, ends: str
) -> None:
    tank, rack, _box, tube = a_tank_with_a_rack(api)
    before = exposure(api, tube)["total_s"]
    began = ago(seconds=0)
    later(api, minutes=70)
    assert put(api, tube, a_box(api, name="Elsewhere", **COLD)).status_code == 201
    later(api, minutes=30)
    paper = filed(api, began_at=began).json()["code"] if from_paper else None

    lift_late(api, rack, paper, ends=ends, **({"to": tank} if ends == "move" else {}))

    now = exposure(api, tube)
    assert seconds - 120 <= now["total_s"] - before <= seconds + 120, "while it was in the rack, until the bank knew better"
    assert now["running_since"] is None


def test_a_tube_that_is_out_meanwhile_goes_on_counting(api: Api) -> None:
    _tank, rack, _box, tube = a_tank_with_a_rack(api)
    began = ago(seconds=0)
    later(api, minutes=90)
    check_out(api, tube)
    later(api, minutes=10)

    lift_late(api, rack, filed(api, began_at=began).json()["code"])

    now = exposure(api, tube)
    assert now["running_since"] is not None and 2000 <= now["total_s"] <= 2300, "25 minutes in the rack, ten in a hand"


@pytest.mark.parametrize("mark", [{"mark": "blocked", "reason": "damaged"}, {"mark": "open"}])
def test_no_slot_is_marked_at_a_time_when_a_tube_stood_in_it_or_before_it_was_marked(api: Api, mark: dict[str, str]) -> None:
    box, other, tube = a_box(api, **COLD), a_box(api, name="Other", **COLD), a_tube(api)
    path = f"/storage-containers/{box}/slots"
    assert put(api, tube, box).status_code == 201
    later(api, minutes=60)
    assert put(api, tube, other).status_code == 201
    later(api, minutes=30)
    if mark["mark"] == "open":
        assert api.lab_tech.post(path, json={"positions": ["A1"], "mark": "blocked", "reason": "iced_up"}).status_code == 200
        later(api, minutes=20)
    late = mark | LATE | {"positions": ["A1"], "occurred_at": ago(minutes=70)}

    refused(api.lab_tech.post(path, json=late), 409, "out_of_order")

    assert api.lab_tech.post(path, json=late | {"occurred_at": ago(minutes=5)}).status_code == 200


def test_a_hold_on_a_place_holds_what_a_count_saw_in_it_until_it_is_put_elsewhere(api: Api) -> None:
    tank, _rack, box, _tube = a_tank_with_a_rack(api)
    elsewhere, seen = a_box(api, name="Elsewhere", **COLD), a_tube(api)
    assert put(api, seen, elsewhere).status_code == 201
    later(api, minutes=5)
    a_hold(api, tank)
    assert held_by(api, seen) == []
    later(api, minutes=5)
    assert api.lab_tech.post("/counts", json={"container": box, "scanned": [seen]}).json()["misplaced"] == [seen]
    later(api, minutes=5)

    assert held_by(api, seen) == held_by(api, seen, at=ago(seconds=1)) == [tank]
    listed = api.quality.get("/specimens", params={"hold": "any"}).json()["items"]
    assert seen in {one["code"] for one in listed}

    assert put(api, seen, elsewhere).status_code in (201, 409)
    later(api, minutes=1)
    assert held_by(api, seen) == held_by(api, seen, at=ago(seconds=1))


def test_fresh_cells_are_not_sent_back_into_a_freezer() -> None:
    stands = Projection(state="stored", condition="fresh", container_code="BX-1")
    assert "unless that is a freezer or nitrogen" in what_now(stands, "adsc")
