"""A tube in the hand at a thaw, in a box that arrived or among what came back, that is none of the withdrawal's: a STOP."""

from collections.abc import Callable

import pytest

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_story, holds_of, own_notices, refused, sign_and_post

Act = Callable[[Story, Story], object]


def at_the_chair(story: Story, other: Story) -> None:
    said = refused(story.thaw(tube=other.vials[0]), 409, "wrong_specimen")
    assert said["detail"].startswith("STOP. ") and "quality is called" in said["detail"]


def in_the_box(story: Story, other: Story) -> None:
    refused(story.receive(tubes=[story.vials[0], other.vials[0]]), 409, "wrong_specimen")


def among_what_came_back(story: Story, other: Story) -> None:
    refused(story.take_back(tube=other.vials[0], quality="quarantined"), 409, "wrong_specimen")


WAYS: dict[str, tuple[str, Act]] = {
    "at the thaw": ("receive", at_the_chair),
    "in the box": ("issue", in_the_box),
    "came back": ("receive", among_what_came_back),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_scanned_is_held_and_goes_no_way_on_and_quality_is_called_by_name(api: Api, way: str) -> None:
    reached, act = WAYS[way]
    story, other = a_story(api, 2).up_to(reached), a_story(api, 2).up_to(reached)
    act(story, other)
    assert [(one["kind"], one["reason"]) for one in holds_of(api, other.vials[0])] == [("identity", "another_tube_in_hand")]
    assert holds_of(api, story.vials[0]) == []
    (found,) = api.quality.get("/deviations", params={"open": True}).json()["items"]
    assert (found["topic"], found["severity"]) == ("another_tube_in_hand", "critical")
    for login in ("lab_quality",) if way == "came back" else ("quality", "lab_quality"):
        assert [one["about"] for one in own_notices(api, login)] == [story.code]
    # "Right" at the next scan changes nothing for the other person: it is not theirs to say.
    if reached == "issue":
        assert other.receive().status_code == 200
    refused(other.thaw(), 409, "on_hold")


def test_a_release_that_two_made_before_ends_with_it(api: Api) -> None:
    story, other = a_story(api, 3), a_story(api, 2).up_to("receive")
    story.two_to_the_clinic()
    assert story.thaw().status_code == 200
    assert story.check().status_code == story.check(api.clinic_staff).status_code == 201
    refused(story.thaw(tube=other.vials[0]), 409, "wrong_specimen")
    refused(story.administer(), 409, "release_ended")
    # And what one had read alone is nobody's half any more.
    assert story.check(api.clinic_staff).json()["release"] is None


def test_another_tube_of_the_same_person_is_held_too(api: Api) -> None:
    story = a_story(api, 3).up_to("receive")
    refused(story.thaw(tube=story.vials[1]), 409, "wrong_specimen")
    assert [one["kind"] for one in holds_of(api, story.vials[1])] == ["identity"]
    assert story.thaw().status_code == 200


def test_what_is_no_tube_of_this_bank_holds_nothing_and_is_evidence(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    assert story.thaw(tube="AD26-0000000-Z").status_code in (404, 409, 422)
    assert holds_of(api, story.vials[0]) == []


def test_whose_scan_it_was_does_not_lift_the_hold(api: Api) -> None:
    story, other = a_story(api, 2).up_to("receive"), a_story(api, 2).up_to("receive")
    refused(story.thaw(api.acts_here, tube=other.vials[0]), 409, "wrong_specimen")
    (hold,) = holds_of(api, other.vials[0])
    lift = f"/holds/{hold['id']}/lift"
    refused(sign_and_post(api.acts_here, "hold_lifted", lift, {"reason": "reviewed"}), 403, "not_independent")
    assert sign_and_post(api.quality, "hold_lifted", lift, {"reason": "reviewed"}).status_code == 200


def test_on_the_page_the_stop_is_said_in_words_and_quality_finds_it_on_today(api: Api, visit: Visit) -> None:
    story, other = a_story(api, 2).up_to("receive"), a_story(api, 2).up_to("receive")
    form = {"tube": other.vials[0], "method": "water bath 37 C"}
    answer = visit("clinic_staff").submit(f"/withdrawals/{story.code}/thaw", form)
    assert "STOP." in answer.text and "It is held" in answer.text
    assert [one["kind"] for one in holds_of(api, other.vials[0])] == ["identity"]
    assert story.code in visit("lab_quality").get_page("/")
