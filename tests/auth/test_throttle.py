"""A stranger's guesses stop strangers, and nobody else."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.acts.act import act_hash
from biobank.auth.throttle import KNOWN, MOST_LOGINS, STRANGERS, Asking, Lane, SignInBusy, counted, remembered
from tests import seed
from tests.conftest import Api, TestBank
from tests.pages.visitor import BROWSER, Visitor

KEY = b"k" * 32


def sign_in(client: httpx.Client, password: str = seed.PASSWORD, username: str = "clinician") -> httpx.Response:
    return client.post("/api/v1/auth/token", data={"username": username, "password": password})


@pytest.fixture
def guessed(api: Api) -> Iterator[tuple[Api, httpx.Client]]:
    """A bank where a stranger has tried ten passwords for a clinician, who had signed in before on a device of their own."""
    with httpx.Client(base_url=api.url, timeout=60) as own, httpx.Client(base_url=api.url, timeout=60) as stranger:
        assert sign_in(own).status_code == 200
        assert [sign_in(stranger, "wrong").status_code for _ in range(11)] == [401] * 10 + [429]
        yield api, own


def test_ten_wrong_passwords_of_a_stranger_stop_neither_the_known_device_nor_a_signature(
    guessed: tuple[Api, httpx.Client],
) -> None:
    api, own = guessed
    body = {"password": seed.PASSWORD, "meaning": "performed", "act_hash": act_hash("POST", "/x", {}).hex()}

    assert api.clinician.post("/signatures", json=body).status_code == 201
    assert sign_in(own).status_code == 200
    assert sign_in(own, username="lab_tech").status_code == 200


def test_an_unknown_device_of_the_owner_is_told_what_helps(guessed: tuple[Api, httpx.Client]) -> None:
    api, _ = guessed
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as elsewhere:
        page = elsewhere.log_in("clinician")

    assert (page.status_code, "Use a device where you have signed in" in page.text) == (429, True)


def test_a_page_session_is_unlocked_and_a_browser_is_known_again(guessed: tuple[Api, httpx.Client]) -> None:
    api, _ = guessed
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as tablet:
        assert "Log out" in tablet.log_in("lab_tech2").text
        assert "Log out" in tablet.log_in("lab_tech").text
        with httpx.Client(base_url=api.url, timeout=60) as stranger:
            for name in ("lab_tech", "lab_tech2"):
                assert [sign_in(stranger, "wrong", name).status_code for _ in range(11)][-1] == 429
        assert "Log out" in tablet.log_in("lab_tech2").text
        assert "Log out" in tablet.log_in("lab_tech").text


def test_a_stolen_session_has_few_guesses_and_stops_its_own_only(
    make_bank: Callable[..., TestBank], serve: Callable[..., str]
) -> None:
    bank = make_bank(login_attempts=3)
    api = Api(serve(bank), bank)
    body = {"password": "wrong", "meaning": "performed", "act_hash": act_hash("POST", "/x", {}).hex()}
    with httpx.Client(base_url=api.url, timeout=60) as own:
        assert [api.clinician.post("/signatures", json=body).status_code for _ in range(4)] == [403, 403, 403, 429]
        token = sign_in(own).json()["access_token"]
        header = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
        good = own.post("/api/v1/signatures", json=body | {"password": seed.PASSWORD}, headers=header)
    api.close()

    assert good.status_code == 201


def test_one_address_does_not_try_every_login(make_bank: Callable[..., TestBank], serve: Callable[..., str]) -> None:
    bank = make_bank(login_attempts=3)
    url = serve(bank)
    with httpx.Client(base_url=url, timeout=60) as stranger, httpx.Client(base_url=url, timeout=60) as own:
        assert sign_in(own).status_code == 200
        seen = [sign_in(stranger, "wrong", f"nobody{n}").status_code for n in range(31)]
        assert seen == [401] * 30 + [429]
        assert "this part of the network" in sign_in(stranger).json()["detail"]
        assert sign_in(own).status_code == 200


def test_forty_strangers_at_once_are_told_to_wait_and_the_known_are_not(guessed: tuple[Api, httpx.Client]) -> None:
    api, own = guessed
    with ThreadPoolExecutor(40) as crowd:
        answers = crowd.map(
            lambda n: httpx.post(
                f"{api.url}/api/v1/auth/token", data={"username": f"nobody{n}", "password": "wrong"}, timeout=120
            ),
            range(40),
        )
        known = [sign_in(own).status_code for _ in range(3)]
        seen = list(answers)

    assert known == [200, 200, 200]
    assert set(Counter(one.status_code for one in seen)) <= {401, 503}
    assert {one.headers.get("Retry-After") for one in seen if one.status_code == 503} <= {"2"}


def test_a_lane_refuses_who_finds_no_place_and_gives_every_place_back() -> None:
    lane = Lane(threads=1, waiting=2)

    async def crowd() -> list[str]:
        async def one() -> str:
            try:
                with lane.place():
                    await asyncio.sleep(0)
                    return "in"
            except SignInBusy:
                return "busy"

        return [*await asyncio.gather(*(one() for _ in range(5))), await one()]

    assert asyncio.run(crowd()) == ["in", "in", "in", "busy", "busy", "in"]


@given(st.text(max_size=400), st.text(min_size=1, max_size=40))
def test_a_cookie_that_we_did_not_give_makes_nobody_known(cookie: str, name: str) -> None:
    stranger = counted(KEY, name, Asking(cookie=cookie, address="2001:db8::1"))

    assert stranger.lane is STRANGERS
    assert stranger == counted(KEY, name, Asking(address="2001:db8::ffff"))


def test_a_tablet_knows_the_last_logins_and_each_as_itself_only() -> None:
    cookie: str | None = None
    names = [f"user{n}" for n in range(MOST_LOGINS + 5)]
    for name in [*names, *names]:
        cookie = remembered(KEY, name, cookie)
    known = [name for name in names if counted(KEY, name, Asking(cookie=cookie)).known]

    assert known == names[5:]
    assert len({counted(KEY, name, Asking(cookie=cookie)).by for name in known}) == MOST_LOGINS
    assert counted(KEY, "user9", Asking(session=uuid4(), cookie=cookie)).lane is KNOWN
