"""Every way a withdrawal is refused from its arrival at the clinic to its end, reached over HTTP."""

from datetime import timedelta
from uuid import uuid4

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.donors import stories as donors
from tests.factories import make_box
from tests.pages.visitor import Visit
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_donor,
    a_story,
    by_two,
    kinds_of,
    later,
    of_one_person,
    put_away,
    refused,
    sealed,
    sign_and_post,
    state_of,
)
from tests.withdrawals.test_refusals import attempts

# --- arrival


def test_a_tube_of_another_withdrawal_is_not_received_under_this_one(api: Api) -> None:
    story, other = a_story(api).up_to("issue"), a_story(api).up_to("issue")
    refused(story.receive(tubes=other.vials), 409, "wrong_specimen")
    assert attempts(api, other.vials[0]) == [("wrong_specimen", True)]


def test_another_clinic_does_not_receive(api: Api) -> None:
    story = a_story(api).up_to("issue")
    refused(story.receive(api.other_clinician), 404, "not_found")
    refused(story.receive(api.lab_tech), 403, "not_permitted")


def test_a_tube_that_arrives_damaged_is_held(api: Api) -> None:
    story = a_story(api).up_to("issue")
    assert story.receive(container_intact=False).status_code == 200
    holds = api.clinician.get("/holds", params={"scope": story.vials[0]}).json()["items"]
    assert [h["kind"] for h in holds] == ["quality"]
    refused(story.thaw(), 409, "on_hold")


# --- the bedside


def test_a_band_of_another_person_stops_everything(api: Api) -> None:
    story, other = a_story(api).up_to("check"), a_donor(api)
    assert story.release

    document = refused(story.check(wristband=donors.band(api, other)), 409, "wrong_recipient")

    assert document["differing"] == ["wristband"]
    assert "call quality" in document["where_now"]
    assert attempts(api, story.vials[0]) == [("wrong_recipient", True)]
    holds = api.quality.get("/holds", params={"scope": story.vials[0], "active": True}).json()["items"]
    assert [(h["kind"], h["reason"]) for h in holds] == [("identity", "bedside_mismatch")]
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.bedside_check_failed"
    refused(story.administer(), 409, "on_hold")


def test_another_persons_product_stops_everything_and_is_held(api: Api) -> None:
    story, other = a_story(api).up_to("check"), a_story(api).up_to("receive")

    document = refused(story.check(product=other.vials[0]), 409, "wrong_recipient")

    assert document["differing"] == ["product"]
    holds = api.quality.get("/holds", params={"scope": other.vials[0], "active": True}).json()["items"]
    assert [h["kind"] for h in holds] == ["identity"]
    refused(story.administer(), 409, "release_ended")


def test_a_product_of_the_right_person_from_another_withdrawal_stops_everything(api: Api) -> None:
    story = a_story(api, 2).up_to("check")
    assert refused(story.check(product=story.vials[1]), 409, "wrong_recipient")["differing"] == ["withdrawal"]


def test_a_mismatch_scanned_twice_is_held_once(api: Api) -> None:
    story, other = a_story(api).up_to("thaw"), a_donor(api)
    wrong = donors.band(api, other)
    story.check(wristband=wrong)
    story.check(api.clinic_staff, wristband=wrong)
    holds = api.quality.get("/holds", params={"scope": story.vials[0], "active": True}).json()["items"]
    assert len(holds) == 1


def test_another_persons_void_band_is_still_another_persons(api: Api) -> None:
    story, other = a_story(api).up_to("thaw"), a_donor(api)
    void = donors.band(api, other)
    donors.band(api, other)
    refused(story.check(wristband=void), 409, "wrong_recipient")


def test_the_patients_own_void_band_asks_for_the_one_in_force(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    void = donors.band(api, story.donor)
    story.band = donors.band(api, story.donor)
    refused(story.check(wristband=void), 409, "wristband_void")
    assert story.check().status_code == 201


def test_one_person_alone_never_makes_a_release(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("thaw")
    for _ in range(3):
        assert story.check().json()["status"] == "waiting_for_second_person"
    of_one_person(api, "clinician", "clinic_staff")
    assert "Your turn" not in visit("clinic_staff").get_page(f"/withdrawals/{story.code}/check")
    assert story.check(api.clinic_staff).json()["status"] == "waiting_for_second_person"
    assert story.release == ""


def test_the_second_person_must_scan_while_the_first_still_remembers(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    story.check()
    later(api, minutes=11)
    sealed(api)
    assert story.check(api.clinic_staff).json()["status"] == "waiting_for_second_person"


def test_a_frozen_product_is_not_a_final_product(api: Api) -> None:
    refused(a_story(api).up_to("receive").check(), 409, "illegal_transition")


def test_the_laboratory_does_not_stand_at_the_bedside(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    refused(story.check(api.lab_tech), 403, "not_permitted")


# --- administration


def test_an_unknown_release_gives_nothing(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    answer = story.administer(release="00000000-0000-4000-8000-000000000000")
    refused(answer, 409, "no_release")


def test_a_release_lasts_a_quarter_of_an_hour(api: Api) -> None:
    story = a_story(api).up_to("check")
    later(api, minutes=16)
    sealed(api)
    refused(story.administer(), 409, "release_expired")
    assert state_of(api, story.vials[0])["state"] == "delivered"


def test_a_release_is_of_one_specimen(api: Api) -> None:
    story = a_story(api, 2)
    story.request(specimens=story.vials)
    story.approve()
    for vial in story.vials:
        story.pick(tube=vial)
        story.confirm(tube=vial)
    story.issue()
    story.receive(tubes=story.vials)
    for vial in story.vials:
        story.thaw(tube=vial)
    story.check()
    story.check(api.clinic_staff)
    refused(story.administer(product=story.vials[1]), 409, "no_release")


def test_a_second_check_ends_the_first_ones_release(api: Api) -> None:
    story = a_story(api).up_to("check")
    first = story.release
    story.check()
    story.check(api.clinic_staff)
    assert story.release != first
    refused(story.administer(release=first), 409, "release_ended")
    assert story.administer().status_code == 200


def test_every_cell_is_accounted_for(api: Api) -> None:
    story = a_story(api).up_to("check")
    refused(story.administer(given=AMOUNT, residue=1), 409, "amounts_do_not_add_up")
    refused(story.administer(given=AMOUNT, residue=0, loss=0), 409, "amounts_do_not_add_up")
    assert story.administer(given=AMOUNT, residue=0, loss=0, residue_went=None).status_code == 200


def test_an_administration_does_not_begin_in_the_future_or_after_its_end(api: Api) -> None:
    story = a_story(api).up_to("check")
    refused(story.administer(started_at="2199-01-01T00:00:00Z"), 409, "implausible_time")
    refused(story.administer(started_at="9999-12-31T23:59:59-23:59"), 422, "malformed_request")
    soon = rfc3339(clock.now() + timedelta(seconds=90))
    refused(story.administer(started_at=soon), 409, "implausible_time")
    assert story.administer().status_code == 200


def test_another_tube_at_the_administration_is_a_wrong_recipient(api: Api) -> None:
    story, other = a_story(api).up_to("check"), a_story(api).up_to("thaw")
    refused(story.administer(product=other.vials[0]), 409, "wrong_recipient")
    refused(story.administer(), 409, "release_ended")


def test_a_hold_after_the_check_stops_the_administration(api: Api) -> None:
    story = a_story(api).up_to("check")
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.lab_tech.post("/holds", json=hold).json()["releases_killed"] == 1
    refused(story.administer(), 409, "on_hold")


def test_two_people_at_the_bedside_scan_on_two_devices(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    refused(story.check(device=None), 409, "device_unnamed")
    assert story.check(device="tablet-1").status_code == 201
    refused(story.check(api.clinic_staff, device=None), 409, "device_unnamed")
    for same in ("tablet-1", "Tablet-1"):
        refused(story.check(api.clinic_staff, device=same), 409, "same_device")

    answer = story.check(api.clinic_staff, device="tablet-2")

    assert (answer.status_code, answer.json()["status"]) == (201, "released"), answer.text
    assert story.administer(volume_ul=1500).status_code == 200
    given = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert (given["body"]["volume_ul"], given["body"]["given"]) == (1500, AMOUNT - 300_000)


def test_nothing_about_a_giving_is_taken_for_granted_and_its_volume_is_bounded(api: Api) -> None:
    story = a_story(api)
    story.request()
    whole = {"product": story.vials[0], "release": str(uuid4()), "given": 1, "residue": 0, "loss": 0, "volume_ul": 1500}
    whole |= {"anatomical_site": "scalp", "started_at": rfc3339(clock.now()), "reaction": False}
    path = f"/withdrawals/{story.code}/administer"
    for member in ("given", "residue", "loss", "volume_ul", "anatomical_site", "started_at", "reaction"):
        left_out = {name: value for name, value in whole.items() if name != member}
        assert member in str(refused(api.clinician.post(path, json=left_out), 422, "malformed_request"))
    for volume in (0, 1_000_001):
        refused(api.clinician.post(path, json=whole | {"volume_ul": volume}), 422, "malformed_request")
    refused(api.clinician.post(path, json=whole), 409, "wrong_step")


# --- the end


def test_what_was_thawed_never_comes_back(api: Api) -> None:
    story = a_story(api, 2).up_to("thaw")
    refused(story.take_back(), 409, "illegal_transition")

    # In a cold place it is safe, and no use comes of that: it is neither released, asked for, given nor put in another's stead.
    seq = api.clinic_staff.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    act = api.test_bank.act("admin")
    quarantine = api.test_bank.write(lambda s: make_box(s, act, purpose="quarantine").code)
    stored = api.lab_tech.post(f"/specimens/{story.vials[0]}/store", json={"container": quarantine, "expected_seq": seq})
    assert stored.status_code == 201, stored.text
    assert stored.json()["items"][0]["event"]["kind"] == "specimen.safeguarded"
    refused(story.take_back(), 409, "illegal_transition")
    again = Story(api, story.donor, story.vials[:1])
    assert again.request().status_code == 409
    other = Story(api, story.donor, story.vials[1:])
    assert other.request().status_code == 201 and other.approve().status_code == 200
    swap = {"tube": other.vials[0], "by": story.vials[0], "reason": "postponed"}
    assert api.clinician.post(f"/withdrawals/{other.code}/replace", json=swap).status_code == 409
    released = {"decision": "released_to_bank", "reason": "looks_fine"}
    sign_and_post(api.quality, "released", f"/specimens/{story.vials[0]}/decision", released)
    assert again.request().status_code == 409, "a later release makes it no unit for a withdrawal"


def test_a_tube_that_came_back_without_a_decision_is_used_for_nothing_until_it_is_made(api: Api) -> None:
    story = a_story(api).up_to("issue")
    (vial,) = story.vials
    act = api.test_bank.act("admin")
    quarantine = api.test_bank.write(lambda s: make_box(s, act, purpose="quarantine").code)
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    stored = api.lab_tech.post(f"/specimens/{vial}/store", json={"container": quarantine, "expected_seq": seq})
    assert stored.status_code == 201, stored.text
    feasible = api.clinician.get("/withdrawals/feasibility", params={"donor": story.donor}).json()
    assert feasible["items"][0]["code"] == "reserved_elsewhere"
    refused(story.receive(), 409, "illegal_transition")

    refused(story.take_back(), 409, "illegal_transition")
    out = {"kind": "specimen.checked_out", "purpose": "inspection", "expected_seq": seq + 1}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=out).status_code == 201
    assert story.take_back().json()["state"] == "returned"
    put_away(api, vial)
    assert story.request().status_code == 201


def test_a_tube_that_never_left_is_not_taken_back(api: Api) -> None:
    story = a_story(api, 2)
    story.request(specimens=story.vials)
    story.approve()
    for vial in story.vials:
        story.pick(tube=vial)
        story.confirm(tube=vial)
    refused(story.take_back(), 409, "wrong_step")


def test_a_return_takes_qualitys_signature(api: Api) -> None:
    story = a_story(api).up_to("receive")
    body = {"tube": story.vials[0], "site": "LAB", "reason": "postponed", "quality": "quarantined"}
    refused(api.quality.post(f"/withdrawals/{story.code}/return", json=body), 428, "signature_required")
    refused(api.clinician.post(f"/withdrawals/{story.code}/return", json=body), 403, "not_permitted")


def test_a_withdrawal_with_a_tube_at_the_clinic_does_not_end(api: Api) -> None:
    story = a_story(api).up_to("thaw")
    refused(story.outcome(result="not_administered"), 409, "tubes_outstanding")
    assert story.outcome(result="not_administered", close=False).json()["state"] == "delivered"
    seq = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    body = {"reason": "thawed_unused", "method": "clinical_waste", "expected_seq": seq}
    path = f"/specimens/{story.vials[0]}/discard"
    assert by_two(api.clinician, api.clinic_staff, path, body).status_code == 200
    assert story.outcome(result="not_administered").json()["state"] == "closed"


def test_more_may_be_seen_after_the_end(api: Api) -> None:
    story = a_story(api).up_to("administer")
    story.outcome()
    assert story.outcome(result="adverse_event", close=False).json()["state"] == "closed"
    assert len(api.clinician.get(f"/withdrawals/{story.code}").json()["outcomes"]) == 2
