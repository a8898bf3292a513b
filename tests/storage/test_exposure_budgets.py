"""Budgets of time out of the cold hold, clocks of fitness for use refuse, and answers about the past know what was known then."""

from dataclasses import replace
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
from tests.exports.taking import taken_log
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import COLD, VALIDATED, a_stored_tube, a_tank_with_a_rack, at_place, check_out, exposure, put
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import a_story, later, refused, sealed, sign_and_post


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
    log = taken_log(api, kind=kind)
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
