"""Every way a withdrawal is refused from its request to its issue, reached over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.factories import fresh_code
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_donor,
    a_story,
    bank_vials,
    later,
    named,
    of_one_person,
    put_away,
    refused,
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


def test_while_the_log_lags_nothing_goes_to_a_patient_and_observations_go_on(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]
) -> None:
    bank = make_bank(merge_delay_s=60)
    api = Api(serve(bank), bank)
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
    api.close()
