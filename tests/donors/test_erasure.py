"""Forgetting a person: what goes at once, what must stay and until when, and what is left when everything may go."""

from typing import Any

import pytest
from sqlalchemy import text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import Circumstances
from biobank.donors.erasure import replay_erasures
from biobank.donors.models import Donor
from biobank.donors.recording import record_on_donor
from biobank.foundation.db import table_of
from biobank.vault import open_document
from biobank.vault.keystore import KeyDestroyed
from tests import seed
from tests.conftest import Api
from tests.donors.stories import MARY, band, consent, erase, erased_by_two, kinds, register
from tests.factories import make_harvest, make_specimen

GONE = text("""
    SELECT (SELECT count(*) FROM vault_document WHERE subject = :donor)
         + (SELECT count(*) FROM donor_index WHERE donor_code = :donor)
         + (SELECT count(*) FROM donor_document WHERE donor_code = :donor)""")


def left(api: Api, donor: str) -> int:
    count: int = api.test_bank.write(lambda s: s.execute(GONE, {"donor": donor}).scalar())
    return count


def test_two_people_of_quality_forget_a_person_who_gave_nothing(api: Api) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor, "representative", representative="Zebedee Quillfeather")
    band(api, donor)
    assert api.quality.get(f"/donors/{donor}/erasure").json()["everything_goes"] is True

    answer = erased_by_two(api, donor)

    assert (answer.status_code, answer.json()["status"]) == (200, "done"), answer.text
    assert left(api, donor) == 0
    with pytest.raises(KeyDestroyed):
        api.test_bank.bank.keystore_sync.find_key(donor)
    assert kinds(api, donor)[-2:] == ["donor.wristband_voided", "donor.erased"]
    assert api.clinician.post("/donors/search", json={"name": "Quillfeather"}).json()["items"] == []


def test_the_log_names_both_signers_of_an_erasure(api: Api) -> None:
    donor = register(api.clinician)
    erased_by_two(api, donor)

    entry = text("SELECT convert_from(entry, 'UTF8') FROM event WHERE kind = 'donor.erased'")
    said = api.test_bank.write(lambda s: s.execute(entry).scalar())

    assert f'"by":"{seed.USERS["quality2"].code}"' in said
    assert f'"first_by":"{seed.USERS["quality"].code}"' in said


def test_nothing_more_is_recorded_about_a_forgotten_person(api: Api) -> None:
    donor = register(api.clinician)
    given = consent(api.clinician, donor).json()["consent"]
    erased_by_two(api, donor)

    answers = [
        api.clinician.get(f"/donors/{donor}/identity"),
        api.clinician.patch(f"/donors/{donor}", json={"status": "unreachable"}),
        consent(api.clinician, donor),
        api.clinician.post(f"/donors/{donor}/consents/{given}/revoke", json={}),
        api.clinician.get(f"/donors/{donor}/erasure"),
        erase(api.quality, donor),
    ]

    assert [a.json()["code"] for a in answers] == ["donor_erased"] * len(answers)
    assert api.clinician.get(f"/donors/{donor}").json()["status"] == "erased"


def test_a_forgotten_person_has_no_consent_left_to_rest_on(api: Api) -> None:
    from biobank.donors.consents import ConsentMissing, require_consent
    from biobank.foundation import clock

    donor = register(api.clinician)
    consent(api.clinician, donor)
    erased_by_two(api, donor)

    with pytest.raises(ConsentMissing):
        api.test_bank.write(lambda s: require_consent(s, donor, "banking", clock.now()))


def test_one_signature_forgets_nothing(api: Api) -> None:
    donor = register(api.clinician)

    unsigned = api.quality.post(f"/donors/{donor}/erase", json={"reason": "asked_by_donor"})
    first = erase(api.quality, donor)
    same = erase(api.quality, donor, pending_act=first.json()["pending_act"])

    assert (unsigned.status_code, unsigned.json()["code"]) == (428, "signature_required")
    assert (first.json()["status"], first.json()["outlook"]["everything_goes"]) == ("pending", True)
    assert same.json()["code"] == "second_person_must_differ"
    assert left(api, donor) > 0


def test_nobody_but_quality_erases(api: Api) -> None:
    donor = register(api.clinician)

    assert erase(api.clinician, donor).json()["code"] == "not_permitted"
    assert erase(api.other_clinician, donor).json()["code"] == "not_found"


def with_remark(api: Api, donor: str) -> bytes:
    """A remark about the donor, in the vault; returns its commitment."""
    act = api.test_bank.act("clinician")

    def remark(session: Session) -> Any:
        from biobank.donors.events import StatusChanged

        event = StatusChanged(status="living", before="living")
        given = Circumstances(comment="Mentioned that Zebedee drives her home.")
        return record_on_donor(session, act, donor, [event], given, site="CLINIC")[0].leaf_hash

    leaf = api.test_bank.write(remark)
    entry = text("SELECT convert_from(entry, 'UTF8')::json ->> 'comment' FROM event WHERE leaf_hash = :leaf")
    return bytes.fromhex(api.test_bank.write(lambda s: s.execute(entry, {"leaf": leaf}).scalar()))


def test_while_cells_live_only_contact_and_free_text_go_and_no_date_is_given(api: Api) -> None:
    donor = register(api.clinician)
    remark = with_remark(api, donor)
    act = api.test_bank.act("clinician")
    tube = api.test_bank.write(lambda s: make_specimen(s, act, donor=donor).code)

    answer = erased_by_two(api, donor)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["because"]) == (409, "erasure_refused", ["living_cells"])
    assert problem["earliest_on"] is None
    assert tube in problem["detail"]
    identity = api.clinician.get(f"/donors/{donor}/identity").json()
    assert (identity["family_name"], identity["contact"]) == (MARY["family_name"], None)
    documents = text("SELECT count(*) FROM vault_document WHERE commit = :commit")
    assert api.test_bank.write(lambda s: s.execute(documents, {"commit": remark}).scalar()) == 0
    (attempt,) = api.quality.get("/attempts", params={"subject": donor, "code": "erasure_refused"}).json()["items"]
    assert attempt["evidence"] is True
    assert "donor.contact_erased" in kinds(api, donor)


def test_while_records_must_be_kept_the_earliest_day_is_named(api: Api) -> None:
    donor = register(api.clinician)
    api.test_bank.write(lambda s: make_harvest(s, donor))

    outlook = api.quality.get(f"/donors/{donor}/erasure").json()
    answer = erased_by_two(api, donor).json()

    assert (answer["code"], answer["because"]) == ("erasure_refused", ["retention_of_records"])
    assert answer["earliest_on"] == outlook["earliest_on"] is not None
    assert answer["earliest_on"] in answer["detail"]


def test_a_hold_that_forbids_destroying_keeps_the_person(api: Api) -> None:
    from tests.donors.stories import STATED, half

    donor = register(api.clinician)
    half(api.clinician, donor, stated=STATED | {"date_of_birth": "1971-07-23"}, checked=True)

    assert erased_by_two(api, donor).json()["because"] == ["identity_hold"]


def test_a_bank_restored_from_before_an_erasure_does_it_again(api: Api) -> None:
    donor, other = register(api.clinician), register(api.clinician, family_name="Other")
    band(api, donor)
    # What a restore looks like: the key is gone, the rows are back.
    api.test_bank.bank.keystore_sync.destroy(donor)
    act = Act.system(api.test_bank.bank, path="restore")

    assert api.test_bank.write(lambda s: replay_erasures(s, act)) == [donor]

    assert left(api, donor) == 0
    assert left(api, other) > 0
    assert kinds(api, donor)[-2:] == ["donor.wristband_voided", "donor.erasure_replayed"]
    assert api.test_bank.write(lambda s: replay_erasures(s, act)) == []


def test_a_former_identity_stays_readable_in_the_vault_until_the_person_is_forgotten(api: Api) -> None:
    donor = register(api.clinician)
    commit = api.test_bank.write(
        lambda s: s.execute(text("SELECT identity_commit FROM donor WHERE code = :d"), {"d": donor}).scalar()
    )
    api.clinician.patch(f"/donors/{donor}", json={"family_name": "Brightwater", "reason": "marriage"}).raise_for_status()

    keystore = api.test_bank.bank.keystore_sync
    assert api.test_bank.write(lambda s: open_document(s, keystore, commit))["family_name"] == MARY["family_name"]


def test_the_database_keeps_the_nameless_row_of_a_donor(api: Api) -> None:
    donor = register(api.clinician)
    table = table_of(Donor)
    with pytest.raises(Exception, match="permission denied"):
        api.test_bank.write(lambda s: s.execute(table.delete().where(table.c.code == donor)))
    with pytest.raises(Exception, match="donor_status_is_known"):
        api.test_bank.write(lambda s: s.execute(update(table).where(table.c.code == donor).values(status="gone")))
