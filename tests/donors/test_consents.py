"""Consents: given once, taken back once, asked for by the acts that need them."""

import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from biobank.donors.consents import ConsentIsRevoked, ConsentMissing, require_consent
from biobank.donors.visibility import lock_donor
from biobank.foundation import clock
from biobank.foundation.errors import NotFound
from tests import seed
from tests.conftest import Api
from tests.donors.stories import consent, kinds, register
from tests.pages.visitor import Visit


def required(api: Api, donor: str, kind: Any = "banking", *, at: datetime | None = None, **scope: Any) -> str:
    """Ask as a use case does: with the row locked."""

    def ask(session: Session) -> str:
        lock_donor(session, donor)
        return require_consent(session, donor, kind, at or clock.now(), **scope).hex()

    answer: str = api.test_bank.write(ask)
    return answer


def revoke(api: Api, donor: str, consent_id: str, **circumstances: Any) -> Any:
    return api.clinician.post(f"/donors/{donor}/consents/{consent_id}/revoke", json=circumstances)


def test_an_act_that_needs_consent_gets_the_hash_of_the_event_it_rests_on(api: Api) -> None:
    donor = register(api.clinician)

    given = consent(api.clinician, donor)

    assert given.status_code == 201, given.text
    assert required(api, donor) == given.json()["events"][0]["leaf_hash"]
    (shown,) = api.clinician.get(f"/donors/{donor}").json()["consents"]
    assert (shown["kind"], shown["in_force"], shown["revoked_at"]) == ("banking", True, None)


@pytest.mark.parametrize("kind", ["banking", "treatment", "representative"])
def test_a_form_that_nobody_stored_and_one_about_somebody_else_give_no_consent_by_any_route(
    api: Api, visit: Visit, kind: str
) -> None:
    donor, other = register(api.clinician), register(api.clinician, external_ids=[], family_name="Brown")

    def form_of(whom: str) -> str:
        """A signed form, kept under somebody's own key."""
        body = {"media_type": "application/pdf", "content": b64encode(whom.encode()).decode(), "site": "CLINIC", "donor": whom}
        return str(api.clinician.post("/attachments", json=body).json()["sha256"])

    theirs = form_of(other)
    who = {"representative": "Her sister."} if kind == "representative" else {}
    for wrong in ("0f" * 32, theirs):
        answer = consent(api.clinician, donor, kind, document_sha256=wrong, **who)
        assert (answer.status_code, answer.json()["code"]) == (409, "attachment_unknown"), answer.text
        typed = {"kind": kind, "form_version": "B-3.1", "document_sha256": wrong, "given_at": "2026-01-05T09:00"} | who
        page = visit("clinician").submit(f"/donors/{donor}/consent", typed | {"witnessed_by": seed.USERS["clinic_staff"].code})
        assert page.status_code == 409, page.text[:300]
    refused = api.test_bank.write(lambda s: s.execute(text("SELECT count(*) FROM consent")).scalar())
    assert refused == 0
    assert "donor.consent_given" not in kinds(api, donor)
    assert consent(api.clinician, donor, kind, document_sha256=form_of(donor), **who).status_code == 201


def test_without_a_consent_of_the_kind_the_act_is_refused_with_a_sentence(api: Api) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor, "banking")

    with pytest.raises(ConsentMissing) as refusal:
        required(api, donor, "treatment", where_now="Put the tube back.")

    problem = refusal.value.problem()
    assert (problem["code"], problem["subject"], problem["where_now"]) == ("consent_missing", donor, "Put the tube back.")
    assert "treatment" in problem["detail"]


def test_a_revoked_consent_stops_the_next_act_and_an_older_one_does_not_come_back(api: Api) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor, given_at="2025-01-05T09:00:00Z")
    newer = consent(api.clinician, donor).json()

    answer = revoke(api, donor, newer["consent"])

    assert answer.status_code == 200, answer.text
    assert answer.json()["events"][0]["kind"] == "donor.consent_revoked"
    with pytest.raises(ConsentIsRevoked):
        required(api, donor)


def test_a_new_consent_after_a_revocation_counts(api: Api) -> None:
    donor = register(api.clinician)
    revoke(api, donor, consent(api.clinician, donor).json()["consent"])

    again = consent(api.clinician, donor, given_at=clock.now().isoformat()).json()

    assert required(api, donor) == again["events"][0]["leaf_hash"]


def test_a_revocation_reaches_acts_that_were_waiting_and_not_those_entered_late(api: Api) -> None:
    donor = register(api.clinician)
    revoke(api, donor, consent(api.clinician, donor).json()["consent"])

    with pytest.raises(ConsentIsRevoked):
        required(api, donor, at=clock.now() - timedelta(minutes=1))
    assert required(api, donor, at=clock.now() - timedelta(hours=2))


def test_the_event_of_a_revocation_rests_on_the_event_it_takes_back(api: Api) -> None:
    donor = register(api.clinician)
    given = consent(api.clinician, donor).json()
    revoke(api, donor, given["consent"])

    entry = "SELECT convert_from(entry, 'UTF8') FROM event WHERE kind = 'donor.consent_revoked'"
    assert f'"relies_on":["{given["events"][0]["leaf_hash"]}"]' in api.test_bank.write(lambda s: s.execute(text(entry)).scalar())


def test_a_revocation_waits_for_the_act_that_rests_on_the_consent(api: Api) -> None:
    donor = register(api.clinician)
    given = consent(api.clinician, donor).json()["consent"]
    resting, finish = threading.Event(), threading.Event()

    def act(session: Session) -> bytes:
        lock_donor(session, donor)
        leaf = require_consent(session, donor, "banking", clock.now())
        resting.set()
        assert finish.wait(30)
        return leaf

    with ThreadPoolExecutor(2) as pool:
        acting = pool.submit(api.test_bank.write, act)
        assert resting.wait(30)
        revoking = pool.submit(revoke, api, donor, given)
        with pytest.raises(TimeoutError):
            revoking.result(timeout=0.5)
        finish.set()
        assert acting.result(30)
        assert revoking.result(30).status_code == 200


def test_a_consent_is_revoked_once(api: Api) -> None:
    donor = register(api.clinician)
    given = consent(api.clinician, donor).json()["consent"]
    revoke(api, donor, given)

    assert revoke(api, donor, given).json()["code"] == "consent_revoked"
    assert kinds(api, donor).count("donor.consent_revoked") == 1


def test_a_consent_of_another_donor_or_of_nobody_is_not_found(api: Api) -> None:
    donor, other = register(api.clinician), register(api.clinician, family_name="Other")
    given = consent(api.clinician, other).json()["consent"]

    assert revoke(api, donor, given).status_code == 404
    assert revoke(api, donor, str(uuid4())).status_code == 404
    assert api.other_clinician.post(f"/donors/{other}/consents/{given}/revoke", json={}).status_code == 404


def test_a_consent_covers_the_tissues_it_names(api: Api) -> None:
    donor = register(api.clinician)
    hair = consent(api.clinician, donor, tissues=["hair_follicle"]).json()
    everything = consent(api.clinician, donor, given_at="2024-01-05T09:00:00Z").json()

    assert required(api, donor, tissue="hair_follicle") == hair["events"][0]["leaf_hash"]
    assert required(api, donor, tissue="adipose") == everything["events"][0]["leaf_hash"]
    revoke(api, donor, everything["consent"])
    with pytest.raises(ConsentIsRevoked):
        required(api, donor, tissue="adipose")


def test_a_consent_ends_on_its_day(api: Api) -> None:
    donor = register(api.clinician)
    ends = clock.now() + timedelta(days=1)
    consent(api.clinician, donor, valid_until=ends.isoformat())

    assert required(api, donor)
    with pytest.raises(ConsentMissing, match="ended on"):
        required(api, donor, at=ends)


def test_a_consent_does_not_reach_back_before_it_was_given(api: Api) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor)

    with pytest.raises(ConsentMissing):
        required(api, donor, at=datetime(2025, 12, 31, tzinfo=UTC))


def test_a_consent_cannot_be_given_tomorrow_nor_witnessed_by_nobody(api: Api) -> None:
    donor = register(api.clinician)

    tomorrow = consent(api.clinician, donor, given_at=(clock.now() + timedelta(days=1)).isoformat())
    nobody = consent(api.clinician, donor, witnessed_by="US-0000000")

    assert (tomorrow.json()["code"], nobody.json()["code"]) == ("consent_in_future", "witness_unknown")
    assert kinds(api, donor) == ["donor.registered"]


def test_what_a_kind_needs_it_needs_and_no_other_may_have(api: Api) -> None:
    donor = register(api.clinician)
    whole = {"on_death": "destroy", "at_end_of_term": "ask_first"}

    assert consent(api.clinician, donor, "death_and_end_of_term", **whole).status_code == 201
    assert consent(api.clinician, donor, "representative", representative="Zebedee Quillfeather").status_code == 201
    for kind, members in (
        ("death_and_end_of_term", {"on_death": "destroy"}),
        ("death_and_end_of_term", {}),
        ("banking", whole),
        ("representative", {}),
        ("banking", {"representative": "Zebedee"}),
        ("banking", {"valid_until": "2020-01-01T00:00:00Z"}),
        ("banking", {"given_at": "0001-01-01T00:00:00+14:00"}),
    ):
        assert consent(api.clinician, donor, kind, **members).status_code == 422, (kind, members)


def test_a_laboratory_records_no_consent(api: Api) -> None:
    from tests.factories import make_specimen

    donor = register(api.clinician)
    act = api.test_bank.act("clinician")
    api.test_bank.write(lambda s: make_specimen(s, act, donor=donor))

    assert consent(api.lab_tech, donor).json()["code"] == "not_permitted"
    assert consent(api.quality, donor, witnessed_by=seed.USERS["quality2"].code).status_code == 201


def test_locking_a_donor_that_does_not_exist_is_not_found(api: Api) -> None:
    with pytest.raises(NotFound):
        api.test_bank.write(lambda s: lock_donor(s, "DN-0000000"))


def test_the_database_refuses_to_change_or_delete_a_consent_and_to_revoke_it_twice(api: Api) -> None:
    donor = register(api.clinician)
    given = consent(api.clinician, donor).json()["consent"]
    revoke(api, donor, given)

    for statement in (
        "UPDATE consent SET revoked_at = NULL, revoked_by = NULL, revoked_event = NULL",
        "UPDATE consent SET kind = 'treatment'",
        "DELETE FROM consent",
        "TRUNCATE consent CASCADE",
    ):
        with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)


def test_an_old_form_entered_late_does_not_bring_back_what_was_taken_back_since(api: Api) -> None:
    donor = register(api.clinician)
    first = consent(api.clinician, donor, "treatment", given_at="2026-01-05T09:00:00Z").json()["consent"]
    revoke(api, donor, first)

    consent(api.clinician, donor, "treatment", given_at="2026-01-06T09:00:00Z")

    with pytest.raises(ConsentIsRevoked):
        required(api, donor, "treatment")
    shown = api.clinician.get(f"/donors/{donor}").json()["consents"]
    assert [(one["in_force"], one["taken_back_at"] is not None) for one in shown] == [(False, True), (False, True)]


def test_a_revocation_of_one_tissue_leaves_the_consent_for_the_others(api: Api) -> None:
    donor = register(api.clinician)
    hair = consent(api.clinician, donor, given_at="2026-01-05T09:00:00Z", tissues=["hair_follicle"]).json()["consent"]
    consent(api.clinician, donor, given_at="2026-01-06T09:00:00Z")
    revoke(api, donor, hair)

    with pytest.raises(ConsentIsRevoked):
        required(api, donor, tissue="hair_follicle")
    assert required(api, donor, tissue="adipose")
    shown = api.clinician.get(f"/donors/{donor}").json()["consents"]
    assert [one["in_force"] for one in shown] == [False, True]


def test_two_consents_for_a_tissue_each_are_shown_as_taken_back_when_the_whole_was(api: Api) -> None:
    donor = register(api.clinician)
    whole = consent(api.clinician, donor, given_at="2026-01-05T09:00:00Z").json()["consent"]
    for tissue in ("hair_follicle", "adipose"):
        consent(api.clinician, donor, given_at="2026-01-06T09:00:00Z", tissues=[tissue])
    revoke(api, donor, whole)

    shown = api.clinician.get(f"/donors/{donor}").json()["consents"]
    assert [one["in_force"] for one in shown] == [False, False, False]


def test_a_whole_consent_is_shown_as_standing_while_one_of_its_tissues_does(api: Api) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor, given_at="2026-01-05T09:00:00Z")
    parts = [
        consent(api.clinician, donor, given_at="2026-01-06T09:00:00Z", tissues=[tissue]).json()["consent"]
        for tissue in ("hair_follicle", "adipose", "blood")
    ]
    standing = []
    for part in parts:
        revoke(api, donor, part)
        standing.append(api.clinician.get(f"/donors/{donor}").json()["consents"][0]["in_force"])
    assert standing == [True, True, False]
