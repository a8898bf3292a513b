"""A program calls with a key of its own: granted by two, hashed, bounded by scopes, sites and time, revoked at once."""

import logging

import psycopg
import pytest

from biobank.acts.bank import Bank
from biobank.auth.client_keys import key_hash
from biobank.auth.permissions import CLIENT_SCOPES, Permission
from biobank.client import BankClient
from biobank.operations.secret_changes import change_secret
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.exports.test_custody_log import some_history
from tests.people.api_clients import a_client, calling, grant, key_of, keyed_post
from tests.sealing import seal
from tests.withdrawals.stories import a_donor, bank_vials, later


def code_of(answer: object) -> str:
    return str(answer.json()["code"])  # type: ignore[attr-defined]


PERSONS_OWN = (
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("GET", "/auth/passkeys"),
    ("POST", "/auth/sessions/end-others"),
    ("POST", "/auth/logout"),
)


def a_hold(vial: str) -> dict[str, str]:
    return {"scope_kind": "specimen", "scope_id": vial, "kind": "identity", "reason": "label_in_doubt"}


def text_of(api: Api, query: str) -> str:
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def test_a_key_is_granted_by_two_drawn_once_by_the_second_and_kept_as_a_keyed_hash(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = a_client(api)
    assert code_of(api.quality.post(f"/api-clients/{client}/key/draw")) == "no_key_to_draw"
    assert api.lab_tech.post(f"/api-clients/{client}/key", json={}).status_code == 404
    assert api.admin.post(f"/api-clients/{client}/key", json={}).status_code == 428
    assert grant(api, client).json()["key_for"] == api.quality.get("/auth/me").json()["code"]
    assert code_of(api.quality2.post(f"/api-clients/{client}/key/draw")) == "no_key_to_draw"
    first = str(api.quality.post(f"/api-clients/{client}/key/draw").json()["key"])
    assert code_of(api.quality.post(f"/api-clients/{client}/key/draw")) == "no_key_to_draw"

    with calling(api, first) as program:
        assert program.get("/api/v1/specimens").status_code == 200
    second = key_of(api, client)
    with calling(api, first) as program:
        assert program.get("/api/v1/specimens").status_code == 401
    with calling(api, second) as program:
        assert program.get("/api/v1/specimens").status_code == 200

    shown = api.auditor.get(f"/api-clients/{client}").json()
    assert (shown["state"], shown["key_start"], "key" in shown) == ("in_use", second[:12], False)
    kept = text_of(api, "SELECT string_agg(c::text, ' ') FROM api_client c")
    kept += text_of(api, "SELECT coalesce(string_agg(answer::text, ' '), '') FROM idempotency")
    kept += text_of(api, "SELECT coalesce(string_agg(a::text, ' '), '') FROM attempt a")
    kept += taken_log(api) + caplog.text
    assert first[12:] not in kept and second[12:] not in kept
    assert client in kept


def test_each_step_is_in_the_log_and_either_of_the_two_ends_it_alone(api: Api) -> None:
    client = a_client(api, "hold:place", "specimen:read", sites=["LAB"], valid_days=7)
    key_of(api, client)
    revoked = api.admin.post(f"/api-clients/{client}/revoke", json={"reason": "suspicion"})
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked"), revoked.text
    log = taken_log(api)
    for kind in ("system.client_made", "system.client_key_granted", "system.client_key_drawn", "system.client_revoked"):
        assert f'"kind":"{kind}"' in log
    again = api.quality.post(f"/api-clients/{client}/revoke", json={"reason": "suspicion"})
    assert (again.status_code, code_of(again)) == (409, "client_revoked")


def test_a_revoked_key_opens_nothing_from_the_next_call_on_and_an_old_one_ends_by_itself(api: Api) -> None:
    client, other = a_client(api), a_client(api, "specimen:read", valid_days=1)
    key, short = key_of(api, client), key_of(api, other)
    with calling(api, key) as program, calling(api, short) as aged:
        assert [one.get("/api/v1/specimens").status_code for one in (program, aged)] == [200, 200]
        assert api.quality.post(f"/api-clients/{client}/revoke", json={"reason": "suspicion"}).status_code == 200
        assert program.get("/api/v1/specimens").status_code == 401
        later(api, days=1, seconds=1)
        assert aged.get("/api/v1/specimens").status_code == 401
    states = {one["code"]: one["state"] for one in api.auditor.get("/api-clients").json()["items"]}
    assert states == {client: "revoked", other: "expired"}
    assert [one["code"] for one in api.auditor.get("/api-clients", params={"state": "expired"}).json()["items"]] == [other]
    endless = {"name": "Endless", "scopes": ["log:read"]}
    assert api.admin.post("/api-clients", json=endless).status_code == 422
    assert api.admin.post("/api-clients", json=endless | {"valid_days": 367}).status_code == 422


def test_a_key_opens_what_its_scopes_say_at_its_sites_and_nothing_of_a_person(api: Api) -> None:
    donor = a_donor(api)
    (vial, *_) = bank_vials(api, donor, 1)
    with calling(api, key_of(api, a_client(api, "specimen:read", sites=["LAB"]))) as program:
        assert program.get(f"/api/v1/specimens/{vial}").status_code == 200
        assert program.get(f"/api/v1/donors/{donor}/identity").status_code in (403, 404)
        assert program.get("/api/v1/custody-log").status_code == 403
        assert program.get("/api/v1/api-clients").status_code == 403
        refused = keyed_post(program, "/holds", a_hold(vial))
        assert (refused.status_code, "Its scopes say what it may" in refused.json()["detail"]) == (403, True), refused.text
    with calling(api, key_of(api, a_client(api, "specimen:read", sites=["NORTH"]))) as elsewhere:
        assert elsewhere.get(f"/api/v1/specimens/{vial}").status_code == 404
    with calling(api, key_of(api, a_client(api, *sorted(CLIENT_SCOPES)))) as everything:
        for method, path in PERSONS_OWN:
            answer = everything.request(method, f"/api/v1{path}")
            assert (answer.status_code, code_of(answer)) == (403, "person_needed"), path
        signed = keyed_post(everything, "/signatures", {"password": "x", "meaning": "decided", "act_hash": "0" * 64})
        assert (signed.status_code, code_of(signed)) == (403, "person_needed")
        assert everything.get("/specimens", follow_redirects=False).status_code in (303, 401)
    assert not CLIENT_SCOPES & {Permission.CUSTODY_RECORD, Permission.USER_MANAGE, Permission.ROLE_COSIGN, Permission.HOLD_LIFT}
    wide = {"name": "Wide", "scopes": ["custody:record"], "valid_days": 1}
    assert api.admin.post("/api-clients", json=wide).status_code == 422


def test_what_a_program_does_bears_its_code_and_what_it_may_not_is_kept(api: Api) -> None:
    (vial, *_) = bank_vials(api, a_donor(api), 1)
    client = a_client(api, "hold:place", "specimen:read")
    with calling(api, key_of(api, client)) as program:
        placed = keyed_post(program, "/holds", a_hold(vial))
        assert placed.status_code == 201, placed.text
        assert program.get("/api/v1/custody-log").status_code == 403
    assert f'"by":"{client}"' in taken_log(api)
    assert text_of(api, f"SELECT count(*) FROM attempt WHERE actor_code = '{client}'") == "1"


def test_the_feed_exports_fhir_and_identities_are_read_by_programs_whose_scope_it_is(api: Api) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    donor = a_donor(api)
    reads = ("log:export", "log:read", "specimen:read", "donor:read", "withdrawal:read")
    with calling(api, key_of(api, a_client(api, *reads))) as program:
        feed = program.get("/api/v1/events", params={"after": 0})
        assert feed.status_code == 200, feed.text
        export = program.get("/api/v1/custody-log", params={"format": "jsonl"})
        assert export.status_code == 200 and '"kind"' in export.text
        assert program.get("/fhir/R4/Specimen").status_code == 200
        bulk = program.get("/fhir/R4/$export", headers={"Prefer": "respond-async"})
        assert bulk.status_code == 202, bulk.text
    with calling(api, key_of(api, a_client(api, "identity:read", "donor:read"))) as program:
        read = program.get(f"/api/v1/donors/{donor}/identity")
        assert read.status_code == 200, read.text


def test_calls_are_counted_and_bounded_and_wrong_keys_soon_cost_no_question(api: Api) -> None:
    client = a_client(api)
    key = key_of(api, client)
    bank: Bank = api.test_bank.bank
    with calling(api, key) as program:
        for _ in range(3):
            assert program.get("/api/v1/specimens").status_code == 200
        later(api, minutes=2)
        assert program.get("/api/v1/specimens").status_code == 200
        shown = api.auditor.get(f"/api-clients/{client}").json()
        assert shown["calls"] == 4 and shown["last_used_at"] is not None
        later(api, minutes=2)
        most = bank.settings.client_calls_per_min
        answers = [program.get("/api/v1/specimens/HF26-0000000") for _ in range(most + 1)]
        assert (answers[-1].status_code, code_of(answers[-1])) == (429, "too_many_calls")
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    with calling(api, key + "x") as wrong:
        answers = [wrong.get("/api/v1/specimens") for _ in range(31)]
    assert [one.status_code for one in answers] == [401] * 30 + [429]
    assert {code_of(one) for one in answers[:30]} == {"client_key_unknown"}


def test_a_key_that_is_used_while_the_secret_is_changed_goes_on_and_one_that_somebody_wrote_counts_for_nothing(api: Api) -> None:
    client = a_client(api, valid_days=366)
    key, bank = key_of(api, client), api.test_bank.bank
    with calling(api, key) as program:
        assert program.get("/api/v1/specimens").status_code == 200
        assert change_secret(bank, "client-keys", lambda _said: None) is not None
        later(api, minutes=2)
        assert program.get("/api/v1/specimens").status_code == 200
        present, former = bank.secrets_of("client-keys")
        stored = text_of(api, "SELECT encode(key_hash, 'hex') FROM api_client")
        assert stored == key_hash(present, key).hex() != key_hash(former, key).hex()
        later(api, days=93)
        assert change_secret(bank, "client-keys", lambda _said: None) is None
        assert program.get("/api/v1/specimens").status_code == 200
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("UPDATE api_client SET key_hash = sha256('bbk_mine'::bytea)")
    with calling(api, "bbk_mine") as thief:
        assert thief.get("/api/v1/specimens").status_code == 401


def test_the_python_client_takes_a_key_instead_of_signing_in(api: Api) -> None:
    key = key_of(api, a_client(api))
    with BankClient(api.url, key=key) as program:
        assert "items" in program.get("/specimens")
        assert "items" in program.calls.list_specimens()


def test_who_is_elsewhere_does_not_know_of_a_client_and_a_name_is_given_once(api: Api) -> None:
    a_client(api, sites=["LAB"], name="Lab system")
    twice = api.admin.post("/api-clients", json={"name": "Lab System", "scopes": ["log:read"], "valid_days": 1})
    assert (twice.status_code, code_of(twice)) == (409, "already_exists")
    assert api.lab_tech.get("/api-clients").status_code == 403
    nowhere = api.admin.post("/api-clients", json={"name": "No", "scopes": ["log:read"], "valid_days": 1, "sites": ["NOWHERE"]})
    assert nowhere.status_code == 404
    there = {site: len(api.auditor.get("/api-clients", params={"site": site}).json()["items"]) for site in ("LAB", "NORTH")}
    assert there == {"LAB": 1, "NORTH": 0}


def refused_by(api: Api, change: str) -> str | None:
    """The constraint that refuses the application's login a change of every client."""
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(f"UPDATE api_client SET {change}")
    name: str | None = refused.value.diag.constraint_name
    return name


def test_the_database_refuses_a_client_that_is_not_whole(api: Api) -> None:
    key_of(api, a_client(api))
    assert refused_by(api, "scopes = '[]'") == "a_client_may_do_something"
    assert refused_by(api, "valid_days = 367") == "a_key_of_a_client_ends_within_a_year"
    assert refused_by(api, "key_id = NULL") == "a_key_of_a_client_is_whole"
    assert refused_by(api, "expires_at = NULL") == "a_key_of_a_client_is_whole"
    assert refused_by(api, "key_for = made_by") == "a_clients_key_to_draw_has_its_end"
    assert refused_by(api, "revoked_at = made_at") == "a_revoked_client_has_no_key"
    with psycopg.connect(api.test_bank.dsn("owner")) as connection, pytest.raises(psycopg.Error, match="never"):
        connection.execute("DELETE FROM api_client")
