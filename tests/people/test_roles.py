"""Roles: proposed by an administrator, co-signed by quality, in force at once."""

from typing import Any

import httpx
import psycopg
import pytest

from tests import seed
from tests.conftest import Api, Client
from tests.people.test_sign_in import outcome
from tests.signing import signed

CODES = {name: person.code for name, person in seed.USERS.items()}
ROLE = {"role": "lab_tech", "site": "NORTH"}


def half(client: Client, user: str, body: dict[str, Any], verb: str = "roles") -> httpx.Response:
    path = f"/users/{CODES[user]}/{verb}"
    return client.post(path, json=signed(client, "role_change", path, body))


def both(api: Api, user: str, body: dict[str, Any], verb: str = "roles") -> httpx.Response:
    first = half(api.admin, user, body, verb)
    assert first.json()["status"] == "pending", first.text
    return half(api.quality, user, body | {"pending_act": first.json()["pending_act"]}, verb)


def roles_of(api: Api, user: str) -> list[dict[str, Any]]:
    return api.admin.get(f"/users/{CODES[user]}").json()["roles"]  # type: ignore[no-any-return]


def test_a_role_is_given_by_an_administrator_and_quality_together(api: Api) -> None:
    first = half(api.admin, "lab_tech", ROLE)
    assert first.json()["status"] == "pending"
    assert roles_of(api, "lab_tech") == [{"role": "lab_tech", "site": "LAB"}]
    waiting = api.quality.get("/pending-acts").json()["items"]
    assert [(w["act"], w["subject"], w["body"]) for w in waiting] == [("user.grant_role", CODES["lab_tech"], ROLE)]

    second = half(api.quality, "lab_tech", ROLE | {"pending_act": first.json()["pending_act"]})

    assert second.json()["status"] == "done", second.text
    assert ROLE in roles_of(api, "lab_tech")
    with psycopg.connect(api.test_bank.dsn()) as connection:
        row = connection.execute("SELECT entry FROM event WHERE kind = 'user.role_granted'").fetchone()
    assert row is not None
    import json

    entry = json.loads(bytes(row[0]))
    assert entry["by"] == CODES["quality"]
    body = entry["body"]
    assert (body["role"], body["site"], body["proposed_by"], body["completed_by"]) == (
        "lab_tech",
        "NORTH",
        CODES["admin"],
        CODES["quality"],
    )
    assert body["first_signature"] != body["second_signature"]


def test_a_role_taken_away_is_gone_with_the_next_request(api: Api) -> None:
    assert api.auditor.get("/attempts").status_code == 200

    assert both(api, "auditor", {"role": "auditor"}, "roles/revoke").json()["status"] == "done"

    assert outcome(api.auditor.get("/attempts")) == (403, "not_permitted")


def test_a_role_given_is_there_with_the_next_request(api: Api) -> None:
    assert api.lab_tech.get("/attempts").status_code == 403

    both(api, "lab_tech", {"role": "auditor"})

    assert api.lab_tech.get("/attempts").status_code == 200


def test_an_administrator_alone_appoints_nobody(api: Api) -> None:
    body = {"role": "quality"}
    assert outcome(api.admin.post(f"/users/{CODES['lab_tech']}/roles", json=body)) == (428, "signature_required")
    first = half(api.admin, "lab_tech", body).json()

    again = half(api.admin, "lab_tech", body | {"pending_act": first["pending_act"]})

    assert outcome(again) == (403, "not_permitted")
    assert roles_of(api, "lab_tech") == [{"role": "lab_tech", "site": "LAB"}]


def test_an_administrator_who_is_quality_too_still_needs_someone_else(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute(
            "INSERT INTO user_role (user_code, role, granted_at, granted_by) VALUES (%s, 'quality', now(), 'SYSTEM')",
            (CODES["admin"],),
        )
    first = half(api.admin, "lab_tech", ROLE).json()

    again = half(api.admin, "lab_tech", ROLE | {"pending_act": first["pending_act"]})

    assert outcome(again) == (403, "second_person_must_differ")


def test_quality_alone_proposes_nothing(api: Api) -> None:
    assert outcome(half(api.quality, "lab_tech", ROLE)) == (403, "not_permitted")


@pytest.mark.parametrize("user", ["auditor", "lab_tech2", "clinician"])
def test_nobody_else_co_signs(api: Api, user: str) -> None:
    first = half(api.admin, "lab_tech", ROLE).json()

    answer = half(getattr(api, user), "lab_tech", ROLE | {"pending_act": first["pending_act"]})

    assert answer.status_code in (403, 404)


@pytest.mark.parametrize("user", ["admin", "quality"])
def test_nobody_changes_their_own_roles_even_with_a_colleague(api: Api, user: str) -> None:
    if user == "admin":
        assert outcome(half(api.admin, "admin", ROLE)) == (403, "own_login")
        return
    first = half(api.admin, "quality", ROLE).json()
    assert outcome(half(api.quality, "quality", ROLE | {"pending_act": first["pending_act"]})) == (403, "own_login")


@pytest.mark.parametrize("changed", [{"role": "quality"}, {"site": "LAB"}, {"site": None}])
def test_quality_co_signs_the_role_that_was_proposed(api: Api, changed: dict[str, Any]) -> None:
    first = half(api.admin, "clinician", ROLE).json()

    answer = half(api.quality, "clinician", ROLE | changed | {"pending_act": first["pending_act"]})

    assert outcome(answer) == (409, "pending_act_differs")


def test_a_grant_cannot_be_completed_as_a_revocation(api: Api) -> None:
    first = half(api.admin, "lab_tech", {"role": "auditor"}).json()
    both(api, "lab_tech", {"role": "auditor"})

    answer = half(api.quality, "lab_tech", {"role": "auditor", "pending_act": first["pending_act"]}, "roles/revoke")

    assert outcome(answer) == (409, "pending_act_differs")


def test_a_signature_with_another_meaning_appoints_nobody(api: Api) -> None:
    path = f"/users/{CODES['lab_tech']}/roles"

    answer = api.admin.post(path, json=signed(api.admin, "approved", path, ROLE))

    assert outcome(answer) == (403, "signature_invalid")


def test_a_signature_for_one_role_does_not_give_another(api: Api) -> None:
    path = f"/users/{CODES['lab_tech']}/roles"
    signature = signed(api.admin, "role_change", path, ROLE)["signature"]

    answer = api.admin.post(path, json={"role": "quality", "signature": signature})

    assert outcome(answer) == (403, "signature_for_another_act")


def test_a_signature_for_one_person_does_not_serve_for_another(api: Api) -> None:
    signature = signed(api.admin, "role_change", f"/users/{CODES['lab_tech']}/roles", ROLE)["signature"]

    answer = api.admin.post(f"/users/{CODES['clinician']}/roles", json=ROLE | {"signature": signature})

    assert outcome(answer) == (403, "signature_for_another_act")


def test_a_signature_does_not_bind_to_bytes_that_only_a_lenient_parser_reads(api: Api) -> None:
    """UTF-16 JSON: were it hashed like no body, one signature would serve for every such request. It is not read at all."""
    import json

    from biobank.acts.act import act_hash

    path = f"/users/{CODES['lab_tech']}/roles"
    sign = {"password": seed.PASSWORD, "meaning": "role_change", "act_hash": act_hash("POST", f"/api/v1{path}", None).hex()}
    signature = api.admin.post("/signatures", json=sign).json()["signature"]
    raw = json.dumps({"role": "quality", "signature": signature}).encode("utf-16")

    answer = api.admin.post(path, content=raw, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "malformed_request"), answer.text
    assert "quality" not in api.admin.get(f"/users/{CODES['lab_tech']}").text


def test_a_role_is_held_once_and_taken_once(api: Api) -> None:
    assert outcome(half(api.admin, "lab_tech", {"role": "lab_tech", "site": "LAB"})) == (409, "already_exists")
    assert outcome(half(api.admin, "lab_tech", {"role": "quality"}, "roles/revoke")) == (404, "not_found")


def test_no_role_at_a_site_that_is_unknown_or_shut(api: Api) -> None:
    api.admin.patch("/sites/NORTH", json={"active": False})

    assert outcome(half(api.admin, "lab_tech", ROLE)) == (409, "conflict")
    assert outcome(half(api.admin, "lab_tech", {"role": "lab_tech", "site": "MOON"})) == (404, "not_found")


def test_an_administrator_of_one_site_gives_roles_there_only(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = 'NORTH' WHERE user_code = %s", (CODES["admin"],))

    assert half(api.admin, "north_tech", {"role": "clinician", "site": "NORTH"}).json()["status"] == "pending"
    assert outcome(half(api.admin, "north_tech", {"role": "clinician", "site": "LAB"})) == (403, "not_permitted")
    assert outcome(half(api.admin, "north_tech", {"role": "clinician"})) == (403, "not_permitted")


def test_a_replayed_second_half_is_answered_and_not_repeated(api: Api) -> None:
    first = half(api.admin, "lab_tech", ROLE).json()
    path = f"/users/{CODES['lab_tech']}/roles"
    body = signed(api.quality, "role_change", path, ROLE | {"pending_act": first["pending_act"]})

    one, two = (api.quality.post(path, json=body, headers={"Idempotency-Key": "once"}) for _ in range(2))

    assert one.json() == two.json()
    assert two.headers["Idempotent-Replayed"] == "true"
