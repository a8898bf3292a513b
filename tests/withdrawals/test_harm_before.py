"""What an earlier unit did to the donor is seen by whoever approves the next one, and holds what may share the cause."""

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_story, by_two, refused, sign_and_post
from tests.withdrawals.test_adverse import JUDGED, record


def the_next(api: Api, story: Story) -> Story:
    """Another withdrawal of the same donor, of the second vial."""
    other = Story(api, story.donor, story.vials[1:])
    assert other.request().status_code == 201
    return other


def test_the_approver_sees_the_reaction_to_an_earlier_unit_also_when_it_is_settled(api: Api, visit: Visit) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    assert record(api, story, in_lot=False).status_code == 201
    other = the_next(api, story)
    (one,) = api.quality.get("/adverse-events").json()["items"]
    picture = api.quality.get(f"/withdrawals/{other.code}/picture").json()["picture"]
    assert [found["code"] for found in picture["deviations"]] == [one["deviation"]]
    assert [(found["deviation"], found["withdrawal"]) for found in picture["harm"]] == [(one["deviation"], story.code)]
    drawn = visit("quality").get_page(f"/withdrawals/{other.code}/approve")
    assert one["deviation"] in drawn and "Reactions and events with this donor" in drawn
    # Who signed over a picture before it was judged signs over another afterwards.
    seen = api.quality.get(f"/withdrawals/{other.code}/picture").json()
    judged = JUDGED | {"in_lot": False}
    assert sign_and_post(api.quality, "decided", f"/adverse-events/{one['deviation']}/assess", judged).status_code == 200
    named = {"picture": seen["sha256"], "picture_at": seen["picture"]["seen_at"], "picture_parts": seen["parts"]}
    answer = refused(sign_and_post(api.quality, "approved", f"/withdrawals/{other.code}/approve", named), 409, "picture_changed")
    assert "adverse reactions and events" in answer["changed"]


def test_another_donors_reaction_is_not_shown(api: Api) -> None:
    story, stranger = a_story(api, 2).up_to("administer"), a_story(api, 2).up_to("request")
    assert record(api, story, in_lot=False).status_code == 201
    picture = api.quality.get(f"/withdrawals/{stranger.code}/picture").json()["picture"]
    assert (picture["harm"], picture["deviations"]) == ([], [])


def test_a_cause_that_may_lie_in_the_material_holds_until_its_deviation_is_closed(api: Api) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    assert record(api, story).status_code == 201
    (one,) = api.quality.get("/adverse-events").json()["items"]
    (hold,) = (each["id"] for each in api.quality.get("/holds", params={"active": True}).json()["items"])
    certain = JUDGED | {"causality": "certain"}
    assert sign_and_post(api.quality, "decided", f"/adverse-events/{one['deviation']}/assess", certain).status_code == 200
    lift = {"reason": "looks_fine"}
    refused(sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", lift), 409, "held_by_adverse_event")
    several = {"holds": [hold], "reason": "looks_fine"}
    assert sign_and_post(api.quality, "hold_lifted", "/holds/lift", several).status_code == 409
    unlikely = JUDGED | {"causality": "unlikely"}
    assert by_two(api.quality, api.quality2, f"/adverse-events/{one['deviation']}/assess", unlikely).json()["status"] == "done"
    assert sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold}/lift", lift).status_code == 200


def test_a_hold_of_another_kind_with_the_same_reason_keeps_nothing_from_being_held(api: Api) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    lot = api.lab_tech.get(f"/specimens/{story.vials[1]}").json()["lot"]
    body = {"scope_kind": "lot", "scope_id": lot, "kind": "legal", "reason": "adverse_event"}
    assert api.quality.post("/holds", json=body).status_code == 201
    assert record(api, story).status_code == 201
    asked = Story(api, story.donor, story.vials[1:]).request()
    assert (asked.status_code, asked.json()["code"]) == (409, "on_hold"), asked.text


def test_what_cells_did_is_said_of_cells_that_were_given(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    for result in ("as_expected", "no_effect"):
        refused(story.outcome(result=result, close=False), 409, "nothing_given")
    assert story.outcome(result="not_administered", close=False).status_code == 200
    given = a_story(api, 2).up_to("administer")
    refused(given.outcome(result="not_administered"), 409, "something_was_given")
    assert given.outcome().status_code == 200
