"""A pick counts for the taking out that it belongs to, and of two who scan each scans for themselves."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Api
from tests.seed import USERS
from tests.withdrawals.stories import (
    Story,
    a_box,
    a_story,
    ago,
    approve,
    later,
    lift_all,
    of_one_person,
    place_of,
    refused,
    sealed,
)
from tests.withdrawals.test_refusals import revoke


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


def test_a_tube_whose_taking_out_was_undone_is_picked_anew(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    taken = [
        one
        for one in api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"]
        if one["kind"] == "specimen.checked_out"
    ]
    event(api, story.vials[0], "reverse", reverses=taken[-1]["leaf_hash"], reason="wrong_tube")
    event(api, story.vials[0], "events", kind="specimen.checked_out", purpose="inspection")
    refused(story.issue(), 409, "pick_unconfirmed")


def test_a_first_scan_whose_login_was_ended_or_lost_its_role_is_nobodys_half(api: Api) -> None:
    story = a_story(api, 2).up_to("pick")
    taken = USERS["lab_tech"].code
    answer = api.admin.patch(f"/users/{taken}", json={"active": False, "reason": "left_the_bank"})
    assert answer.status_code == 200, answer.text
    refused(story.confirm(), 409, "wrong_specimen")
    assert "pick it, scanning its place" in api.lab_tech2.get(f"/withdrawals/{story.code}").json()["waits_for"][0]
    assert story.pick(api.lab_tech2).status_code == 201


def test_two_scans_that_turn_out_to_be_one_persons_are_one(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    of_one_person(api, "lab_tech", "lab_tech2")
    refused(story.issue(), 409, "pick_unconfirmed")


def test_two_checks_that_turn_out_to_be_one_persons_release_nothing(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    of_one_person(api, "clinician", "clinic_staff")
    refused(story.administer(), 409, "release_ended")


@pytest.mark.parametrize("step", ["pick", "thaw"])
def test_what_hands_do_now_is_judged_as_of_now_whatever_time_is_stated(api: Api, step: str) -> None:
    story = a_story(api, 2).up_to({"pick": "approve", "thaw": "receive"}[step])
    later(api, minutes=100)
    sealed(api)
    revoke(api, story.donor)
    stated: dict[str, Any] = {"occurred_at": ago(minutes=40), "late_entry": True, "reason_text": "Written down late."}
    if step == "pick":
        refused(story.pick(**stated), 409, "consent_revoked")
    else:
        body = {"tube": story.vials[0], "method": "water bath 37 C", "duration_s": 90} | stated
        refused(api.clinic_staff.post(f"/withdrawals/{story.code}/thaw", json=body), 409, "consent_revoked")


def test_whoever_asked_for_the_first_does_not_approve_what_replaces_it(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    body = {"tube": story.vials[0], "by": story.vials[1], "reason": "damaged"}
    answer = api.acts_here.post(f"/withdrawals/{story.code}/replace", json=body)
    assert answer.status_code == 201, answer.text
    of_one_person(api, "clinician", "quality")
    refused(approve(api, answer.json()["code"]), 403, "own_request")


@pytest.mark.parametrize("step", ["pick", "check"])
def test_an_identifier_that_one_person_added_to_a_banked_tube_proves_nothing_for_a_patient(api: Api, step: str) -> None:
    story = a_story(api, 2)
    event(api, story.vials[0], "aliases", issuer="other_bank", value="BIO-777-X")
    story.up_to({"pick": "approve", "check": "thaw"}[step])
    if step == "pick":
        body = {"tube": "BIO-777-X", "place": place_of(api, story.vials[0])}
        refused(api.lab_tech.post(f"/withdrawals/{story.code}/picks", json=body), 409, "identifier_added_later")
    else:
        refused(story.check(product="BIO-777-X"), 409, "identifier_added_later")


def test_an_identifier_that_the_tube_was_banked_with_is_read_at_the_bedside(api: Api) -> None:
    story = a_story(api, 2).up_to("thaw")
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute(
            "INSERT INTO specimen_alias SELECT 'other_bank', 'BIO-1', code, now(), '2001-01-01' FROM custody WHERE code = %s",
            (story.vials[0],),
        )
    assert story.check(product="BIO-1").status_code == 201
