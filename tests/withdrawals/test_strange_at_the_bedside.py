"""What is in the hand at a bedside and is nobody's by any name stops everything; a band of somebody else stops both."""

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.withdrawals.stories import Story, a_story, kinds_of, refused, state_of


def still_open(api: Api, story: Story) -> bool:
    (release,) = api.clinician.get(f"/withdrawals/{story.code}").json()["releases"]
    return release["killed_at"] is None


@pytest.mark.parametrize("step", ["check", "administer"])
def test_a_strange_tube_in_the_hand_stops_everything_and_is_evidence(api: Api, step: str) -> None:
    story = a_story(api, 2).up_to("check")
    said = {"product": "HOSPITAL-B-12345"} | ({"started_at": rfc3339(clock.now())} if step == "administer" else {})
    document = refused(getattr(story, step)(**said), 409, "wrong_recipient")
    assert document["differing"] == ["product"] and document["subject"] == story.code
    assert "HOSPITAL" not in str(document)
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.bedside_check_failed"
    assert not still_open(api, story)
    refused(story.administer(), 409, "release_ended")
    misses = api.auditor.get("/attempt-counts").json()["items"]
    assert any((one["why"], one["site"]) == ("wrong_recipient", "CLINIC") for one in misses), misses


def test_a_misread_code_of_ours_is_scanned_again(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    wrong = story.vials[0][:-1] + ("A" if story.vials[0][-1] != "A" else "B")
    refused(story.check(product=wrong), 422, "check_character_wrong")
    assert still_open(api, story)


def test_somebody_elses_band_stops_both_patients(api: Api) -> None:
    story, other = (a_story(api, 2).up_to("check") for _ in range(2))
    refused(story.check(wristband=other.band), 409, "wrong_recipient")
    for one in (story, other):
        assert not still_open(api, one)
        assert one.administer().status_code == 409
        assert state_of(api, one.vials[0])["state"] == "delivered"
    for who in (api.clinician, api.clinic_staff):
        assert other.check(who).status_code == 201
    assert other.administer().status_code == 200
