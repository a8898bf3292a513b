"""What is undone leaves a tube in a place as it is now: its clock is right, and a place that takes it no longer says so."""

from typing import Any

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.quality.test_paper import filed
from tests.storage.test_every_way_of_placing import a_tube, donor_of, seq_of, stored
from tests.storage.test_exposure import COLD, a_stored_tube, a_tank_with_a_rack, at_place, check_out, exposure, nothing, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import ago, later, refused

LATE = {"late_entry": True, "reason_text": "entered from paper"}


def undo(api: Api, tube: str) -> Any:
    """Undo the latest event of a tube that changed its state."""
    done = [one for one in api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"] if one["kind"] not in CLOCKS]
    body = {"reverses": done[-1]["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": seq_of(api, tube)}
    return api.lab_tech.post(f"/specimens/{tube}/reverse", json=body)


CLOCKS = ("specimen.left_cold", "specimen.exposed")


def test_a_check_out_undone_in_a_lifted_box_counts_from_the_lift(api: Api) -> None:
    tube, box = a_stored_tube(api)
    before = exposure(api, tube)["total_s"]
    later(api, minutes=5)
    check_out(api, tube)
    later(api, minutes=5)
    at_place(api, box, "lift")
    later(api, minutes=5)
    assert undo(api, tube).status_code in (200, 201)

    assert exposure(api, tube)["running_since"] is not None
    later(api, minutes=10)
    at_place(api, box, "put-back")
    after = exposure(api, tube)
    assert after["running_since"] is None and 900 <= after["total_s"] - before <= 960


def test_a_check_out_undone_after_its_box_was_put_back_counts_to_then(api: Api) -> None:
    tube, box = a_stored_tube(api)
    before = exposure(api, tube)["total_s"]
    at_place(api, box, "lift")
    later(api, minutes=5)
    check_out(api, tube)
    later(api, minutes=5)
    at_place(api, box, "put-back")
    later(api, minutes=30)
    assert undo(api, tube).status_code in (200, 201)

    later(api, minutes=30)
    after = exposure(api, tube)
    assert after["running_since"] is None and 600 <= after["total_s"] - before <= 660


def test_an_undone_move_asks_the_former_place_as_any_placing_does(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **COLD)
    first, second = a_box(api, parent=tank, name="First"), a_box(api, parent=tank, name="Second")
    tube, other = a_tube(api), a_tube(api)
    assert put(api, tube, first, position="A1").status_code == 201
    assert put(api, tube, second).status_code == 201
    mark = {"positions": ["A1"], "mark": "kept", "kept_for": donor_of(api, other)}
    assert api.lab_tech.post(f"/storage-containers/{first}/slots", json=mark).status_code == 200
    refused(undo(api, tube), 409, "position_kept")
    assert api.lab_tech.post(f"/storage-containers/{first}/slots", json={"positions": ["A1"], "mark": "open"}).status_code == 200

    fridge = a_box(api, kind="freezer", name="Fridge", rows=None, cols=None, temperature_class="fridge")
    at_place(api, first, "move", to=fridge)
    refused(undo(api, tube), 409, "wrong_temperature_class")
    at_place(api, first, "move", to=tank)
    assert undo(api, tube).status_code in (200, 201)
    assert api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["container"] == first


def test_a_container_is_not_put_back_lifted_or_moved_before_it_was(api: Api) -> None:
    tank, rack, _box, tube = a_tank_with_a_rack(api)
    later(api, hours=3)
    before = exposure(api, tube)["total_s"]
    at_place(api, rack, "lift")
    later(api, minutes=10)

    early = api.lab_tech.post(f"/storage-containers/{rack}/put-back", json=LATE | {"occurred_at": ago(hours=1)})
    refused(early, 409, "out_of_order")
    at_place(api, rack, "put-back", occurred_at=ago(minutes=1))
    assert 540 <= exposure(api, tube)["total_s"] - before <= 600
    twice = api.lab_tech.post(f"/storage-containers/{rack}/lift", json=LATE | {"occurred_at": ago(minutes=5)})
    refused(twice, 409, "out_of_order")
    moved = api.lab_tech.post(f"/storage-containers/{rack}/move", json=LATE | {"occurred_at": ago(minutes=5), "to": tank})
    refused(moved, 409, "out_of_order")
    assert stored(api, tube, "", a_box(api, parent=tank), nothing)[0] == 201


def test_an_undone_check_out_counts_every_time_its_rack_was_out_meanwhile_to_when_the_bank_knew_of_its_end(api: Api) -> None:
    _tank, rack, _box, tube = a_tank_with_a_rack(api)
    before = exposure(api, tube)["total_s"]
    check_out(api, tube)
    later(api, minutes=5)
    at_place(api, rack, "lift")
    later(api, minutes=20)
    at_place(api, rack, "put-back", occurred_at=ago(minutes=19), reason_text="it was out for a minute")
    later(api, minutes=5)
    at_place(api, rack, "lift")
    later(api, minutes=10)
    assert undo(api, tube).status_code in (200, 201)

    running = exposure(api, tube)
    assert running["running_since"] is not None and 1800 <= running["total_s"] - before <= 1860
    at_place(api, rack, "put-back")
    later(api, minutes=30)
    after = exposure(api, tube)
    assert after["running_since"] is None and 1800 <= after["total_s"] - before <= 1860


def test_what_was_lifted_before_the_check_out_is_not_counted_twice(api: Api) -> None:
    _tank, rack, _box, tube = a_tank_with_a_rack(api)
    before = exposure(api, tube)["total_s"]
    at_place(api, rack, "lift")
    later(api, minutes=10)
    at_place(api, rack, "put-back")
    later(api, minutes=5)
    check_out(api, tube)
    later(api, minutes=5)
    assert undo(api, tube).status_code in (200, 201)
    assert exposure(api, tube)["running_since"] is None and 600 <= exposure(api, tube)["total_s"] - before <= 660


def test_a_store_entered_from_paper_counts_the_lift_of_its_rack_since_then(api: Api) -> None:
    _tank, rack, box, tube = a_tank_with_a_rack(api)
    began = rfc3339(clock.now())
    check_out(api, tube)
    before = exposure(api, tube)["total_s"]
    later(api, minutes=3)
    at_place(api, rack, "lift")
    later(api, minutes=2)
    stored_at = rfc3339(clock.now())
    later(api, minutes=20)
    at_place(api, rack, "put-back")
    later(api, minutes=30)
    form = filed(api, began_at=began).json()["code"]
    body = {"container": box, "expected_seq": seq_of(api, tube), "occurred_at": stored_at, "paper": form}
    answer = api.lab_tech.post(f"/specimens/{tube}/store", json=body)
    assert answer.status_code == 201, answer.text

    after = exposure(api, tube)
    assert after["running_since"] is None and 1500 <= after["total_s"] - before <= 1560
