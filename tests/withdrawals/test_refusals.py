"""Every way a withdrawal is refused, reached over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.donors import stories as donors
from tests.factories import fresh_code, make_box
from tests.pages.visitor import Visit
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_donor,
    a_story,
    bank_vials,
    by_two,
    kinds_of,
    later,
    named,
    of_one_person,
    put_away,
    refused,
    sealed,
    sign_and_post,
    state_of,
)


def attempts(api: Api, subject: str) -> list[tuple[str, bool]]:
    """The kept refusals about a subject: code and whether it is evidence."""
    items = api.auditor.get("/attempts", params={"subject": subject}).json()["items"]
    return [(a["code"], a["evidence"]) for a in items]


def revoke(api: Api, donor: str) -> None:
    """The donor takes the treatment consent back."""
    consents = api.clinician.get(f"/donors/{donor}").json()["consents"]
    (consent,) = [c["id"] for c in consents if c["kind"] == "treatment"]
    answer = api.clinician.post(f"/donors/{donor}/consents/{consent}/revoke", json={})
    assert answer.status_code in (200, 201), answer.text


# --- the request


def test_a_request_for_another_recipient_is_refused(api: Api) -> None:
    story, other = a_story(api), a_donor(api)
    refused(story.request(recipient=other), 409, "recipient_is_not_donor")


def test_a_request_for_another_persons_vial_is_refused(api: Api) -> None:
    story, other = a_story(api), a_story(api)
    refused(story.request(specimens=other.vials), 409, "another_persons_cells")


def test_a_request_without_treatment_consent_is_refused(api: Api) -> None:
    donor = a_donor(api, consented=False)
    story = Story(api, donor, bank_vials(api, donor))
    refused(story.request(), 409, "consent_missing")


def test_a_consent_for_hair_does_not_cover_fat(api: Api) -> None:
    donor = a_donor(api, consented=False)
    donors.consent(api.clinician, donor, "treatment", tissues=["hair_follicle"])
    refused(Story(api, donor, bank_vials(api, donor)).request(), 409, "consent_missing")


@pytest.mark.parametrize(
    ("vials", "code"),
    [
        ({"basis": "undetermined", "released": False}, "regulatory_basis_undetermined"),
        ({"basis": "research_only"}, "research_only"),
        ({"released": False}, "not_released"),
        ({"purpose": "qc"}, "not_for_treatment"),
        ({"frozen": False}, "wrong_condition_for_route"),
        ({"material": "svf", "passage": None}, "another_material"),
    ],
)
def test_a_vial_that_may_not_be_used_is_refused_by_its_reason(api: Api, vials: dict[str, Any], code: str) -> None:
    refused(a_story(api, **vials).request(), 409, code)


def test_an_expired_vial_is_refused(api: Api) -> None:
    story = a_story(api)
    api.test_bank.write(
        lambda s: s.execute(
            text("UPDATE specimen SET expires_at = now() - interval '1 day' WHERE code = :c"), {"c": story.vials[0]}
        )
    )
    refused(story.request(), 409, "expired")


def test_a_held_vial_is_refused(api: Api) -> None:
    story = a_story(api)
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "doubt"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201
    refused(story.request(), 409, "on_hold")


def test_a_dead_donor_receives_nothing(api: Api) -> None:
    story = a_story(api)
    api.test_bank.write(lambda s: s.execute(text("UPDATE donor SET status = 'deceased' WHERE code = :d"), {"d": story.donor}))
    refused(story.request(), 409, "donor_not_living")


def test_more_vials_than_there_are_is_refused(api: Api) -> None:
    document = refused(a_story(api, 2).request(specimens=[], units=3), 409, "not_enough")
    assert document["usable"] == 2


def test_a_larger_amount_than_the_vials_hold_is_refused(api: Api) -> None:
    document = refused(a_story(api).request(minimum_amount=AMOUNT + 1), 409, "not_enough")
    assert document["amount"] == AMOUNT


def test_a_clinician_of_another_clinic_does_not_learn_that_the_donor_exists(api: Api) -> None:
    story = a_story(api)
    body = {"donor": story.donor, "material": "adsc", "route": "ship_frozen"}
    refused(api.other_clinician.post("/withdrawals", json=body), 404, "not_found")


@pytest.mark.parametrize("role", ["lab_tech", "clinic_staff", "auditor", "quality"])
def test_only_clinicians_ask(api: Api, role: str) -> None:
    story = a_story(api)
    body = {"donor": story.donor, "material": "adsc", "route": "ship_frozen"}
    refused(getattr(api, role).post("/withdrawals", json=body), 403, "not_permitted")


# --- who may see and decide


def test_people_of_other_sites_do_not_learn_that_a_withdrawal_exists(api: Api) -> None:
    story = a_story(api).up_to("approve")
    for client in (api.other_clinician, api.north_tech):
        refused(client.get(f"/withdrawals/{story.code}"), 404, "not_found")
        assert client.get("/withdrawals").json()["items"] == []
        refused(client.post(f"/withdrawals/{story.code}/issue", json={}), 404, "not_found")
    assert [w["code"] for w in api.lab_tech.get("/withdrawals").json()["items"]] == [story.code]


@pytest.mark.parametrize("role", ["clinician", "lab_tech", "auditor"])
def test_only_quality_approves(api: Api, role: str) -> None:
    story = a_story(api).up_to("request")
    refused(story.approve(getattr(api, role)), 403, "not_permitted")


def test_an_approval_without_a_signature_says_what_to_sign(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    seen = named(api.quality, story.code)
    answer = api.quality.post(f"/withdrawals/{story.code}/approve", json=seen)
    assert refused(answer, 428, "signature_required")["meaning"] == "approved"


def test_whoever_asked_does_not_approve(api: Api) -> None:
    story = a_story(api, 2)
    api.test_bank.write(
        lambda s: s.execute(
            text(
                "INSERT INTO user_role (user_code, role, site_code, granted_at, granted_by) "
                "SELECT code, 'clinician', 'CLINIC', now(), 'SYSTEM' FROM app_user WHERE username = 'quality'"
            )
        )
    )
    body = {"donor": story.donor, "material": "adsc", "route": "ship_frozen", "specimens": story.vials[:1]}
    story.code = api.quality.post("/withdrawals", json=body).json()["code"]

    refused(story.approve(), 403, "own_request")
    assert story.approve(api.quality2).status_code == 200


def test_a_stale_sequence_is_refused_and_kept(api: Api) -> None:
    story = a_story(api).up_to("request")
    body = {"reason": "mistake", "expected_seq": 7}
    document = refused(api.clinician.post(f"/withdrawals/{story.code}/cancel", json=body), 409, "stale_sequence")
    assert document["head"] == 1
    assert attempts(api, story.code) == [("stale_sequence", False)]


# --- order of the steps


def test_no_step_is_taken_before_its_time(api: Api) -> None:
    story = a_story(api).up_to("request")
    for call in (story.pick, story.issue, story.receive, story.thaw, story.check, story.take_back, story.outcome):
        refused(call(), 409, "wrong_step")
    story.approve()
    refused(story.approve(), 409, "wrong_step")
    refused(story.issue(), 409, "wrong_step")


def test_nothing_is_cancelled_once_it_left(api: Api) -> None:
    story = a_story(api).up_to("issue")
    answer = api.quality.post(f"/withdrawals/{story.code}/cancel", json={"reason": "mistake"})
    refused(answer, 409, "wrong_step")


# --- double booking


def test_the_second_withdrawal_for_a_vial_is_not_approved(api: Api) -> None:
    first, second = a_story(api), None
    first.request()
    second = Story(api, first.donor, first.vials)
    second.request()
    first.approve()

    document = refused(second.approve(), 409, "reserved_elsewhere")

    assert document["withdrawal"] == first.code
    assert state_of(api, first.vials[0])["reserved_for"] == first.code


def test_a_reserved_vial_is_not_asked_for_again(api: Api) -> None:
    story = a_story(api).up_to("approve")
    refused(Story(api, story.donor, story.vials).request(), 409, "reserved_elsewhere")


def test_a_reserved_vial_is_not_destroyed(api: Api) -> None:
    story = a_story(api).up_to("approve")
    seq = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    body = {"reason": "surplus", "method": "incineration", "expected_seq": seq}
    answer = sign_and_post(api.quality, "decided", f"/specimens/{story.vials[0]}/discard", body)
    refused(answer, 409, "reserved_elsewhere")


# --- a consent taken back on the way


@pytest.mark.parametrize(
    ("reached", "step"),
    [("request", "approve"), ("confirm", "issue"), ("receive", "thaw"), ("thaw", "check"), ("check", "administer")],
)
def test_a_revoked_consent_stops_the_next_step(api: Api, reached: str, step: str) -> None:
    story = a_story(api).up_to(reached)
    revoke(api, story.donor)
    refused(getattr(story, step)(), 409, "consent_revoked")
    assert state_of(api, story.vials[0])["state"] != "administered"


# --- picking


def test_a_wrong_tube_at_the_pick_is_evidence_and_says_where_it_goes(api: Api) -> None:
    story = a_story(api, 2).up_to("approve")

    document = refused(story.pick(tube=story.vials[1]), 409, "wrong_specimen")

    assert "Put the tube back in" in document["where_now"]
    assert story.vials[0] not in document["detail"]
    assert attempts(api, story.vials[1]) == [("wrong_specimen", True)]
    assert state_of(api, story.vials[1])["state"] == "stored"


def test_a_tube_nobody_knows_is_a_wrong_tube(api: Api) -> None:
    story = a_story(api).up_to("approve")
    unknown = fresh_code("AD", 26)
    answer = api.lab_tech.post(f"/withdrawals/{story.code}/picks", json={"tube": unknown})
    assert "quarantine" in refused(answer, 409, "wrong_specimen")["where_now"]


def test_a_tube_in_another_place_than_recorded_is_evidence(api: Api) -> None:
    story = a_story(api).up_to("approve")
    refused(story.pick(place=fresh_code("PS")), 409, "wrong_place")
    assert attempts(api, story.vials[0]) == [("wrong_place", True)]


def test_the_place_is_scanned_too(api: Api) -> None:
    story = a_story(api).up_to("approve")
    refused(story.pick(place=None), 409, "place_scan_required")
    refused(story.pick(place=story.vials[0]), 422, "another_kind_of_code")


def test_a_misread_label_is_asked_for_again(api: Api) -> None:
    story = a_story(api).up_to("approve")
    vial = story.vials[0]
    misread = vial[:-1] + ("0" if vial[-1] != "0" else "1")
    refused(story.pick(tube=vial, place="rubbish"), 422, "malformed_code")
    answer = api.lab_tech.post(f"/withdrawals/{story.code}/picks", json={"tube": misread})
    refused(answer, 422, "check_character_wrong")


def test_the_one_who_took_it_out_does_not_confirm(api: Api) -> None:
    story = a_story(api).up_to("pick")
    refused(story.confirm(api.lab_tech), 403, "second_person_must_differ")
    of_one_person(api, "lab_tech", "lab_tech2")
    refused(story.confirm(api.lab_tech2), 403, "second_person_must_differ")
    refused(story.issue(), 409, "pick_unconfirmed")


def test_the_second_person_with_another_tube_is_stopped_without_being_told_the_right_one(api: Api) -> None:
    story = a_story(api, 2).up_to("pick")
    document = refused(story.confirm(tube=story.vials[1]), 409, "wrong_specimen")
    assert story.vials[0] not in str(document)
    assert attempts(api, story.vials[1]) == [("wrong_specimen", True)]


def test_a_picked_tube_is_not_picked_again_until_it_was_put_back(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    refused(story.pick(api.lab_tech2), 409, "already_picked")
    put_away(api, story.vials[0])
    refused(story.issue(), 409, "pick_unconfirmed")
    assert story.pick(api.lab_tech2).status_code == 201
    assert story.confirm(api.lab_tech).status_code == 201
    assert story.issue().status_code == 200


def test_people_of_the_clinic_do_not_pick_or_issue(api: Api) -> None:
    story = a_story(api).up_to("approve")
    refused(story.pick(api.clinician), 403, "not_permitted")
    refused(story.issue(api.clinician), 403, "not_permitted")


# --- holds, decisions and the log on the way


def test_a_hold_placed_after_the_approval_stops_the_issue(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    hold = {"scope_kind": "donor", "scope_id": story.donor, "kind": "quality", "reason": "doubt"}
    api.quality.post("/holds", json=hold)
    refused(story.issue(), 409, "on_hold")


def test_a_rejection_after_the_approval_stops_the_issue(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    body = {"decision": "rejected", "reason": "late_result"}
    assert sign_and_post(api.quality, "rejected", f"/specimens/{story.vials[0]}/decision", body).status_code == 200
    refused(story.issue(), 409, "not_released")


def test_while_the_log_lags_nothing_goes_to_a_patient_and_observations_go_on(api: Api) -> None:
    story = a_story(api).up_to("confirm")
    later(api, seconds=120)
    refused(story.issue(), 503, "log_lagging")
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    seen = {
        "kind": "specimen.inspected",
        "expected_seq": seq,
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    assert api.lab_tech.post(f"/specimens/{story.vials[0]}/events", json=seen).status_code == 201


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
    refused(story.check(wristband=fresh_code("WB")), 404, "not_found")
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
