"""Logins: an administrator makes and shuts them; what would make an administrator a quality login takes two."""

from typing import Any

import httpx
import psycopg
import pytest

from biobank.acts.act import Act
from biobank.auth.actor import RoleGrant
from biobank.auth.passwords import WeakPassword, hash_now
from biobank.auth.permissions import Role
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import NotPermitted
from biobank.people.bootstrap import set_first_password, set_up_user
from biobank.people.queries import printed_names
from tests import seed
from tests.conftest import Api, TestBank
from tests.people.test_sign_in import NEW, change, outcome, sign_in
from tests.signing import signed

FIRST = "first password to change"
CODES = {name: person.code for name, person in seed.USERS.items()}


def new_user(api: Api, **fields: Any) -> httpx.Response:
    body = {"username": "jane.doe", "printed_name": "Jane Doe, PhD", "password": FIRST} | fields
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
        "created_at": "",
        "roles": [],
    }
    token = sign_in(api, "jane.doe", FIRST).json()["access_token"]
    assert change(api, token, FIRST, NEW).status_code == 204
    assert events_of(api.test_bank, code) == [("user.created", CODES["admin"]), ("user.password_changed", code)]


def test_neither_name_nor_password_is_written_in_the_clear(api: Api) -> None:
    new_user(api)
    sign_in(api, "jane.doe", FIRST)

    written = everything_written(api.test_bank)

    assert "user.created" in written
    assert not [secret for secret in ("Jane", "Doe", "jane.doe", FIRST) if secret in written]


def test_the_same_request_makes_one_login(api: Api) -> None:
    body = {"username": "jane.doe", "printed_name": "Jane Doe", "password": FIRST}
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
        {"password": ""},
        {"role": "admin"},
    ],
)
def test_a_malformed_login_is_refused(api: Api, fields: dict[str, str]) -> None:
    assert outcome(new_user(api, **fields)) == (422, "malformed_request")


def test_a_weak_first_password_is_refused(api: Api) -> None:
    assert outcome(new_user(api, password="password12345")) == (409, "weak_password")


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
        api.admin.post(f"/users/{code}/password-reset", json={"password": NEW}),
    ]

    assert {outcome(a) for a in answers} == {(403, "own_login")}


def test_an_administrator_resets_the_password_of_a_technician(api: Api) -> None:
    code = CODES["lab_tech"]
    api.lab_tech.get("/sites")

    answer = api.admin.post(f"/users/{code}/password-reset", json={"password": FIRST})

    assert answer.json()["status"] == "done"
    assert api.lab_tech.get("/sites").status_code == 401
    assert sign_in(api).status_code == 401
    assert sign_in(api, password=FIRST).json()["must_change_password"]


def test_an_administrator_cannot_become_quality_by_resetting_a_password(api: Api) -> None:
    code, path = CODES["quality"], f"/users/{CODES['quality']}/password-reset"
    unsigned = api.admin.post(path, json={"password": FIRST})
    assert outcome(unsigned) == (428, "signature_required")

    proposal = api.admin.post(path, json=signed(api.admin, "approved", path, {"password": FIRST})).json()

    assert proposal["status"] == "pending"
    assert sign_in(api, "quality", FIRST).status_code == 401
    body = {"password": FIRST, "pending_act": proposal["pending_act"]}
    alone = api.admin.post(path, json=signed(api.admin, "approved", path, body))
    assert alone.status_code == 403
    done = api.quality2.post(path, json=signed(api.quality2, "approved", path, body | {"password": NEW}))
    assert done.json()["status"] == "done", done.text
    assert sign_in(api, "quality", FIRST).status_code == 401
    assert sign_in(api, "quality", NEW).json()["must_change_password"]
    assert events_of(api.test_bank, code) == [("user.password_reset", CODES["quality2"])]


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
        api.auditor.post(f"{path}/password-reset", json={"password": FIRST, "pending_act": pending}),
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


def test_the_bank_itself_makes_the_first_logins(bank: TestBank) -> None:
    act = Act.system(bank.bank, path="users create")
    fields: dict[str, Any] = {
        "username": "first.admin",
        "printed_name": "First Admin",
        "password": FIRST,
        "password_hash": hash_now(FIRST),
        "grants": [RoleGrant(Role.ADMIN, None), RoleGrant(Role.LAB_TECH, "LAB")],
    }

    code = bank.write(lambda s: set_up_user(s, act, **fields))

    kinds = ["user.created", "user.role_granted", "user.role_granted"]
    assert events_of(bank, code) == [(kind, "SYSTEM") for kind in kinds]
    with pytest.raises(WeakPassword):
        bank.write(lambda s: set_up_user(s, act, **fields | {"password": "short", "username": "other"}))
    with pytest.raises(NotPermitted):
        bank.write(lambda s: set_up_user(s, bank.act("admin"), **fields | {"username": "other"}))


def test_the_bank_itself_lets_the_last_administrator_in_again(api: Api) -> None:
    bank = api.test_bank
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET active = false WHERE username = 'admin'")
    act = Act.system(bank.bank, path="users password")

    bank.write(lambda s: set_first_password(s, act, username="admin", password=NEW, password_hash=hash_now(NEW)))

    assert sign_in(api, "admin", NEW).json()["must_change_password"]
    assert events_of(bank, CODES["admin"]) == [("user.reactivated", "SYSTEM"), ("user.password_reset", "SYSTEM")]
