"""The documentation of the API in a browser: drawn by others' script under our policy; it sends nothing."""

import pytest
from playwright.sync_api import expect

from tests.browser.axe import contrast_violations, violations
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

EXAMPLE = "A specimen is held"


def test_whoever_is_signed_in_reads_the_calls_and_their_examples(look: Open) -> None:
    page = look("lab_tech", path="/help")
    page.get_by_role("link", name="every call of the API").click()
    docs = page.locator("#api-docs")
    expect(docs).not_to_have_attribute("aria-busy", "true", timeout=60_000)
    assert docs.locator(".opblock-tag").count() > 15

    docs.locator("#operations-tag-quality").click()
    call = docs.locator("#operations-quality-place_hold")
    call.get_by_role("button").first.click()
    expect(call.get_by_text("scope_kind").first).to_be_visible()
    expect(call.get_by_text(EXAMPLE).first).to_be_attached()

    assert page.get_by_role("button", name="Try it out").count() == 0
    assert page.get_by_role("button", name="Authorize").count() == 0
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert contrast_violations(page) == []
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
