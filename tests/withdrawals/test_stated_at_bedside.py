"""At the bedside a stated time is neither a way around a stop, a clock or a release, nor a trap for what is true."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.donors import stories as donors
from tests.withdrawals.stories import Story, a_story, ago, kinds_of, later, refused, sealed, sign_and_post, state_of
from tests.withdrawals.test_paper_check import fetched, filed, given_on_paper, on_paper


@pytest.mark.parametrize("step", ["check", "administer"])
@pytest.mark.parametrize(
    "said",
    [
        {"paper": "DV-0000000"},
        {"ahead": 3, "late_entry": True},
        {"ahead": -3},
    ],
    ids=["a form nobody filed", "a clock ahead", "far back without a reason"],
)
def test_a_wrong_circumstance_of_the_call_does_not_undo_a_stop(api: Api, step: str, said: dict[str, Any]) -> None:
    story, other = a_story(api).up_to("check"), a_story(api).up_to("receive")
    call = story.check if step == "check" else story.administer
    when: dict[str, Any] = {"occurred_at": ago(hours=-said["ahead"])} if "ahead" in said else {}

    refused(call(product=other.vials[0], **when, **{k: v for k, v in said.items() if k != "ahead"}), 409, "wrong_recipient")

    holds = api.quality.get("/holds", params={"scope": other.vials[0], "active": True}).json()["items"]
    assert [(hold["kind"], hold["reason"]) for hold in holds] == [("identity", "bedside_mismatch")]
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.bedside_check_failed"
    refused(story.administer(), 409, "release_ended")


def test_a_release_is_used_the_way_it_was_made_live_or_from_paper(api: Api) -> None:
    story, form, then = given_on_paper(api, minutes=1)
    assert story.check(**on_paper(form, then)).status_code == 201
    assert story.check(api.clinic_staff, **on_paper(form, then)).json()["status"] == "released"
    refused(story.administer(), 409, "no_release")
    live = a_story(api).up_to("thaw")
    live.band = donors.band(api, live.donor)
    began = clock.now()
    assert live.check().status_code == 201
    assert live.check(api.clinic_staff).json()["status"] == "released"
    now = clock.now()
    refused(live.administer(**on_paper(filed(api, began), now, started_at=rfc3339(now))), 409, "no_release")
    assert live.administer().status_code == 200


def test_a_giving_that_began_long_ago_says_why_or_uses_no_release(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, hours=1)
    sealed(api)
    began = ago(minutes=59)
    refused(story.administer(started_at=began), 409, "implausible_time")
    refused(story.administer(started_at=ago(minutes=10)), 409, "release_expired")
    assert state_of(api, story.vials[0])["state"] == "delivered"
    assert story.administer(started_at=began, reason_text="The hands were not free.").status_code == 200


def test_a_consent_taken_back_ends_open_releases_and_a_new_consent_revives_none(api: Api) -> None:
    story, other = a_story(api).up_to("check"), a_story(api).up_to("check")
    consents = f"/donors/{story.donor}/consents"
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    assert api.clinician.post(f"{consents}/{consent}/revoke", json={}).status_code in (200, 201)
    assert donors.consent(api.clinician, story.donor, "treatment", given_at=ago(minutes=0)).status_code == 201

    assert refused(story.administer(), 409, "release_ended")["because"] == "consent_revoked"
    assert other.administer().status_code == 200


def test_on_paper_the_later_reader_may_enter_first(api: Api) -> None:
    story, form, then = given_on_paper(api)
    second = on_paper(form, then + timedelta(minutes=2))
    assert story.check(api.clinic_staff, **second).json()["status"] == "waiting_for_second_person"

    first = story.check(**on_paper(form, then))

    assert (first.status_code, first.json().get("status")) == (201, "waiting_for_second_person"), first.text
    assert story.check(api.clinic_staff, **second).json()["status"] == "released"
    began = rfc3339(then + timedelta(minutes=3))
    assert story.administer(**on_paper(form, then + timedelta(minutes=6), started_at=began)).status_code == 200


def test_a_check_on_paper_is_not_dated_before_the_tube_was_thawed_or_delivered(api: Api) -> None:
    story = a_story(api).up_to("receive")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    later(api, minutes=10)
    frozen = clock.now()
    later(api, minutes=10)
    sealed(api)
    assert story.thaw().status_code == 200
    later(api, minutes=10)
    sealed(api)
    form, then = filed(api, began), clock.now() - timedelta(minutes=5)

    refused(story.check(**on_paper(form, frozen)), 409, "out_of_order")
    assert story.check(**on_paper(form, then)).status_code == 201


def held_for_a_while(api: Api, story: Story, minutes: float) -> None:
    """Quality's hold on the tube, lifted some minutes later."""
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    placed = api.lab_tech.post("/holds", json=hold)
    assert placed.status_code == 201, placed.text
    later(api, minutes=minutes)
    sealed(api)
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{placed.json()['id']}/lift", {"reason": "explained"})
    assert lifted.status_code in (200, 201), lifted.text


def test_a_hold_that_stood_at_the_stated_time_and_was_lifted_since_stands_against_what_is_entered_from_paper(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    later(api, minutes=2)
    free = clock.now()
    later(api, minutes=5)
    held_for_a_while(api, story, minutes=10)
    held = free + timedelta(minutes=7)
    later(api, minutes=1)
    sealed(api)
    form = filed(api, began)

    refused(story.check(**on_paper(form, held)), 409, "on_hold")
    assert story.check(**on_paper(form, free)).status_code == 201
    assert story.check(api.clinic_staff, **on_paper(form, free)).json()["status"] == "released"
    refused(story.administer(**on_paper(form, held, started_at=rfc3339(held))), 409, "on_hold")
    # What the form said of a time at which the bank had stopped it holds the tube since: what was given before that, two enter.
    soon = on_paper(form, free + timedelta(minutes=1), started_at=rfc3339(free + timedelta(minutes=1)))
    refused(story.administer(**soon), 409, "entered_by_two")
    assert story.given_before(**soon).status_code == 200


def test_a_band_stands_for_nobody_from_the_time_on_at_which_it_was_taken_off(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    later(api, minutes=20)
    sealed(api)
    assert story.check().status_code == 201
    assert story.check(api.clinic_staff).json()["status"] == "released"
    later(api, minutes=3)
    began = rfc3339(clock.now())
    later(api, minutes=2)
    off = ago(minutes=10)
    body = {"reason": "removed", "occurred_at": off}

    assert api.clinician.post(f"/wristbands/{story.band}/void", json=body).status_code == 200

    assert rfc3339(datetime.fromisoformat(api.clinician.get(f"/wristbands/{story.band}").json()["voided_at"])) == off
    sealed(api)
    assert refused(story.administer(started_at=began), 409, "release_ended")["because"] == "band_voided"


def test_a_band_is_taken_off_no_earlier_than_it_was_put_on_and_no_later_than_that_is_entered(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    for minutes in (-1, 14):
        band = donors.band(api, story.donor)
        answer = api.clinician.post(f"/wristbands/{band}/void", json={"reason": "damaged", "occurred_at": ago(minutes=minutes)})
        assert answer.status_code in (200, 409), answer.text
        shown = api.clinician.get(f"/wristbands/{band}").json()
        assert shown["voided_at"] is None or shown["issued_at"] <= shown["voided_at"] <= rfc3339(clock.now())
