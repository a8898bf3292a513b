"""An approval stands for what is there until the tubes leave; when that changed, quality looks at it again and signs."""

from collections.abc import Callable

import httpx
import pytest

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_missing import told
from tests.seed import PASSWORD
from tests.withdrawals.stories import (
    AMOUNT,
    Story,
    a_donor,
    a_story,
    approve,
    bank_vials,
    kinds_of,
    later,
    named,
    refused,
    sealed,
    sign_and_post,
)
from tests.withdrawals.test_last_vial import reserve
from tests.withdrawals.test_picked_anew import event


def lose(api: Api, vial: str) -> None:
    """Somebody saw that it is broken: it is held and goes to nobody."""
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    seen = {"container_intact": False, "label_legible": True, "contents_as_expected": True}
    body = {"kind": "specimen.inspected", "expected_seq": seq} | seen
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=body).status_code == 201


def one_of_quality_approves(api: Api, story: Story) -> None:
    path = f"/withdrawals/{story.code}/approve"
    answer = sign_and_post(api.quality, "approved", path, named(api.quality, story.code))
    assert (answer.status_code, answer.json()["status"]) == (200, "done"), answer.text


@pytest.mark.parametrize("how", ["the rest is lost", "the reserve is raised"])
@pytest.mark.parametrize("step", ["pick", "confirm", "issue"])
def test_what_takes_the_last_unit_since_it_was_approved_by_one_waits_for_two(api: Api, step: str, how: str) -> None:
    story = a_story(api, 3)
    story.request()
    one_of_quality_approves(api, story)
    steps: dict[str, Callable[[], httpx.Response]] = {"pick": story.pick, "confirm": story.confirm, "issue": story.issue}
    for name, call in steps.items():
        if name == step:
            break
        assert call().status_code == 201
    if how == "the rest is lost":
        lose(api, story.vials[1])
        lose(api, story.vials[2])
    else:
        reserve(api, story.donor, 3)
    said = refused(steps[step](), 409, "approval_outdated")
    assert "Quality looks at it again" in said["detail"]
    read = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert read["waits_for"][0] == "quality to look at it again, with a signature"
    refused(
        sign_and_post(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(api.quality, story.code)),
        409,
        "remainder_unsaid",
    )
    assert approve(api, story.code).json()["status"] == "done"
    assert kinds_of(api, "withdrawal", story.code)[-2:] == ["withdrawal.remainder_accepted", "withdrawal.approval_renewed"]
    assert steps[step]().status_code in (200, 201)


def test_an_approval_that_stands_is_not_given_twice(api: Api) -> None:
    story = a_story(api, 3).up_to("pick")
    refused(approve(api, story.code), 409, "wrong_step")


def test_what_another_withdrawal_has_reserved_is_there_until_it_leaves(api: Api) -> None:
    donor = a_donor(api)
    vials = bank_vials(api, donor, 2)
    first, second = Story(api, donor, vials[:1]), Story(api, donor, vials[1:])
    first.request()
    one_of_quality_approves(api, first)
    second.request()
    assert approve(api, second.code).json()["status"] == "done", "two signed for the last"
    for story in (first, second):
        assert story.pick().status_code == 201
        assert story.confirm().status_code == 201
    assert second.issue().status_code == 200
    refused(first.issue(), 409, "approval_outdated")


def test_an_approval_lasts_for_the_days_that_the_bank_sets_and_is_given_anew(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    later(api, days=29)
    sealed(api)
    assert story.pick().status_code == 201
    later(api, days=2)
    sealed(api)
    assert "30 days ago" in refused(story.confirm(), 409, "approval_outdated")["detail"]
    one_of_quality_approves(api, story)
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.approval_renewed"
    assert story.confirm().status_code == 201
    assert story.issue().status_code == 200


def test_quality_finds_it_on_its_day_and_signs_on_the_page_that_says_what_changed(api: Api, visit: Visit) -> None:
    story = a_story(api, 3).up_to("confirm")
    later(api, days=31)
    sealed(api)
    page = visit("quality")
    address = f"/withdrawals/{story.code}/approve"
    assert address in page.get_page("/")
    assert "more than 30 days ago" in page.get_page(address)
    assert "issue it" not in visit("lab_tech").get_page(f"/withdrawals/{story.code}").lower()
    assert page.submit(address, {"password": PASSWORD}).url.path == f"/withdrawals/{story.code}"
    assert story.issue().status_code == 200


def test_less_in_the_tubes_than_was_asked_for_is_not_approved(api: Api) -> None:
    story = a_story(api, 3)
    assert story.request(minimum_amount=AMOUNT).status_code == 201
    event(api, story.vials[0], "events", kind="specimen.checked_out", purpose="testing")
    event(api, story.vials[0], "events", kind="specimen.sampled", amount=2_000_000, purpose="count")
    refused(approve(api, story.code), 409, "not_enough")


def test_an_allergy_that_was_recorded_since_is_looked_at_by_quality_before_anything_goes_on(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    answer = api.clinician.post(f"/donors/{story.donor}/allergies", json={"substance": "dmso"})
    assert answer.status_code == 201, answer.text
    assert "an allergy of the recipient was recorded" in refused(story.pick(), 409, "approval_outdated")["detail"]
    one_of_quality_approves(api, story)
    assert story.pick().status_code == 201


def test_an_allergy_is_told_to_those_who_treat_and_to_quality_while_cells_are_on_their_way(api: Api) -> None:
    story = a_story(api, 3).up_to("receive")
    earlier = a_story(api, 3).up_to("request")
    for donor in (story.donor, earlier.donor):
        assert api.clinician.post(f"/donors/{donor}/allergies", json={"substance": "dmso"}).status_code == 201
    for login in ("clinic_staff", "clinician2", "lab_quality"):
        assert ("withdrawal_allergy", story.code) in told(api, login)
        assert ("withdrawal_allergy", earlier.code) not in told(api, login)
    assert told(api, "north_tech") == told(api, "other_clinician") == []
