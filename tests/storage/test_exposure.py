"""Time out of the cold is computed from scans, summed, and shown while it runs."""

import random
from datetime import datetime, timedelta
from typing import Any

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.quality.test_paper import filed
from tests.storage.test_every_way_of_placing import a_tube, seq_of, stored
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, refused, sign_and_post

COLD = {"temperature_class": "ln2_vapour"}
VALIDATED = {"source": "VAL-2026-014, warming study of cryovials"}


def exposure(api: Api, tube: str, **params: str) -> dict[str, Any]:
    return api.lab_tech.get(f"/specimens/{tube}", params=params).json()["exposure"]  # type: ignore[no-any-return]


def nothing() -> None:
    pass


def check_out(api: Api, tube: str) -> None:
    body = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=body).status_code == 201


def put(api: Api, tube: str, box: str, **body: Any) -> Any:
    whole = {"container": box, "expected_seq": seq_of(api, tube)} | body
    return api.lab_tech.post(f"/specimens/{tube}/store", json=whole)


def a_stored_tube(api: Api, **fields: Any) -> tuple[str, str]:
    box, tube = a_box(api, **COLD), a_tube(api, **fields)
    assert stored(api, tube, "", box, nothing)[0] == 201
    return tube, box


def test_what_a_tube_is_out_of_the_cold_is_counted_from_scan_to_scan_and_shown_while_it_runs(api: Api) -> None:
    tube, box = a_stored_tube(api)
    before = exposure(api, tube)["total_s"]
    check_out(api, tube)
    later(api, minutes=10)
    running = exposure(api, tube)
    assert put(api, tube, box).status_code == 201
    later(api, hours=5)
    once = exposure(api, tube)
    check_out(api, tube)
    later(api, minutes=5)
    assert put(api, tube, box).status_code == 201

    assert running["running_since"] is not None and 600 <= running["total_s"] - before <= 630
    assert once["running_since"] is None and 600 <= once["total_s"] - before <= 630
    assert 900 <= exposure(api, tube)["total_s"] - before <= 960


def test_a_stated_time_never_shortens_what_the_bank_counted_and_is_asked_why(api: Api) -> None:
    tube, box = a_stored_tube(api)
    before = exposure(api, tube)["total_s"]
    check_out(api, tube)
    later(api, minutes=10)
    early = rfc3339(clock.now() - timedelta(minutes=9))

    asked = put(api, tube, box, occurred_at=early)
    done = put(api, tube, box, occurred_at=early, reason_text="I had no hand free to scan")

    assert (asked.status_code, asked.json()["code"]) == (409, "exposure_contradicts"), asked.text
    assert done.status_code == 201, done.text
    assert 600 <= exposure(api, tube)["total_s"] - before <= 630, "ours"
    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    assert (last["kind"], last["occurred_at"]) == ("specimen.stored", early), "theirs"


def test_no_way_into_the_cold_or_out_of_sight_is_shortened_by_a_stated_time(api: Api) -> None:
    tank, rack, _box, lifted = a_tank_with_a_rack(api)
    safe = a_box(api, kind="freezer", name="Safe", rows=None, cols=None, purpose="evacuation", **COLD)
    tubes = {name: a_tube(api) for name in ("evacuate", "missing", "scan")}
    for tube in tubes.values():
        assert stored(api, tube, "", a_box(api, parent=tank, name=tube), nothing)[0] == 201
    before = {name: exposure(api, tube)["total_s"] for name, tube in (tubes | {"rack": lifted}).items()}
    for tube in tubes.values():
        check_out(api, tube)
    at_place(api, rack, "lift")
    later(api, minutes=10)
    early = {"occurred_at": rfc3339(clock.now() - timedelta(minutes=9))}
    why = early | {"reason_text": "no hand free"}
    missing = {"kind": "specimen.missing", "reason": "not_in_its_box", "expected_seq": seq_of(api, tubes["missing"])}

    refused(api.lab_tech.post(f"/storage-containers/{rack}/put-back", json=early), 409, "exposure_contradicts")
    refused(api.lab_tech.post(f"/specimens/{tubes['missing']}/events", json=missing | early), 409, "exposure_contradicts")
    at_place(api, rack, "put-back", **why)
    assert api.lab_tech.post(f"/specimens/{tubes['missing']}/events", json=missing | why).status_code == 201
    at_place(api, safe, "evacuate", scanned=[tubes["evacuate"]], **early)  # cold first is never asked
    later(api, hours=2)

    for name, tube in {"rack": lifted, "missing": tubes["missing"], "evacuate": tubes["evacuate"]}.items():
        assert 600 <= exposure(api, tube)["total_s"] - before[name] <= 640, name
    assert exposure(api, tubes["scan"])["running_since"] is not None


def test_the_time_that_two_people_wrote_on_a_form_counts(api: Api) -> None:
    tube, box = a_stored_tube(api)
    before, began = exposure(api, tube)["total_s"], rfc3339(clock.now())
    check_out(api, tube)
    later(api, minutes=4)
    then = rfc3339(clock.now())
    later(api, hours=2)
    form = filed(api, began_at=began).json()["code"]

    assert put(api, tube, box, paper=form, occurred_at=then).status_code == 201

    assert 240 <= exposure(api, tube)["total_s"] - before <= 260


def test_an_undone_return_does_not_count_twice(api: Api) -> None:
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=10)
    answer = put(api, tube, box).json()["items"][0]
    undo = {"reverses": answer["event"]["leaf_hash"], "reason": "wrong_tube_scanned", "expected_seq": answer["seq"]}
    assert api.lab_tech.post(f"/specimens/{tube}/reverse", json=undo).status_code in (200, 201)
    later(api, minutes=10)

    assert put(api, tube, box).status_code == 201

    assert 1200 <= exposure(api, tube)["total_s"] <= 1260


def test_a_lifted_rack_exposes_every_tube_in_it(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **COLD)
    rack = a_box(api, kind="rack", name="Rack", rows=None, cols=None, parent=tank)
    box, tubes = a_box(api, parent=rack), [a_tube(api) for _ in range(2)]
    for tube in tubes:
        assert stored(api, tube, "", box, nothing)[0] == 201
    before = [exposure(api, tube)["total_s"] for tube in tubes]

    lifted = api.lab_tech.post(f"/storage-containers/{rack}/lift", json={})
    later(api, minutes=4)
    running = [exposure(api, tube) for tube in tubes]
    back = api.lab_tech.post(f"/storage-containers/{rack}/put-back", json={})
    later(api, hours=1)

    assert (lifted.json()["tubes"], back.json()["lifted_at"]) == (2, None), back.text
    assert all(one["running_since"] is not None and one["total_s"] >= 240 for one in running)
    assert [240 <= exposure(api, tube)["total_s"] - was <= 270 for tube, was in zip(tubes, before, strict=True)] == [True] * 2
    assert api.lab_tech.post(f"/storage-containers/{rack}/put-back", json={}).json()["code"] == "not_lifted"
    assert api.lab_tech.post(f"/storage-containers/{tank}/lift", json={}).json()["code"] == "not_liftable"


def a_tank_with_a_rack(api: Api) -> tuple[str, str, str, str]:
    """A tank, a rack in it, a box in that and a stored tube in the box."""
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **COLD)
    rack = a_box(api, kind="rack", name="Rack", rows=None, cols=None, parent=tank)
    box, tube = a_box(api, parent=rack), a_tube(api)
    assert stored(api, tube, "", box, nothing)[0] == 201
    return tank, rack, box, tube


def at_place(api: Api, code: str, act: str, **body: Any) -> Any:
    answer = api.lab_tech.post(f"/storage-containers/{code}/{act}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_a_box_lifted_out_of_a_lifted_rack_counts_its_tubes_once(api: Api) -> None:
    _tank, rack, box, tube = a_tank_with_a_rack(api)
    before = exposure(api, tube)["total_s"]
    at_place(api, rack, "lift")
    later(api, minutes=4)
    at_place(api, box, "lift")
    later(api, minutes=3)
    at_place(api, box, "put-back")
    inside = exposure(api, tube)
    later(api, minutes=2)
    shown = exposure(api, tube)["total_s"]
    at_place(api, rack, "put-back")
    after = exposure(api, tube)

    assert inside["running_since"] is not None, "its rack is still out"
    assert after["running_since"] is None
    assert 540 <= shown - before <= 560 and abs(after["total_s"] - shown) <= 5
    kinds = [one["kind"] for one in api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"]]
    assert kinds[-2:] == ["specimen.left_cold", "specimen.exposed"]


def test_a_box_on_the_bench_is_not_back_because_its_rack_is(api: Api) -> None:
    tank, rack, box, tube = a_tank_with_a_rack(api)
    other = a_box(api, kind="tank", name="Other", rows=None, cols=None, **COLD)
    at_place(api, box, "lift")
    at_place(api, rack, "lift")
    later(api, minutes=5)
    back = api.lab_tech.post(f"/storage-containers/{rack}/put-back", json={})
    assert (back.status_code, back.json()["still_out"]) == (200, [box]), back.text
    assert exposure(api, tube)["running_since"] is not None
    moved = api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": other})
    assert moved.status_code == 200 and f"{box} is out of its place" in str(moved.json()["warnings"]), moved.text
    later(api, minutes=5)
    assert exposure(api, tube)["running_since"] is not None and exposure(api, tube)["total_s"] >= 600
    assert f"/storage/{box}" in str(api.lab_tech.get("/open-acts").json()) or box in str(api.lab_tech.get("/open-acts").json())

    at_place(api, box, "put-back")

    assert exposure(api, tube)["running_since"] is None and tank != other


def test_what_leaves_a_lifted_rack_straight_for_another_place_keeps_the_time_since_the_lift(api: Api) -> None:
    tank, rack, box, tube = a_tank_with_a_rack(api)
    other = a_tube(api)
    assert stored(api, other, "", box, nothing)[0] == 201
    rack2 = a_box(api, kind="rack", name="Rack 2", rows=None, cols=None, parent=tank)
    before = [exposure(api, one)["total_s"] for one in (tube, other)]
    at_place(api, rack, "lift")
    later(api, minutes=5)

    assert put(api, tube, a_box(api, parent=tank)).status_code == 201
    at_place(api, box, "move", to=rack2)
    later(api, minutes=30)

    for one, was in zip((tube, other), before, strict=True):
        now = exposure(api, one)
        assert (now["running_since"], 300 <= now["total_s"] - was <= 330) == (None, True), now


def test_a_tube_put_into_a_lifted_box_is_not_in_the_cold_yet(api: Api) -> None:
    _tank, rack, box, _ = a_tank_with_a_rack(api)
    at_place(api, rack, "lift")
    tube = a_tube(api)
    assert put(api, tube, box).status_code == 201
    later(api, minutes=5)

    assert exposure(api, tube)["running_since"] is not None
    at_place(api, rack, "put-back")
    assert exposure(api, tube)["running_since"] is None and exposure(api, tube)["total_s"] >= 300


def test_a_box_scanned_into_a_warm_safe_place_starts_the_clock_of_its_tubes(api: Api) -> None:
    tube, box = a_stored_tube(api)
    warm = a_box(api, kind="freezer", name="Bench", rows=None, cols=None, purpose="evacuation", temperature_class="ambient")

    at_place(api, warm, "evacuate", scanned=[box])
    later(api, minutes=10)

    assert exposure(api, tube)["running_since"] is not None and exposure(api, tube)["total_s"] >= 600
    at_place(api, box, "move", to=a_box(api, kind="tank", name="Cold", rows=None, cols=None, **COLD))
    assert exposure(api, tube)["running_since"] is None


def test_the_sequence_answered_counts_the_hold_that_was_placed(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 900} | VALIDATED
    assert sign_and_post(api.quality, "decided", "/material-limits", limits).status_code == 200
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=16)

    answer = put(api, tube, box).json()["items"][0]

    assert [hold["kind"] for hold in api.lab_tech.get(f"/specimens/{tube}").json()["holds"]] == ["temperature"]
    assert answer["seq"] == seq_of(api, tube)


def test_a_map_of_the_past_knows_only_what_was_known_then(api: Api) -> None:
    _tank, rack, _box, _tube = a_tank_with_a_rack(api)
    free = a_box(api, kind="rack", name="Free", rows=None, cols=None)
    then = rfc3339(clock.now())
    later(api, minutes=10)
    at_place(api, free, "move", to=a_box(api, kind="tank", name="Later", rows=None, cols=None))

    def path(code: str, **asked: str) -> Any:
        return api.lab_tech.get(f"/storage-containers/{code}/map", params=asked).json()["container"]["path"]

    assert path(free, at=then) == ["LAB", "Free"], "it stood by itself"
    assert path(free, as_known_at=then) == ["LAB", "Free"]
    assert path(free) == ["LAB", "Later", "Free"]
    assert path(rack) == ["LAB", "Tank", "Rack"]


def test_two_lifted_boxes_of_a_rack_that_moves_count_each_its_own_tubes(api: Api) -> None:
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **COLD)
    racks = [a_box(api, kind="rack", name=f"Rack {n}", rows=None, cols=None, parent=tank) for n in (1, 2)]
    boxes, tubes = [a_box(api, parent=racks[0], name=f"Box {n}") for n in (1, 2)], [a_tube(api) for _ in range(2)]
    for box, tube in zip(boxes, tubes, strict=True):
        assert stored(api, tube, "", box, nothing)[0] == 201
    before = [exposure(api, tube)["total_s"] for tube in tubes]
    for box in boxes:
        assert api.lab_tech.post(f"/storage-containers/{box}/lift", json={}).status_code < 300
    later(api, minutes=4)

    moved = api.lab_tech.post(f"/storage-containers/{racks[0]}/move", json={"to": racks[1]})

    assert moved.status_code < 300, moved.text
    assert [240 <= exposure(api, tube)["total_s"] - was <= 270 for tube, was in zip(tubes, before, strict=True)] == [True] * 2


def test_time_out_of_the_cold_is_what_a_slow_reckoning_of_hands_and_lifts_says(api: Api) -> None:
    chance = random.Random(20261130)
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, **COLD)
    racks = [a_box(api, kind="rack", name=f"R{n}", rows=None, cols=None, parent=tank) for n in range(2)]
    boxes = [a_box(api, name=f"B{n}", parent=racks[n]) for n in range(2)]
    tubes = [a_tube(api) for _ in range(4)]
    for tube in tubes:
        assert put(api, tube, chance.choice(boxes)).status_code == 201
    place: dict[str, str | None] = {one: api.lab_tech.get(f"/specimens/{one}").json()["custody"]["container"] for one in tubes}
    parent, lifted = dict(zip(boxes, racks, strict=True)), set[str]()
    slow = {tube: exposure(api, tube)["total_s"] for tube in tubes}
    since, acts = clock.now(), 0
    for _ in range(30):
        later(api, minutes=chance.choice([1, 2]))
        tube, thing = chance.choice(tubes), chance.choice([*racks, *boxes])
        what = chance.choice(["out", "in", "lift", "put-back"])
        if what in ("out", "in"):
            box = chance.choice(boxes)
            if (place[tube] is None) != (what == "in"):
                continue
            _add(slow, place, parent, lifted, since)
            since = clock.now()
            if what == "out":
                check_out(api, tube)
            else:
                assert put(api, tube, box).status_code == 201
            place[tube] = None if what == "out" else box
        elif (thing in lifted) == (what == "put-back"):
            _add(slow, place, parent, lifted, since)
            since = clock.now()
            assert api.lab_tech.post(f"/storage-containers/{thing}/{what}", json={}).status_code == 200
            lifted = lifted - {thing} if what == "put-back" else lifted | {thing}
        else:
            continue
        acts += 1
    _add(slow, place, parent, lifted, since)

    told = {tube: exposure(api, tube)["total_s"] for tube in tubes}
    # Each act takes its own part of a second, and whole seconds are counted.
    assert all(abs(told[tube] - slow[tube]) <= 2 * acts for tube in tubes), (told, slow)
    assert acts >= 10 and max(slow.values()) > 20 * 60


def _add(slow: dict[str, int], place: dict[str, str | None], parent: dict[str, str], lifted: set[str], since: datetime) -> None:
    """Count the time since the last act for every tube that was in a hand, or in something lifted."""
    seconds = int((clock.now() - since).total_seconds())
    for tube, box in place.items():
        if box is None or box in lifted or parent[box] in lifted:
            slow[tube] += seconds
