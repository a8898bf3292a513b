"""Entered for an earlier time, from another town, or of a tube that is out of its box: place, cold and counts stay true."""

from datetime import timedelta
from typing import Any

import pytest

from biobank.custody.legality import what_now
from biobank.custody.projection import Projection
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, check_out, held, put, read
from tests.quality.test_paper import COLLEAGUE, filed
from tests.shipping.stories import now_of, tubes
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import COLD, a_stored_tube, a_tank_with_a_rack, at_place, exposure
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, refused, sign_and_post

OPEN = {"rows": None, "cols": None}


def a_warm_spell(api: Api, tank: str) -> dict[str, Any]:
    """Make a tank warm from 20 to 40 minutes from now; return what is sent to say "five minutes from now"."""
    began = clock.now()
    later(api, minutes=20)
    read(api, tank, -15_000)
    later(api, minutes=20)
    read(api, tank, -190_000)
    later(api, hours=1)
    return {"occurred_at": rfc3339(began + timedelta(minutes=5)), "late_entry": True, "reason_text": "entered late"}


def store_late(api: Api, tube: str, tank: str, box: str, early: dict[str, Any]) -> Any:
    return api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)} | early)


def list_late(api: Api, tube: str, tank: str, box: str, early: dict[str, Any]) -> Any:
    body: dict[str, Any] = {"placements": [{"specimen": tube, "expected_seq": seq_of(api, tube)}]}
    return api.lab_tech.post(f"/storage-containers/{box}/placements", json=body | early)


def evacuate_late(api: Api, tube: str, tank: str, box: str, early: dict[str, Any]) -> Any:
    return api.lab_tech.post(f"/storage-containers/{box}/evacuate", json={"scanned": [tube]} | early)


def bring_the_rack_late(api: Api, tube: str, tank: str, box: str, early: dict[str, Any]) -> Any:
    return api.lab_tech.post(f"/storage-containers/{box}/move", json={"to": tank} | early)


def undo_the_check_out(api: Api, tube: str, tank: str, box: str, early: dict[str, Any]) -> Any:
    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    undo = {"reverses": last["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": last["seq"]}
    return api.lab_tech.post(f"/specimens/{tube}/reverse", json=undo)


@pytest.mark.parametrize("way", [store_late, list_late, evacuate_late, bring_the_rack_late, undo_the_check_out])
def test_what_is_entered_late_into_a_place_that_was_warm_meanwhile_is_held_at_once(api: Api, way: Any) -> None:
    tank, tube, other = a_tank(api), a_tube(api), a_tube(api)
    purpose = {"purpose": "evacuation"} if way is evacuate_late else {}
    box = a_box(api, parent=None if way is bring_the_rack_late else tank, **purpose)
    if way in (bring_the_rack_late, undo_the_check_out):
        put(api, tube, box)
    later(api, minutes=1)
    if way is undo_the_check_out:
        check_out(api, tube)
    early = a_warm_spell(api, tank)
    assert held(api, tube) == []

    answer = way(api, tube, tank, box, early)

    assert answer.status_code in (200, 201), answer.text
    assert held(api, tube) == ["excursion"]
    put(api, other, a_box(api, parent=tank, name="Now"))
    assert held(api, other) == [], "what came when it was over"


def test_nobody_of_another_site_stores_what_a_colleague_holds_there(api: Api) -> None:
    (tube,) = tubes(api, 1, holder="north_tech", site="NORTH", frozen=True)
    ordinary = a_box(api, name="Ordinary", **COLD)
    body = {"container": ordinary, "expected_seq": now_of(api, tube)["seq"]}

    refused(api.lab_tech.post(f"/specimens/{tube}/store", json=body), 403, "not_the_custodian")

    safe = a_box(api, kind="freezer", name="Safe", purpose="evacuation", **OPEN, **COLD)
    assert api.lab_tech.post(f"/specimens/{tube}/store", json=body | {"container": safe}).status_code == 201


def test_a_tube_in_somebodys_hand_stays_there_when_its_box_goes_to_another_site(api: Api) -> None:
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    there = a_box(api, kind="tank", name="There", site="CLINIC", **OPEN, **COLD)
    moved = api.acts_here.post(f"/storage-containers/{box}/move", json={"to": there})
    assert moved.status_code == 200, moved.text

    now = now_of(api, tube)
    assert (now["state"], now["site_code"], now["custodian_id"]) == ("checked_out", "LAB", seed.USERS["lab_tech"].code)


def test_a_room_that_nobody_gave_a_class_is_no_cold_place(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    tank, rack, _box, tube = a_tank_with_a_rack(api)
    at_place(api, rack, "lift")
    later(api, minutes=5)

    refused(api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": room}), 409, "wrong_temperature_class")
    other = a_tube(api)
    body = {"container": a_box(api, parent=room, name="On the bench"), "expected_seq": seq_of(api, other)}
    refused(api.lab_tech.post(f"/specimens/{other}/store", json=body), 409, "wrong_temperature_class")
    safe = a_box(api, kind="shelf", parent=room, name="Safe", purpose="quarantine", **OPEN)
    at_place(api, rack, "move", to=safe)
    later(api, minutes=5)

    assert exposure(api, tube)["running_since"] is not None and exposure(api, tube)["total_s"] >= 600
    at_place(api, rack, "move", to=tank)
    assert exposure(api, tube)["running_since"] is None


def test_a_class_that_a_rack_bears_makes_no_room_cold(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    tank = a_box(api, kind="tank", name="Nitrogen", **OPEN, **COLD)
    rack = a_box(api, kind="rack", name="Rack", parent=tank, **OPEN, **COLD)
    box, inside, other = a_box(api, parent=rack), a_tube(api), a_tube(api)
    put(api, inside, box)

    refused(api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": room}), 409, "wrong_temperature_class")
    bench = a_box(api, kind="rack", name="Bench rack", parent=a_box(api, kind="room", name="Cold room", **OPEN, **COLD), **OPEN)
    put(api, other, a_box(api, parent=bench, name="In the cold room"))
    plan = {"site": "LAB", "kind": "rack", "name": "Says cold", "parent": room, **COLD}
    refused(api.admin.post("/storage-containers", json=plan), 409, "wrong_temperature_class")
    safe = a_box(api, kind="shelf", parent=room, name="Safe", purpose="quarantine", **OPEN)
    at_place(api, rack, "move", to=safe)
    later(api, minutes=5)

    assert exposure(api, inside)["running_since"] is not None and exposure(api, inside)["total_s"] >= 300
    limits = api.lab_tech.get(f"/storage-containers/{rack}/limits").json()
    assert (limits["lowest_mc"], limits["highest_mc"]) == (15_000, 30_000), "those of the room"


@pytest.mark.parametrize("way", ["move", "cold_first"])
def test_a_figure_that_a_person_types_is_kept_on_every_way_of_placing(api: Api, way: str) -> None:
    tube, _box = a_stored_tube(api)
    purpose = {"purpose": "quarantine"} if way == "cold_first" else {}
    body = {"container": a_box(api, name="Other", **COLD, **purpose), "exposure_s": 3000, "reason_text": "the lid was open"}

    answer = api.lab_tech.post(f"/specimens/{tube}/store", json=body | {"expected_seq": seq_of(api, tube)})

    assert answer.status_code == 201, answer.text
    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    kind = {"move": "specimen.moved", "cold_first": "specimen.safeguarded"}[way]
    assert (last["kind"], last["body"]["exposure_s"]) == (kind, 3000)


@pytest.mark.parametrize("condition", ["thawed", "fresh"])
def test_a_budget_of_time_out_of_the_cold_is_of_frozen_material_only(api: Api, condition: str) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": condition, "warm_amber_s": 60, "warm_red_s": 120, "source": "VAL-1"}
    refused(sign_and_post(api.quality, "decided", "/material-limits", limits), 422, "malformed_request")


def test_one_tube_with_a_later_entry_keeps_the_others_out_of_no_cold(api: Api) -> None:
    (first, _), (second, _) = a_stored_tube(api), a_stored_tube(api)
    safe = a_box(api, kind="freezer", name="Safe", purpose="evacuation", **OPEN, **COLD)
    later(api, minutes=5)
    looked = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}
    looked |= {"expected_seq": seq_of(api, first)}
    assert api.lab_tech.post(f"/specimens/{first}/events", json=looked).status_code == 201

    at_place(api, safe, "evacuate", scanned=[first, second], occurred_at=rfc3339(clock.now() - timedelta(seconds=30)))

    assert [now_of(api, one)["container_code"] for one in (first, second)] == [safe, safe]


def counted(api: Api, box: str, scanned: list[str], client: Any = None, **more: Any) -> Any:
    return (client or api.lab_tech).post(f"/storage-containers/{box}/counts", json={"scanned": scanned} | more)


def test_a_count_of_an_earlier_time_is_not_compared_with_how_it_stands_now(api: Api) -> None:
    tube, box = a_stored_tube(api)
    then = rfc3339(clock.now())
    later(api, minutes=10)
    put(api, tube, a_box(api, name="Other", **COLD))
    later(api, minutes=1)

    late = {"occurred_at": then, "reason_text": "written down"}
    refused(counted(api, box, [tube], **late), 409, "out_of_order")
    refused(api.lab_tech.post("/counts", json={"container": box, "scanned": [tube]} | late), 409, "out_of_order")
    assert counted(api, box, []).json()["status"] == "agreed"


def test_both_people_of_a_form_are_the_first_counter(api: Api) -> None:
    tube, box = a_stored_tube(api)
    began = rfc3339(clock.now())
    later(api, minutes=30)
    at = rfc3339(clock.now())
    later(api, hours=1)
    form = filed(api, began_at=began).json()["code"]

    first = counted(api, box, [], paper=form, occurred_at=at)
    assert first.json()["status"] == "to_recount", first.text

    refused(counted(api, box, [tube], api.lab_tech2), 409, "same_counter")
    assert seed.USERS["lab_tech2"].code == COLLEAGUE


def test_a_comparison_says_on_the_tubes_record_that_it_was_seen_elsewhere(api: Api) -> None:
    (tube, home), (_, box) = a_stored_tube(api), a_stored_tube(api)

    answer = api.lab_tech.post("/counts", json={"container": box, "scanned": [tube]})

    assert answer.json()["misplaced"] == [tube], answer.text
    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    assert (last["kind"], last["body"]["container"], last["body"]["recorded"]) == ("specimen.sighted", box, home)


def test_a_frozen_tube_without_a_place_is_sent_to_a_frozen_one() -> None:
    for condition in ("frozen", "freezing"):
        said = what_now(Projection(state="received", condition=condition), "adsc")
        assert "never into a fridge" in said and "nitrogen" in said


@pytest.mark.parametrize("way", [store_late, list_late, evacuate_late, bring_the_rack_late, undo_the_check_out])
def test_what_comes_into_a_place_while_it_is_outside_its_limits_is_held_with_what_stood_there(api: Api, way: Any) -> None:
    tank, tube, stood, after = a_tank(api), a_tube(api), a_tube(api), a_tube(api)
    purpose = {"purpose": "evacuation"} if way is evacuate_late else {}
    box = a_box(api, parent=None if way is bring_the_rack_late else tank, **purpose)
    around = a_box(api, parent=tank, name="Around")
    put(api, stood, around)
    if way in (bring_the_rack_late, undo_the_check_out):
        put(api, tube, box)
    later(api, minutes=1)
    if way is undo_the_check_out:
        check_out(api, tube)
        later(api, minutes=1)
    (code,) = read(api, tank, -15_000)["excursions"]
    later(api, minutes=5)
    came = clock.now()

    answer = way(api, tube, tank, box, {})

    assert answer.status_code in (200, 201), answer.text
    assert [held(api, one) for one in (stood, tube)] == [["excursion"], ["excursion"]]
    items = {one["specimen"]: one["since"] for one in api.quality.get(f"/excursions/{code}").json()["items"]}
    assert set(items) == {stood, tube}
    if way is not undo_the_check_out:  # which never left
        assert items[tube] >= rfc3339(came - timedelta(seconds=5))
    holds = api.quality.get("/holds", params={"active": True}).json()["items"]
    assert [one["scope_id"] for one in holds] == [code], "one hold over all of it"
    later(api, minutes=5)
    read(api, tank, -190_000)
    later(api, minutes=1)
    put(api, after, around)
    assert [held(api, one) for one in (stood, tube, after)] == [["excursion"], ["excursion"], []]


def test_a_tube_that_changes_places_with_one_of_a_warm_tank_is_held_too(api: Api) -> None:
    tank, (one, other) = a_tank(api), (a_tube(api), a_tube(api))
    box = a_box(api, parent=tank)
    put(api, one, box)
    read(api, tank, -15_000)
    put(api, other, a_box(api, name="Cold one", **COLD))
    assert [held(api, tube) for tube in (one, other)] == [["excursion"], []]
    check_out(api, one)
    put(api, other, box)
    assert [held(api, tube) for tube in (one, other)] == [["excursion"], ["excursion"]]


def test_a_rack_that_says_of_itself_that_it_is_cold_cools_no_room(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    tank = a_tank(api)
    rack = a_box(api, kind="rack", name="Rack", parent=tank, **OPEN, temperature_class="ln2_vapour")
    tube, box = a_tube(api), a_box(api, parent=rack)
    put(api, tube, box)
    refused(api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": room}), 409, "wrong_temperature_class")

    safe = a_box(api, kind="shelf", parent=room, name="Safe", purpose="quarantine", **OPEN)
    at_place(api, rack, "move", to=safe)
    later(api, hours=5)

    assert exposure(api, tube)["total_s"] >= 5 * 3600


def test_the_clock_runs_where_nobody_has_said_how_cold_it_is_and_the_answer_says_so(api: Api) -> None:
    tube, nowhere = a_tube(api), a_box(api, name="In no room")
    body = {"container": nowhere, "expected_seq": seq_of(api, tube)}
    stored = api.lab_tech.post(f"/specimens/{tube}/store", json=body)
    assert stored.status_code == 201 and "Nobody has said how cold" in stored.text
    later(api, minutes=30)
    assert exposure(api, tube)["running_since"] is not None and exposure(api, tube)["total_s"] >= 1800

    at_place(api, nowhere, "move", to=a_tank(api))

    assert exposure(api, tube)["running_since"] is None and exposure(api, tube)["total_s"] >= 1800
