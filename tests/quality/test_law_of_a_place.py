"""A legal basis is the law of a place: material × basis × act × place, and by HTTP, at the bank and at the clinic."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from biobank.custody.states import Condition
from biobank.quality.events import RegulatoryBasis
from biobank.quality.legal_bases import LEGAL_BASES
from biobank.withdrawals.checks import use_refusals
from biobank.withdrawals.events import Reserved
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import all_passed, basis, decide, fresh, lot_of
from tests.quality.test_what_material_may import ACTS, BASES, CONDITIONS, KNOWN, NOW, passed, tube
from tests.withdrawals.stories import a_story, approve, by_two, kinds_of, refused, sign_and_post

LAWS = ("US", "EU", "other")
LAW_OF = {"us": "US", "eu": "EU"}
ELSEWHERE = "basis_of_another_place"


def state(api: Api, site: str, law: str) -> None:
    """Quality says under whose law a site works; two of quality where it was said otherwise."""
    body = {"site": site, "jurisdiction": law}
    answer = by_two(api.quality, api.quality2, f"/sites/{site}/jurisdiction", body)
    assert answer.status_code == 200 and answer.json()["status"] == "done", answer.text


def reached(basis: str, law: str | None) -> bool:
    """Whether a basis by its name is of this law; what names no law is of every one."""
    return law is None or LAW_OF.get(basis.partition("_")[0], law) == law


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("material", KNOWN)
def test_each_material_is_carried_by_the_bases_of_its_place_and_no_other(material: Any, law: str) -> None:
    for word in BASES:
        for name, act in ACTS.items():
            for condition in CONDITIONS:
                one = tube(material, word, condition)
                before = [found.code for found in act(one, passed(material))]
                after = [found.code for found in act(replace(one, kept_under=law), passed(material))]
                asked = word not in {"undetermined", "research_only"}
                expected = {*before, ELSEWHERE} if asked and not reached(word, law) else set(before)
                assert set(after) == expected, (name, word, condition)


@pytest.mark.parametrize("law", [*LAWS, None])
@pytest.mark.parametrize("basis", sorted(set(BASES) - {"undetermined", "research_only"}))
def test_a_unit_is_used_at_a_clinic_of_its_law_only(basis: str, law: str | None) -> None:
    one = tube(KNOWN[0], basis, Condition.FROZEN)
    found = use_refusals(Reserved, one, donor="DN-A", at=NOW, treated_under=law)
    assert (ELSEWHERE in {refusal.code for refusal in found}) is not reached(basis, law)
    assert all("the clinic that treats works under the law of" in one.detail for one in found if one.code == ELSEWHERE)


def test_the_names_of_the_bases_say_the_law_that_the_table_says() -> None:
    assert {basis.value: entry.jurisdiction for basis, entry in LEGAL_BASES.items()} == {
        basis.value: LAW_OF.get(basis.value.partition("_")[0], "any") for basis in LEGAL_BASES
    }


def test_one_of_quality_states_the_law_of_a_site_and_two_change_what_was_stated(api: Api) -> None:
    path, body = "/sites/LAB/jurisdiction", {"site": "LAB", "jurisdiction": "EU"}
    assert api.lab_tech.get("/sites/LAB").json()["jurisdiction"] is None
    for login in ("admin", "lab_tech", "clinician", "clinic_staff", "auditor", "lab_tech_north_quality"):
        refused(sign_and_post(getattr(api, login), "decided", path, body), 403, "not_permitted")
    refused(api.quality.post(path, json=body), 428, "signature_required")
    refused(sign_and_post(api.quality, "decided", path, body | {"site": "CLINIC"}), 404, "not_found")
    refused(sign_and_post(api.quality, "decided", "/sites/MOON/jurisdiction", body | {"site": "MOON"}), 404, "not_found")
    assert sign_and_post(api.quality, "decided", path, body | {"jurisdiction": "any"}).status_code == 422
    done = sign_and_post(api.quality, "decided", path, body)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert api.lab_tech.get("/sites/LAB").json()["jurisdiction"] == "EU"
    refused(sign_and_post(api.quality, "decided", path, body), 409, "conflict")

    other = body | {"jurisdiction": "US"}
    alone = sign_and_post(api.quality, "decided", path, other).json()
    assert alone["status"] == "pending"
    again = other | {"pending_act": alone["pending_act"]}
    refused(sign_and_post(api.quality, "decided", path, again), 403, "second_person_must_differ")
    assert api.lab_tech.get("/sites/LAB").json()["jurisdiction"] == "EU"
    assert sign_and_post(api.quality2, "decided", path, again).status_code == 200
    assert api.lab_tech.get("/sites/LAB").json()["jurisdiction"] == "US"
    assert kinds_of(api, "system", "SITES")[-2:] == ["system.site_jurisdiction_stated"] * 2


def test_a_basis_of_another_law_is_refused_alone_in_a_batch_by_lot_and_on_the_page(api: Api, visit: Visit) -> None:
    one, two = fresh(api, 2, lot=True)
    state(api, "LAB", "EU")
    refused(basis(api, f"/specimens/{one}/basis"), 409, ELSEWHERE)
    refused(basis(api, "/specimens/basis", specimens=[one, two]), 409, ELSEWHERE)
    refused(basis(api, f"/lots/{lot_of(api, one)}/basis"), 409, ELSEWHERE)
    page = visit("quality").get_page(f"/specimens/{one}/basis")
    assert 'value="eu_atmp_trial"' in page and 'value="named_patient"' in page and 'value="us_351_ind"' not in page
    assert basis(api, f"/specimens/{one}/basis", "eu_atmp_trial", "CT 1").status_code == 200


def test_what_was_determined_before_is_not_released_and_what_was_released_is_listed_and_not_used(api: Api, visit: Visit) -> None:
    (one,) = fresh(api, lot=True)
    assert basis(api, f"/specimens/{one}/basis").status_code == 200
    all_passed(api, one)
    state(api, "LAB", "EU")
    refused(decide(api, f"/specimens/{one}/decision", "released_to_bank"), 409, ELSEWHERE)
    refused(decide(api, f"/lots/{lot_of(api, one)}/decision", "released_to_bank"), 409, ELSEWHERE)
    state(api, "LAB", "US")
    assert decide(api, f"/specimens/{one}/decision", "released_to_bank").status_code == 200
    assert one not in visit("quality").get_page("/jurisdictions")
    state(api, "LAB", "EU")
    page = visit("quality").get_page("/jurisdictions")
    assert one in page and "LAB: European Union" in page and "CLINIC: not stated" in page
    assert "Not stated of" in visit("quality").get_page("/set-up")
    assert "European Union" in visit("admin").get_page("/sites")


@pytest.mark.parametrize("site", ["LAB", "CLINIC"])
def test_a_withdrawal_stops_wherever_the_law_of_the_bank_or_of_the_clinic_is_another(api: Api, site: str) -> None:
    story = a_story(api, basis="us_351_ind")
    state(api, "LAB", "US")
    state(api, "CLINIC", "US")
    story.up_to("request")
    state(api, site, "EU")
    picture = api.clinician.get("/withdrawals/feasibility", params={"donor": story.donor}).json()
    assert (picture["usable"], picture["reasons"].get(ELSEWHERE)) == (0, 1), picture
    refused(approve(api, story.code), 409, ELSEWHERE)


def test_what_is_checked_at_the_bedside_is_not_given_once_the_clinic_works_under_another_law(api: Api) -> None:
    story = a_story(api, basis="us_351_ind").up_to("check")
    state(api, "CLINIC", "EU")
    refused(story.administer(), 409, ELSEWHERE)


def test_what_is_picked_does_not_leave_for_a_clinic_of_another_law(api: Api) -> None:
    story = a_story(api, basis="us_351_ind").up_to("confirm")
    state(api, "CLINIC", "EU")
    refused(story.issue(), 409, ELSEWHERE)


def test_no_withdrawal_is_asked_for_at_a_clinic_of_another_law(api: Api) -> None:
    story = a_story(api, basis="us_351_ind")
    state(api, "CLINIC", "other")
    refused(story.request(), 409, ELSEWHERE)


def test_every_basis_is_offered_where_nothing_is_stated(api: Api, visit: Visit) -> None:
    (one,) = fresh(api)
    page = visit("quality").get_page(f"/specimens/{one}/basis")
    assert all(f'value="{basis.value}"' in page for basis in RegulatoryBasis)


def test_the_database_itself_keeps_no_law_that_is_not_told_apart(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute("UPDATE site SET jurisdiction = 'any' WHERE code = 'LAB'")
    assert refused.value.diag.constraint_name == "a_site_is_under_a_law_that_is_told_apart"
