"""Time, room and place are as true by a stated time, an undone act or a second arrival as by any other way."""

from datetime import timedelta
from typing import Any

from biobank.acts.act import Act
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.shipping.arrivals import close_settled_shipments
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, check_out, held, put
from tests.monitoring.test_sensors import BOTH, a_sensor, cold, key_of, send
from tests.shipping.stories import now_of, shipped, tubes
from tests.shipping.test_shipments import holds_of
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import COLD, VALIDATED, a_stored_tube, a_tank_with_a_rack, at_place, exposure
from tests.storage.test_storing import a_box
from tests.storage.test_undoing import undo
from tests.withdrawals.stories import ago, by_two, later, refused, sign_and_post

OPEN = {"rows": None, "cols": None}
RED = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 600}


def looked(api: Api, tube: str) -> None:
    body = {"kind": "specimen.inspected", "expected_seq": seq_of(api, tube), "container_intact": True}
    body |= {"label_legible": True, "contents_as_expected": True}
    answer = api.lab_tech.post(f"/specimens/{tube}/events", json=body)
    assert answer.status_code == 201, answer.text


def test_the_second_half_of_a_shipment_that_arrives_warm_is_held_though_the_first_was_assessed(api: Api) -> None:
    first, second = tubes(api, 2, frozen=True)
    code = shipped(api, [first, second], temperature_class="ln2_vapour")

    def received(tube: str) -> Any:
        body = {"scanned": [{"specimen": tube}], "temperature_mc": -60_000, "confirmed": True}
        answer = api.north_tech.post(f"/shipments/{code}/receive", json=body)
        assert answer.status_code == 200, answer.text

    received(first)
    placed = {one["id"] for one in api.quality.get("/holds", params={"active": True}).json()["items"]}
    assert "arrived_too_warm" in holds_of(api, code)
    for hold in placed:
        lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "assessed"})
        assert lifted.status_code == 200, lifted.text
    assert held(api, second) == []
    later(api, hours=20)

    received(second)

    assert "arrived_too_warm" in holds_of(api, code) and held(api, second) == ["shipment"]


def test_a_time_that_was_stated_gets_no_tube_past_the_limit_of_its_way_into_the_tank(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "to_tank_s": 600} | VALIDATED
    assert sign_and_post(api.quality, "decided", "/material-limits", limits).status_code == 200
    tube, box = a_tube(api), a_box(api, **COLD)
    later(api, hours=1)
    body = {"container": box, "expected_seq": seq_of(api, tube), "occurred_at": ago(minutes=55), "reason_text": "at once"}
    answer = api.lab_tech.post(f"/specimens/{tube}/store", json=body)
    assert (answer.status_code, holds_of(api, tube)) == (201, ["too_long_to_the_tank"]), answer.text


def test_a_budget_that_was_used_up_before_it_was_set_holds_at_once_and_again_at_the_next_time_out(api: Api) -> None:
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, seconds=700)
    put(api, tube, box)
    assert sign_and_post(api.quality, "decided", "/material-limits", RED | VALIDATED).status_code == 200
    (hold,) = api.quality.get(f"/specimens/{tube}").json()["holds"]
    assert hold["kind"] == "temperature"
    assert sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "fine"}).status_code == 200
    assert held(api, tube) == []
    check_out(api, tube)
    later(api, seconds=500)
    put(api, tube, box)
    assert holds_of(api, tube) == ["warm_time_budget"] * 2 and held(api, tube) == ["specimen"]
    check_out(api, tube)
    later(api, seconds=60)
    put(api, tube, box)
    assert holds_of(api, tube) == ["warm_time_budget"] * 2, "one hold says it"


def test_a_sensor_says_nothing_of_a_place_before_it_read_there(api: Api) -> None:
    tank, other = a_tank(api), a_tank(api, "Other")
    sensor = a_sensor(api, tank)
    key = key_of(api, sensor)
    later(api, hours=1)
    before = clock.now()
    later(api, minutes=30)
    changed = by_two(
        api.admin,
        api.quality,
        f"/sensors/{sensor}/change",
        {"containers": [other], "measures": BOTH, "silent_after_min": 30},
    )
    assert changed.status_code == 200, changed.text
    later(api, minutes=5)
    refused(send(api, key, cold(other, before, -20_000)), 409, "implausible_time")
    assert send(api, key, cold(other)).status_code == 201


def test_an_undone_move_finds_no_room_in_a_box_that_filled_up(api: Api) -> None:
    box, other = a_box(api, rows=1, cols=2, **COLD), a_box(api, **COLD)
    loose, *more = a_tube(api), a_tube(api), a_tube(api)
    body = {"placements": [{"specimen": loose, "slot_unknown": True, "expected_seq": seq_of(api, loose)}]}
    assert api.lab_tech.post(f"/storage-containers/{box}/placements", json=body).status_code == 201
    put(api, loose, other)
    for tube in more:
        put(api, tube, box)
    refused(undo(api, loose), 409, "container_full")


def test_an_undone_check_out_follows_no_box_to_another_town(api: Api) -> None:
    _tank, rack, _box, tube = a_tank_with_a_rack(api)
    check_out(api, tube)
    there = a_box(api, kind="tank", name="There", site="CLINIC", **OPEN, **COLD)
    assert api.acts_here.post(f"/storage-containers/{rack}/move", json={"to": there}).status_code == 200
    items = api.quality.get(f"/specimens/{tube}/custody").json()["items"]
    wrong = next(one["leaf_hash"] for one in items if one["kind"] == "specimen.checked_out")
    body = {"reverses": wrong, "reason": "wrong_tube_scanned", "expected_seq": seq_of(api, tube)}
    refused(api.lab_tech.post(f"/specimens/{tube}/reverse", json=body), 409, "former_place_elsewhere")
    assert now_of(api, tube)["state"] == "checked_out"


def test_a_comparison_misses_no_tube_that_somebody_has_in_hand(api: Api) -> None:
    box = a_box(api, **COLD)
    here, out = a_tube(api), a_tube(api)
    put(api, here, box)
    put(api, out, box)
    check_out(api, out)
    answer = api.lab_tech.post("/counts", json={"container": box, "scanned": [here]}).json()
    assert (answer["expected"], answer["missing"]) == (1, [])


def test_a_count_of_a_time_before_a_box_inside_went_elsewhere_is_counted_again(api: Api) -> None:
    tank, rack, box, _tube = a_tank_with_a_rack(api)
    other = a_box(api, kind="tank", name="Other", **OPEN, **COLD)
    later(api, hours=1)
    at = rfc3339(clock.now())
    later(api, minutes=10)
    at_place(api, box, "move", to=other)
    later(api, minutes=20)
    late = {"occurred_at": at, "reason_text": "late", "late_entry": True}
    for place, scanned in ((rack, [_tube]), (other, [])):
        body: dict[str, Any] = {"container": place, "scanned": scanned}
        refused(api.lab_tech.post("/counts", json=body | late), 409, "out_of_order")
    assert tank != other


def test_one_look_at_a_tube_keeps_no_rack_out_of_an_evacuation(api: Api) -> None:
    _tank, rack, _box, tube = a_tank_with_a_rack(api)
    safe = a_box(api, kind="tank", name="Evac", purpose="evacuation", **OPEN, **COLD)
    later(api, minutes=10)
    looked(api, tube)
    later(api, seconds=10)
    body = {"scanned": [rack], "occurred_at": ago(seconds=30)}
    answer = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json=body)
    assert answer.status_code == 200, answer.text
    assert now_of(api, tube)["state"] == "stored"
    at_place(api, rack, "lift")
    later(api, seconds=10)
    again = a_box(api, kind="tank", name="Evac 2", purpose="evacuation", **OPEN, **COLD)
    moved = api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": again, "occurred_at": ago(seconds=30)})
    assert moved.status_code == 200 and exposure(api, tube)["running_since"] is None, moved.text


def test_nobody_is_sent_back_to_a_place_in_which_it_thaws(api: Api) -> None:
    fridge = a_box(api, kind="freezer", name="Fridge", purpose="quarantine", temperature_class="fridge", **OPEN)
    place, tube = a_box(api, name="Safe", parent=fridge), a_tube(api)
    put(api, tube, place)
    body = {"kind": "specimen.received", "site": "LAB", "expected_seq": seq_of(api, tube)}
    answer = api.lab_tech.post(f"/specimens/{tube}/events", json=body)
    assert answer.status_code == 409 and "Nothing keeps it cold in" in answer.json()["where_now"], answer.text


def test_what_was_given_up_on_the_way_after_its_cold_had_ended_is_held(api: Api) -> None:
    (tube,) = tubes(api, 1, frozen=True)
    until = rfc3339(clock.now() + timedelta(hours=24))
    code = shipped(api, [tube], temperature_class="ln2_vapour", cold_until=until)
    later(api, hours=120)
    missing = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, tube)}
    assert api.north_tech.post(f"/specimens/{tube}/events", json=missing).status_code == 201
    api.test_bank.write(lambda s: close_settled_shipments(s, Act.system(api.test_bank.bank, path="timer")))
    later(api, minutes=1)
    found = {"kind": "specimen.found", "site": "NORTH", "expected_seq": seq_of(api, tube)}
    assert api.north_tech.post(f"/specimens/{tube}/events", json=found).status_code == 201
    assert "arrived_after_the_hold_time" in holds_of(api, code)
