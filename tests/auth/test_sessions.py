"""Page sessions: the same Actor as a token, a cookie nobody can read back, a lock when nobody is there."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from biobank.auth.service import end_session, end_sessions_of
from biobank.auth.sessions import PageSession, SessionIdle, WrongFormToken, create_page_session, resolve_page_session
from biobank.foundation import clock
from biobank.foundation.errors import NotSignedIn
from tests import seed
from tests.conftest import TestBank

CODE = seed.USERS["lab_tech"].code
DAY_S, IDLE_S = 12 * 3600, 900


def opened(bank: TestBank) -> tuple[str, str]:
    return bank.write(lambda s: create_page_session(s, CODE, clock.now(), DAY_S))  # type: ignore[no-any-return]


def resolve(bank: TestBank, cookie: str) -> PageSession:
    return bank.write(lambda s: resolve_page_session(s, cookie, IDLE_S))  # type: ignore[no-any-return]


def after(**passed: Any) -> None:
    clock.set_offset(timedelta(**passed), test_mode=True)


def last_seen(bank: TestBank) -> Any:
    with psycopg.connect(bank.dsn()) as connection:
        row = connection.execute("SELECT last_seen_at FROM login_session WHERE kind = 'page'").fetchone()
    assert row is not None
    return row[0]


def test_a_page_session_is_the_same_actor_as_a_token(bank: TestBank) -> None:
    cookie, csrf = opened(bank)

    page = resolve(bank, cookie)

    assert page.actor == bank.actor("lab_tech")
    assert page.csrf == csrf


def test_the_cookie_stands_nowhere_in_the_database(bank: TestBank) -> None:
    cookie, _ = opened(bank)

    with psycopg.connect(bank.dsn()) as connection:
        (text,) = connection.execute("SELECT string_agg(s::text, '') FROM login_session s").fetchone() or ("",)
    assert cookie not in text
    assert cookie.encode().hex() not in text


def test_a_session_locks_when_nobody_used_it_for_a_quarter_of_an_hour(bank: TestBank) -> None:
    cookie, _ = opened(bank)
    after(seconds=IDLE_S - 5)
    resolve(bank, cookie)
    after(seconds=2 * IDLE_S - 10)
    resolve(bank, cookie)
    after(seconds=3 * IDLE_S)

    with pytest.raises(SessionIdle):
        resolve(bank, cookie)
    with pytest.raises(SessionIdle):
        resolve(bank, cookie)


def test_a_session_in_use_is_written_at_most_once_a_minute(bank: TestBank) -> None:
    cookie, _ = opened(bank)
    start = last_seen(bank)
    after(seconds=50)
    resolve(bank, cookie)
    assert last_seen(bank) == start
    after(seconds=70)
    resolve(bank, cookie)

    assert last_seen(bank) - start >= timedelta(seconds=70)


def test_a_session_ends_after_its_day_however_busy(bank: TestBank) -> None:
    cookie, _ = opened(bank)
    for minutes in range(0, 12 * 60, 10):
        after(minutes=minutes)
        resolve(bank, cookie)
    after(hours=12, seconds=1)

    with pytest.raises(NotSignedIn):
        resolve(bank, cookie)


def test_an_ended_session_and_a_shut_login_open_no_page(bank: TestBank) -> None:
    one, two, three = (opened(bank)[0] for _ in range(3))
    bank.write(lambda s: end_session(s, resolve_page_session(s, one, IDLE_S).id, clock.now(), because="signed_out"))
    with pytest.raises(NotSignedIn):
        resolve(bank, one)
    keep = resolve(bank, three).id
    assert bank.write(lambda s: end_sessions_of(s, CODE, clock.now(), because="test", but=keep)) == 1
    with pytest.raises(NotSignedIn):
        resolve(bank, two)
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET active = false WHERE code = %s", (CODE,))
    with pytest.raises(NotSignedIn):
        resolve(bank, three)


def test_an_invented_cookie_opens_no_page(bank: TestBank) -> None:
    with pytest.raises(NotSignedIn):
        resolve(bank, "invented")


@pytest.mark.parametrize("given", [None, "", "x", "\ud800"])
def test_a_form_without_the_token_of_its_session_is_refused(bank: TestBank, given: str | None) -> None:
    cookie, csrf = opened(bank)
    page = resolve(bank, cookie)
    page.require_csrf(csrf)

    with pytest.raises(WrongFormToken):
        page.require_csrf(given)
