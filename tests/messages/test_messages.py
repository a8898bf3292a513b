"""E-mail to people: written with what it tells, sent by the worker, tried again, given up where an administrator sees it."""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.acts.act import Act
from biobank.foundation.config import Settings
from biobank.messages.confirming import MOST_A_DAY, MOST_WRONG, code_for
from biobank.messages.kinds import SENTENCES, KindName
from biobank.messages.outbox import next_daily, tell
from biobank.messages.sending import LONGEST_PAUSE, TRIES, pause_after
from tests import seed
from tests.conftest import Api, TestBank
from tests.messages.conftest import Post
from tests.monitoring.test_excursions import a_tank, read
from tests.pages.test_alarm_pages import alarms, set_rota, watch
from tests.pages.visitor import Visit
from tests.withdrawals.stories import later

TECH, TECH2 = seed.USERS["lab_tech"].code, seed.USERS["lab_tech2"].code
ADDRESS = "tess@people.example"
Send = Callable[[], int]
Json = dict[str, Any]


def choose(api: Api, who: str = "lab_tech", address: str | None = ADDRESS, **chosen: Any) -> None:
    """Choose, and confirm an address that is not confirmed; the message with its code is taken away."""
    answer = getattr(api, who).post("/messages/own", json={"e_mail": address, **chosen})
    assert answer.status_code == 200, answer.text
    if address is not None and not answer.json()["confirmed"]:
        api.test_bank.write(lambda s: s.execute(text("DELETE FROM message WHERE kind = 'address_code'")))
        answer = getattr(api, who).post("/messages/own", json={"e_mail": address, "code": code_of(api.test_bank, who), **chosen})
        assert answer.status_code == 200 and answer.json()["confirmed"], answer.text


def code_of(bank: TestBank, who: str) -> str:
    """The code that confirms the address that a person typed."""
    code = seed.USERS[who].code
    asked = text("SELECT address, asked_at FROM message_choice WHERE user_code = :code")
    found = bank.write(lambda s: s.execute(asked, {"code": code}).one())
    return code_for(bank.bank, code, bytes(found.address), found.asked_at)


def told(bank: TestBank, kind: KindName = "notice", site: str = "LAB", called: Collection[str] = (TECH,)) -> int:
    """Something that tells people, committed."""
    return int(bank.write(lambda s: tell(s, Act.system(bank.bank, path="test"), kind, site, called)))


def said_in(mail: Any) -> str:
    """The text of an e-mail."""
    return str(mail.get_payload())


def row(bank: TestBank) -> Any:
    """The only message."""
    return bank.write(lambda s: s.execute(text("SELECT * FROM message")).one())


def failed(api: Api) -> list[Json]:
    found: list[Json] = api.admin.get("/messages/failed").json()["items"]
    return found


def code_in(mail: Any) -> str:
    """The code in an e-mail."""
    (code,) = re.findall(r"^Code: (\d{4} \d{4})\s*$", said_in(mail), re.M)
    return str(code)


def test_nothing_is_sent_to_an_address_before_the_code_that_was_mailed_there_is_typed(
    api: Api, bank: TestBank, post: Post, send: Send
) -> None:
    chosen = {"e_mail": ADDRESS, "at_once": ["notice"]}

    def keep(**more: str) -> tuple[int, Any]:
        answer = api.lab_tech.post("/messages/own", json=chosen | more)
        return answer.status_code, answer.json().get("code") or answer.json().get("confirmed")

    assert keep() == (200, False)
    assert (told(bank), send(), send()) == (0, 1, 0)
    (mail,) = post.mails
    assert mail["To"] == ADDRESS and TECH not in str(mail)
    code = code_in(mail)
    other = f"{(int(code.replace(' ', '')) + 1) % 10**8:08d}"
    assert keep() == (200, False) and send() == 0, "the one that was mailed is good for a while"
    for _ in range(MOST_WRONG):
        assert keep(code=other) == (409, "address_code_wrong")
    assert keep(code=code) == (409, "address_code_wrong"), "after some wrong ones no code counts"
    later(api, minutes=11)
    assert keep() == (200, False) and send() == 1
    assert keep(code=code) == (409, "address_code_wrong"), "an older one"
    assert keep(code=code_in(post.mails[1])) == (200, True)
    assert (told(bank), send(), post.mails[2]["To"]) == (1, 1, ADDRESS)
    assert keep() == (200, True), "it stays confirmed"


def test_another_address_is_confirmed_anew_and_gets_nothing_that_waited(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["notice"])
    told(bank)
    first = code_of(bank, "lab_tech")
    for address in ("other@people.example", "third@people.example"):
        answer = api.lab_tech.post("/messages/own", json={"e_mail": address, "at_once": ["notice"]})
        assert answer.json()["confirmed"] is False
    assert (told(bank), send()) == (0, 1)
    (mail,) = post.mails
    assert mail["To"] == "third@people.example" and "Code: " in said_in(mail)
    body = {"e_mail": "third@people.example", "at_once": ["notice"], "code": first}
    assert api.lab_tech.post("/messages/own", json=body).json()["code"] == "address_code_wrong"
    later(api, hours=25)
    body["code"] = code_in(mail)
    assert api.lab_tech.post("/messages/own", json=body).json()["code"] == "address_code_wrong", "a day old"


def test_nobody_has_many_codes_mailed_to_people_who_did_not_ask(api: Api, post: Post, send: Send) -> None:
    said = [
        api.lab_tech.post("/messages/own", json={"e_mail": f"n{n}@people.example"}).status_code for n in range(MOST_A_DAY + 1)
    ]
    assert said == [200] * MOST_A_DAY + [429]
    assert api.lab_tech.get("/messages/own").json()["e_mail"] == f"n{MOST_A_DAY - 1}@people.example"
    assert (send(), len(post.mails)) == (1, 1), "only the newest is mailed its code"


def test_an_alarm_and_its_escalation_write_to_those_who_are_called_and_chose_it(api: Api, post: Post, send: Send) -> None:
    choose(api, at_once=["alarm"])
    choose(api, "lab_tech2", "two@people.example", at_once=["alarm_again"])
    choose(api, "quality", "quinn@people.example", at_once=["alarm", "alarm_again"])
    assert set_rota(api, (TECH, 0), (TECH2, 10)).status_code == 200
    tank = a_tank(api, "Tank of messages")
    read(api, tank, -50_000)
    assert watch(api) == 1
    assert (send(), send()) == (1, 0), "once"
    later(api, minutes=11)
    watch(api)
    assert (send(), send()) == (1, 0)

    first, second = post.mails
    assert (first["To"], second["To"]) == (ADDRESS, "two@people.example")
    said = said_in(first) + said_in(second)
    assert SENTENCES["alarm"] in said_in(first) and SENTENCES["alarm_again"] in said_in(second)
    for named in (alarms(api)[0]["code"], tank, "US-", "LAB", "Tank"):
        assert named not in said + first["Subject"] + second["Subject"], named
    assert "https://bank.example/" in said


def test_a_rota_that_reaches_nobody_writes_to_everybody_who_handles_material(api: Api, post: Post, send: Send) -> None:
    choose(api, at_once=["alarm"])
    choose(api, "north_tech", "north@people.example", at_once=["alarm"])
    read(api, a_tank(api), -50_000)
    watch(api)
    assert send() == 1 and post.mails[0]["To"] == ADDRESS


def test_what_is_rolled_back_told_nobody(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["notice"])

    def halfway(session: Any) -> None:
        assert tell(session, Act.system(bank.bank, path="test"), "notice", "LAB", [TECH]) == 1
        raise RuntimeError("it did not happen")

    with pytest.raises(RuntimeError):
        bank.write(halfway)
    assert (send(), post.mails) == (0, [])


def test_people_get_the_kinds_and_sites_they_chose(api: Api, bank: TestBank) -> None:
    assert told(bank) == 0, "whoever chose nothing is written nothing"
    choose(api, at_once=["notice"], sites=["NORTH"])
    assert (told(bank), told(bank, "alarm", "NORTH"), told(bank, site="NORTH")) == (0, 0, 1)
    choose(api, at_once=["notice"])
    assert (told(bank), told(bank, called=["lab_tech"]), told(bank, site="NORTH", called=["lab_tech"])) == (1, 1, 0)
    choose(api, address=None)
    assert told(bank) == 0


def test_a_message_without_an_address_is_refused(api: Api) -> None:
    answer = api.lab_tech.post("/messages/own", json={"at_once": ["alarm"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_address")
    answer = api.lab_tech.post("/messages/own", json={"e_mail": "a@b.example\r\nBcc: x@y.example", "at_once": ["alarm"]})
    assert answer.status_code == 422


def test_an_address_is_in_the_vault_alone_and_goes_with_the_choice(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["notice"])
    chosen = {"e_mail": ADDRESS, "confirmed": True, "at_once": ["notice"], "daily": [], "sites": []}
    assert api.lab_tech.get("/messages/own").json() == chosen
    for table in ("message_choice", "idempotency", "attempt", "event"):
        rows = bank.write(lambda s: s.execute(text(f"SELECT t::text FROM {table} t")).scalars().all())  # noqa: B023
        assert ADDRESS not in str(rows) and ADDRESS.encode().hex() not in str(rows), table
    told(bank)
    before = bank.write(lambda s: s.execute(text("SELECT count(*) FROM vault_document")).scalar_one())
    choose(api, address=None)
    after = bank.write(lambda s: s.execute(text("SELECT count(*) FROM vault_document")).scalar_one())
    assert (after, send(), row(bank).ended, post.mails) == (before - 1, 0, "not_wanted", [])


def test_whoever_left_is_written_no_more(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["notice"])
    told(bank)
    bank.write(lambda s: s.execute(text("UPDATE app_user SET active = false WHERE code = :code"), {"code": TECH}))
    assert (send(), row(bank).ended, post.mails) == (0, "not_wanted", [])
    assert told(bank) == 0


def test_a_server_that_is_away_is_tried_with_growing_pauses_and_then_given_up(
    api: Api, bank: TestBank, post: Post, send: Send
) -> None:
    choose(api, at_once=["notice"])
    told(bank)
    post.close()
    pauses = []
    for tries in range(1, TRIES):
        assert (send(), send()) == (0, 0), "the second turn comes too early"
        found = row(bank)
        assert (found.tries, found.fault) == (tries, "server_away")
        pauses.append(pause_after(tries))
        later(api, seconds=pauses[-1].total_seconds() + 1)
    assert pauses == sorted(pauses) and pauses[0] < pauses[-1] <= LONGEST_PAUSE
    send()
    assert (row(bank).ended, row(bank).due_at) == ("given_up", None)

    (one,) = failed(api)
    assert (one["to"], one["kind"], one["fault"], one["due_at"]) == (TECH, "notice", "server_away", None)
    assert api.lab_tech.get("/messages/failed").json().get("items", []) == []
    refused = api.lab_tech.post(f"/messages/failed/{one['id']}/send", json={})
    assert refused.status_code in (403, 404)
    post.open()
    assert api.admin.post(f"/messages/failed/{one['id']}/send", json={}).status_code == 200
    assert (send(), send(), len(post.mails), failed(api)) == (1, 0, 1, [])


def test_one_address_that_is_refused_holds_up_nobody(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["notice"])
    choose(api, "lab_tech2", "two@people.example", at_once=["notice"])
    post.refuses.add(ADDRESS)
    assert told(bank, called=[TECH, TECH2]) == 2
    assert send() == 1
    assert [mail["To"] for mail in post.mails] == ["two@people.example"]
    (one,) = failed(api)
    assert (one["to"], one["fault"], one["tries"]) == (TECH, "address_refused", 1)
    assert ADDRESS not in str(one)


def test_what_is_chosen_daily_comes_in_one_message_a_day(api: Api, bank: TestBank, post: Post, send: Send) -> None:
    choose(api, at_once=["alarm"], daily=["alarm", "notice"])
    assert [told(bank), told(bank), told(bank, "alarm")] == [1, 1, 1]
    assert send() == 1 and post.mails[0]["Subject"] == "An alarm calls you"
    later(api, hours=25)
    assert (send(), send(), len(post.mails)) == (2, 0, 2)
    assert said_in(post.mails[1]).count(SENTENCES["notice"]) == 1


def test_the_day_begins_at_seven_where_the_site_is() -> None:
    zone = ZoneInfo("Europe/London")
    assert next_daily(datetime(2026, 6, 1, 5, 59, tzinfo=UTC), zone) == datetime(2026, 6, 1, 6, tzinfo=UTC)
    assert next_daily(datetime(2026, 6, 1, 6, 0, tzinfo=UTC), zone) == datetime(2026, 6, 2, 6, tzinfo=UTC)
    assert next_daily(datetime(2026, 12, 1, 6, 30, tzinfo=UTC), zone) == datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert pause_after(1) == timedelta(minutes=1)


def test_a_bank_without_a_mail_server_writes_nothing_down(api: Api, make_bank: Callable[..., TestBank]) -> None:
    choose(api, at_once=["notice"])
    other = make_bank()
    address = "INSERT INTO message_choice VALUES (:code, '\\x00', now(), now(), 0, '[\"notice\"]', '[]', '[]')"
    other.write(lambda s: s.execute(text(address), {"code": TECH}))
    assert told(other) == 0


def test_settings_of_mail_are_whole() -> None:
    with pytest.raises(ValueError, match="together"):
        Settings(smtp_server="mail:25", smtp_user="bank")
    with pytest.raises(ValueError, match="as it is"):
        Settings(smtp_server="mail:25", smtp_user="bank", smtp_password_file="/x", smtp_security="none")


def test_people_choose_on_their_page_and_an_administrator_sends_again_on_theirs(
    api: Api, bank: TestBank, post: Post, send: Send, visit: Visit
) -> None:
    person = visit("lab_tech")
    assert "/account/messages" in person.get_page("/account")
    fields = {"e_mail": ADDRESS, "at_once": ["notice"]}
    assert person.submit("/account/messages", fields).status_code in (200, 303)
    assert api.lab_tech.get("/messages/own").json()["at_once"] == ["notice"]
    assert ADDRESS in person.get_page("/account/messages")
    assert "A code was mailed to this address" in person.get_page("/account/messages")
    assert (told(bank), send()) == (0, 1)
    code = code_in(post.mails.pop())
    assert person.submit("/account/messages", fields | {"code": code}).status_code in (200, 303)
    assert "A code was mailed" not in person.get_page("/account/messages")
    post.refuses.add(ADDRESS)
    told(bank)
    send()
    admin = visit("admin")
    page = admin.get_page("/messages/failed")
    assert "does not take the address" in page and TECH in page and ADDRESS not in page
    post.refuses.clear()
    admin.submit(f"/messages/failed/{failed(api)[0]['id']}/send", {})
    assert send() == 1
    assert TECH not in admin.get_page("/messages/failed").partition("<main")[2]
    assert person.get("/messages/failed").status_code == 403


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a_message_is_due_until_it_ended", "due_at = NULL"),
        ("a_message_is_due_until_it_ended", "ended = 'sent'"),
        ("a_message_ends_in_a_known_way", "due_at = NULL, ended = 'lost'"),
        ("tries_are_counted", "tries = -1"),
    ],
)
def test_the_database_keeps_a_message_whole(api: Api, bank: TestBank, name: str, changes: str) -> None:
    choose(api, at_once=["notice"])
    told(bank)
    with pytest.raises(IntegrityError, match=name):
        bank.write(lambda s: s.execute(text(f"UPDATE message SET {changes}")))
