"""What is shipped thawed leaves under a label that was printed after the thaw and was scanned on the tube."""

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, holds_of, kinds_of, lift_all, own_notices, refused, sign_and_post, state_of
from tests.withdrawals.test_told import told


def count(api: Api, story: Story, live: int = 95) -> None:
    """A count after the thaw."""
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    body = {"method": "ao_pi", "live": live, "dead": 100 - live, "minutes_after_thaw": 1, "expected_seq": seq}
    answer = api.lab_tech.post(f"/specimens/{story.vials[0]}/viability-assays", json=body)
    assert answer.status_code == 201, answer.text


def thawed(api: Api, *, counted: bool = True, before: bool = False) -> Story:
    """A vial that was thawed to be shipped; `before`: its label was printed before that."""
    demand(api)
    story = a_story(api, 2)
    if before:
        story.scans["before"] = story.print_label(reason="first_print")
    assert story.request(route="thaw_and_ship").status_code == 201
    for name in ("approve", "pick", "confirm"):
        answer = getattr(story, name)()
        assert answer.status_code in (200, 201), answer.text
    assert story.thaw(api.lab_tech).status_code == 200
    if counted:
        count(api, story)
    return story


def test_it_leaves_once_its_final_label_was_scanned_on_it_and_whoever_waits_is_told(api: Api) -> None:
    story = thawed(api)
    refused(story.issue(), 409, "final_label_missing")
    refused(story.label(scan=story.vials[0]), 409, "final_label_not_printed")
    scan = story.print_label()
    assert "withdrawal_ready" not in told(api.clinician, story)
    answer = story.label(scan=scan)
    assert answer.status_code == 200, answer.text
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.final_label_applied"
    assert told(api.clinician, story) == ["withdrawal_ready"]
    assert story.issue().json()["state"] == "issued"


def test_a_label_from_before_the_thaw_and_a_code_alone_are_no_final_label(api: Api) -> None:
    story = thawed(api, before=True)
    cap = story.print_label(template="cap-11")
    for scan in (story.scans["before"], story.vials[0]):
        refused(story.label(scan=scan), 409, "not_the_final_label")
    refused(story.issue(), 409, "final_label_missing")
    assert story.label(scan=cap).status_code == 200


def test_a_sheet_that_travels_with_the_tube_is_not_its_label(api: Api) -> None:
    story = thawed(api)
    sheet = story.print_label(template="accompanying-180x60")
    refused(story.label(scan=sheet), 409, "final_label_not_printed")


def test_a_label_printed_again_takes_the_place_of_the_one_on_the_tube(api: Api) -> None:
    story = thawed(api)
    first = story.print_label()
    assert story.label(scan=first).status_code == 200
    second = story.print_label(reason="damaged")
    refused(story.issue(), 409, "final_label_missing")
    refused(story.label(scan=first), 409, "label_superseded")
    assert story.label(scan=second).status_code == 200
    assert story.issue().status_code == 200


def test_no_final_label_before_the_count_passed(api: Api) -> None:
    story = thawed(api, counted=False)
    scan = story.print_label()
    refused(story.label(scan=scan), 409, "count_after_thaw_missing")
    count(api, story, live=5)
    assert "given its final label" in refused(story.label(scan=scan), 409, "on_hold")["detail"]


def test_the_label_of_another_tube_is_evidence_and_a_frozen_route_has_none(api: Api) -> None:
    story, other = thawed(api), a_story(api, 2).up_to("confirm")
    story.print_label()
    refused(story.label(scan=other.print_label(reason="first_print")), 409, "wrong_specimen")
    assert "wrong_specimen" in {one["code"] for one in api.auditor.get("/attempts").json()["items"]}
    assert other.label(scan=other.vials[0]).status_code == 409


def test_two_final_labels_that_were_swapped_hold_both_tubes_and_quality_is_called(api: Api, visit: Visit) -> None:
    story, other = thawed(api), thawed(api)
    own, swapped = story.print_label(), other.print_label()
    refused(story.label(scan=swapped), 409, "wrong_specimen")
    refused(other.label(scan=own), 409, "wrong_specimen")
    for one, scan in ((story, own), (other, swapped)):
        assert [each["kind"] for each in holds_of(api, one.vials[0])] == ["identity"]
        refused(one.label(scan=scan), 409, "on_hold")
        assert one.issue().status_code == 409
    found = own_notices(api, "lab_quality")
    assert {one["about"] for one in found if one["reason"] == "another_tubes_final_label"} == {story.code, other.code}
    (hold,) = (one["id"] for one in holds_of(api, story.vials[0]))
    refused(sign_and_post(api.lab_tech, "hold_lifted", f"/holds/{hold}/lift", {"reason": "reviewed"}), 403, "not_permitted")
    lift_all(api, story.vials[0])
    assert story.label(scan=own).status_code == 200


def test_whoever_handles_no_tubes_at_the_bank_puts_no_label_on(api: Api) -> None:
    story = thawed(api)
    refused(story.label(api.clinician), 403, "not_permitted")


def test_the_pages_lead_from_the_count_over_the_print_to_the_scan(api: Api, visit: Visit) -> None:
    story = thawed(api, counted=False)
    page = visit("lab_tech")
    here = f"/withdrawals/{story.code}"
    assert f"/specimens/{story.vials[0]}/assay" in page.get_page("/")
    assert f'href="/specimens/{story.vials[0]}/assay"' in page.get_page(here)
    read = api.lab_tech.get(here).json()
    assert read["waits_for"] == [f"{story.vials[0]}: count it and put its final label on"]
    count(api, story)
    assert f'href="/labels/{story.vials[0]}?reason=final_label"' in page.get_page(here)
    assert f"/labels/{story.vials[0]}?reason=final_label" in page.get_page("/")
    assert "its final label" in page.get_page(f"/labels/{story.vials[0]}?reason=final_label")
    printed = {"template": "cryovial-25x13", "reason": "final_label", "format": "pdf", "dpi": "300"}
    assert page.submit(f"/labels/{story.vials[0]}", printed).status_code == 200
    assert f"{here}/label" in page.get_page("/") and f'href="{here}/label"' in page.get_page(here)
    assert page.submit(f"{here}/label", {"tube": f"{story.vials[0]}-01"}).url.path == here
    assert f"{here}/issue" in page.get_page("/")
    assert state_of(api, story.vials[0])["condition"] == "thawed"
