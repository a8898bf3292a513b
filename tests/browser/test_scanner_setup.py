"""The page that sets a gun up says in words what the gun sends and what to change, and lets nothing through meanwhile."""

import pytest
from playwright.sync_api import Page, expect

from biobank.pages.scanning.scanner_setup import TEST_CODE, TEST_TEXT
from tests.browser.conftest import Open
from tests.browser.scanning import burst, shoot

pytestmark = pytest.mark.browser

GERMAN = {"y": "z", "z": "y", "Y": "Z", "Z": "Y", "-": "ß", "/": "-", ":": "Ö"}


def wrong(page: Page) -> list[str]:
    expect(page.locator("#scanner-found [data-part]")).not_to_have_count(0)
    lines: list[str] = page.locator("#scanner-found .is-wrong").evaluate_all("all => all.map((one) => one.dataset.part)")
    page.evaluate("document.getElementById('scanner-found').replaceChildren()")
    return lines


def test_what_a_gun_sends_is_told_in_words_with_what_to_change(signed_in: Open) -> None:
    page = signed_in("lab_tech", path="/scan")
    page.locator("main").get_by_role("link", name="Set up a scanner").last.click()
    page.locator("html[data-scanner-ready]").wait_for(state="attached")
    address = page.url

    shoot(page, TEST_TEXT, delay=4)
    expect(page.locator("#scanner-found")).to_contain_text("Nothing is to change.")
    assert wrong(page) == []
    shoot(page, TEST_TEXT, delay=4, suffix="Tab")
    expect(page.locator("#scanner-found")).to_contain_text("It sends Tab after each code. Set its suffix to Enter (CR)")
    assert wrong(page) == ["suffix"]
    for strokes, parts in (
        ([*TEST_TEXT], ["suffix"]),
        (["]", "Q", "1", *TEST_TEXT, "Enter"], []),
        (["#", *TEST_TEXT, "F8", "Enter"], ["prefix", "suffix"]),
        (["Control+b", *TEST_TEXT, "Enter"], ["prefix"]),
        ([*TEST_TEXT.lower(), "Enter"], ["case"]),
        ([*TEST_TEXT[:9], *TEST_TEXT[11:], "Enter"], ["text"]),
        ([*"4006381333931", "Enter"], ["text"]),
        ([*(f"Alt+{ord(c):03d}" for c in TEST_TEXT + "\r")], []),
    ):
        burst(page, strokes)
        assert wrong(page) == parts, strokes
    shoot(page, TEST_TEXT, delay=4, layout=GERMAN)
    expect(page.locator("#scanner-found")).to_contain_text("the keyboard of another country: Y for Z, ß for -")
    assert wrong(page) == ["keyboard"]
    shoot(page, TEST_TEXT, delay=200)
    expect(page.locator("#scanner-found")).to_contain_text("as slow as a hand (200 thousandths")
    assert wrong(page) == ["pace"]
    shoot(page, TEST_CODE, delay=4)
    expect(page.locator("#scanner-found")).to_contain_text(f"{TEST_CODE} was read like a label")
    assert wrong(page) == []
    assert page.url == address
    assert page.locator("#scanner-test").input_value() == ""
