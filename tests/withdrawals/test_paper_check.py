"""The bedside without network: a sheet fetched beforehand, filed, and entered the same day by both people."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.donors import stories as donors
from tests.labels.reading import pdf_texts
from tests.pages.visitor import Visit
from tests.quality.sheets import a_sheet
from tests.quality.test_decisions import lot_of
from tests.quality.test_deviations import stored
from tests.withdrawals.stories import (
    Story,
    a_story,
    holds_of,
    kinds_of,
    later,
    lift_all,
    own_notices,
    refused,
    sealed,
    sign_and_post,
    state_of,
)
from tests.withdrawals.test_from_paper import filed as filed_by

DOCTOR, NURSE = (seed.USERS[name].code for name in ("clinician", "clinic_staff"))


def fetched(story: Story, **body: Any) -> httpx.Response:
    return story.api.clinic_staff.post(f"/withdrawals/{story.code}/paper-checks", json=body)


def filed(api: Api, began: datetime) -> str:
    body = {
        "site": "CLINIC",
        "form_sha256": stored(api, a_sheet()).json()["sha256"],
        "did_by": DOCTOR,
        "second": NURSE,
        "began_at": rfc3339(began),
        "reason": "network_down",
        "description": "No network in the treatment room.",
    }
    answer = api.clinician.post("/paper-forms", json=body)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["code"]
    return code


def given_on_paper(api: Api, *, lot: bool = False, **wait: float) -> tuple[Story, str, datetime]:
    """A sheet fetched, a thawed tube checked on paper ten minutes later, and the form filed after a while."""
    story = a_story(api, lot=lot).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    later(api, minutes=10)
    then = clock.now()
    later(api, **(wait or {"hours": 2}))
    sealed(api)
    return story, filed(api, began), then


def on_paper(form: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {"paper": form, "occurred_at": rfc3339(at), "device": None} | more


def test_a_sheet_names_the_tubes_is_signed_by_the_log_and_is_always_the_same(api: Api) -> None:
    story = a_story(api).up_to("issue")
    refused(fetched(story), 409, "custody_not_accepted")
    assert story.receive().status_code == 200
    band = donors.band(api, story.donor)
    refused(story.api.lab_tech.post(f"/withdrawals/{story.code}/paper-checks", json={}), 403, "not_permitted")

    assert api.admin.patch("/sites/CLINIC", json={"timezone": "Asia/Kolkata"}).status_code == 200
    answer = fetched(story)

    assert answer.status_code == 201, answer.text
    event = api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"][-1]
    said = answer.json()
    assert (event["kind"], event["body"]["content"]) == ("withdrawal.paper_check_fetched", said["content_sha256"])
    assert event["leaf_hash"] in said["receipt"]
    path = f"/withdrawals/{story.code}/paper-checks/{said['sheet']}"
    printed = api.clinic_staff.get(path)
    text = " ".join("".join(pdf_texts(printed.content)).split())
    for shown in (story.vials[0], band, story.donor, said["content_sha256"], event["leaf_hash"]):
        assert shown in text
    assert api.clinic_staff.get(path).content == printed.content
    until = datetime.fromisoformat(said["good_until"]).astimezone(ZoneInfo("Asia/Kolkata"))
    assert f"Good until {until:%Y-%m-%d %H:%M} ({until.tzinfo}, UTC{until:%z})" in text and said["good_until"] not in text
    refused(api.clinic_staff.get(path.replace(story.code, a_story(api).up_to("request").code)), 404, "not_found")


def test_the_database_keeps_no_sheet_that_is_over_before_it_begins(api: Api) -> None:
    story = a_story(api).up_to("receive")
    assert fetched(story).status_code == 201
    with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.errors.CheckViolation) as caught:
        connection.execute(
            "INSERT INTO paper_check SELECT gen_random_uuid(), withdrawal_code, specimens, fetched_at, fetched_at, content,"
            " receipt, event_hash FROM paper_check"
        )
    assert caught.value.diag.constraint_name == "a_paper_check_lasts"


def test_a_tube_on_hold_is_not_printed(api: Api) -> None:
    story = a_story(api).up_to("receive")
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201
    refused(fetched(story), 409, "on_hold")


def test_what_two_people_wrote_is_entered_the_same_day_and_says_when_it_happened(api: Api) -> None:
    story, form, then = given_on_paper(api)
    refused(story.check(**on_paper(form, then - timedelta(minutes=11))), 409, "paper_check_missing")
    refused(story.check(api.lab_tech, **on_paper(form, then)), 403, "not_permitted")

    first = story.check(**on_paper(form, then))
    assert (first.status_code, first.json()["status"]) == (201, "waiting_for_second_person"), first.text
    assert story.check(**on_paper(form, then)).json()["status"] == "waiting_for_second_person", "one person is not two"
    second = story.check(api.clinic_staff, **on_paper(form, then + timedelta(minutes=1)))
    assert second.json()["status"] == "released", second.text
    began, ended = then + timedelta(minutes=3), then + timedelta(minutes=8)
    done = story.administer(**on_paper(form, ended, started_at=rfc3339(began)))

    assert done.status_code == 200, done.text
    assert state_of(api, story.vials[0])["state"] == "administered"
    last = api.auditor.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert (last["source"], last["occurred_at"], last["body"]["started_at"]) == ("paper", rfc3339(ended), rfc3339(began))
    assert kinds_of(api, "withdrawal", story.code)[-3:] == [
        "withdrawal.bedside_check_opened",
        "withdrawal.bedside_check_passed",
        "withdrawal.administered",
    ]


def test_it_is_not_entered_another_day(api: Api) -> None:
    story, form, then = given_on_paper(api, hours=24, minutes=1)
    refused(story.check(**on_paper(form, then)), 409, "paper_entered_late")


def test_two_people_on_paper_are_bound_to_ten_minutes_and_another_persons_product_stops_everything(api: Api) -> None:
    story, form, then = given_on_paper(api)
    assert story.check(**on_paper(form, then)).status_code == 201
    late = story.check(api.clinic_staff, **on_paper(form, then + timedelta(minutes=11)))
    assert late.json()["status"] == "waiting_for_second_person"
    other = a_story(api).up_to("thaw")
    refused(story.check(**on_paper(form, then, product=other.vials[0])), 409, "wrong_recipient")


@pytest.mark.parametrize("kind", ["consent_revoked", "on_hold"])
def test_what_stood_against_it_by_then_stands_against_it_on_paper_too(api: Api, kind: str) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    if kind == "on_hold":
        hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
        assert api.lab_tech.post("/holds", json=hold).status_code == 201
    else:
        consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
        assert api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json={}).status_code in (200, 201)
    later(api, minutes=30)
    sealed(api)
    form = filed(api, began)
    for who in (api.clinician, api.clinic_staff):
        refused(story.check(who, **on_paper(form, clock.now() - timedelta(minutes=10))), 409, kind)
    require_told_once(api, story)


def require_told_once(api: Api, story: Story) -> None:
    """What two people say they did with what the bank had stopped is no giving, and quality of both houses knows of it."""
    (vial,) = story.vials
    opened = api.quality.get("/deviations", params={"open": True}).json()["items"]
    (told,) = [one for one in opened if one["topic"] == "done_on_paper_against_a_stop"]
    assert told["severity"] == "critical"
    affected = api.quality.get(f"/deviations/{told['code']}").json()["affected"]
    assert {one["id"] for one in affected} == {vial, story.code}
    assert "done_on_paper_against_a_stop" in {one["reason"] for one in own_notices(api, "quality")}
    assert "quality" in {one["kind"] for one in holds_of(api, vial)}, "nobody gives it again"
    assert state_of(api, vial)["state"] == "delivered"


def held(api: Api, vial: str) -> None:
    hold = {"scope_kind": "specimen", "scope_id": vial, "kind": "quality", "reason": "late_result"}
    assert api.quality.post("/holds", json=hold).status_code == 201


def failed(api: Api, vial: str) -> None:
    test = {
        "test": "sterility",
        "result": "failed",
        "sampled_at": rfc3339(clock.now()),
        "report_sha256": seed.A_REPORT,
    } | seed.TESTED
    answer = api.lab_tech.post(f"/lots/{lot_of(api, vial)}/tests", json=test)
    assert answer.status_code == 201, answer.text


def checked_on_paper(story: Story, form: str, then: datetime) -> None:
    assert story.check(**on_paper(form, then)).status_code == 201
    second = story.check(story.api.clinic_staff, **on_paper(form, then + timedelta(minutes=1)))
    assert second.json().get("status") == "released", second.text


@pytest.mark.parametrize(("came", "code"), [(held, "on_hold"), (failed, "lot_test_failed")])
def test_what_was_given_before_it_was_known_is_recorded_marked_and_told(
    api: Api, came: Callable[[Api, str], None], code: str
) -> None:
    story, form, then = given_on_paper(api, lot=True)
    vial = story.vials[0]
    came(api, vial)
    sealed(api)
    refused(story.check(), 409, "on_hold")

    checked_on_paper(story, form, then)
    said = on_paper(form, then + timedelta(minutes=8), started_at=rfc3339(then + timedelta(minutes=3)))
    assert code in refused(story.administer(**said), 409, "entered_by_two")["came_after"]
    done = story.given_before(**said)

    assert done.status_code == 200, done.text
    assert state_of(api, vial)["state"] == "administered"
    last = [
        one for one in api.auditor.get(f"/specimens/{vial}/custody").json()["items"] if one["kind"] == "specimen.administered"
    ]
    assert code in last[0]["body"]["came_after"] and last[0]["source"] == "paper"
    opened = api.quality.get("/deviations", params={"open": True}).json()["items"]
    (told,) = [one for one in opened if one["topic"] == "given_before_it_was_known"]
    assert told["severity"] == "critical"
    affected = api.quality.get(f"/deviations/{told['code']}").json()["affected"]
    assert {one["id"] for one in affected} == {vial, story.code}


def test_a_hold_that_was_written_down_only_after_the_giving_comes_to_light_and_is_marked(api: Api) -> None:
    story, form, then = given_on_paper(api, lot=True)
    vial = story.vials[0]
    late = {"scope_kind": "specimen", "scope_id": vial, "kind": "quality", "reason": "late_result"}
    stated = late | {"occurred_at": rfc3339(then - timedelta(minutes=5)), "late_entry": True, "reason_text": "Written down late."}
    answer = api.quality.post("/holds", json=stated)
    assert answer.status_code == 201, answer.text
    sealed(api)
    assert api.quality.get("/holds", params={"active": True}).json()["items"][0]["placed_at"] < rfc3339(then)
    came_to_light(story, form, then, "on_hold")


def came_to_light(story: Story, form: str, then: datetime, code: str) -> None:
    """Both checks and the giving are entered, the giving by two, with what came to light since, and quality is told."""
    checked_on_paper(story, form, then)
    said = on_paper(form, then + timedelta(minutes=8), started_at=rfc3339(then + timedelta(minutes=3)))
    assert code in refused(story.administer(**said), 409, "entered_by_two")["came_after"]
    done = story.given_before(**said)
    assert done.status_code == 200, done.text
    assert code in done.json()["came_after"]
    assert state_of(story.api, story.vials[0])["state"] == "administered"
    opened = story.api.quality.get("/deviations", params={"open": True}).json()["items"]
    assert [one["severity"] for one in opened if one["topic"] == "given_before_it_was_known"] == ["critical"]


def test_a_hold_that_the_bank_knew_of_refuses_it_also_when_it_was_lifted_since(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    held(api, story.vials[0])
    later(api, minutes=30)
    lift_all(api, story.vials[0])
    sealed(api)
    refused(story.check(**on_paper(filed(api, began), clock.now() - timedelta(minutes=10))), 409, "on_hold")
    require_told_once(api, story)


def died(api: Api, story: Story, at: datetime) -> None:
    told = {"occurred_at": rfc3339(at), "late_entry": True, "reason_text": "Told by the family."}
    body = {"died_on": at.date().isoformat(), "source": "family"} | told
    answer = api.clinician.post(f"/donors/{story.donor}/death", json=body)
    assert answer.status_code in (200, 201), answer.text


def took_back(api: Api, story: Story, at: datetime) -> None:
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    body = {"occurred_at": rfc3339(at), "late_entry": True, "reason_text": "By letter."}
    answer = api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json=body)
    assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize(("happened", "code"), [(died, "donor_not_living"), (took_back, "consent_revoked")])
def test_what_was_given_is_entered_also_when_the_patient_died_or_took_consent_back_minutes_after_it(
    api: Api, happened: Callable[[Api, Story, datetime], None], code: str
) -> None:
    story, form, then = given_on_paper(api)
    happened(api, story, then + timedelta(minutes=12))
    sealed(api)
    checked_on_paper(story, form, then)
    ended, began = then + timedelta(minutes=8), then + timedelta(minutes=3)
    done = story.given_before(**on_paper(form, ended, started_at=rfc3339(began)))
    assert done.status_code == 200, done.text
    last = api.auditor.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert last["kind"] == "specimen.administered" and code in last["body"]["came_after"]
    topics = [one["topic"] for one in api.quality.get("/deviations").json()["items"]]
    assert "given_before_it_was_known" in topics


@pytest.mark.parametrize(("happened", "code"), [(died, "donor_not_living"), (took_back, "consent_revoked")])
def test_what_came_before_a_giving_on_paper_and_was_told_only_after_it_is_marked(
    api: Api, happened: Callable[[Api, Story, datetime], None], code: str
) -> None:
    story, form, then = given_on_paper(api)
    happened(api, story, then - timedelta(minutes=1))
    sealed(api)
    came_to_light(story, form, then, code)


def test_who_used_by_a_form_what_was_stopped_does_not_lift_its_hold(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    held(api, story.vials[0])
    later(api, minutes=30)
    lift_all(api, story.vials[0])
    sealed(api)
    form = filed_by(api, began, "acts_here", "clinic_staff", "CLINIC")
    refused(story.check(api.acts_here, **on_paper(form, clock.now() - timedelta(minutes=10))), 409, "on_hold")
    (hold,) = holds_of(api, story.vials[0])
    path, why = f"/holds/{hold['id']}/lift", {"reason": "looks_fine"}
    refused(sign_and_post(api.acts_here, "hold_lifted", path, why), 403, "not_independent")
    assert sign_and_post(api.quality, "hold_lifted", path, why).status_code == 200


def test_a_hold_between_the_checks_and_the_giving_on_paper_refuses_the_giving(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    assert fetched(story).status_code == 201
    began = clock.now()
    later(api, minutes=10)
    then = clock.now()
    later(api, minutes=2)
    held(api, story.vials[0])
    later(api, hours=1)
    sealed(api)
    form = filed(api, began)
    checked_on_paper(story, form, then)
    ended, started = then + timedelta(minutes=8), then + timedelta(minutes=5)
    said = on_paper(form, ended, started_at=rfc3339(started))
    refused(story.administer(**said), 409, "on_hold")
    refused(story.given_before(**said), 409, "on_hold")
    require_told_once(api, story)


def test_nothing_that_is_done_live_is_judged_as_of_an_earlier_time(api: Api) -> None:
    story = a_story(api).up_to("check")
    then = clock.now()
    later(api, minutes=3)
    held(api, story.vials[0])
    past: dict[str, Any] = {
        "started_at": rfc3339(then),
        "occurred_at": rfc3339(then),
        "late_entry": True,
        "reason_text": "Hands were full.",
    }
    answer = story.administer(**past)
    assert answer.status_code == 409 and answer.json()["code"] in ("on_hold", "release_ended"), answer.text
    assert state_of(api, story.vials[0])["state"] == "delivered"


def test_the_page_of_what_was_written_opens_while_the_hold_stands(api: Api, visit: Visit) -> None:
    story, form, then = given_on_paper(api, lot=True)
    held(api, story.vials[0])
    sealed(api)
    checked_on_paper(story, form, then)
    for page in ("check-from-paper", "administer-from-paper"):
        assert "Enter it" in visit("clinician").get_page(f"/withdrawals/{story.code}/{page}")
