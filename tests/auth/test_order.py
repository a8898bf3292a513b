"""The order of the answers: who are you (401), is it well formed (422), may you know of it (404), may you do it (403)."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests import seed
from tests.auth.route_table import PUBLIC, all_routes
from tests.conftest import Api


def routes() -> list[tuple[str, str]]:
    """Every API route, its path filled with codes that do not exist."""
    return sorted((method, path) for method, path in all_routes() - PUBLIC if path.startswith("/api/"))


def filled(path: str) -> str:
    return re.sub(r"\{[a-z_]+\}", lambda m: str(uuid4()) if m[0] == "{pending_act}" else "US-0000000", path)


BODIES: dict[str, dict[str, Any]] = {
    "no body": {},
    "an empty object": {"json": {}},
    "broken JSON": {"content": b'{"a":', "headers": {"Content-Type": "application/json"}},
    "bytes that are no text": {"content": b"\xff\xfe{", "headers": {"Content-Type": "application/json"}},
    "another kind of body": {"content": b"<a/>", "headers": {"Content-Type": "application/xml"}},
}


@pytest.mark.parametrize("body", BODIES)
def test_a_stranger_learns_nothing_but_to_sign_in(api: Api, body: str) -> None:
    """On every route there is: no token, and a token that is none, are answered before anything else is looked at."""
    wrong = []
    with httpx.Client(base_url=api.url, timeout=60) as client:
        for method, path in routes():
            for token in (None, "not.a.token"):
                request = dict(BODIES[body])
                headers = dict(request.pop("headers", {})) | ({} if token is None else {"Authorization": f"Bearer {token}"})
                answer = client.request(method, filled(path), headers=headers, **request)
                if answer.status_code != 401 or answer.headers.get("WWW-Authenticate") != "Bearer":
                    wrong.append((method, path, token, answer.status_code))

    assert wrong == []


def test_a_first_password_opens_no_route_but_its_change(api: Api) -> None:
    api.test_bank.write(
        lambda s: s.connection().exec_driver_sql(
            f"UPDATE app_user SET must_change_password = true WHERE code = '{seed.USERS['quality'].code}'"
        )
    )
    allowed = {("GET", "/api/v1/auth/me"), ("POST", "/api/v1/auth/logout"), ("POST", "/api/v1/auth/password")}
    wrong = []
    for method, path in routes():
        if (method, path) in allowed:
            continue
        answer = api.quality.request(method, filled(path).removeprefix("/api/v1"), json={} if method != "GET" else None)
        if answer.status_code not in (403, 422):
            wrong.append((method, path, answer.status_code))

    assert wrong == []


def test_an_ended_session_opens_no_route(api: Api) -> None:
    api.quality.get("/sites")
    api.test_bank.write(lambda s: s.connection().exec_driver_sql("UPDATE login_session SET revoked_at = now()"))
    wrong = []
    for method, path in routes():
        if (method, path) == ("POST", "/api/v1/auth/logout"):
            continue
        answer = api.quality.request(method, filled(path).removeprefix("/api/v1"), json={} if method != "GET" else None)
        if answer.status_code not in (401, 422):
            wrong.append((method, path, answer.status_code))

    assert wrong == []


def test_a_malformed_body_is_named_to_one_who_is_signed_in(api: Api) -> None:
    broken = api.admin.post("/users", content=b'{"a":', headers={"Content-Type": "application/json"})
    unknown = api.admin.post("/users", json={"surprise": 1})

    assert (broken.status_code, unknown.status_code) == (422, 422)
    assert "surprise" in {e["field"] for e in unknown.json()["errors"]}


def test_who_may_not_know_of_a_login_learns_nothing_from_the_refusal(api: Api) -> None:
    """The same answer for a login that exists and for one that does not."""
    real, unreal = seed.USERS["quality"].code, "US-0000000"
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"active": False, "reason": "test"}),
        ("POST", "/roles", {"role": "quality"}),
    ):
        one, two = (api.lab_tech.request(method, f"/users/{code}{tail}", json=body) for code in (real, unreal))
        assert (one.status_code, two.status_code) == (404, 404)
        assert one.text.replace(real, unreal) == two.text
