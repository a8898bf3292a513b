"""The forms of a day, in a real browser: a visit at the clinic, a run of the laboratory, an administrator's morning."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from biobank.foundation import clock
from tests import seed
from tests.browser.conftest import Open
from tests.browser.scanning import scan
from tests.browser.test_days import press
from tests.conftest import Api
from tests.specimens import stories as lab

pytestmark = pytest.mark.browser

NAMES = {"family_name": "Wintergreen", "given_names": "Ada"}
BORN = "1970-01-31"


def fill(page: Page, **values: str) -> None:
    """Fill inputs by name and choose in selects."""
    for name, value in values.items():
        control = page.locator(f"main [name={name}]")
        if control.evaluate("e => e.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)


def follow(page: Page, name: str, *, exact: bool = False) -> None:
    """Open what a link leads to and wait until it is there: its scripts hear what is chosen next."""
    page.get_by_role("link", name=name, exact=exact).click()
    page.wait_for_load_state()


def state_and_send(page: Page) -> None:
    """Record what the patient says, as either of the two people."""
    fill(page, **NAMES, date_of_birth=BORN, document_kind="passport")
    press(page, "Record what was stated")


def identify_by_two(first: Page, second: Page, donor: str, purpose: str, kit: str = "") -> None:
    first.goto(f"/donors/{donor}/identify")
    fill(first, purpose=purpose, kit=kit)
    state_and_send(first)
    expect(first.get_by_text("The first half is recorded.")).to_be_visible()
    expect(first.get_by_role("link", name="Identify as the second person")).to_have_count(0)
    second.goto("/")
    second.locator(".tasks").get_by_role("link", name="Identify as the second person").click()
    assert NAMES["family_name"] not in second.content()
    assert BORN not in second.content()
    state_and_send(second)
    expect(second.get_by_text("Identified by two people.")).to_be_visible()


def test_a_donor_is_registered_consents_is_identified_by_two_banded_and_harvested(api: Api, signed_in: Open) -> None:
    kit = lab.kit(api)
    code, labels = kit["kit"], [label["specimen"] for label in kit["labels"]]
    clinician, nurse = signed_in("clinician", path="/donors/new"), signed_in("clinic_staff")
    fill(clinician, **NAMES, date_of_birth=BORN)
    press(clinician, "Register")
    clinician.wait_for_url(re.compile(r"/donors/DN-"))
    donor = clinician.url.rsplit("/", 1)[1]

    # The same link stands in the empty list of consents.
    clinician.get_by_role("link", name="Record a consent").first.click()
    clinician.wait_for_load_state()
    fill(clinician, form_version="B-3.1")
    chosen = clinician.locator("#f-document_sha256")
    chosen.set_input_files({"name": "form.html", "mimeType": "text/html", "buffer": b"signed"})
    expect(clinician.get_by_text("form.html was not kept. Such a file is not kept.")).to_be_visible()
    chosen.set_input_files({"name": "form.pdf", "mimeType": "application/pdf", "buffer": b"signed"})
    expect(clinician.get_by_text("Kept: form.pdf.")).to_be_visible()
    scan(clinician, seed.USERS["clinic_staff"].code)
    press(clinician, "Record the consent")
    expect(clinician.get_by_text("Consent recorded: banking.")).to_be_visible()

    identify_by_two(clinician, nurse, donor, "wristband")
    press(nurse, "Issue the wristband")
    nurse.wait_for_url(re.compile(r"/labels/WB-"))
    expect(nurse.get_by_text("is in force.")).to_be_visible()

    identify_by_two(clinician, nurse, donor, "harvest", code)
    nurse.wait_for_url(f"**/harvests/new?kit={code}")
    expect(nurse.locator("[name=donor]")).to_have_value(donor)
    scan(nurse, labels[0])
    expect(nurse.locator("[name=specimen-containers-0]")).to_have_value(labels[0])
    nurse.locator("[name=anatomical_site]").select_option("abdomen")
    nurse.locator("[name=amount-containers-0]").fill("120,5")
    press(nurse, "Record the harvest")
    expect(nurse.get_by_role("alert").first).to_contain_text("abel")
    nurse.get_by_label(labels[1], exact=True).check()
    press(nurse, "Record the harvest")
    nurse.wait_for_url(f"**/harvests/{code}")
    for name in ("Containers, as they were", "Specimens"):
        expect(nurse.get_by_role("table", name=name)).to_contain_text(labels[0])
    assert api.lab_tech.get(f"/specimens/{labels[0]}").json()["custody"]["amount"] == 120_500
    nurse.goto(f"/find?q={code}")
    nurse.wait_for_url(f"**/kits/{code}")


def test_what_the_second_person_hears_otherwise_stops_everything(api: Api, signed_in: Open) -> None:
    donor = lab.donor(api)
    page = signed_in("clinician", path=f"/donors/{donor}/identify", java_script_enabled=False)
    fill(page, purpose="wristband", family_name="Somebody", given_names="Else", date_of_birth=BORN, document_kind="passport")
    press(page, "Record what was stated")
    expect(page.get_by_role("alert").first).to_contain_text("Check what you typed")
    fill(page, family_name="Somebody", given_names="Else", date_of_birth=BORN)
    press(page, "Checked: record what the patient says")
    expect(page.get_by_role("alert").first).to_contain_text("another person")
    assert "Somebody" not in page.content()
    assert api.quality.get(f"/donors/{donor}").json()["holds"][0]["kind"] == "identity"


def make(page: Page, process: str, specimen: str, amount: str, **more: str) -> str:
    """Record a run of one input from the specimen's page; return the only unit of its lot."""
    page.goto(f"/specimens/{specimen}")
    follow(page, "Process", exact=True)
    fill(page, process=process)
    press(page, "Go on")
    fill(page, procedure_version="SOP-014 v3")
    page.locator("[name=amount-outputs-0]").fill(amount)
    fill(page, **more)
    press(page, "Record the run")
    page.wait_for_url(re.compile("/lots/LT-"))
    return page.locator("table[role=table] a.code").first.inner_text()


def test_fat_becomes_svf_becomes_adsc_is_frozen_and_counted(api: Api, signed_in: Open) -> None:
    harvested = lab.made(lab.harvest(api.clinician, lab.donor(api)))["specimens"][0]
    fat = lab.received(api.lab_tech, harvested)["code"]
    page = signed_in("lab_tech")
    washed = make(page, "wash", fat, "40")
    svf = make(page, "svf_isolation", washed, "2.4 M")
    culture = make(page, "expansion", svf, "5e6", **{"vessel_count-outputs-0": "2"})
    specimen = api.lab_tech.get(f"/specimens/{culture}").json()
    assert (specimen["material"], specimen["passage"], specimen["custody"]["amount"]) == ("adsc", 0, 5_000_000)

    follow(page, "Freeze its units")
    fill(page, procedure_version="SOP-020 v1", programme="CRF-1 slow v2", cryoprotectant="DMSO 5 %", contact_min="x")
    press(page, "Record the freezing")
    fill(page, contact_min="9")
    expect(page.locator("[name=specimen-inputs-0]")).to_have_value(culture)
    press(page, "Record the freezing")
    expect(page.get_by_text("Freezing recorded: 1 specimen.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Cryoprotectant contact")
    expect(page.locator("main")).not_to_contain_text("sha256")
    expect(page.get_by_role("link", name="Scan them into their places")).to_be_visible()
    follow(page, "Store them where they fit")
    expect(page.locator("main")).to_contain_text(culture)

    page.goto(f"/specimens/{culture}")
    follow(page, "Record a viability assay")
    fill(page, method="trypan_blue", live="182", dead="18")
    press(page, "Record the count")
    expect(page.get_by_text("Recorded: 91.0 % living.")).to_be_visible()

    lot = specimen["lot"]
    page.goto(f"/lots/{lot}/test")
    fill(page, test="sterility", method="By the book", laboratory="North Lab")
    page.locator("[name=due_at]").fill(f"{clock.now() + timedelta(days=30):%Y-%m-%dT12:00}")
    press(page, "Record it")
    follow(page, "Result of sterility")
    fill(page, result="failed")
    page.locator("#f-report_sha256").set_input_files({"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"growth"})
    expect(page.get_by_text("Kept: report.pdf.")).to_be_visible()
    press(page, "Record it")
    expect(page.get_by_text("The test failed.")).to_be_visible()
    assert [hold["kind"] for hold in api.lab_tech.get(f"/specimens/{culture}").json()["holds"]] == ["quality"]


def test_more_rows_keep_what_was_typed_and_record_nothing(api: Api, signed_in: Open) -> None:
    page = signed_in("lab_tech", path="/processings/new?process=aliquoting", java_script_enabled=False)
    fill(page, procedure_version="SOP-3 v1")
    page.locator("[name=amount-outputs-1]").fill("12.5")
    page.get_by_role("button", name="More rows").nth(1).click()
    expect(page.locator("[name=purpose-outputs-5]")).to_have_count(1)
    expect(page.locator("[name=procedure_version]")).to_have_value("SOP-3 v1")
    expect(page.locator("[name=amount-outputs-1]")).to_have_value("12.5")
    assert api.lab_tech.get("/processings").json()["items"] == []


def test_a_draft_comes_back_and_ends_with_the_session(api: Api, signed_in: Open) -> None:
    page = signed_in("lab_tech", path="/kits/new")
    fill(page, adipose_labels="7", site="CLINIC")
    page.goto("/specimens")
    page.goto("/kits/new")
    expect(page.locator("[name=adipose_labels]")).to_have_value("7")
    page.get_by_role("button", name="Start afresh").click()
    expect(page.locator("[name=adipose_labels]")).to_have_value("2")
    fill(page, adipose_labels="5", site="CLINIC")
    press(page, "Prepare the kit")
    page.wait_for_url(re.compile("/kits/KT-"))
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('draft:')).length") == 0
    page.goto("/kits/new")
    fill(page, adipose_labels="9")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))
    assert page.evaluate("Object.keys(sessionStorage).length") == 0


def test_an_administrator_lays_out_a_tank_makes_a_login_and_quality_co_signs_its_role(api: Api, signed_in: Open) -> None:
    admin = signed_in("admin", path="/storage/new")
    fill(admin, site="LAB", kind="rack", name="Rack", how_many="2", inner_kind="box", inner_count="3", rows="9", cols="9")
    press(admin, "Show the plan")
    expect(admin.locator("#plan")).to_contain_text("486 places")
    press(admin, "Make it")
    expect(admin.get_by_text("Laid out.")).to_be_visible()
    boxes = [one for one in api.lab_tech.get("/storage-containers?limit=500").json()["items"] if one["kind"] == "box"]
    assert [(one["rows"], one["cols"]) for one in boxes] == [(9, 9)] * 6

    admin.goto("/users/new")
    fill(admin, username="new.colleague", printed_name="New Colleague")
    press(admin, "Make the login")
    admin.wait_for_url(re.compile("/users/US-.*/roles/give"))
    code = admin.url.split("/")[-3]
    fill(admin, role="lab_tech", site="LAB", password=seed.PASSWORD)
    press(admin, "Sign and propose")
    expect(admin.get_by_text("Proposed.")).to_be_visible()

    quality = signed_in("quality", path=f"/users/{code}")
    follow(quality, "Open")
    expect(quality.locator("main")).to_contain_text("Role: Laboratory technician; Site: LAB")
    fill(quality, password="not my password at all")
    press(quality, "Sign as the second person")
    expect(quality.get_by_role("alert").first).to_be_visible()
    fill(quality, password=seed.PASSWORD)
    press(quality, "Sign as the second person")
    expect(quality.get_by_text("Give a role: signed by two people.")).to_be_visible()
    press(quality, "Draw the slip")
    second_half = quality.locator(".one-time-code").inner_text()
    admin.goto("/")
    follow(admin, "Draw your half of a one-time code")
    press(admin, "Draw the slip")
    one_time_code = f"{admin.locator('.one-time-code').inner_text()} {second_half}"
    colleague = signed_in(None, path="/login")
    fill(colleague, username="new.colleague", password=one_time_code)
    press(colleague, "Log in")
    chosen = "a long walk by the river"
    fill(colleague, current_password=one_time_code, new_password=chosen, repeat_password=chosen)
    press(colleague, "Set password")
    expect(colleague.get_by_text("One-time code used")).to_be_visible()
    assert api.admin.get(f"/users/{code}").json()["roles"] == [{"role": "lab_tech", "site": "LAB"}]
