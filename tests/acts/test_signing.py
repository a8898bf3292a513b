"""Signatures: bound to one person, one act, one meaning, two minutes, one use."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session

from biobank.acts.act import CREDENTIALS, Act, act_hash
from biobank.acts.signing import (
    Meaning,
    SignatureAlreadyUsed,
    SignatureExpired,
    SignatureForAnotherAct,
    SignatureInvalid,
    SignatureRequired,
    make_signature,
    use_signature,
)
from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, TestBank

THIS = act_hash("POST", "/api/v1/this", {"a": 1})
OTHER = act_hash("POST", "/api/v1/this", {"a": 2})


def an_act(bank: TestBank, user: str, digest: bytes = THIS) -> Act:
    return replace(bank.act(user), request_hash=digest, at=clock.now())


def a_token(bank: TestBank, user: str, meaning: Meaning = Meaning.APPROVED, digest: bytes = THIS) -> str:
    def unit(session: Session) -> str:
        return make_signature(session, user=seed.USERS[user].code, meaning=meaning, act_hash=digest, at=clock.now()).signature

    return bank.write(unit)  # type: ignore[no-any-return]


def use(bank: TestBank, act: Act, token: str | None, meaning: Meaning = Meaning.APPROVED) -> Any:
    return bank.write(lambda s: use_signature(s, act, token, meaning))


def test_a_signature_is_used_once(bank: TestBank) -> None:
    act, token = an_act(bank, "quality"), a_token(bank, "quality")

    used = use(bank, act, token)

    assert (used.user, used.meaning) == (seed.USERS["quality"].code, Meaning.APPROVED)
    with pytest.raises(SignatureAlreadyUsed):
        use(bank, act, token)


def test_a_signature_survives_an_act_that_was_refused(bank: TestBank) -> None:
    act, token = an_act(bank, "quality"), a_token(bank, "quality")

    def refused(session: Session) -> None:
        use_signature(session, act, token, Meaning.APPROVED)
        raise RuntimeError("the act was refused")

    with pytest.raises(RuntimeError):
        bank.write(refused)

    assert use(bank, act, token).user == act.actor.code


def test_a_missing_signature_says_what_to_sign(bank: TestBank) -> None:
    with pytest.raises(SignatureRequired) as refusal:
        use(bank, an_act(bank, "quality"), None)

    assert refusal.value.problem()["act_hash"] == THIS.hex()
    assert refusal.value.problem()["meaning"] == "approved"


def test_nobody_uses_the_signature_of_someone_else(bank: TestBank) -> None:
    with pytest.raises(SignatureInvalid):
        use(bank, an_act(bank, "quality2"), a_token(bank, "quality"))


def test_a_signature_says_one_thing_only(bank: TestBank) -> None:
    with pytest.raises(SignatureInvalid):
        use(bank, an_act(bank, "quality"), a_token(bank, "quality", Meaning.REJECTED))


def test_a_signature_does_not_move_to_another_act(bank: TestBank) -> None:
    with pytest.raises(SignatureForAnotherAct):
        use(bank, an_act(bank, "quality", OTHER), a_token(bank, "quality"))


def test_a_signature_lapses_after_two_minutes(bank: TestBank) -> None:
    token = a_token(bank, "quality")
    clock.set_offset(timedelta(seconds=121), test_mode=True)

    with pytest.raises(SignatureExpired):
        use(bank, an_act(bank, "quality"), token)


def test_an_invented_token_is_not_a_signature(bank: TestBank) -> None:
    with pytest.raises(SignatureInvalid):
        use(bank, an_act(bank, "quality"), "invented")


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE signature SET used_at = NULL",
        "UPDATE signature SET user_code = (SELECT code FROM app_user WHERE username = 'quality2')",
        "UPDATE signature SET act_hash = '\\x00' || substring(act_hash from 2)",
        "UPDATE signature SET expires_at = expires_at + interval '1 day'",
        "DELETE FROM signature",
        "TRUNCATE signature CASCADE",
    ],
)
@pytest.mark.parametrize("role", ["app", "owner"])
def test_the_database_refuses_to_change_a_signature(bank: TestBank, role: str, attack: str) -> None:
    use(bank, an_act(bank, "quality"), a_token(bank, "quality"))

    with psycopg.connect(bank.dsn(role)) as connection, pytest.raises(psycopg.Error):
        connection.execute(attack)


def test_the_database_refuses_a_meaning_outside_the_list(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO signature (id, token_hash, user_code, meaning, act_hash, signed_at, expires_at) "
            "SELECT gen_random_uuid(), 'x', code, 'liked', sha256('x'), now(), now() FROM app_user LIMIT 1"
        )


def test_every_meaning_is_one_the_database_takes(bank: TestBank) -> None:
    for meaning in Meaning:
        assert a_token(bank, "quality", meaning)


def sign(client: Any, **fields: Any) -> Any:
    body = {"password": seed.PASSWORD, "meaning": "approved", "act_hash": THIS.hex()}
    return client.post("/signatures", json=body | fields)


def test_a_person_signs_with_their_own_password(api: Api) -> None:
    answer = sign(api.quality)

    assert answer.status_code == 201, answer.text
    assert use(api.test_bank, an_act(api.test_bank, "quality"), answer.json()["signature"]).meaning == Meaning.APPROVED


def test_a_wrong_password_signs_nothing_and_is_kept_as_an_attempt(api: Api) -> None:
    answer = sign(api.quality, password="not my password")

    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
    kept = api.auditor.get("/attempts", params={"code": "wrong_password"}).json()["items"]
    assert [(a["actor_code"], a["path"]) for a in kept] == [(seed.USERS["quality"].code, "/api/v1/signatures")]


def test_a_repeated_request_for_a_signature_makes_another_one(api: Api) -> None:
    """The answer is a credential: were it kept for replay, it would lie in a table in the clear."""
    body = {"password": seed.PASSWORD, "meaning": "approved", "act_hash": THIS.hex()}
    first, second = (api.quality.post("/signatures", json=body, headers={"Idempotency-Key": "same"}) for _ in range(2))

    assert first.json()["signature"] != second.json()["signature"]
    with psycopg.connect(api.test_bank.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)
        row = connection.execute(
            "SELECT count(*) FROM signature WHERE position(%s::bytea in token_hash) > 0", (first.json()["signature"].encode(),)
        ).fetchone()
        assert row == (0,)


def test_guesses_under_a_signature_are_throttled_like_a_sign_in(make_bank: Callable[..., TestBank], serve: Any) -> None:
    bank = make_bank(login_attempts=3)
    api = Api(serve(bank), bank)
    for _ in range(3):
        assert sign(api.quality, password="a guess").status_code == 403

    answer = sign(api.quality)

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    api.close()


@given(st.dictionaries(st.sampled_from(["a", "b", *sorted(CREDENTIALS)]), st.integers(0, 9), max_size=6))
def test_credentials_never_change_what_is_signed(body: dict[str, int]) -> None:
    bare = {k: v for k, v in body.items() if k not in CREDENTIALS}

    assert act_hash("POST", "/x", body) == act_hash("POST", "/x", bare)


@given(
    st.tuples(st.sampled_from(["POST", "PATCH"]), st.sampled_from(["/a", "/b"]), st.integers(0, 3)),
    st.tuples(st.sampled_from(["POST", "PATCH"]), st.sampled_from(["/a", "/b"]), st.integers(0, 3)),
)
def test_two_acts_that_differ_have_different_hashes(one: tuple[str, str, int], two: tuple[str, str, int]) -> None:
    same = act_hash(one[0], one[1], {"n": one[2]}) == act_hash(two[0], two[1], {"n": two[2]})

    assert same == (one == two)
