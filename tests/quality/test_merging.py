"""One person with two records: the duplicate is merged, both codes lead to the one donor, and nothing of either is lost."""

from typing import Any

import httpx
import psycopg
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.donors.stories import consent, of_hospital
from tests.pages.visitor import Visit
from tests.seed import A_REPORT, USERS
from tests.withdrawals.stories import a_donor, a_story, bank_vials, by_two, kinds_of, later, refused, sign_and_post, state_of


def merge(api: Api, stays: str, goes: str, first: Client | None = None, **changes: Any) -> httpx.Response:
    """Two of quality merge a duplicate."""
    body = {"duplicate": goes, "evidence_sha256": A_REPORT} | changes
    return by_two(first or api.quality, api.quality2, f"/donors/{stays}/merge", body)


@pytest.fixture
def twice(api: Api) -> tuple[str, str]:
    """Mary, registered twice: with the hospital's number, and with another issuer's."""
    return a_donor(api), a_donor(api, external_ids=[{"issuer": "OTHER-HOSPITAL", "value": "7 7"}])


def test_either_code_finds_the_one_donor_and_all_that_stood_under_both(api: Api, twice: Any) -> None:
    stays, goes = twice
    (own,), (vial,) = bank_vials(api, stays), bank_vials(api, goes, lot=True)

    done = merge(api, stays, goes)

    assert (done.status_code, done.json()["specimens"]) == (200, 1), done.text
    by_old = api.quality.get(f"/donors/{goes}", follow_redirects=True)
    assert (by_old.status_code, by_old.json()["donor"], by_old.json()["also"]) == (200, stays, [goes])
    assert api.quality.get(f"/donors/{goes}", follow_redirects=False).status_code == 308
    listed = {one["code"] for one in api.quality.get("/specimens", params={"donor": stays}).json()["items"]}
    assert listed == {own, vial}
    assert api.quality.get(f"/specimens/{vial}").json()["donor"] == stays
    assert kinds_of(api, "specimen", vial)[-1] == "specimen.donor_merged"
    assert state_of(api, vial)["quality"] == "released_to_bank", "it is the same person's as before"
    assert kinds_of(api, "donor", goes)[-1] == "donor.merged_into"
    assert goes not in {one["donor"] for one in api.quality.get("/donors").json()["items"]}
    looked = api.quality.post("/look-backs", json={"donor": goes})
    assert looked.status_code == 201, looked.text
    reached = looked.json()
    assert {one["specimen"] for one in reached["items"]} == {own, vial}
    log = api.auditor.get("/custody-log", params={"donor": stays}).json()
    assert {"donor.merged", "donor.merged_into"} <= {one["kind"] for one in log["items"]}


def test_holds_of_a_time_gone_by_are_those_of_the_record_that_the_specimen_was_on_then(api: Api, twice: Any) -> None:
    stays, goes = twice
    (own,), (vial,) = bank_vials(api, stays), bank_vials(api, goes)
    for code in (stays, goes):
        hold = {"scope_kind": "donor", "scope_id": code, "kind": "quality", "reason": "misread"}
        assert api.quality.post("/holds", json=hold).status_code == 201
    later(api, minutes=5)
    then = rfc3339(clock.now())
    later(api, minutes=5)
    assert merge(api, stays, goes).status_code == 200
    later(api, minutes=5)

    def holds(code: str, **asked: str) -> list[str]:
        return sorted(one["scope_id"] for one in api.quality.get(f"/specimens/{code}", params=asked).json()["holds"])

    assert [holds(one, as_known_at=then) for one in (own, vial)] == [[stays], [goes]], "as the bank knew it"
    now = rfc3339(clock.now())
    assert [holds(one, as_known_at=now) for one in (own, vial)] == [sorted(twice)] * 2
    assert [holds(one) for one in (own, vial)] == [sorted(twice)] * 2


def test_an_act_under_the_old_code_is_refused_with_the_new_one(api: Api, twice: Any) -> None:
    stays, goes = twice
    assert merge(api, stays, goes).status_code == 200
    answer = consent(api.clinician, goes)
    refused(answer, 409, "donor_merged")
    assert answer.json()["now"] == stays
    refused(
        api.clinician.post("/withdrawals", json={"donor": goes, "material": "adsc", "route": "ship_frozen"}), 409, "donor_merged"
    )


def test_identifiers_and_names_of_both_find_the_person(api: Api, twice: Any) -> None:
    stays, goes = twice
    assert merge(api, stays, goes).status_code == 200
    who = api.clinician.get(f"/donors/{stays}/identity").json()
    assert {one["issuer"] for one in who["external_ids"]} == {"CITY-HOSPITAL", "OTHER-HOSPITAL"}
    found = api.clinician.post("/donors/search", json={"external_id": {"issuer": "OTHER-HOSPITAL", "value": "77"}}).json()
    assert [one["donor"] for one in found["items"]] == [stays]
    assert api.quality.get(f"/donors/{stays}").json()["look_alikes"] == []


def test_a_hold_on_either_record_covers_everything_and_is_lifted_by_its_own_code(api: Api, twice: Any) -> None:
    stays, goes = twice
    (own,) = bank_vials(api, stays)
    hold = api.lab_tech.post("/holds", json={"kind": "quality", "scope_kind": "donor", "scope_id": goes, "reason": "doubt"})
    if hold.status_code == 404:
        hold = api.clinician.post("/holds", json={"kind": "quality", "scope_kind": "donor", "scope_id": goes, "reason": "doubt"})
    assert hold.status_code in (200, 201), hold.text
    assert api.quality.get(f"/specimens/{own}").json()["holds"] == []
    assert merge(api, stays, goes).status_code == 200
    assert [one["kind"] for one in api.quality.get(f"/specimens/{own}").json()["holds"]] == ["quality"]
    assert len(api.quality.get(f"/donors/{stays}").json()["holds"]) == 1


def test_what_was_taken_back_on_either_record_is_taken_back(api: Api, twice: Any) -> None:
    stays, goes = twice
    (given,) = [one["id"] for one in api.clinician.get(f"/donors/{goes}").json()["consents"]]
    gone = api.clinician.post(f"/donors/{goes}/consents/{given}/revoke", json={})
    assert gone.status_code in (200, 201), gone.text
    assert merge(api, stays, goes).status_code == 200
    consents = api.clinician.get(f"/donors/{stays}").json()["consents"]
    assert [one["in_force"] for one in consents] == [False, False]
    vials = bank_vials(api, stays)
    asked = {"donor": stays, "material": "adsc", "route": "ship_frozen", "specimens": vials}
    refused(api.clinician.post("/withdrawals", json=asked), 409, "consent_revoked")


def test_the_stricter_reserve_counts_and_an_allergy_of_either(api: Api, twice: Any) -> None:
    stays, goes = twice
    bank_vials(api, stays, 2)
    bank_vials(api, goes, 3)
    for donor, units in ((stays, 1), (goes, 2)):
        body = {"material": "adsc", "units": units}
        answer = sign_and_post(api.quality, "decided", f"/donors/{donor}/reserves", body)
        assert answer.status_code == 200, answer.text
        assert api.clinician.post(f"/donors/{donor}/allergies", json={"substance": "dmso"}).status_code in (200, 201)
    assert merge(api, stays, goes).status_code == 200
    (left,) = api.quality.get(f"/donors/{stays}/reserves").json()["items"]
    assert (left["units"], left["usable_units"]) == (2, 5)
    assert len(api.clinician.get(f"/donors/{stays}/allergies").json()["items"]) == 1


def test_what_was_given_under_the_duplicate_was_given_to_the_person(api: Api) -> None:
    story = a_story(api).up_to("administer")
    assert story.outcome().status_code in (200, 201)
    stays = donors.register(api.clinician, external_ids=[])
    merged = merge(api, stays, story.donor)
    assert merged.status_code == 200, merged.text
    assert api.quality.get(f"/withdrawals/{story.code}").json()["donor"] == stays
    assert state_of(api, story.vials[0])["state"] == "administered"


def test_bands_of_both_are_void(api: Api, twice: Any) -> None:
    stays, goes = twice
    bands = [donors.band(api, one) for one in twice]
    assert merge(api, stays, goes).status_code == 200
    assert [api.clinician.get(f"/wristbands/{one}").json()["in_force"] for one in bands] == [False, False]


def test_records_that_contradict_each_other_are_not_one_person(api: Api) -> None:
    mary = a_donor(api)
    younger = a_donor(api, date_of_birth="1991-07-23", external_ids=[])
    stranger = a_donor(api, family_name="Brown", given_names="Anna", external_ids=[])
    numbered = a_donor(api, external_ids=[of_hospital(4711)])
    for other, differing in ((younger, ["date of birth"]), (stranger, ["name"]), (numbered, ["identifier of CITY-HOSPITAL"])):
        answer = merge(api, mary, other)
        refused(answer, 409, "identities_contradict")
        assert answer.json()["differing"] == differing
        assert "1991" not in answer.text
    refused(merge(api, mary, mary), 409, "identities_contradict")


def test_a_former_name_of_either_is_no_contradiction(api: Api) -> None:
    mary = a_donor(api)
    born = a_donor(
        api,
        family_name="Brown",
        external_ids=[],
        former_names=[{"family_name": "Quillfeather-Ørsted", "given_names": "Marýa Ann"}],
    )
    assert merge(api, mary, born).status_code == 200
    former = api.clinician.get(f"/donors/{mary}/identity").json()["former_names"]
    assert [one["family_name"] for one in former] == ["Brown"]


def test_nothing_is_merged_while_a_withdrawal_of_either_is_not_over(api: Api) -> None:
    story = a_story(api).up_to("request")
    other = a_donor(api, external_ids=[])
    refused(merge(api, story.donor, other), 409, "withdrawal_open")
    refused(merge(api, other, story.donor), 409, "withdrawal_open")


def test_the_living_and_the_dead_are_not_merged(api: Api, twice: Any) -> None:
    stays, goes = twice
    assert donors.died(api.clinician, goes).status_code in (200, 201)
    refused(merge(api, stays, goes), 409, "identities_contradict")


def test_one_person_alone_merges_nothing_and_a_file_of_a_third_shows_nothing(api: Api, twice: Any) -> None:
    stays, goes = twice
    refused(merge(api, stays, goes, evidence_sha256="00" * 32), 409, "attachment_unknown")
    assert sign_and_post(
        api.clinician, "decided", f"/donors/{stays}/merge", {"duplicate": goes, "evidence_sha256": A_REPORT}
    ).status_code in (403, 404)
    body = {"duplicate": goes, "evidence_sha256": A_REPORT}
    proposed = sign_and_post(api.quality, "decided", f"/donors/{stays}/merge", body)
    again = body | {"pending_act": proposed.json()["pending_act"]}
    refused(sign_and_post(api.quality, "decided", f"/donors/{stays}/merge", again), 403, "second_person_must_differ")


@pytest.mark.parametrize("left", ["CLINIC", "OTHER"])
def test_who_proposed_it_must_still_be_quality_at_both_clinics_when_it_is_completed(api: Api, left: str) -> None:
    stays = a_donor(api)
    goes = donors.register(api.other_clinician, clinic_site="OTHER", external_ids=[{"issuer": "OTHER-HOSPITAL", "value": "7 7"}])
    path, body = f"/donors/{stays}/merge", {"duplicate": goes, "evidence_sha256": A_REPORT}
    half = sign_and_post(api.quality, "decided", path, body).json()
    whole = body | {"pending_act": half["pending_act"]}
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = %s WHERE user_code = %s", (left, USERS["quality"].code))
    refused(sign_and_post(api.quality2, "decided", path, whole), 409, "pending_act_over")
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = NULL WHERE user_code = %s", (USERS["quality"].code,))
    assert sign_and_post(api.quality2, "decided", path, whole).status_code == 200


def test_a_record_that_was_merged_leads_on_when_its_donor_is_merged_too(api: Api, twice: Any) -> None:
    stays, goes = twice
    first = a_donor(api, external_ids=[])
    assert merge(api, stays, goes).status_code == 200
    assert merge(api, first, stays).status_code == 200
    assert api.quality.get(f"/donors/{goes}", follow_redirects=True).json()["also"] == sorted([goes, stays])


def test_who_is_forgotten_is_forgotten_under_both_codes(api: Api, twice: Any) -> None:
    stays, goes = twice
    assert merge(api, stays, goes).status_code == 200
    done = by_two(api.quality, api.quality2, f"/donors/{stays}/erase", {"reason": "registered_in_error"}, "erased")
    assert done.status_code == 200, done.text
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        left = connection.execute("SELECT count(*) FROM vault_document WHERE subject = ANY(%s)", ([stays, goes],)).fetchone()
        states = connection.execute("SELECT status FROM donor WHERE code = ANY(%s)", ([stays, goes],)).fetchall()
    assert left == (0,)
    assert states == [("erased",), ("erased",)]


def test_pages_lead_from_the_old_code_to_the_new_and_show_both(api: Api, twice: Any, visit: Visit) -> None:
    stays, goes = twice
    assert merge(api, stays, goes).status_code == 200
    there = visit("quality").get(f"/donors/{goes}")
    assert there.url.path == f"/donors/{stays}"
    assert "Other codes" in there.text
    assert goes in there.text
