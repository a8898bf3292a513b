"""A technician at the tank and at the printer, in a real Chromium over a real bank."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from biobank.jobs.running import JOB_KINDS, run_next
from tests.browser.conftest import Open
from tests.browser.scanning import scan
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.factories import make_box
from tests.labels.test_batches import tubes

pytestmark = pytest.mark.browser
HOST = "HTTPS://BANK.EXAMPLE/S/"


def a_box(api: Api, **fields: Any) -> str:
    code: str = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"), **fields)).code
    return code


def stored(api: Api, box: str, count: int) -> list[str]:
    codes = tubes(api.test_bank, count)
    for code in codes:
        answer = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2})
        assert answer.status_code == 201, answer.text
    return codes


def listed(page: Page, count: int) -> None:
    expect(page.locator("[data-scan-count]")).to_have_text(f"{count} in the list")


def test_a_box_is_compared_by_scanning_and_says_what_is_missing_misplaced_and_unknown(api: Api, signed_in: Open) -> None:
    box, other = a_box(api), a_box(api)
    inside, (misplaced,) = stored(api, box, 3), stored(api, other, 1)
    page = signed_in("lab_tech", f"/storage/{box}")
    page.get_by_role("link", name="Compare what is in it").click()

    for number, code in enumerate([inside[0], inside[1], misplaced], start=1):
        scan(page, HOST + code)
        listed(page, number)
    scan(page, HOST + misplaced)
    listed(page, 3)
    page.get_by_label("Tubes in it").press("End")
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_text("The record and the box differ.")).to_be_visible()
    expect(page.locator(".card", has_text="1 not scanned")).to_contain_text(inside[2])
    expect(page.locator(".card", has_text="belongs elsewhere")).to_contain_text(misplaced)
    assert '"container.counted"' in taken_log(api)


def test_a_box_that_agrees_says_so(api: Api, signed_in: Open) -> None:
    box = a_box(api)
    inside = stored(api, box, 2)
    page = signed_in("lab_tech", f"/storage/{box}/compare", java_script_enabled=False)
    page.get_by_label("Tubes in it").fill("\n".join(inside))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Everything is in its place.")).to_be_visible()


def test_everything_in_hand_is_brought_to_safety_known_or_not(api: Api, signed_in: Open) -> None:
    quarantine = a_box(api, purpose="quarantine", name="Quarantine")
    (known,) = tubes(api.test_bank, 1)
    page = signed_in("lab_tech", f"/storage/{quarantine}")
    page.get_by_role("link", name="Bring tubes to safety here").click()
    scan(page, HOST + known)
    page.get_by_label("Tubes, boxes and racks in hand").fill(f"{known}\nSCRIBBLE")
    page.get_by_role("button", name="They stand here").click()
    expect(page.get_by_text("2 tubes stand here now.")).to_be_visible()
    expect(page.get_by_text("Unidentified: write this code on it")).to_be_visible()
    assert api.lab_tech.get(f"/specimens/{known}").json()["custody"]["container"] == quarantine


def test_a_reading_that_is_too_warm_stops_loudly_and_rubbish_is_named_at_its_field(api: Api, signed_in: Open) -> None:
    box = a_box(api)
    stored(api, box, 1)
    page = signed_in("lab_tech", f"/storage/{box}/reading")
    page.get_by_label("Value").fill("cold")
    page.get_by_role("button", name="Record it").click()
    expect(page.locator("#f-value-error")).to_contain_text("enter a number")
    page.get_by_label("Value").fill("41,5")
    page.get_by_role("button", name="Record it").click()
    expect(page.locator(".banner.stop")).to_contain_text("1 specimen came under hold")


def test_a_box_is_moved_by_scanning_where_it_goes(api: Api, signed_in: Open) -> None:
    rack = a_box(api, kind="rack", rows=None, cols=None, name="Rack 1")
    target = a_box(api, kind="rack", rows=None, cols=None, name="Rack 2")
    box = a_box(api, parent=rack)
    page = signed_in("lab_tech", f"/storage/{box}")
    page.get_by_role("link", name="Move it to another place").click()
    scan(page, HOST + target)
    page.get_by_role("button", name="Move it").click()
    expect(page.get_by_text(f"Moved into {target}.")).to_be_visible()
    assert api.lab_tech.get(f"/storage-containers/{box}").json()["parent"] == target


def test_the_tree_opens_to_a_box_and_the_map_of_a_rack_has_every_box(api: Api, signed_in: Open) -> None:
    rack = a_box(api, kind="rack", rows=None, cols=None, name="Rack 1")
    boxes = [a_box(api, parent=rack, name=f"Box {n}") for n in (10, 2)]
    page = signed_in("lab_tech", "/storage")
    page.locator("summary", has_text="Rack 1").click()
    names = page.locator(".tree .tree .tree-name").all_inner_texts()
    assert names == ["Box 2", "Box 10"]
    page.goto(f"/storage/{rack}/map")
    assert page.locator(".printed-box").count() == len(boxes)


def test_a_label_is_printed_fetched_and_scanned_back(api: Api, signed_in: Open) -> None:
    (tube,) = tubes(api.test_bank, 1)
    (other,) = tubes(api.test_bank, 1)
    page = signed_in("lab_tech", f"/specimens/{tube}")
    page.get_by_role("link", name="Labels of this specimen").click()
    page.get_by_role("button", name="Number and print").click()
    expect(page.get_by_text("Ready to print.")).to_be_visible()
    row = page.locator("#prints tbody tr")
    expect(row).to_contain_text("Not scanned back")
    answer = page.request.get(page.url.split("/labels")[0] + str(row.get_by_role("link").get_attribute("href")))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")

    scan(page, HOST + other)
    expect(page.get_by_text("Destroy it")).to_be_visible()
    scan(page, HOST + tube)
    expect(page.get_by_text("says what it should")).to_be_visible()
    expect(page.locator("#prints tbody tr")).to_contain_text("Verified")


def test_a_batch_is_made_in_the_background_and_its_page_follows_it(api: Api, signed_in: Open) -> None:
    box = a_box(api)
    page = signed_in("lab_tech", "/labels/batch")
    page.get_by_label("Which").select_option("positions_of")
    scan(page, HOST + box)
    page.get_by_label("Label", exact=True).select_option("position-38x13")
    page.get_by_role("button", name="Make them").click()
    page.wait_for_url(re.compile("/jobs/"))
    expect(page.get_by_text("It waits for its turn.")).to_be_visible()

    assert run_next(api.test_bank.bank, JOB_KINDS)

    expect(page.get_by_role("link", name="Open the file")).to_be_visible()
    href = page.get_by_role("link", name="Open the file").get_attribute("href")
    assert page.request.get(page.url.split("/jobs")[0] + str(href)).headers["content-type"] == "application/pdf"


def test_an_administrator_sets_a_rule_and_the_label_page_follows_it(api: Api, signed_in: Open) -> None:
    box = a_box(api)
    page = signed_in("admin", "/labels")
    page.locator("summary", has_text="Set a rule").click()
    page.get_by_label("Site").select_option("LAB")
    page.get_by_label("Codes that begin with").select_option("BX")
    page.get_by_label("Label").select_option("position-38x13")
    page.get_by_role("button", name="Set the rule").click()
    expect(page.get_by_text("BX codes at LAB are printed on position-38x13.")).to_be_visible()
    page.goto(f"/labels/{box}")
    expect(page.locator(".subnav [aria-current]")).to_contain_text("Position")
