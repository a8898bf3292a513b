"""What nobody does alone on the way, and what is refused or told before it is a dead end."""

from functools import partial

import pytest
from sqlalchemy import text
from sqlmodel import Session

from tests.conftest import Api, Client
from tests.factories import make_box
from tests.pages.visitor import Visit
from tests.viability.test_reports import demand
from tests.withdrawals.stories import (
    Story,
    a_story,
    approve,
    bank_vials,
    of_one_person,
    place_of,
    refused,
    state_of,
)
from tests.withdrawals.test_label_text import by_label
from tests.withdrawals.test_stands_still import looked
from tests.withdrawals.test_told import told
from tests.withdrawals.wrongs import AT_NORTH


def at_north(api: Api, vial: str) -> None:
    """The vial is kept and lies at another bank."""
    for moved in AT_NORTH:
        api.test_bank.write(partial(Session.execute, statement=text(moved), params={"code": vial}))


def test_what_two_banks_keep_is_asked_for_at_each_by_itself(api: Api) -> None:
    story = a_story(api, 3)
    at_north(api, story.vials[0])
    refused(story.request(specimens=story.vials[:2]), 409, "kept_by_several_banks")
    assert story.request(specimens=story.vials[1:]).status_code == 201
    chosen = a_story(api, 3)
    at_north(api, chosen.vials[0])
    assert chosen.request(specimens=[], units=2).status_code == 201
    assert api.clinician.get(f"/withdrawals/{chosen.code}").json()["specimens"] == sorted(chosen.vials[1:])
    refused(chosen.request(specimens=[], units=3), 409, "kept_by_several_banks")


def missing(api: Api, vial: str) -> None:
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {"kind": "specimen.missing", "reason": "not_found", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=body).status_code == 201


def test_a_reserved_vial_that_is_missing_stops_its_withdrawal_and_takes_back_that_it_is_ready(api: Api) -> None:
    story = a_story(api, 3).up_to("confirm")
    assert told(api.clinician, story) == ["withdrawal_ready"]
    missing(api, story.vials[0])
    assert looked(api) == 1
    assert told(api.clinician, story) == ["withdrawal_stopped"]


def test_what_is_read_on_a_tube_singles_it_out_among_all_of_its_donor(api: Api) -> None:
    story = a_story(api, 2, unit_number=3).up_to("approve")
    other = bank_vials(api, story.donor, 1, unit_number=3)
    assert other != story.vials
    place = place_of(api, story.vials[0])
    number = {"unit_number": 3, "code": None}
    refused(by_label(story, api.lab_tech, place=place, label=number), 422, "label_text_too_little")
    assert by_label(story, api.lab_tech, place=place).status_code == 201


def test_whoever_approved_it_neither_thaws_nor_counts_it_afterwards(api: Api) -> None:
    demand(api)
    story = a_story(api, 3)
    assert story.request(route="thaw_and_ship").status_code == 201
    assert story.approve(api.acts_here).status_code == 200
    assert story.pick().status_code == story.confirm().status_code == 201
    of_one_person(api, "acts_here", "lab_tech2")
    for own in (api.acts_here, api.lab_tech2):
        refused(story.thaw(own), 403, "not_independent")
    assert story.thaw(api.lab_tech).status_code == 200
    counted(api, story, api.acts_here)
    assert "Somebody else counts" in refused(story.label(), 409, "count_after_thaw_missing")["detail"]
    counted(api, story, api.lab_tech)
    for own in (api.acts_here, api.lab_tech2):
        refused(story.label(own), 403, "not_independent")
    assert story.label().status_code == 200


def test_whoever_approved_it_is_shown_neither_thaw_nor_count_nor_label_and_is_not_sent_to_them(api: Api, visit: Visit) -> None:
    demand(api)
    story = a_story(api, 3)
    assert story.request(route="thaw_and_ship").status_code == 201
    assert story.approve(api.acts_here).status_code == 200
    assert story.pick().status_code == story.confirm().status_code == 201
    own, other, here = visit("acts_here"), visit("lab_tech"), f"/withdrawals/{story.code}"
    assert f"{here}/thaw" in other.get_page(here) and f"{here}/thaw" not in own.get_page(here)
    assert story.thaw(api.lab_tech).status_code == 200
    assay = f"/specimens/{story.vials[0]}/assay"
    assert f'href="{assay}"' in other.get_page(here) and f'href="{assay}"' not in own.get_page(here)
    assert assay in other.get_page("/") and assay not in own.get_page("/")
    counted(api, story, api.lab_tech)
    story.print_label()
    assert f"{here}/label" in other.get_page(here) and f"{here}/label" not in own.get_page(here)


def test_whoever_approved_it_may_issue_what_two_picked_and_be_one_of_two_at_the_bedside(api: Api, visit: Visit) -> None:
    story = a_story(api, 3)
    assert story.request().status_code == 201
    assert story.approve(api.acts_here).status_code == 200
    assert story.pick().status_code == story.confirm().status_code == 201
    page, here = visit("acts_here"), f"/withdrawals/{story.code}"
    assert f"{here}/issue" in page.get_page(here)
    assert story.issue(api.acts_here).status_code == 200
    assert story.receive().status_code == story.thaw().status_code == 200
    assert f"{here}/check" in page.get_page(here)
    assert story.check(api.acts_here).status_code == 201
    assert story.check(api.acts_here).json()["release"] is None, "one of two, never both"
    assert story.check(api.clinic_staff).json()["release"] is not None


@pytest.mark.parametrize("signed", ["first of two", "before it was looked at again"])
def test_whoever_ever_signed_the_approval_does_not_thaw(api: Api, signed: str) -> None:
    story = a_story(api, 1 if signed == "first of two" else 3)
    assert story.request().status_code == 201
    if signed == "first of two":
        assert approve(api, story.code, api.acts_here, api.quality).json()["status"] == "done"
    else:
        assert approve(api, story.code, api.acts_here).json()["status"] == "done"
        assert api.clinician.post(f"/donors/{story.donor}/allergies", json={"substance": "dmso"}).status_code == 201
        assert approve(api, story.code, api.quality).json()["status"] == "done"
    for step in (story.pick, story.confirm, story.issue, story.receive):
        assert step().status_code in (200, 201)

    refused(story.thaw(api.acts_here), 403, "not_independent")


def counted(api: Api, story: Story, who: Client) -> None:
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    body = {"method": "ao_pi", "live": 95, "dead": 5, "minutes_after_thaw": 1, "expected_seq": seq}
    answer = who.post(f"/specimens/{story.vials[0]}/viability-assays", json=body)
    assert answer.status_code == 201, answer.text


def test_the_clinics_people_put_a_stopped_tube_into_a_place_of_safety(api: Api) -> None:
    story, other = a_story(api, 2).up_to("thaw"), a_story(api, 2).up_to("check")
    refused(story.check(wristband=other.band), 409, "wrong_recipient")
    admin = api.test_bank.act("admin")

    def a_place(purpose: str) -> str:
        return str(api.test_bank.write(lambda s: make_box(s, admin, site="CLINIC", purpose=purpose, name=purpose).code))

    fridge, shelf = a_place("quarantine"), a_place("storage")
    for place, right in ((shelf, 403), (fridge, 201)):
        seq = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
        body = {"container": place, "expected_seq": seq}
        answer = api.clinic_staff.post(f"/specimens/{story.vials[0]}/store", json=body)
        assert answer.status_code == right, answer.text
    assert state_of(api, story.vials[0])["container_code"] == fridge
