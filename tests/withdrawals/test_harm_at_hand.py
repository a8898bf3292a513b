"""What was seen with a withdrawal stops the tubes of it that can still be given, whatever its cause is said to be."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.quality.test_decisions import lot_of
from tests.withdrawals.stories import Story, a_story, by_two, refused, sign_and_post
from tests.withdrawals.test_adverse import JUDGED, holds, record

NOT_THE_LOT = {"in_lot": False}


def at_the_chair(api: Api, **banked: Any) -> Story:
    """Two tubes of one withdrawal, thawed; the first has a release."""
    story = a_story(api, 4, **banked)
    pair = story.vials[:2]
    assert story.request(specimens=pair).status_code == 201
    assert story.approve().status_code == 200
    for tube in pair:
        assert story.pick(tube=tube).status_code == story.confirm(tube=tube).status_code == 201
    assert story.issue().status_code == story.receive(tubes=pair).status_code == 200
    for tube in pair:
        assert story.thaw(tube=tube).status_code == 200
    assert story.check().status_code == story.check(api.clinic_staff).status_code == 201
    return story


def the_event(api: Api) -> str:
    """The address of the one event on record."""
    (one,) = api.quality.get("/adverse-events").json()["items"]
    return f"/adverse-events/{one['deviation']}"


def test_a_serious_event_about_the_tube_that_is_about_to_be_given_stops_it(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("check")
    assert record(api, story, kind="event", **NOT_THE_LOT).status_code == 201
    assert holds(api) == {story.vials[0]: "specimen"}, "its siblings are not concerned"
    refused(story.administer(), 409, "on_hold")
    refused(story.check(), 409, "on_hold")

    hold = api.quality.get("/holds", params={"active": True}).json()["items"][0]["id"]
    lift = {"reason": "reviewed"}
    refused(sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold}/lift", lift), 409, "held_by_adverse_event")
    judged = JUDGED | {"causality": "unrelated"} | NOT_THE_LOT
    assert by_two(api.quality, api.quality2, f"{the_event(api)}/assess", judged).json()["status"] == "done"
    assert sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold}/lift", lift).status_code == 200
    refused(story.administer(), 409, "release_ended")
    assert story.check().status_code == story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200


@pytest.mark.parametrize("seriousness", ["serious", "not_serious"])
def test_after_a_reaction_to_the_first_tube_the_second_is_not_given(api: Api, seriousness: str) -> None:
    story = at_the_chair(api, lot=True)
    other = story.vials[1]
    assert story.check(product=other).status_code == 201
    assert story.administer().status_code == 200
    assert story.check(api.clinic_staff, product=other).status_code == 201
    assert record(api, story, seriousness=seriousness, **NOT_THE_LOT).status_code == 201
    assert holds(api) == {other: "specimen"}
    refused(story.administer(product=other), 409, "on_hold")
    refused(story.check(product=other), 409, "on_hold")


def test_what_the_lot_holds_already_is_not_held_twice(api: Api) -> None:
    story = at_the_chair(api, lot=True)
    assert story.administer(reaction=True).status_code == 200
    assert holds(api) == {lot_of(api, story.vials[0]): "lot"}
    refused(story.check(product=story.vials[1]), 409, "on_hold")


def test_a_judgement_that_makes_it_serious_holds_what_is_at_hand_again(api: Api) -> None:
    story = at_the_chair(api)
    assert record(api, story, kind="event", seriousness="not_serious", **NOT_THE_LOT).status_code == 201
    assert holds(api) == {}, "spilt on the table"
    judged = JUDGED | NOT_THE_LOT
    assert sign_and_post(api.quality, "decided", f"{the_event(api)}/assess", judged).json()["held"] == 2
    assert set(holds(api)) == set(story.vials[:2])
    refused(story.administer(), 409, "on_hold")
