"""Sterility turns positive after a unit of the lot was given: who treats is told first, nothing of the lot is used again."""

import pytest

from tests import seed
from tests.conftest import Api
from tests.quality.test_decisions import lot_of
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals.stories import Story, a_story, refused, sign_and_post, state_of


@pytest.mark.slow
def test_a_late_positive_reaches_who_treats_keeps_the_rest_and_is_turned_round_by_nobody_alone(api: Api) -> None:
    story = a_story(api, 3, lot=True)
    lot = lot_of(api, story.vials[0])
    story.up_to("administer")

    grew = report(api, lot, result="failed", organism="Staphylococcus epidermidis", **REPORT)
    assert grew.status_code == 201, grew.text

    told = sorted(api.quality.get("/notices").json()["items"], key=lambda one: not one["treats"])
    assert told[0]["told"] == seed.USERS["clinician"].code and told[0]["reason"] == "failed_after_use"
    (deviation,) = (one for one in api.quality.get("/deviations").json()["items"] if one["topic"] == "failed_test")
    acknowledged = api.clinician.post(f"/notices/{told[0]['id']}/acknowledge", json={})
    assert acknowledged.status_code == 200, acknowledged.text

    assert {state_of(api, vial)["quality"] for vial in story.vials} == {"rejected"}
    again = Story(api, story.donor, story.vials[1:]).request()
    assert again.status_code == 409, again.text
    released = {"decision": "released_to_bank", "reason": "criteria_met"}
    freed = sign_and_post(api.quality, "decided", f"/specimens/{story.vials[1]}/decision", released)
    assert freed.status_code in (409, 428), freed.text
    (hold,) = api.quality.get("/holds", params={"scope": lot, "active": True}).json()["items"]
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "reviewed"})
    assert lifted.status_code in (403, 409), lifted.text

    reached = api.quality.post("/look-backs", json={"lot": lot}).json()
    assert reached["recipients"] == 1 and {one["specimen"] for one in reached["items"]} >= set(story.vials)
    ending = {"cause": "unknown", "decision": "watched", "corrective_action": "The patient is followed up."}
    closed = sign_and_post(api.quality, "closed", f"/deviations/{deviation['code']}/close", ending)
    refused(closed, 409, "units_undecided")
