"""Who a donor is, while material of theirs is kept, is changed by two people on evidence, and never by one at the bedside."""

from typing import Any

import httpx

from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.seed import A_REPORT
from tests.withdrawals.stories import a_donor, a_story, later, sign_and_post

OTHER = {"name": {"family_name": "Brown", "given_names": "Anna"}, "date_of_birth": "1990-01-01"}
BROWN: dict[str, Any] = {"family_name": "Brown", "given_names": "Anna", "date_of_birth": "1990-01-01", "reason": "correction"}


def propose(client: Client, donor: str, **changes: Any) -> httpx.Response:
    """The clinic says what is new."""
    return sign_and_post(client, "decided", f"/donors/{donor}/identity-changes", BROWN | {"evidence_sha256": A_REPORT} | changes)


def proposal_of(client: Client, donor: str) -> dict[str, Any]:
    """What the second person sends for the proposal that waits."""
    (one,) = [one for one in client.get("/pending-acts").json()["items"] if one["subject"] == donor]
    named = {name: one["body"][name] for name in ("identity", "reason", "evidence_sha256")}
    return named | {"pending_act": one["id"]}


def complete(client: Client, donor: str) -> httpx.Response:
    """Somebody of quality signs what waits."""
    return sign_and_post(client, "decided", f"/donors/{donor}/identity-changes", proposal_of(client, donor))


def test_one_login_of_the_clinic_does_not_make_the_wrong_patient_the_right_one(api: Api) -> None:
    story = a_story(api, 3).up_to("thaw")
    slip = donors.half(api.clinician, story.donor, stated=OTHER)
    assert slip.json()["code"] == "check_what_was_typed"
    alone = api.clinic_staff.patch(f"/donors/{story.donor}", json=BROWN | {"external_ids": []})
    assert (alone.status_code, alone.json()["code"]) == (409, "identity_takes_two")
    by_two = propose(api.clinic_staff, story.donor)
    assert (by_two.status_code, by_two.json()["code"]) == (409, "out_for_patient")
    assert donors.half(api.clinician, story.donor).status_code == 201, "the record still says who it was"


def test_the_clinic_proposes_quality_reads_and_signs_and_what_was_identified_before_counts_no_more(api: Api) -> None:
    story = a_story(api, 3).up_to("request")
    band = donors.band(api, story.donor)
    assert donors.half(api.clinician, story.donor).status_code == 201, "one that waits for its second person"
    before = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]["donor"]["identity_changed_at"]
    assert before is None
    assert propose(api.clinic_staff, story.donor, reason="marriage").status_code == 200
    own = complete(api.clinic_staff, story.donor)
    assert own.json()["code"] == "not_permitted", "the clinic proposes, quality completes"
    unread = complete(api.quality, story.donor)
    assert (unread.status_code, unread.json()["code"]) == (409, "proposal_unread")
    read = api.quality.get(f"/donors/{story.donor}/proposed-identity")
    assert read.json()["after"] == "Brown, Anna, born 1990-01-01 (CITY-HOSPITAL MRN 778-1234)"
    done = complete(api.quality, story.donor)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert api.clinician.get(f"/donors/{story.donor}/identity").json()["family_name"] == "Brown"
    voided = api.clinician.get(f"/wristbands/{band}").json()
    assert (voided["in_force"], voided["void_reason"]) == (False, "identity_changed")
    picture = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]
    assert picture["donor"]["identity_changed_at"] is not None, "who approves sees it"
    assert donors.identified(api, story.donor, stated=OTHER)


def test_a_band_does_not_rest_on_an_identification_of_before_the_change(api: Api) -> None:
    donor = a_donor(api)
    identification = donors.identified(api, donor)
    assert api.clinic_staff.patch(f"/donors/{donor}", json=BROWN).status_code == 200, "nothing of the donor is kept"
    band = api.clinician.post("/wristbands", json={"identification": identification})
    assert (band.status_code, band.json()["code"]) == (409, "identification_missing")


def test_who_was_just_identified_otherwise_is_not_made_to_fit(api: Api) -> None:
    story = a_story(api, 3).up_to("request")
    assert donors.half(api.clinician, story.donor, stated=OTHER).json()["code"] == "check_what_was_typed"
    doubted = propose(api.clinic_staff, story.donor)
    assert (doubted.status_code, doubted.json()["code"]) == (409, "identity_in_doubt")
    later(api, minutes=16)
    assert propose(api.clinic_staff, story.donor).status_code == 200


def test_who_says_nothing_new_or_has_no_part_in_the_donor_changes_nothing(api: Api) -> None:
    story = a_story(api, 3).up_to("request")
    same = propose(
        api.clinician, story.donor, **{name: donors.MARY[name] for name in ("family_name", "given_names", "date_of_birth")}
    )
    assert (same.status_code, same.json()["code"]) == (409, "nothing_changes")
    assert propose(api.lab_tech, story.donor).status_code == 403
    nobody = api.quality.get(f"/donors/{story.donor}/proposed-identity")
    assert nobody.status_code == 404
    assert propose(api.clinician, story.donor, evidence_sha256="00" * 32).json()["code"] == "attachment_unknown"
