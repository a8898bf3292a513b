"""What opens a login stands in the log as a fingerprint: whoever changes it in the database, by whichever login, is found."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.alarms.watch import watch_for_alarms
from biobank.auth import passwords
from biobank.auth.credentials import fingerprints_of
from tests.conftest import Api
from tests.enrolling import enrolled, reset
from tests.people.test_own_login import half_a_minute_later, set_up
from tests.people.test_sign_in import NEW, change, sign_in
from tests.reconciliation.test_walk import go_round

HASH = passwords.hash_now("a password of the thief").stored


def opened(api: Api, name: str = "jane.doe") -> str:
    """A login that two people gave its role and whose owner chose a password, and with it a key."""
    code, once = enrolled(api, name)
    assert change(api, sign_in(api, name, once).json()["access_token"], once, NEW).status_code == 204
    return code


def said_of(api: Api, code: str) -> str:
    """What the worker says of a login after one round; nothing: it stands as the log says."""
    found = api.test_bank.write(lambda s: go_round(s, api.test_bank))
    return found.get(("logins", code), "")  # type: ignore[no-any-return]


def test_everything_that_the_bank_itself_does_to_a_login_agrees_with_the_log(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    code, once = enrolled(api, "jane.doe")
    assert said_of(api, code) == ""
    token = sign_in(api, "jane.doe", once).json()["access_token"]
    assert change(api, token, once, NEW).status_code == 204
    assert said_of(api, code) == ""

    # Argon2's parameters are raised: the next sign-in stores another hash and wraps the key anew.
    present = passwords._cost
    dearer = PasswordHasher(present.time_cost + 1, present.memory_cost, present.parallelism)
    monkeypatch.setattr(passwords, "_cost", dearer)
    before = stored(api, code)
    assert sign_in(api, "jane.doe", NEW).status_code == 200
    assert stored(api, code) != before and said_of(api, code) == ""

    client = httpx.Client(base_url=f"{api.url}/api/v1", headers=bearer(api))
    set_up(Keyed(client), {"password": NEW})  # type: ignore[arg-type]
    assert said_of(api, code) == ""
    half_a_minute_later()
    reset(api, code)
    assert said_of(api, code) == ""


class Keyed:
    """A client that names each of its requests."""

    def __init__(self, client: httpx.Client) -> None:
        self.client, self.count = client, 0

    def post(self, path: str, **kwargs: Any) -> httpx.Response:
        self.count += 1
        return self.client.post(path, headers={"Idempotency-Key": f"n{self.count}"}, **kwargs)


def bearer(api: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(api, 'jane.doe', NEW).json()['access_token']}"}


def stored(api: Api, code: str) -> Any:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        return connection.execute("SELECT password_hash FROM app_user WHERE code = %s", (code,)).fetchone()


CHANGES = {
    "password of the thief": "UPDATE app_user SET password_hash = '{hash}' WHERE code = '{code}'",
    "password of a colleague": "UPDATE app_user SET password_hash = (SELECT password_hash FROM app_user WHERE code = '{other}')"
    " WHERE code = '{code}'",
    "password taken away": "UPDATE app_user SET password_hash = NULL, must_change_password = true WHERE code = '{code}'",
    "key's wrapping": "UPDATE personal_key SET wrapped = sha256(wrapped) WHERE user_code = '{code}'",
    "key ended": "UPDATE personal_key SET ended_at = now() WHERE user_code = '{code}'",
    "key given to another": "UPDATE personal_key SET user_code = '{unkeyed}' WHERE user_code = '{code}'",
    "key of a colleague": "INSERT INTO personal_key (public, user_code, wrapped, made_at, ended_at)"
    " VALUES (sha256('a key'), '{code}', decode('00', 'hex'), now(), now())",
    "passkey added": "INSERT INTO passkey (id, user_code, credential, public_key, sign_count, created_at)"
    " VALUES (gen_random_uuid(), '{code}', decode('00', 'hex'), decode('00', 'hex'), 0, now())",
    "app added": "INSERT INTO second_factor (user_code, secret, created_at, confirmed_at)"
    " VALUES ('{code}', decode('00', 'hex'), now(), now())",
}


@contextmanager
def as_login(api: Api, login: str) -> Iterator[Session]:
    """A transaction as a login of the database, the owner's past every guard; what it did is undone."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(api.test_bank.dsn(login)))
    with Session(engine) as session:
        for table in ("app_user", "personal_key", "second_factor") if login == "owner" else ():
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        yield session
        session.rollback()
    engine.dispose()


@pytest.mark.parametrize("login", ["owner", "app", "sealer", "auditor"])
def test_each_login_of_the_database_is_refused_or_found(api: Api, login: str) -> None:
    bank = api.test_bank
    code, other = opened(api), opened(api, "john.roe")
    names = {"hash": HASH, "code": code, "other": other, "unkeyed": bank.actor("lab_tech").code}
    assert said_of(api, code) == ""
    refused, undetected = [], []
    for what, statement in CHANGES.items():
        with as_login(api, login) as session:
            try:
                changed = session.execute(text(statement.format(**names).replace("\\x00", "\\\\x00")))
            except DBAPIError:
                refused.append(what)
                continue
            assert changed.rowcount == 1, what  # type: ignore[attr-defined]
            if ("logins", code) not in go_round(session, bank):
                undetected.append(what)

    assert undetected == []
    assert (set(refused) == set(CHANGES)) == (login in ("sealer", "auditor")), refused
    assert said_of(api, code) == ""


def test_a_changed_hash_is_an_alarm_and_the_bank_is_not_ready_and_says_since_when(api: Api) -> None:
    bank = api.test_bank
    code = opened(api)
    with psycopg.connect(bank.dsn("app")) as connection:
        connection.execute("UPDATE app_user SET password_hash = %s WHERE code = %s", (HASH, code))

    said = said_of(api, code)
    bank.write(lambda s: watch_for_alarms(s, Act.system(bank.bank, path="timer/watch_for_alarms")))

    assert said.startswith("fingerprint of what opens the login: the table says ")
    assert HASH not in said
    answer = httpx.get(f"{api.url}/readyz")
    assert (answer.status_code, "known since 20" in answer.json()["records"]) == (503, True)
    alarms = api.quality.get("/alarms", params={"cause": "differs_from_log"}).json()["items"]
    assert code in {one["subject"] for one in alarms}


def test_the_fingerprint_in_the_log_lets_nobody_try_a_password(api: Api) -> None:
    """Two logins with one password have nothing in common in the log, and no digest of the password alone is there."""
    code, other = opened(api), opened(api, "john.roe")
    prints = api.test_bank.write(lambda s: fingerprints_of(s, [code, other]))

    assert len(set(prints.values())) == 2
    with psycopg.connect(api.test_bank.dsn()) as connection:
        rows = connection.execute("SELECT entry FROM event WHERE kind = 'user.credentials_set'").fetchall()
    logged = [json.loads(bytes(row[0]))["body"]["fingerprint"] for row in rows]
    assert set(prints.values()) <= set(logged)
    salt = stored(api, code)[0].split("$")[4]
    assert all(salt not in bytes(row[0]).decode() for row in rows)
    assert hashlib.sha256(NEW.encode()).hexdigest() not in logged
