"""What is seen afterwards, in real browsers: near misses and dossiers, and a label from its print to the count of the rest."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests import seed
from tests.browser.conftest import Open
from tests.browser.scanning import scan
from tests.browser.test_withdrawals import PHONE, at_the_bedside, press, put_into_a_rack, verdict
from tests.conftest import Api
from tests.donors import stories as donors
from tests.unfinished.test_open_acts import timer
from tests.withdrawals.stories import a_story, later, place_of, sealed

pytestmark = pytest.mark.browser


def walk_to(page: Page, api: Api, rack: str, box: str, tube: str) -> None:
    """Scan the way to a tube: rack, box, place."""
    for code in (rack, box, place_of(api, tube)):
        scan(page, code)
    expect(page.get_by_role("heading", level=1)).to_have_text("Scan the tube")


def served(page: Page, href: str | None) -> str:
    """The type of what a link of the page leads to."""
    answer = page.request.get(re.sub(r"(https?://[^/]+).*", r"\1", page.url) + str(href))
    assert answer.status == 200, answer.text()
    return answer.headers["content-type"]


def test_a_near_miss_and_a_stop_are_counted_by_step_and_place_and_a_life_is_printed(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=3)
    rack, box = put_into_a_rack(api, story.vials[:2])
    story.up_to("approve")
    picker = signed_in("lab_tech", f"/withdrawals/{story.code}/pick", **PHONE)
    walk_to(picker, api, rack, box, story.vials[0])
    scan(picker, story.vials[1])
    verdict(picker, "no", "Wrong tube")

    other, doctor, _nurse, _band = at_the_bedside(api, signed_in)
    scan(doctor, donors.band(api, a_story(api).donor))
    scan(doctor, other.vials[0])
    verdict(doctor, "no", "STOP. Give nothing.")

    # Quality is called by name: the notice stands on Today, and leads to what is counted.
    quality = signed_in("quality2", "/")
    quality.locator("main").get_by_role("link", name=re.compile("Read and acknowledge")).first.click()
    expect(quality.locator("main")).to_contain_text("STOP at the bedside")
    press(quality, "I have read it")
    quality.goto(re.sub(r"/notices.*", "/withdrawals", quality.url))
    quality.get_by_role("link", name="The bedside, by cause").click()
    expect(quality.get_by_role("row", name=re.compile("Stopped wrong wristband"))).to_contain_text("CLINIC")

    auditor = signed_in("auditor", "/log/near-misses")
    expect(auditor.locator("main")).to_contain_text("Wrong specimen")
    auditor.goto(re.sub(r"/near-misses.*", "/counts?days=30", auditor.url))
    row = auditor.get_by_role("row", name=re.compile("Wrong specimen"))
    expect(row).to_contain_text("LAB")
    expect(auditor.get_by_role("row", name=re.compile("Wrong recipient"))).to_contain_text("CLINIC")

    life = signed_in("quality2", f"/specimens/{other.vials[0]}/life")
    href = life.get_by_role("link", name="Print as a dossier").get_attribute("href")
    assert served(life, href) == "application/pdf"


def test_a_label_is_replaced_alarms_under_a_scan_and_what_was_left_over_is_counted_by_two(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=2)
    rack, box = put_into_a_rack(api, story.vials)
    old = story.print_label(reason="first_print")
    new = story.print_label(reason="damaged")
    story.up_to("approve")
    picker = signed_in("lab_tech", f"/withdrawals/{story.code}/pick", **PHONE)
    walk_to(picker, api, rack, box, story.vials[0])
    scan(picker, old)
    verdict(picker, "no", "outdated label")
    scan(picker, new)
    expect(picker.get_by_role("heading", level=1)).to_have_text("Box back first")

    batch = api.lab_tech.get("/label-batches", params={"open": True}).json()["items"][0]["batch"]
    for login, said in (("lab_tech", "Proposed"), ("lab_tech2", "Two people found the same")):
        page = signed_in(login, f"/labels/batches/{batch}")
        page.locator("[name=applied]").fill("1")
        page.locator("[name=password]").fill(seed.PASSWORD)
        page.locator("main form button[type=submit]").last.click()
        expect(page.locator("body")).to_contain_text(said)
    counted = api.lab_tech.get(f"/label-batches/{batch}").json()
    assert counted["reconciled_at"] is not None and counted["unaccounted"] == 0, counted


def test_what_was_issued_and_not_verified_in_the_time_a_clinic_set_is_called_for_until_two_verified_it(
    api: Api, signed_in: Open
) -> None:
    quality = signed_in("quality", "/open-acts/limits")
    quality.locator("[name=site]").select_option("CLINIC")
    quality.locator("[name=act]").select_option("unverified")
    quality.locator("[name=minutes]").fill("30")
    quality.locator("main [name=password]").fill(seed.PASSWORD)
    quality.locator("main form button[type=submit]").last.click()
    expect(quality.locator("body")).to_contain_text("Set for CLINIC.")
    story = a_story(api, vials=2).up_to("issue")
    later(api, minutes=31)
    assert timer(api) == 1
    sealed(api)
    story.band = donors.band(api, story.donor)

    nurse = signed_in("clinic_staff", "/")
    nurse.locator("main").get_by_role("link", name=re.compile("Issued and not verified at the bedside")).first.click()
    expect(nurse.locator("main")).to_contain_text(f"{story.vials[0]}: receive it at the clinic")
    nurse.locator(".acts a[href$='/receive']").click()
    scan(nurse, story.vials[0])
    nurse.locator("[name=container_intact]").select_option("true")
    nurse.locator("[name=label_legible]").select_option("true")
    nurse.locator("[name=temperature_mc]").fill("-150")
    press(nurse, "Receive")
    expect(nurse.get_by_text("Received.", exact=True)).to_be_visible()
    assert story.thaw().status_code == 200

    here = f"/withdrawals/{story.code}/check"
    doctor = signed_in("clinician", here, **PHONE)
    scan(doctor, story.band)
    scan(doctor, story.vials[0])
    verdict(doctor, "wait", "Wait")
    second = signed_in("clinic_staff", here, **PHONE)
    expect(second.get_by_role("heading", level=1)).to_have_text("Your turn: band, then product", timeout=10_000)
    scan(second, story.band)
    scan(second, story.vials[0])
    verdict(second, "yes", "YES")
    expect(signed_in("clinic_staff", "/").locator("main")).not_to_contain_text("Issued and not verified")

    counted = signed_in("quality", "/withdrawals/compliance")
    expect(counted.get_by_role("row", name=re.compile("Issued and not verified in time"))).to_contain_text("CLINIC")
