"""From a cause to everything it can have reached, and freezing that."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.specimens.models import SpecimenParent
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.withdrawals.stories import (
    a_box,
    a_story,
    bank_vials,
    kinds_of,
    later,
    place_of,
    refused,
    sealed,
)


def reached(api: Api, **criteria: Any) -> list[str]:
    """The specimens a cause reached."""
    answer = api.quality.post("/look-backs", json=criteria)
    assert answer.status_code == 201, answer.text
    return [i["specimen"] for i in answer.json()["items"]]


def derive(api: Api, donor: str, parent: str, child: str) -> None:
    """Write that one was made from the other."""
    row = {"child_code": child, "parent_code": parent, "child_donor": donor, "parent_donor": donor}
    api.test_bank.write(lambda s: s.execute(insert(table_of(SpecimenParent)).values(**row)))


def window(**change: float) -> dict[str, str]:
    """A window of two minutes around now, or around another moment."""
    at = clock.now() + timedelta(**change)
    return {"since": rfc3339(at - timedelta(minutes=1)), "until": rfc3339(at + timedelta(minutes=1))}


def test_a_donor_a_lot_and_a_specimen_reach_what_was_made_of_them(api: Api) -> None:
    story, other = a_story(api, 3, lot=True), a_story(api)
    derive(api, story.donor, story.vials[0], story.vials[1])

    assert reached(api, donor=story.donor) == sorted(story.vials)
    assert reached(api, specimen=story.vials[0]) == sorted(story.vials[:2])
    assert reached(api, specimen=story.vials[0], derivatives=False) == story.vials[:1]
    assert other.vials[0] not in reached(api, donor=story.donor)


def test_a_place_and_a_time_reach_what_was_there_then(api: Api) -> None:
    story = a_story(api)
    (vial,) = story.vials
    first = place_of(api, vial)
    then = window()
    later(api, hours=1)
    sealed(api)
    second = a_box(api)
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    stored = api.lab_tech.post(f"/specimens/{vial}/store", json={"container": second, "expected_seq": seq})
    assert stored.status_code == 201, stored.text
    later(api, hours=1)

    assert reached(api, container=first, **then) == [vial]
    assert reached(api, container=first, **window()) == []
    assert reached(api, container=second, **window()) == [vial]
    assert reached(api, container=second, **then) == []


def test_a_stated_time_takes_nothing_out_of_what_a_place_or_a_person_can_have_reached(api: Api) -> None:
    story = a_story(api)
    (vial,) = story.vials
    first, second = place_of(api, vial), a_box(api)
    later(api, minutes=10)
    between = {"since": rfc3339(clock.now() - timedelta(minutes=4)), "until": rfc3339(clock.now() - timedelta(minutes=3))}
    now = window()
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    said = {"container": second, "expected_seq": seq, "occurred_at": rfc3339(clock.now() - timedelta(minutes=5))}

    assert api.lab_tech.post(f"/specimens/{vial}/store", json=said).status_code == 201

    assert reached(api, container=first, **between) == [vial], "it was there until its leaving was recorded"
    assert reached(api, container=second, **between) == [vial], "and may have been here since the time stated"
    assert vial in reached(api, operator=seed.USERS["lab_tech"].code, **now)
    assert vial in reached(api, operator=seed.USERS["lab_tech"].code, **between)


def test_an_operator_and_a_time_reach_what_their_hands_were_on(api: Api) -> None:
    story = a_story(api, 2)
    hands = {"kind": "specimen.checked_out", "purpose": "inspection"}
    seqs = [api.lab_tech.get(f"/specimens/{v}/custody").json()["items"][-1]["seq"] for v in story.vials]
    api.lab_tech.post(f"/specimens/{story.vials[0]}/events", json=hands | {"expected_seq": seqs[0]})
    helped = {"expected_seq": seqs[1], "performed_by": [seed.USERS["lab_tech"].code]}
    assert api.lab_tech2.post(f"/specimens/{story.vials[1]}/events", json=hands | helped).status_code == 201

    assert reached(api, operator=seed.USERS["lab_tech"].code, **window()) == sorted(story.vials)
    assert reached(api, operator=seed.USERS["lab_tech2"].code, **window()) == story.vials[1:]
    assert reached(api, operator=seed.USERS["lab_tech"].code, **window(hours=-5)) == []


def test_recipients_are_counted_and_the_set_is_recorded(api: Api) -> None:
    story = a_story(api, 2).up_to("administer")
    answer = api.quality.post("/look-backs", json={"donor": story.donor}).json()
    assert (answer["specimens"], answer["recipients"]) == (2, 1)
    assert {i["specimen"]: i["withdrawal"] for i in answer["items"]}[story.vials[0]] == story.code
    assert kinds_of(api, "system", answer["id"]) == ["system.look_back_made"]


@pytest.mark.parametrize(
    "criteria",
    [{}, {"donor": "DN-1234567", "lot": "LT-1234567"}, {"container": "BX-1234567"}, {"donor": "DN-1234567", **window()}],
)
def test_a_look_back_starts_from_one_cause(api: Api, criteria: dict[str, str]) -> None:
    refused(api.quality.post("/look-backs", json=criteria), 422, "malformed_request")


def test_look_backs_reach_over_all_sites_so_only_those_ask_who_may_know_all(api: Api) -> None:
    for client in (api.lab_tech, api.clinician, api.admin):
        refused(client.post("/look-backs", json={"donor": "DN-1234567"}), 403, "not_permitted")
    assert api.auditor.post("/look-backs", json={"donor": "DN-1234567"}).json()["items"] == []


RECALL = {"reason": "late_sterility", "site": "LAB", "description": "Growth on day 12."}


def test_a_recall_freezes_the_set_and_ends_open_releases(api: Api) -> None:
    story = a_story(api, 2).up_to("check")

    answer = api.quality.post("/recalls", json=RECALL | {"criteria": {"donor": story.donor}})

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["specimens"], body["recipients"], body["releases_killed"]) == (2, 0, 1)
    held = [h["scope_id"] for h in api.quality.get("/holds", params={"active": True}).json()["items"] if h["kind"] == "recall"]
    assert sorted(held) == sorted(story.vials)
    refused(story.administer(), 409, "on_hold")
    deviation = api.quality.get(f"/deviations/{body['deviation']}").json()
    assert (deviation["severity"], deviation["description"]) == ("critical", "Growth on day 12.")
    assert kinds_of(api, "system", body["deviation"]) == [
        "system.deviation_opened",
        "system.recall_started",
        "system.notices_given",
    ]


def test_a_recall_of_nothing_is_refused(api: Api) -> None:
    answer = api.quality.post("/recalls", json=RECALL | {"criteria": {"donor": "DN-1234567"}})
    refused(answer, 409, "nothing_to_recall")


def test_only_quality_recalls(api: Api) -> None:
    for client in (api.lab_tech, api.auditor):
        refused(client.post("/recalls", json=RECALL | {"criteria": {"donor": "DN-1234567"}}), 403, "not_permitted")


def test_a_recall_is_listed_with_its_frozen_set_and_tells_by_name_who_asked_for_a_unit(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("issue")
    recall = api.quality.post("/recalls", json=RECALL | {"criteria": {"donor": story.donor}}).json()

    (listed,) = api.quality.get("/recalls").json()["items"]
    shown = api.quality.get(f"/recalls/{recall['id']}").json()
    assert (listed["id"], listed["specimens"], listed["deviation"]) == (recall["id"], 2, recall["deviation"])
    assert {one["specimen"]: (one["state"], one["held"]) for one in shown["items"]}[story.vials[0]] == ("issued", True)
    assert shown["reached_since"] == []
    assert {(one["told"], one["reason"]) for one in shown["notices"]} >= {(USERS["clinician"].code, "recall")}
    page = visit("quality")
    assert recall["deviation"] in page.get_page("/recalls")
    assert story.vials[0] in page.get_page(f"/recalls/{recall['id']}")
    refused(api.clinician.get("/recalls"), 403, "not_permitted")

    made = bank_vials(api, story.donor, 1)
    assert api.quality.get(f"/recalls/{recall['id']}").json()["reached_since"] == made
