"""How many steps a job takes: every click, choice in a list and Enter is one; scans and what is typed are none."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import seed
from tests.browser.conftest import Open
from tests.browser.scanning import scan, shoot
from tests.browser.test_scan_list import a_box, open_list
from tests.conftest import Api
from tests.quality.test_decisions import all_passed
from tests.shipping.stories import tubes
from tests.withdrawals.stories import a_donor, a_story, bank_vials

pytestmark = pytest.mark.browser


class Hand:
    """Somebody at a page, who counts what they do."""

    def __init__(self, page: Page) -> None:
        self.page, self.steps = page, 0

    def click(self, what: Locator) -> None:
        self.steps += 1
        what.click()
        self.page.wait_for_load_state()  # nobody types into a page that is still to come

    def press(self, name: str) -> None:
        self.click(self.page.locator("main").get_by_role("button", name=name))

    def follow(self, name: str) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=True).first)

    def choose(self, field: str, value: str) -> None:
        self.steps += 1
        self.page.locator(field).select_option(value)

    def look_for(self, text: str) -> None:
        self.steps += 1
        box = self.page.get_by_label("Find or scan a code")
        box.fill(text)
        box.press("Enter")


def test_a_persons_vials_are_found_by_name_in_two_steps(api: Api, signed_in: Open) -> None:
    person = {"family_name": "Okafor", "given_names": "Adaeze", "date_of_birth": "1980-02-29", "sex": "female"}
    donor = api.clinician.post("/donors", json=person | {"clinic_site": "CLINIC"}).json()["donor"]
    vial = bank_vials(api, donor)[0]
    hand = Hand(signed_in("clinician"))
    hand.page.get_by_label("Find or scan a code").fill("okaf")
    hand.click(hand.page.get_by_role("button", name="Look for a person with this name"))
    hand.follow(donor)
    expect(hand.page.get_by_role("link", name=vial)).to_be_visible()
    assert hand.steps <= 2


def test_one_vial_is_requested_in_four_steps_and_approved_in_three(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=2)
    clinician = Hand(signed_in("clinician", f"/donors/{story.donor}"))
    clinician.follow("Request a withdrawal")
    clinician.choose("form.filters [name=route]", "ship_frozen")
    expect(clinician.page.locator("#feasibility input[name=route]")).to_have_value("ship_frozen")
    clinician.click(clinician.page.get_by_label(story.vials[0]))
    clinician.press("Request")
    clinician.page.wait_for_url(re.compile(r"/withdrawals/WD"))
    code = clinician.page.url.rsplit("/", 1)[1]
    assert clinician.steps <= 4

    quality = Hand(signed_in("quality"))
    quality.click(quality.page.locator("li.task", has_text=code).get_by_role("link"))
    quality.page.get_by_label("My password").fill(seed.PASSWORD)
    quality.press("Sign: approve")
    expect(quality.page.get_by_text("Approved.", exact=True)).to_be_visible()
    assert quality.steps <= 3


def test_a_lot_of_twelve_is_released_in_four_steps_with_one_password(api: Api, signed_in: Open) -> None:
    vials = bank_vials(api, a_donor(api), 12, released=False, lot=True)
    all_passed(api, vials[0])
    lot = api.quality.get(f"/specimens/{vials[0]}").json()["lot"]
    hand = Hand(signed_in("quality"))
    scan(hand.page, lot)
    hand.page.wait_for_url(f"**/lots/{lot}")
    hand.click(hand.page.locator(f'main a[href="/lots/{lot}/decision"]').first)
    hand.choose("main [name=decision]", "released_to_bank")
    hand.page.locator("main [name=reason]").fill("results complete")
    hand.page.get_by_label("My password").fill(seed.PASSWORD)
    hand.press("Sign the decision")
    expect(hand.page.get_by_text("12 specimens.")).to_be_visible()
    assert {api.quality.get(f"/specimens/{one}").json()["custody"]["quality"] for one in vials} == {"released_to_bank"}
    assert hand.steps <= 4


def test_what_expires_this_quarter_is_two_steps_away(api: Api, signed_in: Open) -> None:
    hand = Hand(signed_in("quality"))
    hand.follow("Specimens")
    hand.follow("Expire this quarter")
    expect(hand.page).to_have_url(re.compile("expires=quarter"))
    assert hand.steps <= 2


def test_a_donors_log_of_the_last_month_is_three_steps_away(api: Api, signed_in: Open) -> None:
    donor = a_donor(api)
    hand = Hand(signed_in("auditor"))
    hand.look_for(donor)
    hand.follow("Its log of the last 30 days")
    expect(hand.page.locator("tbody tr").first).to_be_visible()
    assert hand.steps <= 3


def test_twelve_vials_are_banked_in_five_steps_and_their_scans(api: Api, signed_in: Open) -> None:
    vials, box = tubes(api, 12, frozen=True), a_box(api, rows=4, cols=4)
    hand = Hand(signed_in("lab_tech"))
    open_list(hand.page)
    shoot(hand.page, box)
    expect(hand.page.locator("#scan-place-name")).to_contain_text("16 free")
    for code in vials:
        shoot(hand.page, code)
        expect(hand.page.locator(".verdict.ready")).to_contain_text(code)
    hand.press("Record 12 tubes")
    expect(hand.page.locator("#scan-result")).to_contain_text("Stored: 12 tubes")
    assert hand.steps <= 5


@pytest.mark.parametrize("width", [1280, 820, 360])
def test_every_list_is_reached_in_two_steps_at_every_width(api: Api, signed_in: Open, width: int) -> None:
    hand = Hand(signed_in("lab_tech", viewport={"width": width, "height": 740}))
    band = hand.page.locator("header.band").bounding_box()
    assert band is not None and band["height"] <= 111, "15 % of a screen of 740"
    hand.click(hand.page.get_by_text("All pages"))
    for name in ("Kits", "Harvests", "Runs", "Lots", "Holds", "Alarms", "Registers", "Calendar", "Figures", "Shipments"):
        expect(hand.page.locator(".sheet").get_by_role("link", name=name, exact=True)).to_be_visible()
    hand.page.keyboard.press("Escape")
    expect(hand.page.locator(".sheet")).to_be_hidden()
    hand.click(hand.page.get_by_text("All pages"))
    hand.click(hand.page.locator(".sheet").get_by_role("link", name="Holds", exact=True))
    expect(hand.page.get_by_role("heading", level=1)).to_have_text("Holds")
    assert hand.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_bell_counts_what_waits_without_being_asked_by_a_timer(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("request")
    page = signed_in("quality", "/account")
    expect(page.locator("[data-bell]")).to_be_visible()
    waiting = page.locator("[data-bell]").inner_text()
    page.goto("/")
    expect(page.locator("#tasks h2")).to_have_text(f"Waiting for you ({waiting})")
    expect(page.locator("#tasks")).to_contain_text(story.code)
