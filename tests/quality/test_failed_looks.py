"""A failed inspection or count holds at once; quality lifts that, and not whoever looked or counted."""

from typing import Any

import httpx
import pytest

from tests.conftest import Api
from tests.granting import also
from tests.monitoring.test_excursions import a_tank, put, read
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.specimens.stories import adsc, culture, donor, made, output, run, svf, using
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import (
    Story,
    a_donor,
    a_story,
    approve,
    bank_vials,
    holds_of,
    kinds_of,
    lift_all,
    named,
    of_one_person,
    refused,
    sign_and_post,
)
from tests.withdrawals.test_path import demand

FINE = {"container_intact": True, "label_legible": True, "contents_as_expected": True}
GOOD: dict[str, Any] = {"live": 95, "dead": 5}
BAD: dict[str, Any] = {"live": 30, "dead": 70}


def seq_of(api: Api, tube: str) -> int:
    return int(api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"])


def look(api: Api, tube: str, user: str = "lab_tech", **said: Any) -> dict[str, Any]:
    body = {"kind": "specimen.inspected", "expected_seq": seq_of(api, tube)} | FINE | said
    answer = getattr(api, user).post(f"/specimens/{tube}/events", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def correct(api: Api, tube: str, leaf: str, field: str, value: bool, user: str = "lab_tech") -> None:
    body = {"expected_seq": seq_of(api, tube), "corrects": leaf, "field": field, "value": value, "reason": "misread"}
    answer = getattr(api, user).post(f"/specimens/{tube}/amend", json=body)
    assert answer.status_code == 201, answer.text


def count(api: Api, tube: str, user: str = "lab_tech", **read_: Any) -> dict[str, Any]:
    body = {"method": "trypan_blue", "expected_seq": seq_of(api, tube)} | read_
    answer = getattr(api, user).post(f"/specimens/{tube}/viability-assays", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def lift(api: Api, user: str, hold: str) -> httpx.Response:
    return sign_and_post(getattr(api, user), "hold_lifted", f"/holds/{hold}/lift", {"reason": "reviewed"})


def held_for(api: Api, tube: str) -> list[tuple[str, str]]:
    return sorted((one["kind"], one["reason"]) for one in holds_of(api, tube))


@pytest.mark.parametrize(
    ("answer", "kind"), [("container_intact", "quality"), ("label_legible", "identity"), ("contents_as_expected", "quality")]
)
def test_a_no_of_an_inspection_holds_at_once_and_once(api: Api, answer: str, kind: str) -> None:
    no: dict[str, Any] = {answer: False}
    (tube,) = bank_vials(api, a_donor(api))
    said = look(api, tube, **no)
    assert [one["kind"] for one in said["events"]] == ["specimen.inspected", "specimen.hold_placed"]
    assert held_for(api, tube) == [(kind, "inspection_failed")]
    look(api, tube, **no)
    assert len(holds_of(api, tube)) == 1, "the same stands already"
    lift_all(api, tube)
    look(api, tube, **no)
    assert len(holds_of(api, tube)) == 1, "what was lifted holds anew"


def test_a_tube_that_is_broken_and_then_unreadable_is_held_for_both(api: Api) -> None:
    (tube,) = bank_vials(api, a_donor(api))
    look(api, tube, container_intact=False)
    look(api, tube, label_legible=False)
    assert held_for(api, tube) == [("identity", "inspection_failed"), ("quality", "inspection_failed")]


def test_an_inspection_without_a_no_holds_nothing(api: Api) -> None:
    (tube,) = bank_vials(api, a_donor(api))
    look(api, tube)
    assert holds_of(api, tube) == []


def test_a_correction_towards_fine_lifts_nothing_and_one_towards_no_holds(api: Api) -> None:
    (tube, other) = bank_vials(api, a_donor(api), 2)
    leaf = look(api, tube, container_intact=False)["events"][0]["leaf_hash"]
    correct(api, tube, leaf, "container_intact", True)
    assert held_for(api, tube) == [("quality", "inspection_failed")]

    leaf = look(api, other)["events"][0]["leaf_hash"]
    correct(api, other, leaf, "label_legible", False)
    assert held_for(api, other) == [("identity", "inspection_failed")]


def test_what_is_broken_goes_into_no_run(api: Api) -> None:
    cells = svf(api, donor(api))
    look(api, cells["code"], container_intact=False)
    body = [using(cells | {"seq": seq_of(api, cells["code"])})]
    told = run(api.lab_tech, "expansion", body, [culture(10**7, 0)])
    assert (told.status_code, told.json()["code"]) == (409, "on_hold")


def test_who_looked_or_corrected_does_not_lift_it_with_any_login(api: Api, visit: Visit) -> None:
    for user in ("quality", "quality2"):
        also(api, user, "lab_tech", "LAB")
    (tube,) = bank_vials(api, a_donor(api))
    leaf = look(api, tube, "quality", container_intact=False)["events"][0]["leaf_hash"]
    (hold,) = holds_of(api, tube)
    page = f"/holds/{hold['id']}/lift"
    refused(lift(api, "quality", hold["id"]), 403, "not_independent")
    several = {"holds": [hold["id"]], "reason": "reviewed"}
    refused(sign_and_post(api.quality, "hold_lifted", "/holds/lift", several), 403, "not_independent")
    assert page not in visit("quality").get_page(f"/specimens/{tube}")
    assert page in visit("quality2").get_page(f"/specimens/{tube}")

    of_one_person(api, "quality", "quality2")
    told = refused(lift(api, "quality2", hold["id"]), 403, "not_independent")
    assert told["detail"].startswith(f"You inspected {tube} on ") and USERS["quality"].code in told["detail"]
    correct(api, tube, leaf, "container_intact", True)
    refused(lift(api, "quality2", hold["id"]), 403, "not_independent")


def test_who_corrected_it_towards_fine_does_not_lift_it(api: Api) -> None:
    also(api, "quality", "lab_tech", "LAB")
    (tube,) = bank_vials(api, a_donor(api))
    leaf = look(api, tube, container_intact=False)["events"][0]["leaf_hash"]
    (hold,) = holds_of(api, tube)
    correct(api, tube, leaf, "container_intact", True, "quality")
    refused(lift(api, "quality", hold["id"]), 403, "not_independent")
    assert lift(api, "quality2", hold["id"]).status_code == 200


def test_a_count_under_the_criterion_holds_the_unit_and_a_second_count_lifts_nothing(api: Api) -> None:
    also(api, "quality", "lab_tech", "LAB")
    (tube,) = bank_vials(api, a_donor(api))
    count(api, tube, **BAD)
    assert holds_of(api, tube) == [], "nothing was demanded of it"
    demand(api)
    answer = count(api, tube, **BAD)
    assert [one["kind"] for one in answer["events"]] == ["specimen.viability_measured", "specimen.hold_placed"]
    assert answer["seq"] == seq_of(api, tube)
    assert held_for(api, tube) == [("quality", "count_below_criterion")]
    count(api, tube, **BAD)
    count(api, tube, "quality", **GOOD)
    (hold,) = holds_of(api, tube)
    assert (hold["kind"], hold["reason"]) == ("quality", "count_below_criterion")
    refused(lift(api, "quality", hold["id"]), 403, "not_independent")
    assert lift(api, "quality2", hold["id"]).status_code == 200


def test_the_count_recorded_last_is_the_latest_and_the_failed_ones_before_are_shown_at_approval(api: Api, visit: Visit) -> None:
    demand(api)
    story = a_story(api, 2)
    count(api, story.vials[0], **GOOD)
    count(api, story.vials[0], **BAD, **_before(api, story.vials[0]))
    lift_all(api, story.vials[0])
    refused(story.request(), 409, "count_below_criterion")
    count(api, story.vials[0], **GOOD)
    assert story.request().status_code == 201
    line = next(one for one in _picture(api, story)["units"] if one["specimen"] == story.vials[0])
    assert (line["measured"]["live"], [one["live"] for one in line["failed_before"]]) == (95, [30])
    assert "Counted too low before" in visit("quality").get_page(f"/withdrawals/{story.code}/approve")
    assert approve(api, story.code).status_code == 200


def _before(api: Api, tube: str) -> dict[str, Any]:
    """The circumstances of a count that is said to have been made before everything that was recorded of the tube."""
    first = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][1]["occurred_at"]
    return {"occurred_at": first, "late_entry": True, "reason_text": "written down then"}


def _picture(api: Api, story: Story) -> dict[str, Any]:
    assert named(api.quality, story.code)
    return dict(api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"])


def test_a_test_vial_of_a_lot_that_is_counted_too_low_holds_the_lot(api: Api) -> None:
    demand(api)
    grown = adsc(api, donor(api))
    half = grown["amount"] // 2
    outputs = [output("adsc", half, passage=0), output("adsc", half, passage=0, purpose="qc")]
    kept, tested = made(run(api.lab_tech, "aliquoting", [using(grown)], outputs))["specimens"]
    answer = count(api, tested["code"], **BAD)
    assert [one["kind"] for one in answer["events"]] == ["specimen.viability_measured", "lot.hold_placed"]
    held = api.quality.get("/holds", params={"scope": kept["lot"], "active": True}).json()["items"]
    assert [(one["kind"], one["reason"]) for one in held] == [("quality", "count_below_criterion")]
    assert [one["scope_kind"] for one in api.lab_tech.get(f"/specimens/{kept['code']}").json()["holds"]] == ["lot"]
    count(api, tested["code"], **BAD)
    assert kinds_of(api, "lot", kept["lot"]).count("lot.hold_placed") == 1

    also(api, "quality", "lab_tech", "LAB")
    count(api, tested["code"], "quality", **GOOD)
    refused(lift(api, "quality", held[0]["id"]), 403, "not_independent")
    assert lift(api, "quality2", held[0]["id"]).status_code == 200


def test_a_sample_that_was_taken_from_a_lot_speaks_for_that_lot(api: Api) -> None:
    demand(api)
    cells = adsc(api, donor(api))
    taken = run(
        api.lab_tech,
        "qc_sampling",
        [using(cells, amount=10**6, consumed=False)],
        [output("adsc", 10**6, passage=0, purpose="qc")],
    )
    (sample,) = made(taken)["specimens"]
    count(api, sample["code"], **BAD)
    assert [one["scope_kind"] for one in api.lab_tech.get(f"/specimens/{cells['code']}").json()["holds"]] == ["lot"]


def test_after_an_excursion_a_good_count_frees_nothing(api: Api) -> None:
    demand(api)
    tank = a_tank(api)
    tube = a_tube(api)
    put(api, tube, a_box(api, parent=tank))
    read(api, tank, -50_000)
    count(api, tube, **GOOD)
    (hold,) = api.lab_tech.get(f"/specimens/{tube}").json()["holds"]
    assert hold["scope_kind"] == "excursion"
    refused(lift(api, "quality", hold["id"]), 409, "held_by_excursion")
