"""A receiver that fails in ten ways loses nothing, and gets nothing twice that it cannot tell by its id."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from biobank.operations.supervisor import environment
from biobank.webhooks import delivering, posting
from tests.conftest import Api
from tests.exports.test_feed import all_of
from tests.webhooks import receiver as ways
from tests.webhooks.receiver import Receiver, Way, certificate
from tests.webhooks.stories import deliver, deliveries, happen, in_order, opened, shown, sign_in_anew, through


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a quarter of a minute here."""
    monkeypatch.setattr(posting, "WITHIN_S", 1.0)


def all_is_there(api: Api, code: str, receiver: Receiver) -> None:
    """Everything of the feed since the opening arrived, in order, and what arrived twice has the same id and the same bytes."""
    through(api, hours=1)
    sign_in_anew(api)
    wanted = {one["id"] for one in all_of(api.auditor, kind="specimen.*")}
    assert {one for one in receiver.ids() if not one.startswith("trial")} == wanted
    assert in_order(receiver)
    bodies: dict[str, bytes] = {}
    for one in receiver.got:
        assert bodies.setdefault(one.id, one.body) == one.body
    assert shown(api, code)["waiting"] == 0


FAILING: dict[str, tuple[Way, str, int | None]] = {
    "it hangs": (ways.hangs, "timed_out", None),
    "it says that something broke": (ways.answers(500), "said_no", 500),
    "it drips its answer": (ways.drips, "timed_out", None),
    "it sends elsewhere": (ways.answers(302, location="http://127.0.0.1:1/"), "redirected", 302),
    "it closes in the middle": (ways.closes, "broken_off", None),
    "it takes it and says so too late": (ways.takes_too_late, "timed_out", None),
}


@pytest.mark.parametrize("way", FAILING)
def test_what_fails_is_tried_again_until_it_is_there(api: Api, receiver: Receiver, way: str) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)
    receiver.way, outcome, status = FAILING[way]

    deliver(api)

    (tried,) = [one for one in deliveries(api, code) if one["attempts"]]
    assert (tried["state"], tried["outcome"], tried["status"]) == ("waiting", outcome, status)
    receiver.let_go.set()
    receiver.way = ways.takes
    all_is_there(api, code, receiver)
    doubled = len(receiver.got) - len(set(receiver.ids()))
    assert doubled == (1 if FAILING[way][0] is ways.takes_too_late else 0)


def test_nobody_listens(open_api: Callable[..., Api], receive: Callable[..., Receiver], free_port: int) -> None:
    api = open_api(f"http://127.0.0.1:{free_port}")
    code, _ = opened(api, f"http://127.0.0.1:{free_port}/hooks", kinds=["specimen.*"])
    happen(api)
    deliver(api)
    assert [one["outcome"] for one in deliveries(api, code) if one["attempts"]] == ["not_reached"]

    all_is_there(api, code, receive(port=free_port))


def test_it_says_that_it_is_gone_and_a_person_lets_it_go_on(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)
    receiver.way = ways.answers(410)
    deliver(api)
    assert (shown(api, code)["state"], shown(api, code)["stopped_because"]) == ("stopped", "gone")
    happen(api)
    seen = len(receiver.seen)
    through(api, hours=3)
    assert len(receiver.seen) == seen

    receiver.way = ways.takes
    sign_in_anew(api)
    assert api.quality.post(f"/webhooks/{code}/resume").json()["state"] == "open"
    all_is_there(api, code, receiver)
    (said,) = api.auditor.get("/custody-log", params={"kind": "system.webhook_stopped"}).json()["items"]
    assert (said["body"]["because"], said["by"]) == ("gone", "SYSTEM")


def test_a_body_without_end_is_not_waited_for(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)
    receiver.way = ways.takes_and_drips_a_body

    deliver(api)

    assert {one["state"] for one in deliveries(api, code)} == {"delivered"}
    assert len(receiver.got) == len(set(receiver.ids())) == 4


def test_a_certificate_that_is_not_the_names_is_not_sent_to(
    open_api: Callable[..., Api], receive: Callable[..., Receiver], tmp_path: Path
) -> None:
    right, wrong = certificate(tmp_path, "right", "localhost"), certificate(tmp_path, "wrong", "localhost")
    receiver = receive(tls=wrong, host="localhost")
    api = open_api(receiver.url.removesuffix("/hooks"), webhook_ca_file=right[0])
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)
    deliver(api)
    assert [one["outcome"] for one in deliveries(api, code) if one["attempts"]] == ["wrong_certificate"]
    assert receiver.seen == []

    port = receiver.port
    receiver.close()
    again = receive(tls=right, host="localhost", port=port)
    all_is_there(api, code, again)


def test_a_name_that_leads_into_a_private_network_is_not_sent_to(
    open_api: Callable[..., Api], receive: Callable[..., Receiver], tmp_path: Path
) -> None:
    cert = certificate(tmp_path, "right", "localhost")
    receiver = receive(tls=cert, host="localhost")
    api = open_api(receiver.url.removesuffix("/hooks"), webhook_ca_file=cert[0], webhook_networks="10.9.0.0/16")
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)

    deliver(api)

    assert [one["outcome"] for one in deliveries(api, code) if one["attempts"]] == ["private_address"]
    assert receiver.seen == []


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api)
    receiver.way = ways.hangs
    settings = api.test_bank.bank.settings
    given = environment(settings, "database_url", "keys_database_url")
    worker = subprocess.Popen(
        [sys.executable, "-m", "biobank", "worker"],
        env=given,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert receiver.read.wait(120), "the worker sent nothing"
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(30)
    (tried,) = [one for one in deliveries(api, code) if one["attempts"]]
    assert (tried["state"], tried["outcome"]) == ("waiting", None)
    receiver.let_go.set()
    receiver.way = ways.takes
    deliver(api)
    assert receiver.got == [], "what another worker has is not sent meanwhile"

    all_is_there(api, code, receiver)
    assert receiver.seen[0].body == next(one for one in receiver.got if one.id == receiver.seen[0].id).body


def test_what_fails_for_good_is_given_up_holds_its_stream_alone_and_is_sent_again(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 2)
    first = all_of(api.auditor, kind="specimen.*")[0]

    def refuse_one(handler: ways._Handler) -> None:
        if handler.message.id == first["id"]:
            handler.answer(400)
        else:
            ways.takes(handler)

    receiver.way = refuse_one
    for _ in range(len(delivering.PAUSES) + 1):
        through(api, days=1, minutes=1)
    sign_in_anew(api)
    assert shown(api, code)["undeliverable"] == 1
    assert {one.event["partitionkey"] for one in receiver.got} == {
        one["partitionkey"] for one in all_of(api.auditor, kind="specimen.*") if one["partitionkey"] != first["partitionkey"]
    }
    receiver.way = ways.takes
    (given_up,) = deliveries(api, code, state="undeliverable")
    assert given_up["attempts"] == len(delivering.PAUSES) + 1
    again = api.quality.post(f"/webhooks/{code}/send-again", json={"deliveries": [given_up["id"]]})
    assert (again.status_code, again.json()["undeliverable"]) == (200, 0), again.text
    twice = api.quality.post(f"/webhooks/{code}/send-again", json={"deliveries": [given_up["id"]]})
    assert (twice.status_code, twice.json()["code"]) == (409, "not_undeliverable")

    all_is_there(api, code, receiver)


def test_what_is_left_out_is_in_the_log_and_its_stream_goes_on(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 1)
    first, second = all_of(api.auditor, kind="specimen.*")
    receiver.way = ways.answers(400)
    for _ in range(len(delivering.PAUSES) + 1):
        through(api, days=1, minutes=1)
    receiver.way = ways.takes
    sign_in_anew(api)
    (given_up,) = deliveries(api, code, state="undeliverable")

    answer = api.quality.post(f"/webhooks/{code}/leave-out", json={"deliveries": [given_up["id"]]})
    assert answer.status_code == 200, answer.text
    through(api, hours=2)

    assert receiver.ids() == [second["id"]]
    (said,) = api.auditor.get("/custody-log", params={"kind": "system.webhook_left_out"}).json()["items"]
    assert said["body"] == {"webhook": code, "entry": first["id"]}


def test_an_address_that_keeps_failing_is_asked_ever_more_rarely(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 5)
    receiver.way = ways.answers(503)
    tries = []
    for _ in range(120):
        through(api, minutes=1)
        tries.append(len(receiver.seen))

    assert tries[-1] < 12, "two hours, hardly a dozen tries, however much waits"
    receiver.way = ways.takes
    sign_in_anew(api)
    all_is_there(api, code, receiver)


def test_a_subscription_goes_no_further_than_what_it_may_leave_open(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "MOST_OPEN", 3)
    monkeypatch.setattr(delivering, "READ_AT_ONCE", 2)
    code, _ = opened(api, receiver.url, kinds=["specimen.*"])
    happen(api, 5)
    receiver.way = ways.answers(500)
    through(api)
    for _ in range(4):
        through(api, hours=2)
    sign_in_anew(api)
    assert shown(api, code)["waiting"] <= 4

    receiver.way = ways.takes
    all_is_there(api, code, receiver)


def test_the_pauses_grow() -> None:
    assert list(delivering.PAUSES) == sorted(set(delivering.PAUSES))
