"""Passkeys: beside the password at a sign-in and under a signature; its owner's, this site's, once, and never a copy's."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from biobank.auth.passkeys import Relying
from biobank.foundation import clock
from biobank.foundation.config import Settings, WeakSettings
from tests import seed
from tests.authenticator import Authenticator
from tests.conftest import Api, Client, TestBank
from tests.enrolling import by_two
from tests.people.test_own_login import PROOF, code_of, set_up, sign
from tests.people.test_sign_in import outcome
from tests.people.test_users import events_of

QUALITY = seed.USERS["quality"].code


def asked(api: Api, purpose: str = "own") -> str:
    answer = httpx.get(f"{api.url}/api/v1/auth/passkey-challenge", params={"purpose": purpose})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return str(answer.json()["challenge"])


def added(api: Api, client: Client, *, proof: dict[str, str] = PROOF, counts: bool = True) -> Authenticator:
    device = Authenticator(counts=counts)
    answer = client.post("/auth/passkeys", json=proof | {"credential": device.made(asked(api, "enrol"))})
    assert answer.status_code == 201, answer.text
    return device


def sign_in(api: Api, user: str, second: str | None = None) -> httpx.Response:
    form = {"username": user, "password": seed.PASSWORD} | ({} if second is None else {"second_factor": second})
    return httpx.post(f"{api.url}/api/v1/auth/token", data=form)


def test_a_passkey_is_asked_at_every_sign_in_and_signature_and_answers_once(api: Api) -> None:
    device = added(api, api.quality)

    assert outcome(sign_in(api, "quality")) == (403, "second_factor_needed")
    assert outcome(sign(api.quality)) == (403, "second_factor_needed")
    entering, signing = device.answer(asked(api, "sign_in")), device.answer(asked(api))
    assert sign_in(api, "quality", entering).status_code == 200
    assert sign(api.quality, second_factor=signing).status_code == 201
    for again in (entering, signing):
        assert outcome(sign_in(api, "quality", again)) == (403, "passkey_not_accepted")
        assert outcome(sign(api.quality, second_factor=again)) == (403, "passkey_not_accepted")
    (one,) = api.quality.get("/auth/passkeys").json()["items"]
    assert one["last_used_at"] > one["created_at"]
    assert [kind for kind, _ in events_of(api.test_bank, QUALITY)] == ["user.passkey_added", "user.credentials_set"]


def test_one_answer_sent_many_times_at_once_counts_once(api: Api) -> None:
    """Also of a device that does not count, where nothing but the challenge tells a copy from the answer."""
    device = added(api, api.quality, counts=False)
    answer = device.answer(asked(api, "sign_in"))

    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _: sign_in(api, "quality", answer).status_code, range(6)))

    assert sorted(got) == [200, 403, 403, 403, 403, 403]


@pytest.mark.parametrize("what", ["origin", "port", "site", "key", "person", "device", "purpose", "challenge", "late", "flags"])
def test_an_answer_to_another_site_of_another_person_or_to_another_question_opens_nothing(api: Api, what: str) -> None:
    device = added(api, api.quality)
    challenge = asked(api, "own" if what == "purpose" else "sign_in")
    if what == "challenge":
        challenge = challenge[:-4] + ("AAAA" if not challenge.endswith("AAAA") else "BBBB")
    lies: dict[str, dict[str, Any]] = {
        "origin": {"origin": "https://localhost.evil.example"},
        "port": {"origin": "http://localhost:8000.evil.example"},
        "site": {"site": "evil.example"},
        "key": {"by": ec.generate_private_key(ec.SECP256R1())},
        "flags": {"flags": 0x00},
    }
    if what == "person":
        device = added(api, api.quality2)
    if what == "device":
        device = Authenticator()
    answer = device.answer(challenge, **lies.get(what, {}))
    if what == "late":
        clock.set_offset(timedelta(minutes=5, seconds=1), test_mode=True)

    assert outcome(sign_in(api, "quality", answer)) == (403, "passkey_not_accepted")
    assert api.quality.get("/auth/passkeys").json()["items"][0]["last_used_at"] is None


def test_a_device_whose_counter_does_not_go_on_is_a_copy(api: Api) -> None:
    device = added(api, api.quality)
    assert sign_in(api, "quality", device.answer(asked(api, "sign_in"))).status_code == 200
    device.count = 0

    assert outcome(sign_in(api, "quality", device.answer(asked(api, "sign_in")))) == (403, "passkey_not_accepted")
    assert sign_in(api, "quality", device.answer(asked(api, "sign_in"))).status_code == 200


def test_wrong_answers_are_counted_like_wrong_passwords(api: Api) -> None:
    added(api, api.lab_tech)
    stranger = Authenticator()

    got = [outcome(sign(api.lab_tech, second_factor=stranger.answer(asked(api))))[1] for _ in range(11)]

    assert got == ["passkey_not_accepted"] * 10 + ["too_many_attempts"]


def test_app_and_passkey_stand_beside_each_other_and_either_proves(api: Api) -> None:
    secret = set_up(api.quality)
    assert outcome(api.quality.post("/auth/passkeys", json=PROOF | {"credential": "{}"})) == (403, "second_factor_needed")
    device = added(api, api.quality, proof=PROOF | {"second_factor": code_of(secret)})

    assert sign(api.quality, second_factor=device.answer(asked(api))).status_code == 201
    assert outcome(sign(api.quality, second_factor="123456")) == (403, "second_factor_wrong")
    clock.set_offset(clock.offset() + timedelta(seconds=30), test_mode=True)
    assert sign(api.quality, second_factor=code_of(secret)).status_code == 201
    # Who has no app types no code.
    added(api, api.quality2)
    assert outcome(sign(api.quality2, second_factor="123456")) == (403, "second_factor_wrong")


def test_only_the_owner_adds_and_removes_and_a_reset_by_two_takes_every_one_away(api: Api) -> None:
    device = added(api, api.quality)
    second = Authenticator()
    more = PROOF | {"credential": second.made(asked(api, "enrol")), "second_factor": device.answer(asked(api))}
    assert api.quality.post("/auth/passkeys", json=more).status_code == 201
    first = api.quality.get("/auth/passkeys").json()["items"][0]["id"]
    path = f"/auth/passkeys/{first}/remove"

    assert outcome(api.quality.post(path, json=PROOF)) == (403, "second_factor_needed")
    assert outcome(api.quality2.post(path, json=PROOF)) == (404, "not_found")
    assert outcome(api.admin.post(path, json=PROOF)) == (404, "not_found")
    assert api.quality.post(path, json=PROOF | {"second_factor": second.answer(asked(api))}).status_code == 204
    assert outcome(sign(api.quality, second_factor=device.answer(asked(api)))) == (403, "passkey_not_accepted")
    assert sign(api.quality, second_factor=second.answer(asked(api))).status_code == 201

    by_two(api.admin, api.quality2, f"/users/{QUALITY}/password-reset", {}, "approved")
    kinds = [kind for kind, _by in events_of(api.test_bank, QUALITY)]
    assert kinds[-2:] == ["user.passkey_removed", "user.credentials_set"]
    with psycopg.connect(api.test_bank.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM passkey").fetchone() == (0,)


def test_what_was_made_for_another_question_or_is_known_is_not_added(api: Api) -> None:
    device = Authenticator()
    challenge = asked(api, "enrol")

    def add(credential: str) -> tuple[int, str | None]:
        return outcome(api.lab_tech.post("/auth/passkeys", json=PROOF | {"credential": credential}))

    assert add(device.made(asked(api, "own"))) == (409, "passkey_not_made")
    assert add(device.made(asked(api, "enrol"), origin="https://evil.example")) == (409, "passkey_not_made")
    assert add(device.made(asked(api, "enrol"), site="evil.example")) == (409, "passkey_not_made")
    assert add(device.answer(asked(api, "enrol"))) == (409, "passkey_not_made")
    assert api.lab_tech.post("/auth/passkeys", json=PROOF | {"credential": device.made(challenge)}).status_code == 201
    again = PROOF | {"credential": device.made(asked(api, "enrol"))}
    assert outcome(api.lab_tech2.post("/auth/passkeys", json=again)) == (409, "passkey_known")


SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "response", "type", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_rubbish_is_refused_as_such(api: Api, bank: TestBank) -> None:
    added(api, api.quality)
    device = Authenticator()
    whole = json.loads(device.answer(asked(api, "sign_in")))

    @given(scrap=SCRAPS, place=st.sampled_from(["id", "rawId", "type", "response", "clientExtensionResults"]))
    def try_it(scrap: Any, place: str) -> None:
        clock.set_offset(clock.offset() + timedelta(minutes=11), test_mode=True)
        answer = sign_in(api, "quality", json.dumps(whole | {place: scrap}))
        assert answer.status_code in (403, 429, 422), answer.text

    try_it()


@pytest.fixture
def strict(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A bank in which quality signs with a passkey only."""
    bank = make_bank(passkey_roles="quality")
    api = Api(serve(bank), bank)
    yield api
    api.close()


def test_a_role_that_signs_with_a_passkey_signs_with_nothing_less(strict: Api) -> None:
    assert outcome(sign(strict.quality)) == (403, "passkey_needed")
    secret = set_up(strict.quality)
    assert outcome(sign(strict.quality, second_factor=code_of(secret))) == (403, "passkey_needed")
    assert sign(strict.clinician).status_code == 201
    clock.set_offset(clock.offset() + timedelta(seconds=30), test_mode=True)
    device = added(strict, strict.quality, proof=PROOF | {"second_factor": code_of(secret)})
    assert sign(strict.quality, second_factor=device.answer(asked(strict))).status_code == 201


def test_settings_of_passkeys_name_roles_and_addresses(make_bank: Callable[..., TestBank]) -> None:
    with pytest.raises(WeakSettings, match="chemist"):
        make_bank(passkey_roles="chemist")
    with pytest.raises(WeakSettings, match="passkey_origins"):
        Settings.from_environment({"BIOBANK_PASSKEY_ORIGINS": "http://bank.example"})
    two = Settings(passkey_origins="https://bank.example https://bank.example:8443")
    assert Relying.of(two) == Relying("bank.example", ("https://bank.example", "https://bank.example:8443"), local=False)
    assert Relying.of(Settings(host_name="BANK.EXAMPLE")).origins == ("https://bank.example",)
    assert Relying.of(two).expected("http://localhost:1") == list(Relying.of(two).origins)
