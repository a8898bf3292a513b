"""Time out of the cold is computed from scans, summed, shown while it runs; budgets hold; clocks of fitness for use refuse."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from biobank.acts.act import Act
from biobank.custody.legality import what_now
from biobank.custody.projection import Projection
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.today import read_tasks
from biobank.specimens.warm_time import hold_what_is_out_too_long
from tests.conftest import Api
from tests.quality.test_paper import filed
from tests.storage.test_every_way_of_placing import a_tube, seq_of, stored
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import a_story, later, refused, sealed, sign_and_post

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


def test_a_figure_that_contradicts_the_scans_asks_why_and_both_stand(api: Api) -> None:
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=1)

    refused = put(api, tube, box, exposure_s=3000)
    said = put(api, tube, box, exposure_s=3000, reason_text="It stood on the bench before I scanned it.")

    assert (refused.status_code, refused.json()["code"]) == (409, "exposure_contradicts")
    assert said.status_code == 201, said.text
    event = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    assert event["body"]["exposure_s"] == 3000
    assert 60 <= exposure(api, tube)["total_s"] <= 120


def test_a_place_that_does_not_keep_it_cold_does_not_stop_the_clock(api: Api) -> None:
    tube, box = a_stored_tube(api)
    warm = a_box(api, purpose="evacuation", temperature_class="fridge")
    check_out(api, tube)
    assert put(api, tube, warm).status_code == 201
    later(api, minutes=30)

    assert exposure(api, tube)["running_since"] is not None
    assert put(api, tube, box).status_code == 201
    assert 1800 <= exposure(api, tube)["total_s"] <= 1860


def test_a_budget_names_its_source_which_is_shown_and_stands_in_the_log(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 900}
    silent = sign_and_post(api.quality, "decided", "/material-limits", limits)
    assert silent.status_code == 422 and "source" in silent.text
    assert sign_and_post(api.quality, "decided", "/material-limits", limits | VALIDATED).status_code == 200
    (one,) = [item for item in api.lab_tech.get("/material-limits").json()["items"] if item["site"] == "LAB"]
    assert one["source"] == VALIDATED["source"]
    kind = "system.limits_set"
    log = api.auditor.get("/custody-log", params={"format": "jsonl", "kind": kind}).text
    assert VALIDATED["source"] in log
    with (
        psycopg.connect(api.test_bank.dsn("owner")) as connection,
        pytest.raises(psycopg.IntegrityError, match="a_budget_has_a_source"),
    ):
        connection.execute("UPDATE material_limit SET source = NULL")


def test_over_its_budget_a_tube_is_put_back_and_held_towards_use(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 900} | VALIDATED
    answer = sign_and_post(api.quality, "decided", "/material-limits", limits)
    assert answer.status_code == 200, answer.text
    tube, box = a_stored_tube(api)
    check_out(api, tube)
    later(api, minutes=6)
    assert exposure(api, tube)["budget"] == "amber"
    assert put(api, tube, box).status_code == 201
    assert api.lab_tech.get(f"/specimens/{tube}").json()["holds"] == []
    check_out(api, tube)
    later(api, minutes=16)

    back = put(api, tube, box)

    assert back.status_code == 201, back.text
    assert exposure(api, tube)["budget"] == "red"
    assert [hold["kind"] for hold in api.lab_tech.get(f"/specimens/{tube}").json()["holds"]] == ["temperature"]


def test_a_tube_that_is_still_out_over_its_budget_is_held_once_and_waits_for_quality(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 900} | VALIDATED
    assert sign_and_post(api.quality, "decided", "/material-limits", limits).status_code == 200
    tube, box = a_stored_tube(api)
    check_out(api, tube)

    def round_of_the_timer() -> int:
        act = Act.system(api.test_bank.bank, path="timer")
        return api.test_bank.write(lambda s: hold_what_is_out_too_long(s, act))  # type: ignore[no-any-return]

    later(api, minutes=14)
    early = round_of_the_timer()
    later(api, minutes=2)

    assert (early, round_of_the_timer(), round_of_the_timer()) == (0, 1, 0)
    assert put(api, tube, box).status_code == 201
    assert [one["reason"] for one in api.quality.get("/holds", params={"scope": tube}).json()["items"]] == ["warm_time_budget"]
    quality = api.test_bank.actor("quality")
    tasks = api.test_bank.write(lambda s: [(task.what, task.subject) for task in read_tasks(s, quality, api.test_bank.bank)])
    assert ("Decide about time out of the cold", tube) in tasks


def test_a_thawed_vial_has_a_clock_and_is_not_given_after_it(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    thawed = api.lab_tech.get(f"/specimens/{story.vials[0]}").json()
    assert thawed["custody"]["use_by"] is not None
    later(api, hours=9)
    sealed(api)

    late = story.check()

    assert (late.status_code, late.json()["code"]) == (409, "expired"), late.text
    assert "never back into a freezer" in late.json()["where_now"]


def test_a_site_may_be_stricter_than_the_registry_and_never_looser(api: Api) -> None:
    looser = {"site": "LAB", "material": "adsc", "condition": "thawed", "use_by_s": 5 * 3600}
    stricter = looser | {"use_by_s": 2 * 3600}

    refused = sign_and_post(api.quality, "decided", "/material-limits", looser)
    done = sign_and_post(api.quality, "decided", "/material-limits", stricter)

    assert (refused.status_code, refused.json()["code"]) == (409, "looser_than_the_registry")
    assert done.status_code == 200, done.text
    items = api.lab_tech.get("/material-limits").json()["items"]
    assert all(one["source"] for one in items if one["site"] is None)
    assert [one["use_by_s"] for one in items if one["site"] == "LAB"] == [7200]


def test_the_answer_of_what_now_follows_the_condition(api: Api) -> None:
    frozen, box = a_stored_tube(api)
    fresh = a_tube(api, frozen=False)
    thawed = a_story(api).up_to("thaw").vials[0]

    def where_now(tube: str, client: Any = api.lab_tech) -> str:
        body = {"kind": "specimen.found", "site": "LAB", "expected_seq": seq_of(api, tube)}
        return str(client.post(f"/specimens/{tube}/events", json=body).json()["where_now"])

    assert "Put the tube back in PS-" in where_now(frozen)
    assert "fresh, not frozen: never into a freezer" in where_now(fresh)
    said = where_now(thawed)
    assert said.startswith("It is thawed: never back into a freezer or nitrogen.")
    assert "back in" not in said.replace("never back into", "") and "PS-" not in said
    assert box


def test_a_thawed_vial_is_not_told_to_go_back_to_the_nitrogen_slot_that_is_kept_for_it() -> None:
    thawed = Projection(state="checked_out", condition="thawed", container_code="BX-0000000", position_code="PS-0000000")

    said = what_now(thawed, "adsc")

    assert "BX-" not in said and "PS-" not in said and "Put it in a cool quarantine place (fridge)." in said
    assert what_now(replace(thawed, condition="frozen"), "adsc").startswith("Put the tube back in PS-0000000")


def test_of_what_nobody_knows_it_is_kept_as_cold_as_it_was_found(api: Api) -> None:
    body = {"site": "LAB", "condition": "frozen", "reason_text": "Label fell off"}
    answer = api.lab_tech.post("/specimens/unidentified", json=body)
    assert answer.status_code == 201, answer.text
    code = answer.json()["specimen"]
    refused = api.lab_tech.post(
        f"/specimens/{code}/events", json={"kind": "specimen.found", "site": "LAB", "expected_seq": seq_of(api, code)}
    )

    assert refused.json()["where_now"].startswith("Nobody knows what it is: keep it as cold as you found it.")
    assert "quarantine" in refused.json()["where_now"]


def test_an_answer_about_the_past_holds_everything_then(api: Api) -> None:
    tube, box = a_stored_tube(api)
    hold = {"scope_kind": "container", "scope_id": box, "kind": "quality", "reason": "inspection"}
    placed = api.quality.post("/holds", json=hold)
    assert placed.status_code == 201, placed.text
    check_out(api, tube)
    later(api, minutes=5)
    then = rfc3339(clock.now())
    later(api, minutes=5)
    other = a_box(api, **COLD)
    assert put(api, tube, other).status_code == 201
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{placed.json()['id']}/lift", {"reason": "looked_at"})
    assert lifted.status_code == 200, lifted.text

    now = api.lab_tech.get(f"/specimens/{tube}").json()
    was = api.lab_tech.get(f"/specimens/{tube}", params={"at": then}).json()
    before = api.lab_tech.get(f"/storage-containers/{box}/map", params={"at": then}).json()
    today = api.lab_tech.get(f"/storage-containers/{box}/map").json()

    assert (now["custody"]["state"], now["holds"]) == ("stored", [])
    assert (was["custody"]["state"], was["custody"]["container"]) == ("checked_out", box)
    assert [one["kind"] for one in was["holds"]] == ["quality"]
    assert was["exposure"]["running_since"] is not None and 300 <= was["exposure"]["total_s"] <= 330
    assert (was["regulatory_basis"], was["custody"]["reserved_for"]) == ("undetermined", None)
    assert [slot["specimen"] for slot in before["slots"] if slot["specimen"]] == [tube]
    assert [slot["held"] for slot in before["slots"] if slot["specimen"]] == [True]
    assert [slot["specimen"] for slot in today["slots"] if slot["specimen"]] == []
    stood = api.lab_tech.get(f"/storage-containers/{box}", params={"at": then}).json()
    assert stood["occupied"] == 1


def test_a_map_of_the_past_shows_the_site_the_place_and_the_lift_of_then(api: Api) -> None:
    tank, _rack, box, tube = a_tank_with_a_rack(api)
    north = a_box(api, kind="tank", name="North tank", rows=None, cols=None, site="NORTH", **COLD)
    at_place(api, box, "lift")
    then = rfc3339(clock.now())
    later(api, minutes=5)
    moved = api.lab_tech_north_quality.post(f"/storage-containers/{box}/move", json={"to": north})
    assert moved.status_code == 200, moved.text

    def seen(**asked: str) -> tuple[Any, ...]:
        drawn = api.auditor.get(f"/storage-containers/{box}/map", params=asked).json()["container"]
        return drawn["site"], drawn["path"][:2], drawn["parent"] == north, drawn["lifted_at"] is not None, drawn["occupied"]

    assert seen(at=then) == ("LAB", ["LAB", "Tank"], False, True, 1)
    assert seen() == ("NORTH", ["NORTH", "North tank"], True, False, 1)
    assert tank and tube


def test_a_map_of_the_past_shows_the_names_and_the_marks_of_then(api: Api) -> None:
    _tank, _rack, box, tube = a_tank_with_a_rack(api)
    donor = api.lab_tech.get(f"/specimens/{tube}").json()["donor"]

    def mark(**said: Any) -> None:
        assert api.lab_tech.post(f"/storage-containers/{box}/slots", json=said).status_code == 200

    def seen(**asked: str) -> Any:
        drawn = api.lab_tech.get(f"/storage-containers/{box}/map", params=asked).json()
        marks = {slot["label"]: slot["blocked"] or slot["kept_for"] for slot in drawn["slots"] if slot["label"] in ("C2", "C3")}
        return drawn["container"]["name"], drawn["container"]["path"][1], marks

    first = seen()
    start = rfc3339(clock.now())
    later(api, minutes=1)
    mark(positions=["C2"], mark="blocked", reason="iced_up")
    mark(positions=["C3"], mark="kept", kept_for=donor)
    for code, name in ((box, "Box of then"), (_tank, "Tank of then")):
        assert api.admin.post(f"/storage-containers/{code}/rename", json={"name": name}).status_code == 200
    then = rfc3339(clock.now())
    later(api, minutes=1)
    mark(positions=["C2", "C3"], mark="open")
    for code, name in ((box, "Box of now"), (_tank, "Tank of now")):
        assert api.admin.post(f"/storage-containers/{code}/rename", json={"name": name}).status_code == 200

    marked = {"C2": "iced_up", "C3": donor}
    assert seen(at=then) == seen(as_known_at=then) == ("Box of then", "Tank of then", marked)
    assert seen() == ("Box of now", "Tank of now", {"C2": None, "C3": None})
    assert seen(at=start) == first


def test_the_clock_of_a_frozen_item_that_nobody_can_name_runs_from_when_it_was_found(api: Api) -> None:
    answer = api.lab_tech.post("/specimens/unidentified", json={"site": "LAB", "condition": "frozen"})
    assert answer.status_code == 201, answer.text
    code = answer.json()["specimen"]
    later(api, minutes=30)

    assert exposure(api, code)["total_s"] in range(1800, 1810)

    assert put(api, code, a_box(api, purpose="quarantine", **COLD)).status_code == 201
    later(api, minutes=30)
    assert exposure(api, code)["total_s"] in range(1800, 1820)


def test_whoever_had_it_out_for_too_long_does_not_lift_the_hold(api: Api) -> None:
    limits = {"site": "LAB", "material": "adsc", "condition": "frozen", "warm_amber_s": 300, "warm_red_s": 900} | VALIDATED
    assert sign_and_post(api.quality, "decided", "/material-limits", limits).status_code == 200
    tube, _box = a_stored_tube(api)
    body = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq_of(api, tube)}
    assert api.acts_here.post(f"/specimens/{tube}/events", json=body).status_code == 201
    later(api, minutes=16)
    act = Act.system(api.test_bank.bank, path="timer")
    assert api.test_bank.write(lambda s: hold_what_is_out_too_long(s, act)) == 1
    (hold,) = api.lab_tech.get(f"/specimens/{tube}").json()["holds"]
    lift = f"/holds/{hold['id']}/lift"

    refused(sign_and_post(api.acts_here, "hold_lifted", lift, {"reason": "short"}), 403, "not_independent")
    assert sign_and_post(api.quality, "hold_lifted", lift, {"reason": "short"}).status_code == 200
