"""What becomes of a donor: death, who cannot be reached, agreements, identifiers of others, and the contact for safety."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.donors.life import FOLLOWS
from biobank.donors.safety_contact import delete_safety_contacts
from biobank.foundation import clock
from tests import seed
from tests.conftest import Api
from tests.donors.stories import MARY, consent, died, erased_by_two, register
from tests.exports.taking import taken_log
from tests.pages.visitor import Visit
from tests.quality.test_disposal import announce
from tests.specimens.stories import donor, kinds, made, raw_fat, refused
from tests.withdrawals.stories import a_story, holds_of, sign_and_post

Json = dict[str, Any]
WISH = {"on_death": "destroy", "at_end_of_term": "destroy"}


def day(days: int) -> str:
    return (clock.now().date() + timedelta(days=days)).isoformat()


@pytest.mark.parametrize("wish", ["destroy", "keep_until_end_of_term", "donate_to_research", "ask_representative", None])
def test_a_death_has_a_date_a_source_and_the_effect_of_what_the_person_wanted(api: Api, wish: Any) -> None:
    code = register(api.clinician)
    if wish is not None:
        made(consent(api.clinician, code, "death_and_end_of_term", **WISH | {"on_death": wish}))
    answer = made(died(api.clinician, code))

    assert (answer["instruction"], answer["follows"]) == (wish, FOLLOWS[wish])
    shown = api.quality.get(f"/donors/{code}/death").json()
    assert (shown["died_on"], shown["source"], shown["instruction"]) == ("2026-01-06", "hospital", wish)
    assert kinds(api, "donor", code)[-1] == "donor.words_read", "that somebody read it is recorded"
    assert "2026-01-06" not in taken_log(api, donor=code)
    assert refused(died(api.clinician, code)) == (409, "death_on_record")
    assert api.lab_tech.get(f"/donors/{code}/death").status_code in (403, 404)


def test_a_death_is_not_dated_ahead_and_a_certificate_is_a_stored_file(api: Api) -> None:
    code = register(api.clinician)
    assert refused(died(api.clinician, code, died_on=day(2))) == (409, "death_in_future")
    certificate = {"source": "death_certificate"}
    assert died(api.clinician, code, **certificate).status_code == 422
    assert refused(died(api.clinician, code, **certificate, document_sha256="9" * 64)) == (409, "attachment_unknown")
    assert died(api.clinician, code, **certificate, document_sha256=seed.A_REPORT).status_code == 201
    assert api.clinician.patch(f"/donors/{code}", json={"status": "deceased"}).status_code == 422


def test_that_somebody_lives_after_all_is_said_by_quality(api: Api) -> None:
    code = register(api.clinician)
    made(died(api.clinician, code))
    assert api.clinician.patch(f"/donors/{code}", json={"status": "living"}).status_code == 403


def test_only_who_wanted_it_destroyed_loses_material_for_having_died(api: Api) -> None:
    story = a_story(api)
    vial = story.vials[0]
    made(consent(api.clinician, story.donor, "death_and_end_of_term", **WISH | {"on_death": "keep_until_end_of_term"}))
    made(died(api.clinician, story.donor))
    assert refused(announce(api, vial, reason="donor_deceased")) == (409, "reason_not_on_record")

    made(consent(api.clinician, story.donor, "death_and_end_of_term", **WISH, given_at="2026-01-06T09:00:00Z"))
    assert announce(api, vial, reason="donor_deceased").status_code in (200, 201)


def test_of_somebody_who_cannot_be_reached_nothing_is_destroyed(api: Api) -> None:
    code = register(api.clinician)
    assert api.clinician.patch(f"/donors/{code}", json={"status": "unreachable"}).json()["status"] == "unreachable"
    (hold,) = api.clinician.get(f"/donors/{code}").json()["holds"]
    assert (hold["kind"], hold["blocks"]) == ("donor_unreachable", ["destroy"])
    api.clinician.patch(f"/donors/{code}", json={"status": "living"}).raise_for_status()
    assert len(api.clinician.get(f"/donors/{code}").json()["holds"]) == 1, "quality lifts it"


def agree(api: Api, code: str, **changes: Any) -> Any:
    body = {"terms": "T-2", "document_sha256": seed.A_FORM, "begins_on": day(-400), "ends_on": day(10)}
    return api.clinician.post(f"/donors/{code}/agreements", json=body | changes)


def test_an_agreement_has_terms_a_stored_paper_and_an_end_and_another_one_goes_on_from_there(api: Api) -> None:
    code = register(api.clinician)
    assert refused(agree(api, code, document_sha256="9" * 64)) == (409, "attachment_unknown")
    assert refused(agree(api, code, begins_on=day(3))) == (409, "agreement_in_future")
    assert agree(api, code, ends_on=day(-500)).status_code == 422
    made(agree(api, code))
    listed = api.clinician.get(f"/donors/{code}/agreements").json()
    assert (listed["ends_on"], listed["items"][0]["terms"]) == (day(10), "T-2")
    made(agree(api, code, ends_on=day(4000)))
    assert api.clinician.get(f"/donors/{code}/agreements").json()["ends_on"] == day(4000)
    assert kinds(api, "donor", code).count("donor.agreement_made") == 2


def test_the_end_of_an_agreement_ends_material_only_by_the_wish_of_its_donor(api: Api) -> None:
    story = a_story(api)
    made(agree(api, story.donor, ends_on=day(-1)))
    assert refused(announce(api, story.vials[0], reason="end_of_term")) == (409, "reason_not_on_record")
    made(consent(api.clinician, story.donor, "death_and_end_of_term", **WISH))
    assert announce(api, story.vials[0], reason="end_of_term").status_code in (200, 201)


def test_an_identifier_that_its_issuer_gave_to_one_person_is_one_persons(api: Api) -> None:
    code = register(api.clinician)
    same = MARY | {"family_name": "Other", "external_ids": [{"issuer": "CITY-HOSPITAL", "value": "mrn7781234"}]}
    answer = api.clinician.post("/donors", json=same)
    assert refused(answer) == (409, "identifier_taken")
    assert code in answer.json()["detail"] and "778" not in answer.text
    stranger = api.other_clinician.post("/donors", json=same | {"clinic_site": "OTHER"})
    assert refused(stranger) == (409, "identifier_taken") and code not in stranger.text
    other = register(api.clinician, family_name="Other", external_ids=[{"issuer": "SOUTH-HOSPITAL", "value": "MRN 778-1234"}])
    taken = {"external_ids": MARY["external_ids"], "reason": "correction"}
    assert refused(api.clinician.patch(f"/donors/{other}", json=taken)) == (409, "identifier_taken")


def test_the_database_keeps_an_identifier_once(api: Api) -> None:
    code, other = register(api.clinician), register(api.clinician, family_name="Other", external_ids=[])
    copy = "INSERT INTO donor_index SELECT :other, token, kind FROM donor_index WHERE donor_code = :code AND kind = 'external'"
    with pytest.raises(IntegrityError, match="an_identifier_is_one_persons"):
        api.test_bank.write(lambda s: s.execute(text(copy), {"other": other, "code": code}))


def test_a_contact_for_safety_outlives_erasure_while_cells_remain_and_the_answer_says_so(api: Api) -> None:
    code = donor(api)
    raw_fat(api, code)
    refusal = erased_by_two(api, code)

    assert refused(refusal) == (409, "erasure_refused")
    assert refusal.json()["safety_contact"] is True and "for safety alone" in refusal.json()["detail"]
    assert api.clinician.get(f"/donors/{code}/identity").json()["contact"] is None
    assert api.clinician.get(f"/donors/{code}/safety-contact").status_code == 403
    kept = api.quality.get(f"/donors/{code}/safety-contact").json()
    assert kept["contact"]["phone"] == MARY["contact"]["phone"]
    assert kinds(api, "donor", code)[-1] == "donor.words_read"

    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    assert api.test_bank.write(lambda s: delete_safety_contacts(s, act)) == 0, "the syringe is still there"


def test_when_the_last_legal_hold_ends_the_worker_deletes_the_contact_for_safety(api: Api) -> None:
    code = register(api.clinician)
    hold = {"kind": "legal", "scope_kind": "donor", "scope_id": code, "reason": "court_order"}
    made(api.quality.post("/holds", json=hold))
    assert erased_by_two(api, code).json()["safety_contact"] is True
    (placed,) = holds_of(api, code)
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{placed['id']}/lift", {"reason": "all_settled"})
    assert lifted.status_code == 200, lifted.text

    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    assert api.test_bank.write(lambda s: delete_safety_contacts(s, act)) == 1
    assert api.quality.get(f"/donors/{code}/safety-contact").status_code == 404


def test_without_cells_a_recall_or_a_legal_hold_no_contact_is_kept(api: Api) -> None:
    code = register(api.clinician)
    assert erased_by_two(api, code).json()["status"] == "done"
    assert api.quality.get(f"/donors/{code}/safety-contact").status_code == 404


def test_pages_record_a_death_and_an_agreement_and_show_once_what_the_vault_says(api: Api, visit: Visit) -> None:
    code = donor(api)
    raw_fat(api, code)
    clinic, quality = visit("clinician"), visit("quality")
    paper = {"terms": "T-2", "document_sha256": seed.A_FORM, "begins_on": day(-3), "ends_on": day(5)}
    assert clinic.submit(f"/donors/{code}/agreement", paper).url.path == f"/donors/{code}"
    assert "T-2" in clinic.get_page(f"/donors/{code}")
    assert "The agreement ends" in clinic.get_page("/")
    assert erased_by_two(api, code).status_code == 409
    assert MARY["contact"]["phone"] in quality.submit(f"/donors/{code}/safety-contact", {}, draw=f"/donors/{code}").text
    assert clinic.submit(f"/donors/{code}/death", {"died_on": day(-1), "source": "family"}).url.path == f"/donors/{code}"
    assert "Known from" in quality.submit(f"/donors/{code}/death/read", {}, draw=f"/donors/{code}").text
