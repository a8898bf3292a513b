"""A pick counts for the taking out that it belongs to, and of two who scan each scans for themselves."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.seed import USERS
from tests.withdrawals.stories import Story, a_box, a_story, lift_all, place_of, refused


def event(api: Api, tube: str, path: str, **body: Any) -> None:
    seq = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"]
    answer = api.lab_tech.post(f"/specimens/{tube}/{path}", json=body | {"expected_seq": seq})
    assert answer.status_code in (200, 201), answer.text


def taken_out_by_the_way(api: Api, story: Story) -> None:
    """Put into any box, then taken out as if for something else: nobody scans what comes out."""
    event(api, story.vials[0], "store", container=a_box(api))
    event(api, story.vials[0], "events", kind="specimen.checked_out", purpose="inspection")


def test_a_tube_that_was_put_back_does_not_leave_on_its_old_pick(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    taken_out_by_the_way(api, story)
    refused(story.issue(), 409, "pick_unconfirmed")
    read = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert read["waits_for"][0] == f"{story.vials[0]}: pick it, scanning its place and the tube"
    assert story.pick().status_code == 201
    refused(story.issue(), 409, "pick_unconfirmed")
    assert story.confirm().status_code == 201
    assert story.issue().status_code == 200


def test_a_tube_that_was_missed_is_picked_anew(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    event(api, story.vials[0], "events", kind="specimen.missing", reason="not_on_the_bench")
    event(api, story.vials[0], "events", kind="specimen.found", site="LAB")
    lift_all(api, story.vials[0])
    taken_out_by_the_way(api, story)
    refused(story.issue(), 409, "pick_unconfirmed")


@pytest.mark.parametrize("step", ["pick", "confirm", "check"])
def test_of_two_who_scan_nobody_scans_for_the_other(api: Api, step: str) -> None:
    before = {"pick": "approve", "confirm": "pick", "check": "thaw"}[step]
    story = a_story(api, 2).up_to(before)
    hands: dict[str, Any] = {"performed_by": [USERS["lab_tech2" if step == "pick" else "clinic_staff"].code]}
    if step == "check":
        answer = story.check(**hands)
    else:
        place = {"place": place_of(api, story.vials[0])} if step == "pick" else {"confirm": True}
        body = {"tube": story.vials[0]} | place | hands
        answer = (api.lab_tech if step == "pick" else api.lab_tech2).post(f"/withdrawals/{story.code}/picks", json=body)
    refused(answer, 422, "malformed_request")
    assert "each of the two scans for themselves" in answer.text
