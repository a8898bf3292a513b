"""A rejection is turned round by two people of quality over a closed investigation, and by nothing else."""

from tests.conftest import Api
from tests.quality.test_failures import failed
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals.stories import Story, a_story, kinds_of, refused, sign_and_post, state_of

RELEASE = {"decision": "released_to_bank", "reason": "looks_fine"}


def closed(api: Api, code: str) -> None:
    """The deviation is investigated and closed."""
    rejected = {"disposition": "rejected", "reason": "failed"}
    answer = sign_and_post(api.quality, "decided", f"/deviations/{code}/dispositions", rejected)
    assert answer.status_code == 200, answer.text
    said = {"cause": "laboratory_error", "decision": "retested", "corrective_action": "The laboratory changed its medium."}
    answer = sign_and_post(api.quality, "closed", f"/deviations/{code}/close", said)
    assert answer.status_code == 200, answer.text


def test_no_route_of_one_person_frees_what_a_test_rejected(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("request")
    lot = failed(api, story)
    assert report(api, lot, result="passed", **REPORT).status_code == 201
    (hold,) = (one for one in api.quality.get("/holds", params={"active": True}).json()["items"] if one["scope_id"] == lot)

    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "looks_fine"})
    refused(lifted, 409, "held_by_failed_test")
    conditional = RELEASE | {"decision": "released_conditionally", "notification_plan": "Call the clinic."}
    for path in (f"/lots/{lot}/decision", f"/specimens/{story.vials[0]}/decision"):
        for decision in (RELEASE, conditional):
            refused(sign_and_post(api.quality, "released", path, decision), 409, "rejection_stands")
    assert {state_of(api, one)["quality"] for one in story.vials} == {"rejected"}


def test_two_of_quality_reopen_a_rejection_over_a_closed_investigation(api: Api) -> None:
    story: Story = a_story(api, 2, lot=True).up_to("request")
    lot = failed(api, story)
    (deviation,) = api.quality.get("/deviations").json()["items"]
    body = {"deviation": deviation["code"], "reason": "laboratory_error"}
    path = f"/lots/{lot}/reopen"

    refused(sign_and_post(api.quality, "decided", path, body), 409, "lot_test_failed")
    assert report(api, lot, result="passed", **REPORT).status_code == 201
    refused(sign_and_post(api.quality, "decided", path, body), 409, "investigation_missing")
    closed(api, deviation["code"])
    proposed = sign_and_post(api.quality, "decided", path, body).json()
    completing = body | {"pending_act": proposed["pending_act"]}
    refused(sign_and_post(api.quality, "decided", path, completing), 403, "second_person_must_differ")
    done = sign_and_post(api.quality2, "decided", path, completing)

    assert done.status_code == 200, done.text
    assert (len(done.json()["items"]), done.json()["holds_lifted"]) == (2, 1)
    assert {state_of(api, one)["quality"] for one in story.vials} == {"quarantined"}
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.reopened"
    refused(sign_and_post(api.quality2, "decided", path, body), 409, "not_rejected")


def test_one_unit_of_a_rejected_lot_is_reopened_alone_and_the_hold_of_the_lot_stays(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("request")
    lot = failed(api, story)
    (deviation,) = api.quality.get("/deviations").json()["items"]
    assert report(api, lot, result="passed", **REPORT).status_code == 201
    closed(api, deviation["code"])
    body = {"deviation": deviation["code"], "reason": "laboratory_error"}
    path = f"/specimens/{story.vials[0]}/reopen"

    proposed = sign_and_post(api.quality, "decided", path, body).json()
    done = sign_and_post(api.quality2, "decided", path, body | {"pending_act": proposed["pending_act"]})

    assert done.status_code == 200, done.text
    assert ([one["specimen"] for one in done.json()["items"]], done.json()["holds_lifted"]) == ([story.vials[0]], 0)
    assert [state_of(api, one)["quality"] for one in story.vials] == ["quarantined", "rejected"]
    (hold,) = (one for one in api.quality.get("/holds", params={"active": True}).json()["items"] if one["scope_id"] == lot)
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "looks_fine"})
    refused(lifted, 409, "held_by_failed_test")
