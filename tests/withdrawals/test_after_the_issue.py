"""A shipment is the rest of an issue: what could not be issued any more does not leave with the courier."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_story, refused, sign_and_post
from tests.withdrawals.test_decided_now import expire, long_ago, revoke


def ship(story: Story, **said: Any) -> Any:
    """The courier is to take the issued vial."""
    vial = story.vials[0]
    seq = story.api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    lines = [{"specimen": vial, "expected_seq": seq}]
    body = {"from_site": "LAB", "to_site": "CLINIC", "specimens": lines, "courier": "COLD_EXPRESS", "evidence": "waybill 4711"}
    return story.api.lab_tech.post("/shipments", json=body | said)


def reject(api: Api, story: Story) -> None:
    """Quality rejects the vial."""
    decided = {"decision": "rejected", "reason": "dropped"}
    assert sign_and_post(api.quality, "rejected", f"/specimens/{story.vials[0]}/decision", decided).status_code == 200


SINCE: dict[str, Any] = {
    "not_released": reject,
    "consent_revoked": lambda api, story: revoke(api, story.donor),
    "expired": lambda api, story: expire(api, story.vials[0]),
}


@pytest.mark.parametrize("code", SINCE)
def test_what_may_not_be_used_since_its_issue_does_not_leave(api: Api, code: str) -> None:
    story = a_story(api, 2).up_to("issue")
    SINCE[code](api, story)
    refused(ship(story), 409, code)
    verdict = "rejected" if code == "not_released" else "quarantined"
    assert story.take_back(quality=verdict).status_code == 200, "and it has a way back"


def test_a_stated_time_does_not_let_it_leave_either(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    revoke(api, story.donor)
    refused(ship(story, **long_ago()), 409, "consent_revoked")


def test_the_pages_of_a_hand_over_say_what_they_would_be_refused_for(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("issue")
    vial = story.vials[0]
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {"specimens": [{"specimen": vial, "expected_seq": seq}], "to_kind": "courier", "to_id": "CRYOGO"}
    answer = api.lab_tech.post("/handovers", json=body)
    assert answer.status_code == 201, answer.text
    page = f"/handovers/{answer.json()['id']}"
    assert "Record its acceptance" in visit("lab_tech").get_page(page)
    revoke(api, story.donor)
    drawn = visit("lab_tech").get_page(page)
    assert "It goes nowhere now" in drawn and "Record its acceptance" not in drawn
    refused(api.lab_tech.post(f"{page}/accept", json={"evidence": "CG 4711"}), 409, "consent_revoked")
    assert "It stays here" in visit("lab_tech").get_page(f"/handovers/new?specimens={vial}")
