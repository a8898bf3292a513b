"""Two technicians change at a bench by badge: one stores a tube, and what is signed asks for password and second factor."""

import pytest
from playwright.sync_api import expect

from tests import seed
from tests.benches.badges import PIN, enrolled, set_pin
from tests.benches.stories import rule, workstation
from tests.browser.conftest import Open
from tests.browser.scanning import shoot
from tests.conftest import Api
from tests.pages.visitor import BROWSER, Visitor
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_storing import a_box

pytestmark = pytest.mark.browser

FIRST, SECOND = seed.USERS["lab_tech"].code, seed.USERS["lab_tech2"].code


def test_two_technicians_change_by_badge_and_what_is_signed_asks_for_the_password(api: Api, signed_in: Open) -> None:
    box, tube, bench = a_box(api), a_tube(api), workstation(api, "Cabinet 3")
    for user in ("lab_tech", "lab_tech2"):
        with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as account:
            account.log_in(user)
            set_pin(account)
    page = signed_in(None, None)
    page.context.add_cookies([{"name": "station", "value": enrolled(api, bench)[1], "url": api.url}])

    page.goto("/")
    expect(page.get_by_role("heading", name="Scan your badge")).to_be_visible()
    expect(page.locator("[name=badge]")).to_be_focused()
    shoot(page, FIRST)
    expect(page.locator("[name=password]")).to_be_focused()
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    expect(page.locator(".by-badge")).to_contain_text("By badge at Cabinet 3")
    page.goto(f"/specimens/{tube}/store")
    page.locator("[name=container]").fill(box)
    page.get_by_role("button", name="Store").first.click()
    expect(page.get_by_text(f"Stored in {box}")).to_be_visible()

    page.goto("/")
    shoot(page, SECOND)
    expect(page.get_by_role("heading", name="Scan your badge")).to_be_visible()
    expect(page.locator("[name=badge]")).to_have_value(SECOND)
    expect(page.locator("[name=password]")).to_be_focused()
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    expect(page.locator(".menu summary .code")).to_have_text(SECOND)

    rule(api, "cleared_alone", "refuse")
    page.goto(f"/workstations/{bench}/open")
    expect(page.get_by_role("heading", name="Sign in with your password")).to_be_visible()
    page.get_by_role("link", name="Sign in with my password").click()
    page.locator("[name=username]").fill("lab_tech2")
    page.locator("[name=password]").fill(seed.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{api.url}/workstations/{bench}/open")
    expect(page.locator(".by-badge")).to_have_count(0)
    expect(page.locator("[name=password]")).to_be_visible()
