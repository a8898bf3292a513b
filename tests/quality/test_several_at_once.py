"""What was ticked in a list is held, freed and decided about in one act: all of it or nothing."""

from typing import Any
from uuid import uuid4

import pytest

from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import all_passed
from tests.quality.test_recall_ending import recalled
from tests.signing import signed
from tests.withdrawals.stories import a_donor, a_story, bank_vials, kinds_of, refused

SIGNED = {"password": seed.PASSWORD, "reason": "reviewed"}


def hold_several(api: Api, tubes: list[str], status: int = 201) -> dict[str, Any]:
    """Hold tubes in one call as a technician."""
    answer = api.lab_tech.post("/holds/several", json={"specimens": tubes, "kind": "quality", "reason": "to_check"})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def active_on(api: Api, tube: str) -> list[str]:
    """The ids of the holds in force on a tube itself."""
    return [one["id"] for one in api.quality.get(f"/holds?scope={tube}&active=true").json()["items"]]


def test_one_call_places_a_hold_on_each_of_several_and_one_signature_lifts_them(api: Api) -> None:
    tubes = bank_vials(api, a_donor(api), 3)
    answer = hold_several(api, [*tubes, tubes[0]])
    items = answer["items"]
    assert sorted(one["scope_id"] for one in items) == sorted(tubes)
    assert all(len(active_on(api, tube)) == 1 for tube in tubes)
    second = hold_several(api, tubes[:1])["items"]

    ids = [one["id"] for one in [*items, *second]]
    body = signed(api.quality, "hold_lifted", "/holds/lift", {"holds": ids, "reason": "reviewed"})
    lifted = api.quality.post("/holds/lift", json=body)
    assert lifted.status_code == 200, lifted.text
    assert [one["id"] for one in lifted.json()["items"]] == ids
    assert all(one["lifted_by"] == seed.USERS["quality"].code for one in lifted.json()["items"])
    assert not any(active_on(api, tube) for tube in tubes)
    assert kinds_of(api, "specimen", tubes[0])[-4:] == ["specimen.hold_placed"] * 2 + ["specimen.hold_lifted"] * 2


def test_a_hold_on_several_ends_their_open_releases(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    assert hold_several(api, [story.vials[0]])["releases_killed"] == 1


def test_one_tube_that_may_not_be_held_keeps_all_of_them_free(api: Api) -> None:
    tubes = bank_vials(api, a_donor(api), 2)
    hold_several(api, [*tubes, "AD26-0000000"], status=404)
    stranger = api.north_tech.post("/holds/several", json={"specimens": tubes, "kind": "quality", "reason": "to_check"})
    assert stranger.status_code in (403, 404), stranger.text
    assert not any(active_on(api, tube) for tube in tubes)


def test_one_hold_that_is_not_lifted_by_hand_keeps_all_of_them(api: Api) -> None:
    story = a_story(api, 1)
    tubes = [*bank_vials(api, a_donor(api), 1), story.vials[0]]
    (free,) = hold_several(api, tubes[:1])["items"]
    recalled(api, story)
    kept = active_on(api, tubes[1])
    assert kept
    ids = {"holds": [free["id"], *kept], "reason": "reviewed"}
    answer = api.quality.post("/holds/lift", json=signed(api.quality, "hold_lifted", "/holds/lift", ids))
    refused(answer, 409, "held_by_recall")
    assert active_on(api, tubes[0]) == [free["id"]]
    unknown = {"holds": [free["id"], str(uuid4())], "reason": "reviewed"}
    refused(api.quality.post("/holds/lift", json=unknown), 404, "not_found")
    refused(api.lab_tech.post("/holds/lift", json={"holds": [free["id"]], "reason": "reviewed"}), 403, "not_permitted")


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "auditor", "lab_tech_north_quality"])
def test_nobody_decides_about_several_who_may_not_decide_about_each(api: Api, user: str) -> None:
    tubes = bank_vials(api, a_donor(api), 2, released=False)
    body = {"specimens": tubes, "decision": "rejected", "reason": "reviewed"}
    assert getattr(api, user).post("/specimens/decision", json=body).status_code in (403, 404)


def test_several_get_their_basis_and_their_release_with_one_signature_each(api: Api) -> None:
    tubes = bank_vials(api, a_donor(api), 3, released=False, basis="undetermined", lot=True)
    basis = {"specimens": tubes[:2], "basis": "us_351_ind", "authorisation": "IND 12345", "reason": "reviewed"}
    answer = api.quality.post("/specimens/basis", json=signed(api.quality, "decided", "/specimens/basis", basis))
    assert answer.status_code == 200, answer.text
    all_passed(api, tubes[0])
    every = {"specimens": tubes, "decision": "released_to_bank", "reason": "reviewed"}
    way = "/specimens/decision"
    early = api.quality.post(way, json=signed(api.quality, "released", way, every))
    assert early.status_code == 409, early.text  # the third has no basis yet
    assert {one_of(api, tube) for tube in tubes} == {"quarantined"}
    body = signed(api.quality, "released", way, every | {"specimens": tubes[:2]})
    done = api.quality.post(way, json=body)
    assert done.status_code == 200, done.text
    assert [one_of(api, tube) for tube in tubes] == ["released_to_bank", "released_to_bank", "quarantined"]


def one_of(api: Api, tube: str) -> str:
    """The verdict on a tube."""
    return str(api.quality.get(f"/specimens/{tube}").json()["custody"]["quality"])


def test_ticked_tubes_are_held_and_ticked_holds_lifted_on_pages(api: Api, visit: Visit) -> None:
    tubes = bank_vials(api, a_donor(api), 3)
    tech, quality = visit("lab_tech"), visit("quality")
    opened = tech.get("/specimens", params=[("act", "hold"), *(("row", tube) for tube in tubes[:2])])
    assert opened.url.path == "/specimens/hold" and all(tube in opened.text for tube in tubes[:2])
    held = tech.submit("/specimens/hold", {"specimens": "\n".join(tubes[:2]), "kind": "quality", "reason": "to_check"})
    assert "2 specimens." in held.text, held.text[:3000]
    holds = [hold for tube in tubes for hold in active_on(api, tube)]
    assert len(holds) == 2
    assert 'name="act" value="lift"' not in tech.get_page("/holds")

    asked = quality.get("/holds", params=[("act", "lift"), *(("row", hold) for hold in holds)])
    assert asked.url.path == "/holds/lift" and "2 quality." in asked.text
    done = quality.submit("/holds/lift", SIGNED, draw=asked.url.raw_path.decode())
    assert "The holds are lifted." in done.text, done.text[:3000]
    assert not any(active_on(api, tube) for tube in tubes)
    assert quality.get_page("/holds/lift", 422) and quality.get_page("/holds/lift?holds=x", 422)


def test_ticked_tubes_are_decided_about_on_a_page(api: Api, visit: Visit) -> None:
    tubes = bank_vials(api, a_donor(api), 2, released=False)
    quality = visit("quality")
    opened = quality.get("/specimens", params=[("act", "decision"), *(("row", tube) for tube in tubes)])
    assert opened.url.path == "/specimens/decision" and all(tube in opened.text for tube in tubes)
    fields = SIGNED | {"specimens": "\n".join(tubes), "decision": "rejected"}
    done = quality.submit("/specimens/decision", fields)
    assert done.url.path == "/specimens" and "2 specimens." in done.text, done.text[:3000]
    assert {one_of(api, tube) for tube in tubes} == {"rejected"}
    visit("lab_tech").get_page("/specimens/decision", 403)
