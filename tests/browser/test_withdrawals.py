"""A withdrawal from request to outcome, in real browsers: each person on a device of their own, wrong scans included."""

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from biobank.foundation import clock
from biobank.storage.containers import add_container
from biobank.storage.schemas import ContainerCreate
from tests import seed
from tests.browser.conftest import Open
from tests.browser.scanning import scan
from tests.conftest import Api
from tests.donors import stories as donors
from tests.factories import make_box
from tests.withdrawals.stories import Story, a_story, passed_tests_of, place_of, state_of

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def press(page: Page, name: str) -> None:
    page.locator("main").get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()  # nobody types into a page that is still to come


def verdict(page: Page, kind: str, text: str) -> None:
    """Insist on the huge answer."""
    shown = page.locator(f".verdict[data-verdict={kind}]")
    expect(shown).to_contain_text(text)
    expect(shown).to_have_attribute("role", "alert" if kind == "no" else "status")


def evidence(api: Api, code: str) -> int:
    """How many refusals of a kind were kept as evidence."""
    return len(api.auditor.get("/attempts", params={"code": code, "evidence": True}).json()["items"])


def began() -> str:
    """The present second, as a person types it in the zone of the seed's sites."""
    return f"{clock.now().astimezone(ZoneInfo('Europe/London')):%Y-%m-%dT%H:%M:%S}"


def put_into_a_rack(api: Api, tubes: list[str]) -> tuple[str, str]:
    """Store tubes in a box of a rack, each in its slot; return (rack, box)."""
    admin = api.test_bank.act("admin")

    def work(session: Any) -> tuple[str, str]:
        rack = add_container(session, admin, ContainerCreate(site="LAB", kind="rack", name="Rack 7")).code
        return rack, make_box(session, admin, name="Box 3", parent=rack).code

    rack, box = api.test_bank.write(work)
    for tube, slot in zip(tubes, ("A1", "B2", "C3"), strict=False):
        seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
        answer = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "position": slot, "expected_seq": seq})
        assert answer.status_code == 201, answer.text
    return rack, box


def test_a_clinician_asks_while_seeing_what_there_is_and_quality_decides_with_a_signature(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=3)
    usable, held, _another = story.vials
    hold = {"scope_kind": "specimen", "scope_id": held, "kind": "temperature", "reason": "found_warm"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201

    clinician = signed_in("clinician", "/withdrawals/new")
    scan(clinician, story.donor)
    expect(clinician.locator("#feasibility")).to_contain_text("2 of 3 tubes can be used now")
    clinician.locator("[name=units]").fill("1")
    clinician.locator("form.filters [name=material]").select_option("adsc")
    clinician.locator("form.filters [name=route]").select_option("ship_frozen")
    expect(clinician.locator("#feasibility input[name=route]")).to_have_value("ship_frozen")
    expect(clinician.get_by_label(held)).to_be_disabled()
    clinician.get_by_label(usable).check()
    press(clinician, "Request")
    clinician.wait_for_url(re.compile(r"/withdrawals/WD\d\d-"))
    code = clinician.url.rsplit("/", 1)[1]

    quality = signed_in("quality", "/withdrawals/queue")
    card = quality.locator(f"#{code}")
    for text in ("Nothing against it", story.donor, usable, "In force", "Released to bank", "US 351 IND"):
        expect(card).to_contain_text(text)
    card.get_by_role("link", name=f"Decide on {code}").click()
    quality.get_by_label("My password").fill("not my password at all")
    press(quality, "Sign: approve")
    expect(quality.locator(".banner.stop")).to_be_visible()
    assert api.quality.get(f"/withdrawals/{code}").json()["state"] == "requested"
    expect(quality.locator(".signature-statement")).to_contain_text(f"withdrawal {code} of {usable} for {story.donor}")
    quality.get_by_label("My password").fill(seed.PASSWORD)
    press(quality, "Sign: approve")
    expect(quality.get_by_text("Approved.", exact=True)).to_be_visible()
    expect(quality.locator(".step.done").nth(1)).to_contain_text(seed.USERS["quality"].code)
    assert state_of(api, usable)["reserved_for"] == code


def test_a_request_works_in_two_steps_without_javascript(api: Api, signed_in: Open) -> None:
    story = a_story(api)
    page = signed_in("clinician", "/withdrawals/new", java_script_enabled=False)
    page.locator("form.filters [name=donor]").fill(story.donor.lower())
    page.locator("form.filters [name=material]").select_option("adsc")
    page.locator("form.filters [name=route]").select_option("ship_frozen")
    press(page, "Show what is there")
    page.get_by_label(story.vials[0]).check()
    press(page, "Request")
    assert api.quality.get(f"/withdrawals/{page.url.rsplit('/', 1)[1]}").json()["specimens"] == story.vials


def test_what_stands_against_a_request_is_said_before_the_signature(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("request")
    hold = {"scope_kind": "donor", "scope_id": story.donor, "kind": "quality", "reason": "result_awaited"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    deviation = {
        "severity": "major",
        "topic": "tank_low",
        "site": "LAB",
        "description": "Level fell at night.",
        "affected": [{"kind": "specimen", "id": story.vials[0]}],
    }
    opened = api.quality.post("/deviations", json=deviation).json()["code"]
    page = signed_in("quality", f"/withdrawals/{story.code}/approve")
    expect(page.locator("main")).to_contain_text(opened)
    expect(page.locator(".banner.care")).to_contain_text("hold")
    page.get_by_label("My password").fill(seed.PASSWORD)
    press(page, "Sign: approve")
    expect(page.locator(".banner.stop")).to_contain_text("hold")


def test_a_pick_is_guided_scan_by_scan_and_confirmed_blind_on_another_device(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=2)
    tube, neighbour = story.vials
    rack, box = put_into_a_rack(api, story.vials)
    other_box = place_of(api, a_story(api).vials[0])
    story.up_to("approve")

    first = signed_in("lab_tech", f"/withdrawals/{story.code}/pick", **PHONE)
    expect(first.get_by_role("heading", level=1)).to_have_text("Scan the rack")
    expect(first.locator(".ask-target")).to_have_text("Rack 7")
    scan(first, rack)
    expect(first.get_by_role("heading", level=1)).to_have_text("Scan the box")
    scan(first, other_box)
    verdict(first, "no", "Not where it should be")
    expect(first.locator(".verdict .place-now")).to_contain_text("Close what you opened")
    assert evidence(api, "wrong_place") == 1
    scan(first, box)
    expect(first.get_by_role("heading", level=1)).to_have_text("Scan the place")
    expect(first.locator(".box-map td.lit")).to_contain_text("A1")
    scan(first, place_of(api, tube))
    expect(first.get_by_role("heading", level=1)).to_have_text("Scan the tube")
    scan(first, neighbour)
    verdict(first, "no", "Wrong tube")
    expect(first.locator(".verdict .place-now")).to_contain_text(place_of(api, neighbour))
    assert evidence(api, "wrong_specimen") == 1
    scan(first, tube)
    expect(first.get_by_role("heading", level=1)).to_have_text("Box back first")
    scan(first, box)
    verdict(first, "yes", "Everything is out")

    second = signed_in("lab_tech2", f"/withdrawals/{story.code}/confirm", **PHONE)
    expect(second.get_by_role("heading", level=1)).to_have_text("Scan the tube in the hand")
    assert tube not in second.content() and box not in second.content()
    scan(second, neighbour)
    verdict(second, "no", "Wrong tube")
    assert tube not in second.content()
    scan(second, tube)
    expect(second.get_by_text("Both of you scanned the same tube.")).to_be_visible()
    item = api.quality.get(f"/withdrawals/{story.code}").json()["items"][0]
    assert (item["picked"], item["confirmed"], item["state"]) == (True, True, "checked_out")


def test_the_one_who_took_the_tube_out_cannot_confirm_it(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("pick")
    page = signed_in("lab_tech", f"/withdrawals/{story.code}/confirm")
    verdict(page, "wait", "Another person, please")


def test_issue_and_receipt_by_scanning(api: Api, signed_in: Open) -> None:
    story = a_story(api, vials=2)
    story.request(specimens=story.vials)
    story.approve()
    for tube in story.vials:
        assert story.pick(tube=tube).status_code == 201
        assert story.confirm(tube=tube).status_code == 201
    bench = signed_in("lab_tech", f"/withdrawals/{story.code}")
    bench.locator(".acts a[href$='/issue']").click()
    press(bench, "Issue")
    expect(bench.get_by_text("Issued.", exact=True)).to_be_visible()
    nurse = signed_in("clinic_staff", f"/withdrawals/{story.code}/receive")
    scan(nurse, f"HTTPS://BANK.EXAMPLE/S/{story.vials[0]}")
    scan(nurse, story.vials[1])
    expect(nurse.locator("[data-scan-count]")).to_have_text("2 in the list")
    # The same label within two seconds is the same pull of the trigger.
    nurse.wait_for_function("(since) => performance.now() - since > 2000", arg=nurse.evaluate("performance.now()"))
    scan(nurse, story.vials[0])
    expect(nurse.locator("#scan-status")).to_contain_text("in the list already")
    nurse.locator("[name=container_intact]").select_option("true")
    nurse.locator("[name=label_legible]").select_option("true")
    press(nurse, "Receive")
    expect(nurse.get_by_text("Received.", exact=True)).to_be_visible()
    assert {state_of(api, tube)["state"] for tube in story.vials} == {"delivered"}


def at_the_bedside(api: Api, signed_in: Open) -> tuple[Story, Page, Page, str]:
    """A thawed tube at the clinic, two people with a device each, and the band on the patient."""
    story = a_story(api).up_to("thaw")
    band = donors.band(api, story.donor)
    address = f"/withdrawals/{story.code}/check"
    return story, signed_in("clinician", address, **PHONE), signed_in("clinic_staff", address, **PHONE), band


def test_two_people_on_two_devices_agree_and_it_is_given_and_its_outcome_recorded(api: Api, signed_in: Open) -> None:
    story, doctor, nurse, band = at_the_bedside(api, signed_in)
    tube = story.vials[0]
    expect(doctor.locator("[data-until] [data-left]")).to_have_text(re.compile(r"^(\d+ h )?\d+ min left$"))
    scan(doctor, band)
    scan(doctor, tube)
    verdict(doctor, "wait", "Wait")
    expect(nurse.get_by_role("heading", level=1)).to_have_text("Your turn: band, then product")
    assert tube not in nurse.content() and band not in nurse.content()
    scan(nurse, band)
    scan(nurse, tube)
    verdict(nurse, "yes", "YES")
    verdict(doctor, "yes", "YES")
    for page in (doctor, nurse):
        for person in ("clinician", "clinic_staff"):
            expect(page.locator(".verdict")).to_contain_text(seed.USERS[person].code)

    doctor.get_by_role("link", name="Administer").click()
    expect(doctor.get_by_role("heading", level=1)).to_contain_text("Administer")
    scan(doctor, tube)
    doctor.locator("[name=given]").fill("4.7 M")
    doctor.locator("[name=residue]").fill("200 k")
    doctor.locator("[name=volume_ul]").fill("1.5")
    doctor.locator("[name=anatomical_site]").fill("scalp")
    doctor.locator("[name=started_at]").fill(began())
    doctor.locator("[name=reaction]").select_option("false")
    expect(doctor.locator("[data-balance-text]")).to_contain_text("Still to account for: 100\u202f000 cells.")
    doctor.locator("[name=loss]").fill("0")
    press(doctor, "Administer")
    expect(doctor.locator(".banner.stop")).to_contain_text("Amounts do not add up")
    doctor.locator("[name=loss]").fill("100000")
    expect(doctor.locator("[data-balance-text]")).to_have_text("Everything in the tube is accounted for.")
    doctor.locator("[name=residue_went]").select_option("discarded")
    press(doctor, "Administer")
    expect(doctor.get_by_text("Given.", exact=True)).to_be_visible()
    doctor.locator(".acts a[href$='/outcome']").click()
    doctor.locator("[name=result]").select_option("as_expected")
    press(doctor, "Record the outcome")
    expect(doctor.locator(".step.done")).to_have_count(9)
    assert api.quality.get(f"/withdrawals/{story.code}").json()["state"] == "closed"


def test_another_persons_band_stops_both_devices_until_quality_has_looked(api: Api, signed_in: Open) -> None:
    story, doctor, nurse, band = at_the_bedside(api, signed_in)
    stranger = donors.band(api, a_story(api).donor)
    tube = story.vials[0]
    scan(doctor, band)
    scan(doctor, tube)
    verdict(doctor, "wait", "Wait")
    expect(nurse.get_by_role("heading", level=1)).to_contain_text("Your turn")
    scan(nurse, stranger)
    scan(nurse, tube)
    verdict(nurse, "no", "STOP. Give nothing.")
    verdict(doctor, "no", "STOP. Give nothing.")
    for page in (doctor, nurse):
        expect(page.locator(".verdict .place-now")).to_contain_text("Keep the product cold and apart")
        expect(page.locator(".verdict")).to_contain_text(tube)
    assert evidence(api, "wrong_recipient") == 1
    assert [hold["kind"] for hold in api.quality.get(f"/specimens/{tube}").json()["holds"]] == ["identity"]

    # The tube is on hold: no further check would be accepted, so none is asked for.
    for page in (doctor, nurse):
        expect(page.locator("[name=wristband]")).to_have_count(0)


def test_another_persons_tube_stops_everything_also_without_javascript(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("thaw")
    other = a_story(api).vials[0]
    page = signed_in("clinician", f"/withdrawals/{story.code}/check", java_script_enabled=False)
    page.locator("[name=wristband]").fill(donors.band(api, story.donor))
    page.locator("[name=product]").fill(other)
    press(page, "Bedside check")
    verdict(page, "no", "STOP. Give nothing.")
    assert evidence(api, "wrong_recipient") == 1


def test_a_frozen_tube_is_taken_back_on_the_record_of_its_journey(api: Api, signed_in: Open) -> None:
    story = a_story(api).up_to("receive")
    passed_tests_of(api, story.vials[0])
    page = signed_in("quality", f"/withdrawals/{story.code}/return")
    rows = f"Time zone;UTC+00:00\nDate;Time;Temp °C\n{clock.now():%d.%m.%Y;%H:%M:%S};-150,0\n"
    page.locator("#f-logger_sha256").set_input_files(
        {"name": "logger.csv", "mimeType": "application/vnd.ms-excel", "buffer": rows.encode()}
    )
    expect(page.get_by_text("Kept: logger.csv.")).to_be_visible()
    expect(page.locator("[name=logger_sha256]")).to_have_value(re.compile("^[0-9a-f]{64}$"))
    scan(page, story.vials[0])
    page.locator("[name=site]").select_option("LAB")
    page.locator("[name=reason]").fill("treatment_postponed")
    page.locator("[name=quality]").select_option("released_to_bank")
    page.get_by_label("My password").fill(seed.PASSWORD)
    press(page, "Sign: take back")
    expect(page.get_by_text("Taken back.", exact=True)).to_be_visible()
    assert state_of(api, story.vials[0])["state"] == "received"
