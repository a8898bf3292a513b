"""A German clinic's spreadsheet, sent, explained, checked and imported in a real Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from biobank.jobs.running import JOB_KINDS, run_next
from tests.browser.conftest import Open
from tests.conftest import Api
from tests.granting import also

pytestmark = pytest.mark.browser
GERMAN = Path(__file__).parents[1] / "importing" / "fixtures" / "klinik.csv"
MEANT = {
    "Sex: “w”": "female",
    "Sex: “m”": "male",
    "Unit of the amount: “Mio. Zellen”": "cells",
    "Unit of the amount: “Follikel”": "follicles",
    "Whether it is still there: “eingelagert”": "stored",
    "Whether it is still there: “verworfen”": "gone",
    "What is in the tube: “ADSC”": "adsc",
    "What is in the tube: “Haarfollikel”": "intact_follicles",
}


def test_the_spreadsheet_of_a_german_clinic_is_imported_wholly_on_its_pages(api: Api, signed_in: Open) -> None:
    also(api, "admin", "lab_tech", "LAB")
    also(api, "admin", "clinician", "CLINIC")
    page = signed_in("admin", "/")
    page.get_by_role("link", name="Import an old inventory").click()
    page.get_by_label("File").set_input_files(GERMAN)
    page.get_by_role("button", name="Read the file").click()

    expect(page.get_by_role("heading", name="What the file means")).to_be_visible()
    page.get_by_label("Whose patients these are").select_option("CLINIC")
    page.get_by_label("Where the tanks stand").select_option("LAB")
    for label, meaning in MEANT.items():
        page.get_by_label(label).select_option(meaning)
    page.get_by_label("One “Mio. Zellen” is so many of them").fill("1000000")
    page.get_by_role("button", name="Show the first rows").click()

    tried = page.locator("#tried")
    expect(tried.get_by_role("row")).to_have_count(7)
    expect(tried).to_contain_text("does not read as {tank}/{rack}/{box}/{position}")
    page.get_by_role("button", name="Check the whole file").click()
    page.wait_for_url(re.compile("/jobs/"))
    assert run_next(api.test_bank.bank, JOB_KINDS)

    page.get_by_role("button", name="Import what is ready").click()
    expect(page.get_by_text("The import has begun.")).to_be_visible()
    assert run_next(api.test_bank.bank, JOB_KINDS)

    expect(page.get_by_role("link", name="Download the report")).to_be_visible()
    expect(page.locator("#job")).to_contain_text("Imported")
    assert len(api.lab_tech.get("/specimens").json()["items"]) == 3
