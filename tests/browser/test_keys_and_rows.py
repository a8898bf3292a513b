"""Keys, ticked rows and the form for one more: what a hand and a screen reader find on every list and form."""

import re
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from biobank.pages.ui.filters import said
from tests import seed
from tests.browser.conftest import Open
from tests.browser.furnished import Furnished
from tests.conftest import Api
from tests.withdrawals.stories import a_donor

pytestmark = pytest.mark.browser

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
SHOT = """() => { for (const key of "AB?C") document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); }"""


def names_of_ticks(page: Page) -> list[str]:
    return [str(one.get_attribute("aria-label")) for one in page.locator("td.tick input").all()]


@pytest.mark.parametrize("pressed", ["?", "Shift+?"])
def test_a_question_mark_opens_the_page_of_keys_also_on_a_page_that_came_just_now(look: Open, pressed: str) -> None:
    page = look("lab_tech", "/storage")
    page.clock.install()  # the page counts from here: it is a few milliseconds old when the key comes
    page.keyboard.press(pressed)
    page.clock.run_for(2000)
    page.wait_for_url("**/keys")
    expect(page.get_by_text("This page", exact=True)).to_be_visible()


def test_a_question_mark_that_is_typed_or_shot_opens_nothing(look: Open) -> None:
    page = look("lab_tech", "/storage")
    page.clock.install()
    page.get_by_label("Find or scan a code").press("?")
    page.clock.run_for(2000)
    page.evaluate("document.activeElement.blur()")
    page.evaluate(SHOT)
    page.clock.run_for(2000)
    assert page.url.endswith("/storage")
    page.keyboard.press("?")
    page.clock.run_for(2000)
    page.wait_for_url("**/keys")


@pytest.mark.parametrize("path", ["/specimens", "/holds"])
def test_a_tick_names_its_row_as_a_person_does(look: Open, furnished: Furnished, path: str) -> None:
    page = look("quality", path)
    names = names_of_ticks(page)
    assert f"Choose {furnished.things['held']}" in names
    assert not [one for one in names if UUID.search(one)]


def test_rows_are_ticked_with_the_keyboard_and_counted_aloud(look: Open) -> None:
    page = look("quality", "/specimens")
    ticks = page.locator("td.tick input")
    ticks.nth(0).focus()
    page.keyboard.press("Space")
    said = page.locator("[data-tick-count]")
    expect(said).to_have_text(re.compile("^1 "))
    page.get_by_label("All on this page").check()
    expect(said).to_have_text(re.compile(f"^{ticks.count()} "))
    for button in page.locator(".ticked .buttons button").all():
        assert button.inner_text().strip(), "a button without a name"


def test_scripts_write_the_times_of_a_refusal_as_pages_do(look: Open) -> None:
    page = look("lab_tech", "/scan")
    zone = page.evaluate("document.documentElement.dataset.zone")
    told = "Taken out on 2026-07-01T22:30:00Z, due 2026-03-29T00:59:59.5+00:00, until 2026-08-09; ask for SOP-2026-01-02."
    words = page.locator('script[src$="/scan.js"]').get_attribute("src") or ""
    module = words.replace("scan.js", "words.js")
    heard = page.evaluate("async ([at, text]) => (await import(at)).told(text)", [module, told])
    assert heard == said(told, ZoneInfo(zone))
    assert zone != "UTC" and "2026-07-01" not in heard


SENT = """input => { input.form.addEventListener("submit", (event) => { event.preventDefault(); window.sent = input.value; });
  input.form.dispatchEvent(new Event("submit", { cancelable: true, bubbles: true })); return window.sent; }"""


def test_a_colleague_typed_by_login_is_their_badge_also_when_the_button_is_pressed_at_once(api: Api, signed_in: Open) -> None:
    page = signed_in("clinician", f"/donors/{a_donor(api)}/consent")
    field = page.locator("[name=witnessed_by]")
    field.fill("clinic_staff")
    expect(page.locator("#f-witnessed_by-colleagues option")).to_have_count(1)
    assert field.evaluate(SENT) == seed.USERS["clinic_staff"].code


def test_codes_in_one_line_are_counted_one_by_one(look: Open, furnished: Furnished) -> None:
    page = look("lab_tech", f"/handovers/new?specimens={furnished.things['tube']}+{furnished.things['held']}")
    expect(page.locator("[data-scan-count]").first).to_have_text("2 in the list")


def test_one_more_opens_the_form_with_what_is_common_and_no_draft_of_the_last(api: Api, signed_in: Open) -> None:
    page = signed_in("admin", "/sites/new")
    for code, name in (("SECOND", "Second house"), ("THIRD", "Third house")):
        page.locator("#f-code").fill(code)
        page.get_by_label("Name", exact=True).fill(name)
        page.locator("main [name=kind]").select_option("clinic")
        page.get_by_label("Time zone").fill("Asia/Tokyo")
        page.get_by_role("button", name="then one more like this").click()
        expect(page.locator("main[data-told]")).to_contain_text(code)
        expect(page.get_by_label("Name", exact=True)).to_have_value("")
        expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
        expect(page.get_by_text("What you typed here before")).to_have_count(0)
    page.goto("/sites/new")
    expect(page.get_by_text("What you typed here before")).to_have_count(0)
    assert {"SECOND", "THIRD"} <= {one["code"] for one in api.admin.get("/sites").json()["items"]}


def test_what_was_refused_and_then_sent_leaves_no_draft_for_the_next(api: Api, signed_in: Open) -> None:
    page = signed_in("admin", "/sites/new?then=set-up")
    page.locator("#f-code").fill("SECOND")
    page.get_by_label("Name", exact=True).fill("Second house")
    page.locator("main [name=kind]").select_option("clinic")
    page.get_by_label("Time zone").fill("Middle Earth")
    page.get_by_role("button", name="Add the site").click()
    expect(page.locator("#f-timezone-error")).to_contain_text("Type a large city of it")
    page.get_by_label("Time zone").fill("Tokyo")
    page.get_by_role("button", name="Add the site").click()
    page.wait_for_url("**/set-up")
    page.goto("/sites/new?then=set-up")
    expect(page.locator("#f-code")).to_have_value("")
    expect(page.get_by_text("What you typed here before")).to_have_count(0)


def test_a_plan_that_was_made_leaves_no_draft_for_the_next(api: Api, signed_in: Open) -> None:
    page = signed_in("admin", "/storage/new?then=set-up")
    for name, value in (("site", "LAB"), ("kind", "box")):
        page.locator(f"main [name={name}]").select_option(value)
    for name, value in (("name", "Deep box"), ("rows", "2"), ("cols", "2")):
        page.locator(f"main [name={name}]").fill(value)
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/set-up")
    page.goto("/storage/new?then=set-up")
    expect(page.locator("main [name=rows]")).to_have_value("")
    expect(page.get_by_text("What you typed here before")).to_have_count(0)


def test_time_zones_are_offered_while_somebody_types(look: Open) -> None:
    page = look("lab_tech", "/account/choices")
    page.get_by_label("Time zone").focus()
    expect(page.locator("#f-timezone-list option[value='Europe/Vienna']")).to_have_count(1)


def test_the_usual_columns_of_specimens_fit_a_laptop_and_the_first_row_a_telephone(look: Open) -> None:
    page = look("quality", path="/specimens")
    page.set_viewport_size({"width": 1280, "height": 720})
    frame = page.locator(".table-frame")
    expect(frame).to_be_visible()
    assert frame.evaluate("(e) => e.scrollWidth - e.clientWidth") <= 0
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.locator("tbody tr").first.evaluate("(e) => e.getBoundingClientRect().top") < 600
