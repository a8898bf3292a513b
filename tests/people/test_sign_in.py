"""Signing in over HTTP: tokens, refresh, sign-out, first password, throttle."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from biobank.auth.passwords import hash_now
from biobank.auth.service import forget_old
from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, TestBank

NEW = "slow river eleven lamps"


def sign_in(api: Api, username: str = "lab_tech", password: str = seed.PASSWORD, **more: str) -> httpx.Response:
    form = {"username": username, "password": password} | more
    return httpx.post(f"{api.url}/api/v1/auth/token", data=form, timeout=60)


def refresh(api: Api, token: str) -> httpx.Response:
    return httpx.post(f"{api.url}/api/v1/auth/refresh", json={"refresh_token": token}, timeout=60)


def me(api: Api, token: str) -> httpx.Response:
    return httpx.get(f"{api.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=60)


def change(api: Api, token: str, password: str = seed.PASSWORD, new: str = NEW) -> httpx.Response:
    return httpx.post(
        f"{api.url}/api/v1/auth/password",
        json={"password": password, "new_password": new},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


def outcome(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code") if answer.content else None


@pytest.fixture
def strict(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A bank that throttles after three wrong passwords."""
    bank = make_bank(login_attempts=3)
    api = Api(serve(bank), bank)
    yield api
    api.close()


def test_a_password_is_exchanged_for_a_token_that_works(api: Api) -> None:
    answer = sign_in(api)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["must_change_password"]) == ("bearer", 900, False)
    assert answer.headers["Cache-Control"] == "no-store"
    mine = me(api, body["access_token"]).json()
    assert (mine["code"], mine["username"]) == (seed.USERS["lab_tech"].code, "lab_tech")
    assert mine["roles"] == [{"role": "lab_tech", "site": "LAB"}]
    assert "custody:record" in mine["permissions"]


def test_a_login_name_is_the_same_in_capitals(api: Api) -> None:
    assert sign_in(api, "LAB_TECH").status_code == 200


@pytest.mark.parametrize(
    ("username", "password"),
    [("lab_tech", "wrong"), ("nobody", seed.PASSWORD), ("n\x00b", "x"), ("' OR 1=1 --", "x"), ("é" * 50, "x")],
)
def test_every_wrong_sign_in_has_the_same_answer(api: Api, username: str, password: str) -> None:
    answer = sign_in(api, username, password)

    assert outcome(answer) == (401, "wrong_credentials")
    assert answer.json() == sign_in(api, "lab_tech", "also wrong").json()


def test_a_login_that_does_not_exist_answers_no_faster(api: Api) -> None:
    """A coarse ratio of processor time, server included: without the dummy hash it would be ten and more."""
    sign_in(api, "nobody.at.all", "wrong")

    def fastest(username: str) -> float:
        spent = []
        for _ in range(4):
            start = time.process_time()
            sign_in(api, username, "wrong")
            spent.append(time.process_time() - start)
        return min(spent)

    assert 0.25 < fastest("nobody.at.all") / fastest("lab_tech") < 4


def test_a_shut_login_cannot_sign_in(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET active = false WHERE username = 'lab_tech'")

    assert outcome(sign_in(api)) == (401, "wrong_credentials")


def test_wrong_passwords_are_throttled_for_ten_minutes(strict: Api) -> None:
    for _ in range(3):
        assert sign_in(strict, password="wrong").status_code == 401

    answer = sign_in(strict)

    assert outcome(answer) == (429, "too_many_attempts")
    assert 500 < int(answer.headers["Retry-After"]) <= 600
    assert sign_in(strict, "lab_tech2").status_code == 200
    clock.set_offset(timedelta(minutes=10, seconds=1), test_mode=True)
    assert sign_in(strict).status_code == 200


def test_a_name_that_belongs_to_nobody_is_throttled_just_the_same(strict: Api) -> None:
    answers = [outcome(sign_in(strict, "nobody", "wrong")) for _ in range(4)]

    assert answers == [(401, "wrong_credentials")] * 3 + [(429, "too_many_attempts")]


def test_a_hundred_guesses_at_once_are_not_a_hundred_free_ones(strict: Api) -> None:
    import threading

    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(sign_in(strict, password="wrong").status_code)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen.count(401) <= 3
    assert set(seen) <= {401, 429, 503}


def test_the_throttle_stores_no_login_name(api: Api) -> None:
    sign_in(api, password="wrong")

    with psycopg.connect(api.test_bank.dsn()) as connection:
        rows = connection.execute("SELECT la::text, name_hash FROM login_attempt la").fetchall()
    assert rows
    assert all("lab_tech" not in text and b"lab_tech" not in bytes(name) for text, name in rows)


def test_a_password_hash_of_old_parameters_is_replaced_at_sign_in(api: Api) -> None:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    old = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8192),)).hash(seed.PASSWORD)
    with psycopg.connect(api.test_bank.dsn(), autocommit=True) as connection:
        connection.execute("UPDATE app_user SET password_hash = %s WHERE username = 'lab_tech'", (old,))
        assert sign_in(api).status_code == 200
        row = connection.execute("SELECT password_hash FROM app_user WHERE username = 'lab_tech'").fetchone()
    assert row is not None
    assert row[0] != old
    assert sign_in(api).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "lab_tech"},
        {"username": "x", "password": "y", "grant_type": "client_credentials"},
        {"username": "x", "password": "y", "extra": "z"},
        {"username": "x" * 101, "password": "y"},
    ],
)
def test_a_malformed_form_is_named_without_its_values(api: Api, form: dict[str, str]) -> None:
    answer = httpx.post(f"{api.url}/api/v1/auth/token", data=form)

    assert outcome(answer) == (422, "malformed_request")


def test_a_refresh_token_works_once_and_the_chain_goes_on(api: Api) -> None:
    first = sign_in(api).json()
    second = refresh(api, first["refresh_token"])
    third = refresh(api, second.json()["refresh_token"])

    assert (second.status_code, third.status_code) == (200, 200)
    assert len({t["refresh_token"] for t in (first, second.json(), third.json())}) == 3
    assert me(api, third.json()["access_token"]).status_code == 200


def test_a_refresh_token_used_twice_ends_the_session_of_the_thief_and_of_the_owner(api: Api) -> None:
    stolen = sign_in(api).json()
    thief = refresh(api, stolen["refresh_token"]).json()

    owner = refresh(api, stolen["refresh_token"])

    assert outcome(owner) == (401, "refresh_token_reused")
    assert outcome(refresh(api, thief["refresh_token"])) == (401, "refresh_token_invalid")
    assert outcome(me(api, thief["access_token"])) == (401, "not_signed_in")
    assert outcome(me(api, stolen["access_token"])) == (401, "not_signed_in")


def test_of_two_refreshes_at_once_one_wins_and_the_session_ends(api: Api) -> None:
    import threading

    token = sign_in(api).json()["refresh_token"]
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(refresh(api, token).status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == [200] + [401] * 5


def test_a_session_is_not_prolonged_by_refreshing(api: Api) -> None:
    token = sign_in(api).json()["refresh_token"]
    clock.set_offset(timedelta(hours=8), test_mode=True)
    later = refresh(api, token).json()
    assert 3.9 * 3600 < later["refresh_expires_in"] <= 4 * 3600
    clock.set_offset(timedelta(hours=12, seconds=1), test_mode=True)

    assert outcome(refresh(api, later["refresh_token"])) == (401, "refresh_token_invalid")


def test_an_invented_refresh_token_is_not_valid(api: Api) -> None:
    assert outcome(refresh(api, "x" * 43)) == (401, "refresh_token_invalid")


def test_no_token_stands_in_the_database_in_the_clear(api: Api) -> None:
    tokens = sign_in(api).json()

    with psycopg.connect(api.test_bank.dsn()) as connection:
        stored = connection.execute("SELECT token_hash FROM refresh_token").fetchall()
    assert stored
    assert all(tokens["refresh_token"].encode() not in bytes(row[0]) for row in stored)


def test_signing_out_ends_the_session_at_once(api: Api) -> None:
    tokens = sign_in(api).json()
    out = httpx.post(f"{api.url}/api/v1/auth/logout", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert out.status_code == 204
    assert outcome(me(api, tokens["access_token"])) == (401, "not_signed_in")
    assert outcome(refresh(api, tokens["refresh_token"])) == (401, "refresh_token_invalid")


def test_an_expired_access_token_is_told_apart_and_refreshed(api: Api) -> None:
    tokens = sign_in(api).json()
    clock.set_offset(timedelta(minutes=15, seconds=1), test_mode=True)

    assert outcome(me(api, tokens["access_token"])) == (401, "token_expired")
    assert me(api, refresh(api, tokens["refresh_token"]).json()["access_token"]).status_code == 200


def test_with_a_first_password_nothing_works_but_changing_it(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET must_change_password = true WHERE username = 'lab_tech'")
    tokens = sign_in(api).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}

    assert tokens["must_change_password"]
    assert me(api, tokens["access_token"]).json()["must_change_password"]
    refused = httpx.get(f"{api.url}/api/v1/sites", headers=bearer)
    assert outcome(refused) == (403, "not_permitted")
    assert refused.json()["reason"] == "first_login_change_required"
    signing = {"password": seed.PASSWORD, "meaning": "approved", "act_hash": "0" * 64}
    keyed = bearer | {"Idempotency-Key": "k"}
    assert httpx.post(f"{api.url}/api/v1/signatures", json=signing, headers=keyed).status_code == 403

    assert change(api, tokens["access_token"]).status_code == 204

    assert httpx.get(f"{api.url}/api/v1/sites", headers=bearer).status_code == 200
    assert sign_in(api).status_code == 401
    assert sign_in(api, password=NEW).json()["must_change_password"] is False


def test_a_changed_password_ends_every_other_session_and_stands_in_the_log(api: Api) -> None:
    here, elsewhere = sign_in(api).json(), sign_in(api).json()

    assert change(api, here["access_token"]).status_code == 204

    assert me(api, here["access_token"]).status_code == 200
    assert outcome(me(api, elsewhere["access_token"])) == (401, "not_signed_in")
    assert outcome(refresh(api, elsewhere["refresh_token"])) == (401, "refresh_token_invalid")
    with psycopg.connect(api.test_bank.dsn()) as connection:
        rows = connection.execute(
            "SELECT kind, recorded_by FROM event WHERE stream_kind = 'user' AND stream_id = %s",
            (seed.USERS["lab_tech"].code,),
        ).fetchall()
    assert rows == [(f"user.{kind}", seed.USERS["lab_tech"].code) for kind in ("password_changed", "credentials_set")]


@pytest.mark.parametrize(
    ("password", "new", "answer"),
    [
        ("wrong", NEW, (403, "wrong_password")),
        (seed.PASSWORD, "short", (409, "weak_password")),
        (seed.PASSWORD, seed.PASSWORD, (409, "weak_password")),
    ],
)
def test_a_password_is_changed_only_for_a_good_one_by_its_owner(
    api: Api, password: str, new: str, answer: tuple[int, str]
) -> None:
    token = sign_in(api).json()["access_token"]

    assert outcome(change(api, token, password, new)) == answer
    assert sign_in(api).status_code == 200


def test_old_attempts_and_tokens_can_be_forgotten(api: Api) -> None:
    sign_in(api)
    clock.set_offset(timedelta(days=2), test_mode=True)

    assert api.test_bank.write(lambda s: forget_old(s, clock.now() - timedelta(days=1))) == 2
    with psycopg.connect(api.test_bank.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM refresh_token").fetchone() == (0,)


def test_the_password_hash_is_never_shown(api: Api) -> None:
    hashed = hash_now(seed.PASSWORD).stored[:30]
    texts: list[Any] = [api.admin.get("/users").text, api.admin.get(f"/users/{seed.USERS['lab_tech'].code}").text]

    assert all("argon2" not in text and hashed not in text for text in texts)
