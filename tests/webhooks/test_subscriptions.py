"""Who may let events go where, under which secret, and what of them."""

import json
import socket
import subprocess
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from biobank.acts.act import Act
from biobank.foundation import clock
from biobank.foundation.config import Settings, WeakSettings
from biobank.webhooks import posting
from biobank.webhooks.addresses import address_of, permitted
from biobank.webhooks.delivering import forget_deliveries
from tests import seed
from tests.conftest import Api
from tests.exports.test_feed import all_of
from tests.interchange.readers import NODE, fetched
from tests.webhooks import receiver as ways
from tests.webhooks.receiver import Receiver
from tests.webhooks.stories import (
    deliver,
    deliveries,
    happen,
    made,
    opened,
    secret_of,
    shown,
    sign_in_anew,
    through,
)
from tests.withdrawals.stories import by_two, sign_and_post

VERIFY = Path(__file__).with_name("verify.js")


def judged_by_others(*asked: tuple[str, ways.Message]) -> list[Any]:
    """What the package of others for Node says of each message under a secret."""
    folder = fetched()
    assert NODE is not None
    given = [{"secret": secret, "headers": one.headers, "body": one.body.decode()} for secret, one in asked]
    said = subprocess.run([NODE, str(VERIFY), str(folder)], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr[-2000:]
    found: list[Any] = json.loads(said.stdout)
    return found


def test_a_message_is_a_cloud_event_that_others_verify(api: Api, receiver: Receiver) -> None:
    _, secret = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 1)
    deliver(api)

    one = receiver.got[0]
    altered = ways.Message(one.headers, one.body.replace(b'"specversion"', b'"specversion" '))

    assert one.headers["content-type"] == "application/cloudevents+json"
    assert one.event == next(e for e in all_of(api.auditor) if e["id"] == one.id)
    assert json.loads(one.body) == Webhook(secret).verify(one.body, one.headers)
    assert judged_by_others((secret, one), (secret, altered)) == [True, "No matching signature found"]


def test_while_a_secret_is_changed_both_verify_and_afterwards_the_new_one_alone(api: Api, receiver: Receiver) -> None:
    code, first = opened(api, receiver.url, kinds=["specimen.received"])
    second = secret_of(api, code)
    assert first != second and shown(api, code)["secrets"] == 2
    happen(api, 1)
    deliver(api)
    during = receiver.got[0]
    assert judged_by_others((first, during), (second, during)) == [True, True]

    through(api, days=1, minutes=1)
    sign_in_anew(api)
    happen(api, 1)
    deliver(api)
    after = receiver.got[1]
    assert len(after.headers["webhook-signature"].split(" ")) == 1 and shown(api, code)["secrets"] == 1
    third = secret_of(api, code, end_former=True)
    assert third not in (first, second) and shown(api, code)["secrets"] == 1


def test_no_secret_stands_in_the_database_or_in_a_kept_answer(api: Api, receiver: Receiver) -> None:
    code, secret = opened(api, receiver.url)
    rows = api.test_bank.write(lambda s: s.execute(text("SELECT * FROM webhook_secret")).all())
    kept = api.test_bank.write(lambda s: s.execute(text("SELECT answer FROM idempotency")).scalars().all())

    assert secret.removeprefix("whsec_")[:20] not in repr(rows) and secret not in repr(kept)
    assert secret not in api.quality.get(f"/webhooks/{code}").text


def test_one_person_alone_lets_nothing_go(api: Api, receiver: Receiver) -> None:
    code = made(api, receiver.url, kinds=["specimen.*"])
    secret_of(api, code)
    proposal = sign_and_post(api.quality, "decided", f"/webhooks/{code}/open", {})
    happen(api)
    deliver(api)
    assert (proposal.json()["status"], receiver.seen) == ("pending", [])

    alone = sign_and_post(api.quality, "decided", f"/webhooks/{code}/open", {"pending_act": proposal.json()["pending_act"]})
    tech = sign_and_post(api.lab_tech, "decided", f"/webhooks/{code}/open", {"pending_act": proposal.json()["pending_act"]})

    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_must_differ")
    assert tech.status_code == 404
    assert shown(api, code)["state"] == "not_opened"


def test_without_a_secret_it_is_neither_opened_nor_tried(api: Api, receiver: Receiver) -> None:
    code = made(api, receiver.url)

    refused = [
        sign_and_post(api.quality, "decided", f"/webhooks/{code}/open", {}),
        api.quality.post(f"/webhooks/{code}/trial"),
    ]

    assert [(one.status_code, one.json()["code"]) for one in refused] == [(409, "webhook_has_no_secret")] * 2


@pytest.mark.parametrize("reader", ["lab_tech", "clinician", "admin"])
def test_who_may_not_export_neither_sees_nor_makes_one(api: Api, receiver: Receiver, reader: str) -> None:
    code = made(api, receiver.url)
    client = getattr(api, reader)

    assert client.get("/webhooks").status_code == 403
    assert client.get(f"/webhooks/{code}").status_code == 404
    assert client.post("/webhooks", json={"name": "Mine", "url": receiver.url}).status_code == 403


def test_one_of_a_single_site_is_of_that_sites_people_and_one_of_all_is_of_nobody_of_one_site(
    api: Api, receiver: Receiver
) -> None:
    lab = made(api, receiver.url, sites=["LAB"])
    everywhere = made(api, f"{receiver.url}/2")

    seen = [one["code"] for one in api.lab_quality.get("/webhooks").json()["items"]]
    assert seen == [lab] and api.north_auditor.get("/webhooks").json()["items"] == []
    assert api.lab_quality.get(f"/webhooks/{everywhere}").status_code == 404
    for sites in ([], ["LAB", "NORTH"], ["NORTH"]):
        refused = api.lab_quality.post("/webhooks", json={"name": "Other", "url": receiver.url, "sites": sites})
        assert refused.status_code == 403, refused.text


def test_what_is_sent_is_what_its_owner_may_export_when_it_is_sent(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    receiver.way = ways.answers(500)
    happen(api, 1)
    deliver(api)
    assert len(receiver.seen) == 1
    receiver.way = ways.takes
    only(api, "quality", "NORTH")
    through(api, hours=1)
    assert receiver.got == []
    assert {one["state"] for one in deliveries_of(api, code)} == {"withheld"}
    only(api, "quality", None)
    happen(api, 1)
    deliver(api)
    assert len(receiver.got) == 2, "what came since goes"


def only(api: Api, user: str, site: str | None) -> None:
    """Let a login hold its role at one site only, or everywhere."""
    row = {"user": seed.USERS[user].code, "site": site}
    api.test_bank.write(lambda s: s.execute(text("UPDATE user_role SET site_code = :site WHERE user_code = :user"), row))
    sign_in_anew(api)


def deliveries_of(api: Api, code: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.auditor.get(f"/webhooks/{code}/deliveries").json()["items"]
    return items


def test_an_owner_who_was_shut_stops_it_and_two_others_open_it_where_it_stood(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    shut = text("UPDATE app_user SET active = false WHERE code = :user")
    api.test_bank.write(lambda s: s.execute(shut, {"user": seed.USERS["quality"].code}))
    happen(api, 1)
    deliver(api)
    stopped = api.auditor.get(f"/webhooks/{code}").json()
    assert (receiver.seen, stopped["state"], stopped["stopped_because"]) == ([], "stopped", "owner")
    alone = api.auditor.post(f"/webhooks/{code}/resume")
    assert (alone.status_code, alone.json()["code"]) == (409, "webhook_not_in_this_state")

    again = by_two(api.quality2, api.auditor, f"/webhooks/{code}/open", {})
    assert again.status_code == 200, again.text
    deliver(api)

    assert again.json()["owner"] == seed.USERS["auditor"].code
    assert {one.event["type"] for one in receiver.got} == {"specimen.collected", "specimen.received"}


def test_it_begins_at_its_opening_or_at_the_beginning_of_the_log(api: Api, receiver: Receiver) -> None:
    happen(api, 1)
    opened(api, receiver.url, kinds=["specimen.received"])
    opened(api, f"{receiver.url}/all", kinds=["specimen.received"], from_beginning=True, sites=["LAB"])
    deliver(api)
    assert len(receiver.got) == 1
    happen(api, 1)
    deliver(api)
    assert len(receiver.got) == 3 and len(set(receiver.ids())) == 2


def test_a_trial_is_sent_once_without_an_event_also_before_the_opening(api: Api, receiver: Receiver) -> None:
    code = made(api, receiver.url)
    secret = secret_of(api, code)
    assert api.quality.post(f"/webhooks/{code}/trial").status_code == 202
    receiver.way = ways.answers(401)
    deliver(api)
    through(api, hours=1)
    sign_in_anew(api)
    (failed,) = deliveries(api, code)
    assert (failed["state"], failed["outcome"], failed["status"], len(receiver.seen)) == ("failed", "said_no", 401, 1)
    receiver.way = ways.takes
    clock.set_offset(timedelta(0), test_mode=True)
    sign_in_anew(api)
    assert api.quality.post(f"/webhooks/{code}/trial").status_code == 202
    deliver(api)
    assert receiver.got[0].event["type"] == "webhook.trial" and receiver.got[0].event["data"] == {"webhook": code}
    Webhook(secret).verify(receiver.got[0].body, receiver.got[0].headers)


def test_what_is_stopped_goes_on_where_it_stood_and_what_is_withdrawn_does_not(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.received"])
    assert api.quality.post(f"/webhooks/{code}/stop").json()["stopped_because"] == "person"
    happen(api, 2)
    deliver(api)
    assert receiver.seen == []
    assert api.quality.post(f"/webhooks/{code}/stop").json()["code"] == "webhook_not_in_this_state"
    assert api.quality.post(f"/webhooks/{code}/resume").json()["state"] == "open"
    deliver(api)
    assert len(receiver.got) == 2
    assert api.quality.post(f"/webhooks/{code}/withdraw").json()["state"] == "withdrawn"
    happen(api, 1)
    deliver(api)
    assert len(receiver.got) == 2
    for act in ("resume", "trial", "withdraw", "stop"):
        refused = api.quality.post(f"/webhooks/{code}/{act}")
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_not_in_this_state")


def test_each_step_of_a_subscription_is_in_the_log_without_its_address_or_secret(api: Api, receiver: Receiver) -> None:
    code, secret = opened(api, f"{receiver.url}/a-path-nobody-needs-to-know")
    api.quality.post(f"/webhooks/{code}/stop")
    api.quality.post(f"/webhooks/{code}/resume")
    api.quality.post(f"/webhooks/{code}/withdraw")
    happen(api, 1)

    said = [one for one in all_of(api.auditor, kind="system.*") if one["subject"] == code]

    assert [one["type"] for one in said] == [
        "system.webhook_made",
        "system.webhook_secret_made",
        "system.webhook_opened",
        "system.webhook_stopped",
        "system.webhook_resumed",
        "system.webhook_withdrawn",
    ]
    assert "a-path-nobody" not in json.dumps(said) and secret not in json.dumps(said)


def test_the_last_entry_of_a_stopped_subscription_is_not_sent_to_itself_for_ever(api: Api, receiver: Receiver) -> None:
    opened(api, receiver.url)
    for _ in range(3):
        happen(api, 1)
        deliver(api)

    assert len(receiver.ids()) == len(set(receiver.ids()))
    assert len(receiver.got) < 20, "sending is no event"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/hooks",
        "http://user:secret@{host}/hooks",
        "http://{host}/hooks?key=secret",
        "http://{host}/hooks#there",
        "https://{host}/hooks",
        "http://{host}.evil.example/hooks",
        "http://evil.example\\@{host}/hooks",
        "ftp://{host}/hooks",
        "http://{host}@evil.example/hooks",
    ],
)
def test_an_address_that_is_not_listed_is_refused(api: Api, receiver: Receiver, url: str) -> None:
    host = receiver.url.removeprefix("http://").removesuffix("/hooks")

    answer = api.quality.post("/webhooks", json={"name": "Elsewhere", "url": url.format(host=host)})

    assert (answer.status_code, answer.json()["code"]) == (409, "address_not_listed"), answer.text


def test_an_address_that_is_taken_off_the_list_is_not_sent_to_any_more(api: Api, receiver: Receiver) -> None:
    settings = api.test_bank.bank.settings
    none_listed = settings.model_copy(update={"webhook_addresses": ""})

    assert posting.post(none_listed, receiver.url, {}, b"{}").outcome == "not_listed"
    assert receiver.seen == []


@pytest.mark.parametrize(
    ("ip", "networks", "scheme", "may"),
    [
        ("93.184.216.34", "", "https", True),
        ("93.184.216.34", "", "http", False),
        ("10.1.2.3", "", "https", False),
        ("10.1.2.3", "10.1.0.0/16", "http", True),
        ("10.2.2.3", "10.1.0.0/16", "https", False),
        ("127.0.0.1", "", "https", False),
        ("169.254.169.254", "", "https", False),
        ("100.64.0.1", "", "https", False),
        ("0.0.0.0", "", "https", False),
        ("224.0.0.1", "", "https", False),
        ("::1", "", "https", False),
        ("fd00::1", "", "https", False),
        ("fe80::1", "", "https", False),
        ("::ffff:10.1.2.3", "", "https", False),
        ("::ffff:10.1.2.3", "10.1.0.0/16", "https", True),
        ("64:ff9b::a01:203", "", "https", False),
        ("2002:a01:203::1", "", "https", False),
        ("2606:2800:220:1::1", "", "https", True),
    ],
)
def test_private_networks_are_refused_unless_they_are_listed(ip: str, networks: str, scheme: str, may: bool) -> None:
    assert permitted(Settings(webhook_networks=networks), scheme, ip_address(ip)) is may


def test_a_name_is_asked_once_and_what_it_means_a_moment_later_changes_nothing(
    open_api: Callable[..., Api], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = open_api(f"http://rebinding.example:{receiver.port}")
    answers = iter(["127.0.0.1", "10.0.0.1"])
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *more: Any, **given: Any) -> Any:
        if host != "rebinding.example":
            return real(host, port, *more, **given)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    sent = posting.post(api.test_bank.bank.settings, f"http://rebinding.example:{receiver.port}/hooks", {}, b"{}")

    assert (sent.outcome, asked) == ("delivered", ["rebinding.example"])
    assert receiver.seen[0].headers["host"] == f"rebinding.example:{receiver.port}"
    later = posting.post(api.test_bank.bank.settings, f"http://rebinding.example:{receiver.port}/hooks", {}, b"{}")
    assert (later.outcome, len(receiver.seen)) == ("private_address", 1)


def test_no_proxy_of_the_environment_stands_between(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    assert posting.post(api.test_bank.bank.settings, receiver.url, {}, b"{}").outcome == "delivered"


def test_a_name_that_leads_nowhere_is_said(open_api: Callable[..., Api]) -> None:
    api = open_api("https://nowhere.invalid")

    assert posting.post(api.test_bank.bank.settings, "https://nowhere.invalid/", {}, b"{}").outcome == "no_address"


@pytest.mark.parametrize("value", ["erp.example", "https://erp.example/path", "https://user@erp.example", "ftp://erp.example"])
def test_a_setting_that_is_no_address_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(WeakSettings):
        Settings.from_environment({"BIOBANK_WEBHOOK_ADDRESSES": value})


def test_an_address_is_compared_as_it_is_meant() -> None:
    one, other = address_of("https://ERP.Example:443/in"), address_of("https://erp.example/out")
    assert one is not None and other is not None
    assert one.origin == other.origin == "https://erp.example"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kinds": ["specimen.invented"]}, 422, "malformed_request"),
        ({"kinds": ["invented.*"]}, 422, "malformed_request"),
        ({"sites": ["NOWHERE"]}, 404, "not_found"),
        ({"sites": ["LAB", "LAB"]}, 422, "malformed_request"),
        ({"name": "Taken"}, 409, "already_exists"),
    ],
)
def test_what_is_asked_for_is_there(api: Api, receiver: Receiver, body: dict[str, Any], status: int, code: str) -> None:
    made(api, receiver.url, name="taken")

    answer = api.quality.post("/webhooks", json={"name": "New", "url": receiver.url} | body)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_what_was_delivered_is_forgotten_after_two_weeks_and_what_was_not_is_kept(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 1)
    deliver(api)
    receiver.way = ways.answers(500)
    happen(api, 1)
    deliver(api)
    clock.set_offset(clock.offset() + timedelta(days=15), test_mode=True)
    sign_in_anew(api)

    gone = api.test_bank.write(lambda s: forget_deliveries(s, Act.system(api.test_bank.bank, path="timer")))

    assert gone == 2
    assert {one["state"] for one in deliveries(api, code)} == {"waiting"}
