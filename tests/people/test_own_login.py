"""What people do about their own login: the second factor, and the sign-ins that stay open."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pyotp
import pytest

from biobank.acts.act import act_hash
from biobank.foundation import clock
from biobank.foundation.config import WeakSettings
from tests import seed
from tests.conftest import Api, Client, TestBank
from tests.enrolling import by_two
from tests.pages.visitor import Visitor
from tests.people.test_sign_in import me, outcome, sign_in
from tests.people.test_users import events_of

PROOF = {"password": seed.PASSWORD}


def code_of(secret: str, steps: int = 0) -> str:
    """The six digits of now, or of `steps` half minutes later."""
    return pyotp.TOTP(secret).at(clock.now() + timedelta(seconds=30 * steps))


def half_a_minute_later() -> None:
    clock.set_offset(clock.offset() + timedelta(seconds=30), test_mode=True)


def set_up(client: Client, proof: dict[str, str] = PROOF) -> str:
    """Set up a second factor; return its secret. Its present code is used up."""
    begun = client.post("/auth/second-factor", json=proof)
    assert begun.status_code == 201, begun.text
    secret = str(begun.json()["secret"])
    assert client.post("/auth/second-factor/confirm", json={"second_factor": code_of(secret)}).status_code == 204
    half_a_minute_later()
    return secret


def sign(client: Client, **more: str) -> httpx.Response:
    digest = act_hash("POST", "/api/v1/somewhere", {}).hex()
    return client.post("/signatures", json={"meaning": "approved", "act_hash": digest} | PROOF | more)


def test_a_login_with_an_app_signs_in_with_password_and_code(api: Api) -> None:
    secret = set_up(api.lab_tech)
    code = code_of(secret)

    assert outcome(sign_in(api)) == (403, "second_factor_needed")
    assert outcome(sign_in(api, second_factor="000000" if code != "000000" else "111111")) == (403, "second_factor_wrong")
    assert outcome(sign_in(api, password="wrong password here", second_factor=code)) == (401, "wrong_credentials")
    assert sign_in(api, second_factor=f"{code[:3]} {code[3:]}").status_code == 200


def test_a_code_works_once_and_no_earlier_one_after_it(api: Api) -> None:
    secret = set_up(api.quality)
    before, present, after = code_of(secret, -1), code_of(secret), code_of(secret, 1)

    assert sign(api.quality, second_factor=present).status_code == 201
    for used in (present, before):
        assert outcome(sign(api.quality, second_factor=used)) == (403, "second_factor_wrong")
    assert sign(api.quality, second_factor=after).status_code == 201, "a watch that is half a minute fast is let through"
    assert outcome(sign(api.quality, second_factor=code_of(secret, 3))) == (403, "second_factor_wrong")


def test_a_secret_counts_only_once_a_code_of_it_was_typed(api: Api) -> None:
    first = api.quality.post("/auth/second-factor", json=PROOF).json()["secret"]
    second = api.quality.post("/auth/second-factor", json=PROOF).json()
    assert sign(api.quality).status_code == 201
    assert second["address"].startswith("otpauth://totp/") and second["secret"] in second["address"]
    assert outcome(api.quality.post("/auth/second-factor/confirm", json={"second_factor": code_of(first)}))[0] == 403
    assert api.quality.post("/auth/second-factor/confirm", json={"second_factor": code_of(second["secret"])}).status_code == 204

    half_a_minute_later()
    again = PROOF | {"second_factor": code_of(second["secret"])}
    assert outcome(api.quality.post("/auth/second-factor", json=again)) == (409, "second_factor_stands")
    assert outcome(api.lab_tech.post("/auth/second-factor/confirm", json={"second_factor": "123456"})) == (
        409,
        "second_factor_missing",
    )


def test_wrong_codes_are_counted_like_wrong_passwords(api: Api) -> None:
    set_up(api.lab_tech)
    wrong = [outcome(sign(api.lab_tech, second_factor="12345"))[1] for _ in range(11)]

    assert wrong == ["second_factor_wrong"] * 10 + ["too_many_attempts"]


def test_only_the_owner_takes_it_away_and_a_reset_by_two_people_does_too(api: Api) -> None:
    secret = set_up(api.lab_tech)
    assert outcome(api.lab_tech.post("/auth/second-factor/remove", json=PROOF)) == (403, "second_factor_needed")
    body = PROOF | {"second_factor": code_of(secret)}
    assert api.lab_tech.post("/auth/second-factor/remove", json=body).status_code == 204
    assert sign(api.lab_tech).status_code == 201
    half_a_minute_later()
    set_up(api.lab_tech)
    by_two(api.admin, api.quality, f"/users/{seed.USERS['lab_tech'].code}/password-reset", {}, "approved")

    kinds = [kind for kind, _by in events_of(api.test_bank, seed.USERS["lab_tech"].code)]
    assert kinds.count("user.second_factor_set") == 2
    taken = ["user.password_reset", "user.enrolment_opened", "user.second_factor_removed", "user.credentials_set"]
    assert kinds[-4:] == taken


@pytest.fixture
def strict(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A bank in which quality signs with an app only."""
    bank = make_bank(second_factor_roles="quality")
    api = Api(serve(bank), bank)
    yield api
    api.close()


def test_a_role_that_signs_with_an_app_signs_nothing_without_one(strict: Api) -> None:
    assert outcome(sign(strict.quality)) == (403, "second_factor_not_set_up")
    assert sign(strict.clinician).status_code == 201
    secret = set_up(strict.quality)
    assert outcome(sign(strict.quality)) == (403, "second_factor_needed")
    assert sign(strict.quality, second_factor=code_of(secret)).status_code == 201


def test_a_setting_that_names_no_role_stops_the_start(make_bank: Callable[..., TestBank]) -> None:
    with pytest.raises(WeakSettings, match="chemist"):
        make_bank(second_factor_roles="quality chemist")


def test_a_login_whose_password_is_another_s_sets_nothing_up(api: Api) -> None:
    api.test_bank.write(
        lambda s: s.connection().exec_driver_sql(
            f"UPDATE app_user SET must_change_password = true WHERE code = '{seed.USERS['quality'].code}'"
        )
    )
    for path, body in (
        ("second-factor", PROOF),
        ("second-factor/confirm", {"second_factor": "123456"}),
        ("second-factor/remove", PROOF),
        ("sessions/end-others", None),
    ):
        assert outcome(api.quality.post(f"/auth/{path}", json=body)) == (403, "not_permitted"), path


def test_the_secret_is_nowhere_in_the_database(api: Api) -> None:
    secret = set_up(api.quality)
    with api.test_bank.bank.database.sync_engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT secret FROM second_factor").scalar_one()

    assert secret.encode() not in bytes(kept)


def test_a_person_ends_a_sign_in_of_their_own_and_no_other(api: Api) -> None:
    token = sign_in(api).json()["access_token"]
    others = sign_in(api, "quality").json()["access_token"]
    mine = api.lab_tech.get("/auth/sessions").json()["items"]
    theirs = api.quality.get("/auth/sessions").json()["items"]
    here = [one for one in mine if one["this_one"]]
    there = [one for one in mine if not one["this_one"]]

    assert len(here) == 1 and len(there) == 1
    assert outcome(api.lab_tech.post(f"/auth/sessions/{theirs[0]['id']}/end")) == (404, "not_found")
    assert me(api, others).status_code == 200
    assert api.lab_tech.post(f"/auth/sessions/{there[0]['id']}/end").status_code == 204
    assert me(api, token).status_code == 401
    sign_in(api)
    sign_in(api)
    assert api.lab_tech.post("/auth/sessions/end-others").json() == {"ended": 2}


def test_an_app_is_set_up_and_used_on_pages(api: Api) -> None:
    with Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in("quality")
        assert "You are logged in here only." in visitor.get_page("/account")
        shown = visitor.submit("/account/second-factor", PROOF, draw="/account").text
        found = re.search(r'<p class="code">([A-Z2-7]{32})</p>', shown)
        assert found is not None and "<svg" in shown
        token = re.search(r'name="csrf_token" value="([^"]+)"', shown)
        assert token is not None
        typed = {"csrf_token": token[1], "password_code": "000 000"}
        assert "Code not accepted" in visitor.post("/account/second-factor/confirm", data=typed).text
        done = visitor.post("/account/second-factor/confirm", data=typed | {"password_code": code_of(found[1])}).text
        assert "Set up on" in done and found[1] not in done
        assert "Code of my app" in visitor.get_page("/first-login")
        half_a_minute_later()
        visitor.submit("/logout", {}, draw="/account")
        assert "Enter the code of your app too" in visitor.log_in("quality").text
        fields = {"username": "quality", "password": seed.PASSWORD, "password_code": code_of(found[1])}
        visitor.submit("/login", fields)
        assert "Set up on" in visitor.get_page("/account")
