"""What a gun sends that nobody set up: it reaches the list whole or says so, and presses nothing."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.scanning import burst
from tests.browser.test_scan_list import listed, open_list
from tests.conftest import Api
from tests.shipping.stories import tubes

pytestmark = pytest.mark.browser

Strokes = list[str]


def register(api: Api, code: str, value: str) -> None:
    seq = api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"]
    body = {"issuer": "legacy", "value": value, "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{code}/aliases", json=body).status_code == 201


def endings(code: str) -> dict[str, Strokes]:
    return {
        "a blank for the hyphen": [*code.replace("-", " "), "Enter"],
        "a blank after it": [*code, " ", "Enter"],
        "a function key": [*code, "F8", "Enter"],
        "ETX": [*code, "Control+c", "Enter"],
        "EOT": [*code, "Control+d", "Enter"],
        "STX and ETX": ["Control+b", *code, "Control+c", "Enter"],
        "no suffix": [*code],
        "lower case": [*code.swapcase(), "Enter"],
        "ALT and the number pad": [*(f"Alt+{ord(c):03d}" for c in code), "Enter"],
        "ALT to the end": [*(f"Alt+{ord(c):03d}" for c in code + "\r")],
        "an AIM prefix": [*f"]d2{code}", "Enter"],
        "Escape": [*code, "Escape", "Enter"],
    }


def on_the_list(api: Api, signed_in: Open, first: str) -> Page:
    page = signed_in("lab_tech")
    open_list(page)
    page.locator("input[name=action][value=look]").check(force=True)
    burst(page, [*first, "Enter"])
    expect(page.locator(".tube")).to_have_count(1)
    page.evaluate("document.addEventListener('submit', () => { window.pressed = true; }, true)")
    return page


def test_a_burst_reaches_the_list_whatever_the_gun_adds_and_presses_nothing(api: Api, signed_in: Open) -> None:
    first, *codes = tubes(api, 13)
    page = on_the_list(api, signed_in, first)
    for number, (code, name) in enumerate(zip(codes, endings(codes[0]), strict=True), 2):
        page.locator("[data-do=new_list]").focus()
        burst(page, endings(code)[name])
        expect(page.locator(".tube"), name).to_have_count(number)
        assert listed(page, "ready")[0] == code, name
    assert page.evaluate("window.pressed") is None
    assert page.locator("html[data-list-ready]").count() == 1


def test_identifiers_of_others_and_two_codes_before_one_enter_are_listed(api: Api, signed_in: Open) -> None:
    first, old, spaced, word, one, two = tubes(api, 6)
    register(api, old, "a12345678")
    register(api, spaced, "FAT 0042 b")
    register(api, word, "FOOBAR")
    page = on_the_list(api, signed_in, first)
    for focus, value, code in (
        ("body", "a12345678", old),
        ("[data-do=new_list]", "FAT 0042 b", spaced),
        ("#scan-one", "FOOBAR", word),
    ):
        page.evaluate("(s) => { document.activeElement.blur(); document.querySelector(s).focus?.(); }", focus)
        burst(page, [*value, "Enter"])
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    page.locator("[data-do=new_list]").focus()
    burst(page, [*one, *two, "Enter"])
    expect(page.locator(".tube")).to_have_count(6)
    assert sorted(listed(page, "ready")) == sorted([first, old, spaced, word, one, two])
    assert page.evaluate("window.pressed") is None


def test_after_a_misread_the_tube_before_does_not_stay_as_ready(api: Api, signed_in: Open) -> None:
    first, other = tubes(api, 2)
    page = on_the_list(api, signed_in, first)
    expect(page.locator(".verdict.ready")).to_contain_text(first)

    burst(page, [*other[:-1], "0" if other[-1] != "0" else "1", "Enter"])

    expect(page.locator(".verdict.ready")).to_have_count(0)
    expect(page.locator("#verdict")).to_contain_text("Not read")
    expect(page.locator(".tube")).to_have_count(1)
