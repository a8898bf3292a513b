"""The scan page without network: it goes on, keeps what is scanned, sends it once afterwards, and tells what went wrong."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from biobank.foundation import clock
from biobank.scanning.commands import Action, command_code
from tests import seed
from tests.browser.chromium import ARGUMENTS
from tests.browser.conftest import Open, open_signed_in
from tests.browser.scanning import shoot
from tests.browser.test_scan_list import a_box, collected, open_list, states
from tests.browser.watching import Watch
from tests.browser.wire import Wire
from tests.conftest import Api

pytestmark = pytest.mark.browser


def ready_for_no_network(page: Page) -> None:
    """Wait until the page's worker is there and holds the key and a copy of the page."""
    page.evaluate(
        """async () => {
          const worker = (await navigator.serviceWorker.ready).active;
          const isHeld = () => new Promise((heard) => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = (event) => heard(Boolean(event.data));
            worker.postMessage({ ask: true }, [port2]);
          });
          while (!(await isHeld()) || !(await caches.match('/scan/copy'))) await new Promise((on) => setTimeout(on, 50));
        }"""
    )


def cut(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#kept-bar")).to_contain_text("No network.")


def mend(page: Page) -> None:
    page.context.set_offline(False)


def events(api: Api, code: str) -> list[dict[str, Any]]:
    return list(api.lab_tech.get(f"/specimens/{code}/custody").json()["items"])


def test_scans_made_without_network_survive_a_reload_and_are_recorded_once_with_their_own_times(
    api: Api, signed_in: Open
) -> None:
    first, second = collected(api, 2)
    box = a_box(api)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, first)
    expect(page.locator(".tube.ready")).to_have_count(1)
    ready_for_no_network(page)
    cut(page)
    expect(page.locator("#as-of")).to_contain_text("before the network went")
    before = clock.now()
    shoot(page, second)
    expect(page.locator("#kept-bar")).to_contain_text("No network. 1 scan kept on this device.")
    shoot(page, box)
    shoot(page, second)
    expect(page.locator("#kept-bar")).to_contain_text("2 scans kept")
    kept_by = clock.now()
    open_list(page)
    expect(page.locator("#kept-bar")).to_contain_text("No network. 2 scans kept on this device.")
    expect(page.locator("#scan-list .tube-code")).to_have_text([first])
    expect(page.locator("#kept-rows .tube-code")).to_have_text([second, second])
    expect(page.locator("#kept-rule")).to_contain_text("Nothing towards use")
    mend(page)
    expect(page.locator("#kept-bar")).to_contain_text("2 sent.")
    recorded = events(api, second)
    assert [e["kind"] for e in recorded] == ["specimen.collected", "specimen.received", "specimen.stored"]
    times = [datetime.fromisoformat(e["occurred_at"]) for e in recorded[1:]]
    slack = timedelta(seconds=10)  # the page knows the clock of the bank to half the way there and back, of 20 s at most
    assert before - slack <= times[0] < times[1] <= kept_by + slack
    assert all(datetime.fromisoformat(e["recorded_at"]) >= kept_by for e in recorded[1:])
    assert states(api, [first]) == ["collected"], "what was only listed is not recorded"


def test_a_lost_answer_is_asked_for_again_and_the_scan_is_recorded_once(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    shoot(page, code)
    expect(page.locator("#kept-bar")).to_contain_text("1 scan kept")
    lost: list[str] = []

    def lose(route: Any) -> None:
        lost.append(route.fetch().text())  # the bank does it …
        route.abort()  # … and its answer never arrives

    page.route("**/scan/kept", lose, times=1)
    mend(page)
    expect(page.locator("#kept-bar")).to_contain_text("1 sent.")
    assert "Received: 1 tube." in lost[0]
    assert [e["kind"] for e in events(api, code)] == ["specimen.collected", "specimen.received"]


@pytest.mark.parametrize("arrives", [True, False], ids=["the request arrived", "nothing arrived"])
def test_a_network_that_goes_in_the_middle_of_recording_records_the_list_once(api: Api, signed_in: Open, arrives: bool) -> None:
    codes = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    for code in codes:
        shoot(page, code)
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    ready_for_no_network(page)

    def lose(route: Any) -> None:
        if arrives:
            route.fetch()
        page.context.set_offline(True)
        route.abort()

    page.route("**/scan/commit", lose, times=1)
    page.get_by_role("button", name="Record 2 tubes").click()
    expect(page.locator("#kept-bar")).to_contain_text("No network. 2 scans kept on this device.")
    expect(page.locator("#scan-list .tube")).to_have_count(0)
    mend(page)
    expect(page.locator("#kept-bar")).to_contain_text("2 sent.")
    assert [[e["kind"] for e in events(api, code)][1:] for code in codes] == [["specimen.received"]] * 2


def test_what_was_refused_stays_until_the_person_dealt_with_it_and_holds_back_what_followed(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    box = a_box(api)
    page = signed_in("lab_tech")
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    shoot(page, first)
    shoot(page, second)
    expect(page.locator("#kept-bar")).to_contain_text("2 scans kept")
    shoot(page, box)
    shoot(page, first)
    expect(page.locator("#kept-bar")).to_contain_text("3 scans kept")
    event = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
    assert api.lab_tech2.post(f"/specimens/{first}/events", json=event).status_code == 201
    mend(page)
    refused = page.locator("#kept-rows .tube.blocked")
    expect(refused).to_contain_text("Something happened since")
    expect(page.locator("#kept-bar")).to_contain_text("1 sent, 1 not recorded")
    open_list(page)
    expect(refused.locator(".tube-code")).to_have_text([first])
    expect(page.locator("#kept-rows .tube")).to_have_count(2)
    assert states(api, [first, second]) == ["received", "received"]
    refused.get_by_role("button", name="I have dealt with it").click()
    expect(page.locator("#kept-rows .tube.blocked")).to_contain_text("scanned without network at")  # the next one of that tube
    page.locator("#kept-rows").get_by_role("button", name="I have dealt with it").click()
    expect(page.locator("#kept-rows .tube")).to_have_count(0)


def test_nothing_towards_use_and_nothing_of_two_persons_is_kept(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    shoot(page, command_code(Action.HAND_OVER))
    shoot(page, first)
    expect(page.locator(".verdict.blocked")).to_contain_text("Hand over waits for the network.")
    shoot(page, command_code(Action.CHECK_OUT))
    page.locator("#scan-purpose").select_option("withdrawal")
    shoot(page, second)
    expect(page.locator(".verdict.blocked")).to_contain_text("Nothing towards use")
    expect(page.locator("#kept-rows .tube")).to_have_count(0)


def test_the_lock_hides_what_is_kept_and_opens_only_with_the_network(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech", path=None)
    page.clock.install()
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    shoot(page, code)
    expect(page.locator("#kept-bar")).to_contain_text("1 scan kept")
    page.clock.fast_forward("15:30")
    lock = page.locator("#lock-dialog")
    expect(lock).to_contain_text("Only the bank can check your password")
    expect(page.locator("#kept-rows .tube")).to_have_count(0)
    page.reload()
    expect(page.locator("#kept-count")).to_have_text("1 scan is kept on this device, locked.")
    assert code not in page.content()


def test_another_person_on_the_device_neither_reads_nor_sends_what_the_first_one_kept(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    shoot(page, code)
    expect(page.locator("#kept-bar")).to_contain_text("1 scan kept")
    page.goto("about:blank")
    mend(page)
    open_signed_in(api.test_bank, api.url, page.context, "lab_tech2")
    open_list(page)
    expect(page.locator("#kept-others")).to_have_text("1 scan of another person waits on this device.")
    expect(page.locator("#kept-rows .tube")).to_have_count(0)
    assert len(events(api, code)) == 1
    open_signed_in(api.test_bank, api.url, page.context, "lab_tech")
    open_list(page)
    expect(page.locator("#kept-bar")).to_contain_text("1 sent.")
    assert [e["by"] for e in events(api, code)][1:] == [seed.USERS["lab_tech"].code]


@pytest.fixture
def wire(api: Api) -> Iterator[Wire]:
    made = Wire(api.url)
    yield made
    made.cut()


def test_what_is_kept_survives_the_end_of_the_browser_locked_and_is_sent_when_the_bank_answers(
    api: Api, playwright: Playwright, chromium: str, watch: Watch, wire: Wire, tmp_path: Path
) -> None:
    (code,) = collected(api, 1)

    def browse() -> BrowserContext:
        return watch.over(
            playwright.chromium.launch_persistent_context(
                tmp_path / "profile", executable_path=chromium, args=ARGUMENTS, base_url=wire.url
            )
        )

    context = browse()
    open_signed_in(api.test_bank, wire.url, context, "lab_tech")
    page = context.new_page()
    open_list(page)
    ready_for_no_network(page)
    wire.cut()
    shoot(page, code)
    expect(page.locator("#kept-bar")).to_contain_text("No network. 1 scan kept on this device.")
    context.close()
    assert not [path for path in (tmp_path / "profile").rglob("*") if path.is_file() and code.encode() in path.read_bytes()]

    context = browse()
    open_signed_in(api.test_bank, wire.url, context, "lab_tech")
    page = context.new_page()
    page.goto("/scan")
    expect(page.locator("#kept-count")).to_have_text("1 scan is kept on this device, locked.")
    assert len(events(api, code)) == 1
    wire.mend()
    expect(page.locator("#kept-bar")).to_contain_text("1 sent.")
    assert [e["kind"] for e in events(api, code)] == ["specimen.collected", "specimen.received"]
    context.close()
