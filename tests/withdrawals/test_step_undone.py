"""A step of a withdrawal is not undone alone; a giving that two of quality undo leads its withdrawal back."""

from base64 import b64encode

import httpx
import pytest

from tests.conftest import Api, Client
from tests.factories import make_box
from tests.withdrawals.stories import Story, a_story, by_two, kinds_of, refused, sealed, state_of
from tests.withdrawals.test_harm_at_hand import at_the_chair
from tests.withdrawals.test_told import told


def head_of(api: Api, tube: str) -> dict[str, str]:
    """The latest entry of a tube's record."""
    last: dict[str, str] = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    return last


def undo(client: Client, tube: str, head: dict[str, str]) -> httpx.Response:
    """Somebody undoes the latest entry, which was a change of state."""
    body = {"reverses": head["leaf_hash"], "reason": "wrong_tube", "expected_seq": head["seq"]}
    return client.post(f"/specimens/{tube}/reverse", json=body)


def undo_the_giving(api: Api, story: Story, tube: str) -> None:
    """Two of quality undo it on a file that shows it."""
    about = {"media_type": "application/pdf", "content": b64encode(b"%PDF-1.4 another tube").decode(), "donor": story.donor}
    proof = api.quality.post("/attachments", json=about).json()["sha256"]
    head = head_of(api, tube)
    body = {"expected_seq": head["seq"], "reverses": head["leaf_hash"], "reason": "wrong_tube", "evidence_sha256": proof}
    answer = by_two(api.quality, api.quality2, f"/specimens/{tube}/reverse", body, meaning="reversed")
    assert (answer.status_code, answer.json()["status"]) == (200, "done"), answer.text
    sealed(api)


@pytest.mark.parametrize(("step", "instead"), [("issue", "takes it back"), ("receive", "report it missing")])
def test_an_issue_and_a_receipt_are_not_undone_apart_from_their_withdrawal(api: Api, step: str, instead: str) -> None:
    story = a_story(api, 3).up_to(step)
    tube = story.vials[0]
    for client in (api.lab_tech, api.acts_here):
        said = refused(undo(client, tube, head_of(api, tube)), 409, "cannot_be_reversed")
        assert instead in said["detail"]
    assert story.take_back(quality="quarantined", logger_sha256=None).status_code == 200
    assert story.code and state_of(api, tube)["reserved_for"] is None


def test_a_tube_that_was_put_away_after_its_issue_is_offered_what_can_be_done(api: Api) -> None:
    story = a_story(api, 3).up_to("issue")
    tube = story.vials[0]
    admin = api.test_bank.act("admin")
    held = api.test_bank.write(lambda s: make_box(s, admin, purpose="quarantine").code)
    put = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": held, "expected_seq": head_of(api, tube)["seq"]})
    assert put.status_code == 201, put.text
    waits = api.lab_tech.get(f"/withdrawals/{story.code}").json()["waits_for"]
    assert waits[0] == f"{tube}: take it out of its place and take it back with quality's decision, or have it destroyed"


def test_a_giving_that_was_undone_counts_no_more_and_the_tube_is_checked_and_given_again(api: Api) -> None:
    story = a_story(api, 3).up_to("administer")
    tube = story.vials[0]
    assert told(api.clinician2, story) == []
    undo_the_giving(api, story, tube)

    seen = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert (seen["state"], seen["items"][0]["administered"]) == ("delivered", False)
    assert "bedside check by two people" in seen["waits_for"][0]
    assert kinds_of(api, "withdrawal", story.code)[-1] == "withdrawal.giving_undone"
    assert "withdrawal_giving_undone" in told(api.clinician, story)
    refused(story.outcome(), 409, "nothing_given")
    refused(story.administer(), 409, "release_used")

    assert story.check().status_code == story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200
    seen = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert (seen["state"], len(seen["items"]), seen["items"][0]["administered"]) == ("administered", 1, True)
    counted = {one["cause"]: one["times"] for one in api.quality.get("/bedside-compliance").json()["items"]}
    assert counted["given_after_two_scans"] == 1


def test_of_two_tubes_the_one_whose_giving_was_undone_waits_again(api: Api) -> None:
    story = at_the_chair(api)
    first, second = story.vials[:2]
    assert story.administer().status_code == 200
    undo_the_giving(api, story, first)
    seen = api.lab_tech.get(f"/withdrawals/{story.code}").json()
    assert {one["specimen"]: one["administered"] for one in seen["items"]} == {first: False, second: False}
    assert seen["state"] == "delivered" and len(seen["waits_for"]) == 2
    assert story.outcome(result="not_administered", close=False).status_code == 200
