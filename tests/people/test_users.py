"""Logins: an administrator makes and shuts them; what would make an administrator a quality login takes two."""

from typing import Any

import httpx
import psycopg
import pytest

from biobank.auth import one_time
from biobank.foundation.codes import parse_code
from biobank.people.queries import printed_names
from tests import seed
from tests.conftest import Api, TestBank
from tests.enrolling import enrolled
from tests.people.test_sign_in import NEW, change, outcome, sign_in
from tests.signing import signed

FIRST = "a password for somebody else"
CODES = {name: person.code for name, person in seed.USERS.items()}


def new_user(api: Api, **fields: Any) -> httpx.Response:
    body = {"username": "jane.doe", "printed_name": "Jane Doe, PhD"} | fields
    return api.admin.post("/users", json=body)


def events_of(bank: TestBank, code: str) -> list[tuple[str, str]]:
    with psycopg.connect(bank.dsn()) as connection:
        return connection.execute(
            "SELECT kind, recorded_by FROM event WHERE stream_kind = 'user' AND stream_id = %s ORDER BY seq", (code,)
        ).fetchall()


def everything_written(bank: TestBank) -> str:
    """The text of every row outside the vault and the login table, bytes decoded as far as they are text."""
    with psycopg.connect(bank.dsn()) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        texts = []
        for (name,) in names:
            if name != "app_user":
                for row in connection.execute(f"SELECT * FROM {name}").fetchall():
                    texts += [bytes(v).decode(errors="replace") if isinstance(v, bytes) else str(v) for v in row]
    return "\n".join(texts)


def test_an_administrator_makes_a_login_that_must_change_its_password(api: Api) -> None:
    answer = new_user(api)

    assert answer.status_code == 201, answer.text
    code = answer.json()["code"]
    assert parse_code(code).prefix == "US"
    assert api.admin.get(f"/users/{code}").json() | {"created_at": ""} == {
        "code": code,
        "username": "jane.doe",
        "printed_name": "Jane Doe, PhD",
        "active": True,
        "must_change_password": True,
        "person": code,
        "slip": None,
        "created_at": "",
        "roles": [],
    }
    assert events_of(api.test_bank, code) == [("user.created", CODES["admin"])]


def test_nothing_opens_a_login_until_two_people_gave_it_a_role_and_its_owner_chose_a_password(api: Api) -> None:
    code, one_time_code = enrolled(api, "jane.doe")

    token = sign_in(api, "jane.doe", one_time_code).json()["access_token"]
    assert change(api, token, one_time_code, NEW).status_code == 204
    assert sign_in(api, "jane.doe", one_time_code).status_code == 401
    assert sign_in(api, "jane.doe", NEW).json()["must_change_password"] is False
    by_quality = [(f"user.{kind}", CODES["quality"]) for kind in ("role_granted", "enrolment_opened", "credentials_set")]
    by_its_owner = [(f"user.{kind}", code) for kind in ("password_changed", "personal_key_set", "credentials_set")]
    assert events_of(api.test_bank, code) == [("user.created", CODES["admin"]), *by_quality, *by_its_owner]


def test_neither_name_nor_code_is_written_in_the_clear(api: Api) -> None:
    _, one_time_code = enrolled(api, "jane.doe")
    sign_in(api, "jane.doe", one_time_code)

    written = everything_written(api.test_bank)

    assert "user.created" in written
    secret = (one_time_code, one_time.as_typed(one_time_code))
    assert not [one for one in ("Jane", "Doe", "jane.doe", *secret) if one in written]


def test_the_same_request_makes_one_login(api: Api) -> None:
    body = {"username": "jane.doe", "printed_name": "Jane Doe"}
    first, again = (api.admin.post("/users", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2))

    assert first.json() == again.json()
    assert len(events_of(api.test_bank, first.json()["code"])) == 1


def test_a_login_name_is_taken_once(api: Api) -> None:
    new_user(api)

    answer = new_user(api, printed_name="Another Jane")

    assert outcome(answer) == (409, "username_taken")
    assert "jane" not in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "Jane"},
        {"username": "x"},
        {"username": "jane doe"},
        {"username": "jane\x00"},
        {"printed_name": ""},
        {"printed_name": "  "},
        {"printed_name": "two\nlines"},
        {"printed_name": "nul\x00"},
        {"role": "admin"},
    ],
)
def test_a_malformed_login_is_refused(api: Api, fields: dict[str, str]) -> None:
    assert outcome(new_user(api, **fields)) == (422, "malformed_request")


def test_nobody_sets_a_password_of_another(api: Api) -> None:
    assert outcome(new_user(api, password=FIRST)) == (409, "password_of_another")
    path = f"/users/{CODES['lab_tech']}/password-reset"
    signed_with = signed(api.admin, "approved", path, {"password": FIRST})
    assert outcome(api.admin.post(path, json=signed_with | {"password": FIRST})) == (409, "password_of_another")


def test_a_shut_login_is_out_at_once_and_can_be_opened_again(api: Api) -> None:
    code = CODES["lab_tech"]
    assert api.lab_tech.get("/sites").status_code == 200

    shut = api.admin.patch(f"/users/{code}", json={"active": False, "reason": "left_the_bank"})

    assert shut.status_code == 200, shut.text
    assert outcome(api.lab_tech.get("/sites")) == (401, "not_signed_in")
    assert sign_in(api).status_code == 401
    assert outcome(api.admin.patch(f"/users/{code}", json={"active": False, "reason": "again"})) == (409, "conflict")
    opened = api.admin.patch(f"/users/{code}", json={"active": True, "reason": "came_back"})
    assert opened.json()["status"] == "done"
    assert sign_in(api).status_code == 200
    assert outcome(api.lab_tech.get("/sites")) == (401, "not_signed_in")
    assert [kind for kind, _ in events_of(api.test_bank, code)] == ["user.deactivated", "user.reactivated"]


def test_an_administrator_renames_a_login(api: Api) -> None:
    code = new_user(api).json()["code"]

    assert api.admin.patch(f"/users/{code}", json={"printed_name": "Jane Roe"}).status_code == 200

    assert api.admin.get(f"/users/{code}").json()["printed_name"] == "Jane Roe"
    assert api.test_bank.write(lambda s: printed_names(s, api.test_bank.bank.keystore_sync, [code, CODES["admin"]])) == {
        code: "Jane Roe"
    }


@pytest.mark.parametrize("body", [{}, {"active": False}, {"active": True, "printed_name": "X", "reason": "test"}])
def test_one_change_at_a_time_with_its_reason(api: Api, body: dict[str, Any]) -> None:
    assert outcome(api.admin.patch(f"/users/{CODES['lab_tech']}", json=body)) == (422, "malformed_request")


def test_nobody_decides_about_their_own_login(api: Api) -> None:
    code = CODES["admin"]
    answers = [
        api.admin.patch(f"/users/{code}", json={"active": False, "reason": "test"}),
        api.admin.patch(f"/users/{code}", json={"printed_name": "The Boss"}),
        api.admin.post(f"/users/{code}/password-reset", json={}),
    ]

    assert {outcome(a) for a in answers} == {(403, "own_login")}


def test_an_administrator_cannot_open_a_quality_login_alone(api: Api) -> None:
    code, path = CODES["quality"], f"/users/{CODES['quality']}"
    api.admin.patch(path, json={"active": False, "reason": "dismissed"})
    body = {"active": True, "reason": "needed_again"}
    assert outcome(api.admin.patch(path, json=body)) == (428, "signature_required")

    half = api.admin.patch(path, json=signed(api.admin, "approved", path, body, method="PATCH")).json()
    assert sign_in(api, "quality").status_code == 401
    body |= {"pending_act": half["pending_act"]}
    done = api.quality2.patch(path, json=signed(api.quality2, "approved", path, body, method="PATCH"))

    assert done.json()["status"] == "done", done.text
    assert sign_in(api, "quality").status_code == 200
    assert [kind for kind, _ in events_of(api.test_bank, code)] == ["user.deactivated", "user.reactivated"]


def test_a_pending_act_in_the_body_opens_nothing_that_needs_no_second_person(api: Api) -> None:
    """The auditor may read the login; naming some pending act must not spare them the administrator's permission."""
    path = f"/users/{CODES['lab_tech']}"
    pending = "00000000-0000-4000-8000-000000000000"
    answers = [
        api.auditor.patch(path, json={"active": True, "reason": "test", "pending_act": pending}),
        api.auditor.patch(path, json={"active": False, "reason": "test", "pending_act": pending}),
        api.auditor.patch(path, json={"printed_name": "X", "pending_act": pending}),
        api.auditor.post(f"{path}/password-reset", json={"pending_act": pending}),
    ]

    assert {outcome(a) for a in answers} == {(403, "not_permitted")}


def test_logins_are_listed_by_page_and_filter(api: Api) -> None:
    first = api.admin.get("/users", params={"limit": 4}).json()
    seen = [u["code"] for u in first["items"]]
    while first["next"] is not None:
        first = api.admin.get("/users", params={"limit": 4, "after": first["next"]}).json()
        seen += [u["code"] for u in first["items"]]

    assert seen == sorted(CODES.values())
    techs = api.quality.get("/users", params={"role": "lab_tech", "site": "LAB"}).json()["items"]
    assert {u["username"] for u in techs} == {"lab_tech", "lab_tech2", "lab_tech_north_quality", "acts_here"}
    assert api.lab_tech.get("/users").status_code == 403


def test_an_administrator_of_one_site_sees_and_manages_that_site_only(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = 'NORTH' WHERE user_code = %s", (CODES["admin"],))

    names = {u["username"] for u in api.admin.get("/users").json()["items"]}
    assert names == {
        name for name, person in seed.USERS.items() if name == "admin" or {site for _, site in person.grants} & {None, "NORTH"}
    }
    assert api.admin.get(f"/users/{CODES['lab_tech']}").status_code == 404
    shut = {"active": False, "reason": "test"}
    assert api.admin.patch(f"/users/{CODES['lab_tech']}", json=shut).status_code == 404
    assert api.admin.patch(f"/users/{CODES['quality']}", json=shut).status_code == 403
    assert api.admin.patch(f"/users/{CODES['north_tech']}", json=shut).status_code == 200
