"""A tube that failed is replaced, and may be destroyed; the one instead of it passes every guard from the request on."""

from collections.abc import Callable

import pytest

from tests.conftest import Api
from tests.withdrawals.stories import Story, a_donor, a_story, bank_vials, kinds_of, refused, sign_and_post, state_of
from tests.withdrawals.test_offered import and_then, hold, revoke
from tests.withdrawals.test_on_the_way import broken


def replaced(story: Story, by: str, client: str = "clinician") -> Story:
    """Ask for `by` instead of the first vial."""
    body = {"tube": story.vials[0], "by": by, "reason": "found_broken"}
    answer = getattr(story.api, client).post(f"/withdrawals/{story.code}/replace", json=body)
    return Story(story.api, story.donor, [by], code=answer.json().get("code", ""), answers=[answer])


def test_a_failed_reserved_vial_is_replaced_and_destroyed_and_the_other_one_is_approved_anew(api: Api) -> None:
    story = a_story(api, vials=3).up_to("confirm")
    broken(api, story)
    refused(story.issue(), 409, "on_hold")

    other = replaced(story, story.vials[1])

    assert (other.answers[0].status_code, other.answers[0].json()["state"]) == (201, "requested"), other.answers[0].text
    assert api.clinician.get(f"/withdrawals/{story.code}").json()["state"] == "cancelled"
    assert [state_of(api, vial)["reserved_for"] for vial in story.vials] == [None] * 3
    refused(other.pick(), 409, "wrong_step")
    and_then(other, "approve", "pick", "confirm", "issue", "receive", "thaw", "check")
    assert other.check(api.clinic_staff).status_code == 201 and other.administer().status_code == 200
    seq = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    gone = {"reason": "damaged", "expected_seq": seq}
    answer = sign_and_post(api.quality, "decided", f"/specimens/{story.vials[0]}/end", gone)
    assert answer.status_code in (200, 201), answer.text


def another_persons(api: Api, _story: Story) -> str:
    return bank_vials(api, a_donor(api))[0]


def held(api: Api, story: Story) -> str:
    hold(api, Story(api, story.donor, story.vials[1:]))
    return story.vials[1]


def its_own(_api: Api, story: Story) -> str:
    return story.vials[0]


def after_revocation(api: Api, story: Story) -> str:
    revoke(api, story)
    return story.vials[1]


def after_issue(_api: Api, story: Story) -> str:
    assert story.issue().status_code == 200
    return story.vials[1]


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        (another_persons, "another_persons_cells"),
        (held, "on_hold"),
        (its_own, "not_a_replacement"),
        (after_revocation, "consent_revoked"),
        (after_issue, "wrong_step"),
    ],
)
def test_what_could_not_be_asked_for_replaces_nothing(api: Api, chosen: Callable[[Api, Story], str], code: str) -> None:
    story = a_story(api, vials=2).up_to("confirm")
    by = chosen(api, story)
    before = kinds_of(api, "withdrawal", story.code)

    refused(replaced(story, by).answers[0], 403 if code == "not_permitted" else 409, code)
    refused(replaced(story, by, "clinic_staff").answers[0], 403, "not_permitted")

    assert kinds_of(api, "withdrawal", story.code) == before
    assert state_of(api, story.vials[0])["reserved_for"] == story.code
