"""What is in the hand at a bedside and is nobody's by any name stops everything; a band of somebody else stops both."""

import pytest

from biobank.acts.codes import new_code
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_story, holds_of, kinds_of, own_notices, refused, sign_and_post, state_of


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


def strange_band(api: Api, story: Story, which: str) -> str:
    """What somebody scans on a wrist that is not this patient's."""
    if which == "another hospital's":
        return "HOSPITAL-B-12345"
    if which == "a tube's code":
        return story.vials[1]
    return api.test_bank.write(lambda s: new_code(s, "WB"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("which", ["another hospital's", "of nobody", "a tube's code"])
def test_a_band_of_nobody_here_stops_everything_and_is_evidence(api: Api, which: str) -> None:
    story = a_story(api, 2).up_to("check")
    document = refused(story.check(wristband=strange_band(api, story, which)), 409, "wrong_recipient")
    assert document["differing"] == ["wristband"] and "HOSPITAL" not in str(document)
    assert not still_open(api, story)
    refused(story.administer(), 409, "on_hold")
    misses = api.auditor.get("/attempt-counts").json()["items"]
    assert any((one["why"], one["site"]) == ("wrong_recipient", "CLINIC") for one in misses), misses


@pytest.mark.parametrize("step", ["check", "administer"])
def test_a_label_that_should_be_on_nothing_any_more_ends_what_is_open(api: Api, step: str) -> None:
    story = a_story(api, 2)
    old = story.print_label(reason="first_print")
    story.print_label(reason="damaged")
    story.up_to("check")
    said = {"product": old} | ({"started_at": rfc3339(clock.now())} if step == "administer" else {})
    refused(getattr(story, step)(**said), 409, "label_superseded")
    assert not still_open(api, story)
    refused(story.administer(), 409, "release_ended")
    assert called(api) == ["outdated_label_at_the_bedside"]


def called(api: Api) -> list[str]:
    """What quality was called for."""
    found = own_notices(api, "quality")
    kept = [one["topic"] for one in api.quality.get("/deviations", params={"open": True}).json()["items"]]
    assert [one["reason"] for one in found] == kept
    return kept


def test_a_stop_calls_quality_of_the_clinic_and_of_the_bank_until_its_deviation_is_closed(api: Api, visit: Visit) -> None:
    story, other = a_story(api, 2).up_to("check"), a_story(api, 2).up_to("check")
    refused(story.check(wristband=other.band), 409, "wrong_recipient")
    assert called(api) == ["bedside_mismatch"]
    for login in ("quality", "quality2", "lab_quality"):
        (one,) = own_notices(api, login)
        assert (one["reason"], one["about"]) == ("bedside_mismatch", story.code), login
    page = visit("lab_quality")
    assert "Read and acknowledge" in page.get_page("/")
    assert "STOP at the bedside" in page.get_page(f"/notices/{one['id']}")
    (deviation,) = api.quality.get("/deviations", params={"open": True}).json()["items"]
    assert (deviation["severity"], deviation["site"]) == ("critical", "CLINIC")


def test_whose_scan_put_an_identity_in_doubt_does_not_lift_its_hold(api: Api) -> None:
    me = api.acts_here
    story, other = a_story(api, 2).up_to("thaw"), a_story(api, 2).up_to("check")
    refused(story.check(me, wristband=other.band), 409, "wrong_recipient")
    (hold,) = (one["id"] for one in holds_of(api, story.vials[0]))
    lift = {"reason": "reviewed"}
    refused(sign_and_post(me, "hold_lifted", f"/holds/{hold}/lift", lift), 403, "not_independent")
    several = {"holds": [hold], "reason": "reviewed"}
    refused(sign_and_post(me, "hold_lifted", "/holds/lift", several), 403, "not_independent")
    assert sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", lift).status_code == 200


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
