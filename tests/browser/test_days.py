"""Days at the bench, the clinic and the desk, in a real Chromium over a real bank."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import seed
from tests.browser.conftest import Open
from tests.browser.scanning import scan
from tests.conftest import Api
from tests.factories import make_box, make_specimen
from tests.pages.test_pages import a_tube
from tests.sealing import seal
from tests.withdrawals.stories import a_donor, a_story, everyone, place_of

pytestmark = pytest.mark.browser


def test_every_role_gets_in_and_out(signed_in: Open) -> None:
    for role in ("lab_tech", "clinician", "clinic_staff", "quality", "auditor", "admin"):
        page = signed_in(None, path="/login")
        page.get_by_label("Username").fill(role)
        page.get_by_label("Password").fill(seed.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Today")
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(re.compile("/login"))


def test_a_specimen_is_found_by_typing_and_by_the_gun(api: Api, signed_in: Open) -> None:
    tube = a_tube(api)
    page = signed_in("lab_tech")
    page.get_by_label("Find or scan a code").fill(tube)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(tube)
    page.goto("/specimens")
    scan(page, f"HTTPS://BANK.EXAMPLE/S/{tube}")
    page.wait_for_url(f"**/specimens/{tube}")


def test_a_receipt_is_recorded_by_its_button(api: Api, signed_in: Open) -> None:
    act = everyone(api.test_bank)
    tube = api.test_bank.write(lambda s: make_specimen(s, act).code)
    page = signed_in("lab_tech")
    page.goto(f"/specimens/{tube}")
    page.get_by_role("link", name="Receive").click()
    page.get_by_label("Temperature").fill("7,5")
    page.get_by_role("button", name="Receive").click()
    page.wait_for_url(f"**/specimens/{tube}")
    expect(page.get_by_text("Received.", exact=True)).to_be_visible()
    newest = page.locator(".timeline .entry").first
    expect(newest).to_contain_text("Received")
    expect(newest).to_contain_text("7.5")
    custody = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]
    assert (custody["state"], custody["custodian"]["id"]) == ("received", seed.USERS["lab_tech"].code)


def test_a_tube_is_stored_by_two_scans_and_its_place_is_lit(api: Api, signed_in: Open) -> None:
    tube, act = a_tube(api), api.test_bank.act("admin")
    box = api.test_bank.write(lambda s: make_box(s, act).code)
    page = signed_in("lab_tech")
    page.goto(f"/specimens/{tube}/store")
    scan(page, box)
    expect(page.locator("#f-container")).to_have_value(box)
    page.get_by_label("Place in the box").fill("B2")
    page.get_by_role("button", name="Store").click()
    page.wait_for_url(re.compile(f"/specimens/{tube}"))
    lit = page.locator(".box-map td.lit")
    expect(lit).to_have_count(1)
    expect(lit).to_contain_text("B2")
    expect(page.get_by_text(f"Stored in {box} B2.")).to_be_visible()
    scan(page, place_of(api, tube))
    page.wait_for_url(f"**/storage/{box}?slot=B2")
    expect(page.locator(".box-map td.lit")).to_contain_text(tube[-4:])


def test_a_taken_place_says_why_and_keeps_what_was_scanned(api: Api, signed_in: Open) -> None:
    first, second, act = a_tube(api), a_tube(api), api.test_bank.act("admin")
    box = api.test_bank.write(lambda s: make_box(s, act).code)
    seq = api.lab_tech.get(f"/specimens/{first}").json()["custody"]["seq"]
    body = {"container": box, "position": "A1", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{first}/store", json=body).status_code == 201
    page = signed_in("lab_tech", java_script_enabled=False)
    page.goto(f"/specimens/{second}/store")
    page.locator("#f-container").fill(box)
    page.get_by_label("Place in the box").fill("A1")
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.get_by_role("button", name="Store").click()
    assert answer.value.status == 409
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#f-container")).to_have_value(box)
    assert api.lab_tech.get(f"/specimens/{second}").json()["custody"]["state"] == "received"


def test_a_hold_is_placed_and_lifted_with_a_signature(api: Api, signed_in: Open) -> None:
    tube = a_tube(api)
    page = signed_in("lab_tech")
    page.goto(f"/specimens/{tube}")
    page.get_by_role("link", name="Place a hold").click()
    page.get_by_label("Kind of hold").select_option("temperature")
    page.locator("[name=reason]").fill("found_warm")
    page.get_by_role("button", name="Place the hold").click()
    expect(page.get_by_text("On hold: temperature.")).to_be_visible()
    expect(page.get_by_role("link", name="Lift")).to_have_count(0)
    page = signed_in("quality")
    page.goto(f"/specimens/{tube}")
    page.get_by_role("link", name="Lift").click()
    page.get_by_label("Reason").fill("explained")
    page.get_by_label("My password").fill(seed.PASSWORD)
    page.get_by_role("button", name="Sign and lift").click()
    expect(page.get_by_text("The hold is lifted.")).to_be_visible()
    assert api.quality.get(f"/specimens/{tube}").json()["holds"] == []


def press(page: Page, name: str) -> None:
    page.locator("main").get_by_role("button", name=name).click()
    page.wait_for_load_state()  # nobody types into a page that is still to come


def test_the_log_is_searched_and_downloaded(api: Api, signed_in: Open, tmp_path: Any) -> None:
    tube = a_tube(api)
    seal(api.test_bank)  # A file of the log holds what is sealed.
    page = signed_in("auditor")
    page.goto("/log")
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Specimen").fill(tube)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV", exact=True).click()
    download.value.save_as(tmp_path / "log.csv")
    lines = (tmp_path / "log.csv").read_text().strip().splitlines()
    assert len(lines) == 3 and all(tube in line for line in lines[1:])


def test_no_page_is_wider_than_a_telephone(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("approve")
    paths = [
        "/",
        "/specimens",
        f"/specimens/{story.vials[0]}",
        "/storage",
        f"/donors/{story.donor}",
        "/donors",
        "/withdrawals",
        f"/withdrawals/{story.code}",
        "/log",
        "/find",
    ]
    page = signed_in("quality", viewport={"width": 390, "height": 800})
    for path in paths:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_donor_is_registered_and_found_by_name_without_it_in_any_address(api: Api, signed_in: Open) -> None:
    page = signed_in("clinician")
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.goto("/donors/new")
    for name, value in (("family_name", "Wintergreen"), ("given_names", "Ada"), ("date_of_birth", "1970-01-31")):
        page.locator(f"[name={name}]").fill(value)
    press(page, "Register")
    page.wait_for_url(re.compile(r"/donors/DN-"))
    donor = page.url.rsplit("/", 1)[1]
    page.goto("/donors")
    page.get_by_label("Name").fill("wintergr")
    press(page, "Find")
    expect(page.locator("table[role=table]").first).to_contain_text(donor)
    expect(page.locator("table[role=table]").first).to_contain_text("Wintergreen, Ada")
    # The box of every page knows a name when it sees one.
    page.goto("/")
    box = page.get_by_label("Find or scan a code")
    box.fill("wintergr")
    page.get_by_role("button", name="Look for a person with this name").click()
    expect(page.get_by_text("Wintergreen, Ada")).to_be_visible()
    # Enter looks for a code: whoever meant a box reads nobody's identity by it.
    page.goto("/")
    box.fill("wintergr")
    box.press("Enter")
    expect(page.get_by_text("These are words, not a code").first).to_be_visible()
    assert not any("intergreen" in url for url in seen)
    assert a_donor(api) != donor
