"""A passkey from making it to signing with it, with Chromium's own authenticator behind a real page."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import seed
from tests.conftest import Api
from tests.factories import make_received
from tests.shipping.stories import stage

pytestmark = pytest.mark.browser

DEVICE: dict[str, Any] = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def logged_in(page: Page, *, passkey: bool = False) -> None:
    page.goto("/login")
    page.get_by_label("Username").fill("quality")
    page.get_by_label("Password", exact=True).fill(seed.PASSWORD)
    if passkey:
        page.get_by_role("button", name="Use my passkey").click()
        expect(page.get_by_text("Your passkey has answered.")).to_be_visible()
    page.get_by_role("button", name="Log in").click()


def test_a_passkey_is_made_used_to_log_in_and_to_sign_and_removed(api: Api, browser: Browser) -> None:
    # A passkey is made for a name; an address of numbers is none.
    url = api.url.replace("127.0.0.1", "localhost")
    context = browser.new_context(base_url=url)
    page = context.new_page()
    device = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    made = device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    logged_in(page)

    page.goto("/account")
    card = page.locator("#passkeys")
    card.get_by_role("button", name="Make a passkey on my device").click()
    expect(card.get_by_text("Your device made a passkey.")).to_be_visible()
    card.get_by_label("My password").fill(seed.PASSWORD)
    card.get_by_role("button", name="Keep this passkey").click()
    expect(page.locator("#passkeys").get_by_role("cell", name="Passkey 1")).to_be_visible()
    (held,) = device.send("WebAuthn.getCredentials", {"authenticatorId": made["authenticatorId"]})["credentials"]
    assert held["rpId"] == "localhost"

    context.clear_cookies(name="session")
    logged_in(page)
    expect(page.get_by_text("Use your passkey as well")).to_be_visible()
    logged_in(page, passkey=True)
    expect(page).to_have_url(re.compile(r"/$"))

    tube = api.test_bank.write(lambda s: make_received(s, stage(api.test_bank))).code
    held_back = {"scope_kind": "specimen", "scope_id": tube, "kind": "investigation", "reason": "damaged"}
    hold = api.lab_tech.post("/holds", json=held_back).json()["id"]
    page.goto(f"/holds/{hold}/lift")
    page.locator("main form [name=reason]").fill("explained")
    page.get_by_label("My password").fill(seed.PASSWORD)
    page.get_by_role("button", name="Use my passkey").click()
    expect(page.get_by_text("Your passkey has answered.")).to_be_visible()
    page.locator("main form button:not([type=button])").last.click()
    expect(page).not_to_have_url(re.compile("/lift$"))
    assert api.quality.get("/holds", params={"active": "true"}).json()["items"] == []

    page.goto("/account")
    card = page.locator("#passkeys")
    remove = card.locator("form[action='/account/passkeys/remove']")
    remove.get_by_label("Passkey to remove").select_option(label="Passkey 1")
    remove.get_by_label("My password").fill(seed.PASSWORD)
    remove.get_by_role("button", name="Use my passkey").click()
    expect(remove.get_by_text("Your passkey has answered.")).to_be_visible()
    remove.get_by_role("button", name="Remove this passkey").click()
    expect(page.locator("#passkeys").get_by_role("cell", name="Passkey 1")).to_have_count(0)
    context.close()
