"""Clocks that decide are asked in the act: time out of the cold, time for use, the release, and what comes of a giving when."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_missing import deviations, told
from tests.storage.test_exposure import VALIDATED
from tests.withdrawals.stories import (
    Story,
    a_story,
    administered,
    ago,
    by_two,
    kinds_of,
    later,
    refused,
    sealed,
    sign_and_post,
    state_of,
)

Steps = dict[str, Callable[[], httpx.Response]]


def budget(api: Api, seconds: int = 1800, site: str = "LAB") -> None:
    """A site says how long frozen cells may be out of the cold."""
    body = {"site": site, "material": "adsc", "condition": "frozen", "warm_amber_s": seconds // 2, "warm_red_s": seconds}
    answer = sign_and_post(api.quality, "decided", "/material-limits", body | VALIDATED)
    assert answer.status_code in (200, 201), answer.text


def hours_later(api: Api, hours: float) -> None:
    later(api, hours=hours)
    sealed(api)


@pytest.mark.parametrize("step", ["confirm", "issue", "thaw"])
def test_what_is_out_of_the_cold_too_long_goes_no_further_whether_or_not_the_timer_came(api: Api, step: str) -> None:
    budget(api)
    before = {"confirm": "pick", "issue": "confirm", "thaw": "receive"}[step]
    story = a_story(api, 3).up_to(before)
    hours_later(api, 10)
    steps: Steps = {"confirm": story.confirm, "issue": story.issue, "thaw": story.thaw}
    said = refused(steps[step](), 409, "out_of_the_cold_too_long")
    assert "10 h" in said["detail"] and "30 min" in said["detail"]
    page = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert page["state"] in ("picking", "delivered")


def test_within_its_budget_it_goes_on_and_without_one_nothing_is_asked(api: Api) -> None:
    story = a_story(api, 3).up_to("pick")
    hours_later(api, 1)
    assert story.confirm().status_code == 201
    budget(api, 3 * 3600)
    assert story.issue().status_code == 200


def test_quality_reads_at_the_approval_that_no_limit_is_set(api: Api, visit: Visit) -> None:
    story = a_story(api, 3).up_to("request")
    page, address = visit("quality"), f"/withdrawals/{story.code}/approve"
    assert f"No limit is set for {story.vials[0]}" in page.get_page(address)
    budget(api)
    assert "No limit is set" not in page.get_page(address)


def given_at(api: Api, story: Story, started: str, ended: str) -> dict[str, object]:
    why = {"late_entry": True, "reason_text": "Entered afterwards."}
    return administered(story) | {"started_at": started, "occurred_at": ended} | why


def test_a_giving_is_entered_by_two_once_the_cells_are_too_old_whatever_hour_is_stated(api: Api) -> None:
    story = a_story(api, 3).up_to("check")
    began = clock.now() + timedelta(minutes=1)
    hours_later(api, 8)
    body = given_at(api, story, rfc3339(began), rfc3339(began + timedelta(minutes=4)))
    said = refused(api.clinician.post(f"/withdrawals/{story.code}/administer", json=body), 409, "entered_by_two")
    assert said["came_after"] == ["expired", "release_expired"]
    assert state_of(api, story.vials[0])["state"] == "delivered"
    page = f"/withdrawals/{story.code}/given-before"
    body = administered(story) | {"started_at": rfc3339(began), "occurred_at": rfc3339(began + timedelta(minutes=4))}
    answer = by_two(api.clinician, api.quality, page, body, "reviewed")
    assert (answer.status_code, answer.json()["came_after"]) == (200, ["expired", "release_expired"]), answer.text
    assert deviations(api) == [("given_before_it_was_known", "critical")]


def test_a_giving_is_entered_by_one_within_the_hour_after_its_release_ran_out(api: Api) -> None:
    story = a_story(api, 3).up_to("check")
    began = clock.now() + timedelta(seconds=20)
    hours_later(api, 0.75)
    body = given_at(api, story, rfc3339(began), rfc3339(began + timedelta(minutes=4)))
    answer = api.clinician.post(f"/withdrawals/{story.code}/administer", json=body)
    assert answer.status_code in (200, 201), answer.text


def test_a_giving_is_entered_by_two_once_the_band_that_was_checked_was_taken_off(api: Api, visit: Visit) -> None:
    story = a_story(api, 3).up_to("check")
    began = clock.now() + timedelta(seconds=20)
    later(api, minutes=5)
    sealed(api)
    void = api.clinician.post(f"/wristbands/{story.band}/void", json={"reason": "removed"})
    assert void.status_code == 200, void.text
    here = f"/withdrawals/{story.code}"
    body = given_at(api, story, rfc3339(began), rfc3339(began + timedelta(minutes=4)))
    assert "wristband void" in refused(api.clinician.post(f"{here}/administer", json=body), 409, "entered_by_two")["detail"]
    page = visit("clinician").get_page(here)
    assert f"{here}/given-before" in page and f'href="{here}/administer"' not in page
    answer = by_two(api.clinician, api.quality, f"{here}/given-before", body, "reviewed")
    assert (answer.status_code, answer.json()["came_after"]) == (200, ["wristband_void"]), answer.text


def test_nothing_came_of_cells_before_they_were_given(api: Api) -> None:
    story = a_story(api, 3).up_to("administer")
    seen = {"kind": "reaction", "seriousness": "serious", "in_lot": True, "seen_at": ago(days=2), "words": "Fever."}
    refused(api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=seen), 409, "implausible_time")
    for result in ("as_expected", "no_effect", "adverse_event"):
        refused(story.outcome(result=result, observed_at=ago(days=2)), 409, "implausible_time")
    event = seen | {"kind": "event"}
    assert api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=event).status_code == 201
    assert api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=seen | {"seen_at": ago()}).status_code == 201


@pytest.mark.parametrize("what", ["consent", "death"])
def test_what_came_before_the_giving_and_is_entered_after_it_is_told(api: Api, what: str) -> None:
    story = a_story(api, 3).up_to("receive")
    later(api, minutes=5)
    before = ago(minutes=1)
    sealed(api)
    steps: Steps = {"1": story.thaw, "2": story.check, "3": lambda: story.check(api.clinic_staff), "4": story.administer}
    assert {step().status_code for step in steps.values()} <= {200, 201}
    later(api, minutes=30)
    sealed(api)
    why = {"occurred_at": before, "late_entry": True, "reason_text": "The letter of this morning."}
    if what == "consent":
        consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]
        answer = api.clinician.post(f"/donors/{story.donor}/consents/{consent['id']}/revoke", json=why)
    else:
        body = {"died_on": clock.now().date().isoformat(), "source": "family"} | why
        answer = api.clinician.post(f"/donors/{story.donor}/death", json=body)
    assert answer.status_code in (200, 201), answer.text
    assert deviations(api) == [("given_before_it_was_known", "critical")]
    for login in ("quality", "lab_quality", "clinic_staff"):
        assert ("given_unknowing", story.code) in told(api, login)


def test_a_consent_that_is_taken_back_after_the_giving_tells_of_nothing(api: Api) -> None:
    story = a_story(api, 3).up_to("administer")
    later(api, minutes=30)
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]
    assert api.clinician.post(f"/donors/{story.donor}/consents/{consent['id']}/revoke", json={}).status_code in (200, 201)
    assert deviations(api) == []


def test_what_was_thawed_for_a_withdrawal_is_not_called_off_or_replaced_but_ended_by_two_with_quality(api: Api) -> None:
    story = a_story(api, 3)
    story.request(route="thaw_and_ship")
    assert story.approve().status_code == 200
    steps: Steps = {"1": story.pick, "2": story.confirm, "3": lambda: story.thaw(api.lab_tech)}
    assert {step().status_code for step in steps.values()} <= {200, 201}
    path = f"/withdrawals/{story.code}"
    for client in (api.clinician, api.quality, api.acts_here):
        refused(client.post(f"{path}/cancel", json={"reason": "postponed"}), 409, "thawed_already")
    by = {"tube": story.vials[0], "by": story.vials[1], "reason": "broken"}
    refused(api.clinician.post(f"{path}/replace", json=by), 409, "thawed_already")
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    discard, body = (
        f"/specimens/{story.vials[0]}/discard",
        {"reason": "thawed_unused", "method": "autoclave", "expected_seq": seq},
    )
    proposed = sign_and_post(api.lab_tech, "decided", discard, body)
    assert proposed.status_code == 200, proposed.text
    half = body | {"pending_act": proposed.json()["pending_act"]}
    refused(sign_and_post(api.lab_tech2, "decided", discard, half), 403, "quality_discards")
    assert sign_and_post(api.quality, "decided", discard, half).status_code == 200
    assert "call it off" in api.clinician.get(path).json()["waits_for"][0]
    assert api.clinician.post(f"{path}/cancel", json={"reason": "postponed"}).status_code == 200
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.cancelled"
