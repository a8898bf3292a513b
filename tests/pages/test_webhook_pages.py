"""Another system in the browser: added, given a secret, opened by two, tried, stopped; what it did not take is decided about."""

import re
from collections.abc import Callable, Iterator

import pytest

from tests import seed
from tests.conftest import Api, TestBank
from tests.pages.test_sensor_pages import sign_waiting
from tests.pages.test_today import every_task
from tests.pages.visitor import Visit
from tests.webhooks import receiver as ways
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.stories import deliver, happen, sign_in_anew, through

SIGNED = {"password": seed.PASSWORD}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = receiving()
    yield made
    made.close()


@pytest.fixture
def bank(make_bank: Callable[..., TestBank], receiver: Receiver) -> TestBank:
    """A bank that may send to the receiver."""
    return make_bank(webhook_addresses=receiver.url.removesuffix("/hooks"), webhook_networks="127.0.0.0/8")


def added(api: Api, visit: Visit, receiver: Receiver) -> str:
    """Add the receiver, give it a secret and let events go; return its page."""
    form = {"name": "Ward", "url": receiver.url, "kinds": ["specimen.*"], "sites": ""}
    made = visit("quality").submit("/webhooks/new", form, follow_redirects=True)
    assert "Now make its secret." in made.text, made.text[-3000:]
    here = made.url.path
    shown = visit("quality").submit(f"{here}/secret", {})
    assert re.search(r"whsec_[A-Za-z0-9+/]{43}=", shown.text) and shown.headers["cache-control"] == "no-store"
    assert "whsec_" not in visit("quality").get_page(here)
    assert "Proposed." in visit("quality").submit(f"{here}/open", SIGNED, follow_redirects=True).text
    sign_waiting(visit, "quality2")
    return here


def test_a_system_is_added_opened_tried_stopped_and_withdrawn_in_the_browser(api: Api, visit: Visit, receiver: Receiver) -> None:
    assert visit("lab_tech").get("/webhooks").status_code == 403
    here = added(api, visit, receiver)
    assert "Ward" in visit("auditor").get_page("/webhooks") and "Specimens" in visit("auditor").get_page(here)

    assert "On its way." in visit("quality").submit(f"{here}/trial", {}, follow_redirects=True).text
    happen(api, 1)
    deliver(api)
    page = visit("quality").get_page(here)
    assert "Trial message" in page and "It took it" in page
    assert [one.event["type"] for one in receiver.got][1:] == ["specimen.collected", "specimen.received"]

    assert "Stopped." in visit("quality").submit(f"{here}/stop", {}, follow_redirects=True).text
    assert "Somebody stopped it." in visit("quality").get_page(here)
    assert visit("quality").get(f"{here}/stop").status_code == 409
    assert "It goes on." in visit("quality").submit(f"{here}/resume", {}, follow_redirects=True).text
    assert "Withdrawn." in visit("quality").submit(f"{here}/withdraw", {}, follow_redirects=True).text
    assert "Nothing to do here." in visit("quality").get_page(here)


def test_what_was_given_up_is_sent_again_or_left_out_in_the_browser(api: Api, visit: Visit, receiver: Receiver) -> None:
    here = added(api, visit, receiver)
    assert visit("quality").get(f"{here}/send-again").status_code == 404
    receiver.way = ways.answers(400)
    happen(api, 2)
    for _ in range(11):
        through(api, days=1, minutes=1)
    sign_in_anew(api)
    page = visit("quality").get_page(here)
    assert "Given up after many tries" in page and "It refused this one (answer 400)" in page
    code = here.rpartition("/")[2]
    waits = ("waiting", "Another system did not take events", code)
    assert waits in every_task(api, "quality") and waits not in every_task(api, "lab_tech")
    today = visit("quality").get_page("/")
    assert f'href="{here}"' in today and "Ward: 2 events given up" in today

    receiver.way = ways.takes
    again = visit("quality").submit(f"{here}/send-again", {}, follow_redirects=True)
    assert "2 events: tried again." in again.text, again.text[-3000:]
    assert waits not in every_task(api, "quality")
    deliver(api)
    assert len(receiver.got) == 4

    receiver.way = ways.answers(400)
    happen(api, 1)
    for _ in range(11):
        through(api, days=1, minutes=1)
    left = visit("quality").submit(f"{here}/leave-out", {}, follow_redirects=True)
    assert "1 event: left out." in left.text, left.text[-3000:]
    assert "Left out" in visit("quality").get_page(here)


def test_an_address_that_is_not_listed_is_refused_in_words(api: Api, visit: Visit) -> None:
    form = {"name": "Elsewhere", "url": "https://elsewhere.example/in", "sites": ""}

    page = visit("quality").submit("/webhooks/new", form).text

    assert "Have it listed, or correct what you typed." in page


def test_a_system_that_says_that_it_is_gone_is_a_task_until_it_goes_on_or_is_withdrawn(
    api: Api, visit: Visit, receiver: Receiver
) -> None:
    here = added(api, visit, receiver)
    receiver.way = ways.answers(410)
    happen(api, 1)
    deliver(api)
    waits = ("waiting", "Nothing goes to another system any more", here.rpartition("/")[2])
    assert waits in every_task(api, "quality")

    visit("quality").submit(f"{here}/withdraw", {}, follow_redirects=True)
    assert waits not in every_task(api, "quality")
