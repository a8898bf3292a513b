"""What is kept without network stays one queue: over tabs, a new release, the lock, a sign-out; and says only what is so."""

from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from biobank.pages.ui.assets import STATIC
from tests import seed
from tests.browser.conftest import Open, open_signed_in
from tests.browser.scanning import shoot
from tests.browser.test_offline import cut, events, mend, ready_for_no_network
from tests.browser.test_scan_list import a_box, collected, open_list
from tests.conftest import Api

pytestmark = pytest.mark.browser


def kept_without_network(page: Page, *codes: str) -> None:
    open_list(page)
    ready_for_no_network(page)
    cut(page)
    for number, code in enumerate(codes, 1):
        shoot(page, code)
        expect(page.locator("#kept-rows .tube")).to_have_count(number)


def kinds(api: Api, code: str) -> list[str]:
    return [e["kind"] for e in events(api, code)][1:]


def held_by_the_worker(page: Page) -> Any:
    return page.evaluate(
        """async () => {
          const worker = (await navigator.serviceWorker.getRegistration('/scan')).active;
          const { port1, port2 } = new MessageChannel();
          const heard = new Promise((hear) => { port1.onmessage = (event) => hear(event.data); });
          worker.postMessage({ ask: true }, [port2]);
          return await heard;
        }"""
    )


def test_two_tabs_are_one_queue_nothing_is_doubled_or_lost_and_the_order_is_that_of_the_scans(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    box = a_box(api)
    one = signed_in("lab_tech")
    open_list(one)
    two = one.context.new_page()
    open_list(two)
    ready_for_no_network(one)
    sent: list[str] = []
    one.context.on("request", lambda request: sent.append(request.post_data or "") if is_sending(request) else None)
    cut(one)
    expect(two.locator("#kept-bar")).to_contain_text("No network.")
    one.bring_to_front()
    shoot(one, first)
    expect(two.locator("#kept-bar")).to_contain_text("1 scan kept")
    two.bring_to_front()
    shoot(two, first)
    expect(two.locator("#verdict")).to_contain_text("Already kept")
    shoot(two, second)
    expect(one.locator("#kept-bar")).to_contain_text("2 scans kept")
    one.bring_to_front()
    shoot(one, box)
    shoot(one, first)
    for page in (one, two):
        expect(page.locator("#kept-rows .tube-code")).to_have_text([first, second, first])

    mend(one)

    for page in (one, two):
        expect(page.locator("#kept-rows .tube")).to_have_count(0)
    assert [code for body in sent for code in (first, second) if code in body] == [first, second, first]
    assert kinds(api, first) == ["specimen.received", "specimen.stored"]
    assert kinds(api, second) == ["specimen.received"]


def is_sending(request: Request) -> bool:
    return request.url.endswith("/scan/kept") and request.method == "POST"


def test_what_is_taken_off_in_one_tab_while_another_sends_is_not_sent(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    one = signed_in("lab_tech")
    kept_without_network(one, first, second)
    two = one.context.new_page()
    open_list(two)
    expect(two.locator("#kept-rows .tube")).to_have_count(2)
    held: list[Route] = []
    one.context.route("**/scan/kept", lambda route: held.append(route), times=1)
    with one.context.expect_event("request", is_sending):
        mend(one)
    being_sent = two.locator("#kept-rows .tube", has_text=first)
    expect(being_sent).to_contain_text("Sending was begun")
    expect(being_sent.get_by_role("button")).to_have_count(0)
    two.locator("#kept-rows .tube", has_text=second).get_by_role("button", name="Take off").click()
    expect(two.locator("#kept-rows .tube")).to_have_count(1)

    held[0].continue_()

    for page in (one, two):
        expect(page.locator("#kept-rows .tube")).to_have_count(0)
    assert (kinds(api, first), kinds(api, second)) == (["specimen.received"], [])


def test_a_link_without_a_bank_behind_it_sends_nothing_and_claims_nothing(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    kept_without_network(page, code)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if is_sending(request) else None)

    for _ in range(2):
        with page.expect_event("requestfailed"):
            page.evaluate("dispatchEvent(new Event('online'))")

    row = page.locator("#kept-rows .tube")
    expect(page.locator("#kept-bar")).to_contain_text("No network. 1 scan kept on this device.")
    expect(row).not_to_contain_text("Sending was begun")
    row.get_by_role("button", name="Take off").click()
    expect(row).to_have_count(0)
    mend(page)
    expect(page.locator("#as-of")).to_be_hidden()
    assert (sent, kinds(api, code)) == ([], [])


def test_the_lock_keeps_locked_when_the_network_comes_back_and_the_right_password_goes_on(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    kept_without_network(page, code)
    page.evaluate("(url) => { import(url).then((lock) => lock.askPassword()); }", STATIC.url("lock.js"))
    lock = page.locator("#lock-dialog")
    expect(lock).to_contain_text("Only the bank can check your password")
    expect(page.locator("#kept-rows .tube")).to_have_count(0)
    assert held_by_the_worker(page) is None
    with page.expect_response("**/healthz"):
        mend(page)
    expect(page.locator("#kept-bar")).to_contain_text("1 scan kept on this device, locked")
    assert kinds(api, code) == []

    lock.get_by_label("Password").fill(seed.PASSWORD)
    lock.get_by_role("button").click()

    expect(page.locator("#kept-bar")).to_contain_text("1 sent.")
    assert kinds(api, code) == ["specimen.received"]


def test_signing_out_drops_the_key_in_every_tab_and_the_scans_wait_for_the_same_person(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    kept_without_network(page, code)
    page.context.route("**/scan/kept", lambda route: route.abort())
    other = page.context.new_page()
    open_list(other)
    expect(other.locator("#kept-rows .tube-code")).to_have_text([code])
    page.goto("about:blank")
    mend(page)
    page.goto("/account")
    page.locator("form[action='/logout']").evaluate("(form) => form.requestSubmit()")
    page.wait_for_url("**/login*")
    expect(other.locator("#kept-rows .tube")).to_have_count(0)
    assert held_by_the_worker(page) is None
    other.close()
    page.context.set_offline(True)
    page.goto("/scan")
    expect(page.locator("#kept-count")).to_have_text("1 scan is kept on this device, locked.")
    assert code not in page.content()
    page.goto("about:blank")
    mend(page)
    page.context.unroute("**/scan/kept")

    open_signed_in(api.test_bank, api.url, page.context, "lab_tech")
    open_list(page)

    expect(page.locator("#kept-bar")).to_contain_text("1 sent.")
    assert kinds(api, code) == ["specimen.received"]


def test_a_new_release_takes_over_with_what_the_old_one_kept(api: Api, signed_in: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    kept_without_network(page, first)
    page.goto("about:blank")
    page.context.route("**/scan/kept", lambda route: route.abort())
    monkeypatch.setattr(STATIC, "version", "0123456789abcdef")
    mend(page)
    open_list(page)
    page.wait_for_function("async () => (await navigator.serviceWorker.ready).active.scriptURL.includes('/0123456789abcdef/')")
    ready_for_no_network(page)
    page.wait_for_function("async () => (await caches.keys()).join() === 'scan /static/0123456789abcdef/'")
    expect(page.locator("#kept-rows .tube-code")).to_have_text([first])
    cut(page)
    open_list(page)
    shoot(page, second)
    expect(page.locator("#kept-rows .tube-code")).to_have_text([second, first])
    page.context.unroute("**/scan/kept")

    mend(page)

    expect(page.locator("#kept-bar")).to_contain_text("2 sent.")
    assert (kinds(api, first), kinds(api, second)) == (["specimen.received"], ["specimen.received"])
