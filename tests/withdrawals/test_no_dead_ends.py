"""No state without a way out: whatever left for a patient can come back, be found, be given up or be discarded by the rules."""

from typing import Any

import pytest

from tests.conftest import Api, Client
from tests.factories import make_box
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.viability.test_reports import demand
from tests.withdrawals.stories import (
    Story,
    a_story,
    bank_vials,
    by_two,
    journey_file,
    passed_tests_of,
    put_away,
    refused,
    sign_and_post,
    state_of,
)


def seq_of(api: Api, tube: str) -> int:
    """The number of a tube's latest event."""
    return int(api.quality.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"])


def observe(client: Client, api: Api, tube: str, kind: str, **body: Any) -> None:
    """Record one direct event."""
    answer = client.post(f"/specimens/{tube}/events", json={"kind": f"specimen.{kind}", "expected_seq": seq_of(api, tube)} | body)
    assert answer.status_code == 201, answer.text


def into_quarantine(api: Api, tube: str) -> None:
    """Somebody puts the tube into the nearest quarantine place."""
    act = api.test_bank.act("admin")
    box = api.test_bank.write(lambda s: make_box(s, act, purpose="quarantine").code)
    answer = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)})
    assert answer.status_code == 201, answer.text


def out_again(api: Api, tube: str) -> None:
    """It is taken out of quarantine."""
    observe(api.lab_tech, api, tube, "checked_out", purpose="inspection")


def discard(api: Api, tube: str, reason: str = "thawed_unused") -> Any:
    """Two technicians discard what goes at once."""
    body = {"reason": reason, "method": "clinical_waste", "expected_seq": seq_of(api, tube)}
    return by_two(api.lab_tech, api.lab_tech2, f"/specimens/{tube}/discard", body)


def give_up(api: Api, tube: str) -> Any:
    """A technician and quality give up the search."""
    body = {"reason": "not_found", "expected_seq": seq_of(api, tube)}
    return by_two(api.lab_tech, api.quality, f"/specimens/{tube}/lost", body)


def two_issued(api: Api) -> Story:
    """A withdrawal of two tubes, both of which left."""
    story = a_story(api, 3)
    story.request(specimens=story.vials[:2])
    assert story.approve().status_code == 200
    for vial in story.vials[:2]:
        assert story.pick(tube=vial).status_code == 201, vial
        assert story.confirm(tube=vial).status_code == 201
    assert story.issue().status_code == 200
    return story


def given_the_first(story: Story) -> None:
    """The first of the tubes is given."""
    assert story.receive().status_code == 200
    assert story.thaw().status_code == 200
    assert story.check().status_code == 201 and story.check(story.api.clinic_staff).status_code == 201
    answer = story.administer()
    assert answer.status_code == 200, answer.text


def test_a_withdrawal_does_not_end_over_a_frozen_vial_that_was_put_into_quarantine(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    (vial,) = story.vials[:1]
    into_quarantine(api, vial)
    answer = story.outcome(result="not_administered")
    assert vial in refused(answer, 409, "tubes_outstanding")["detail"]
    assert any(vial in wait for wait in api.quality.get(f"/withdrawals/{story.code}").json()["waits_for"])
    out_again(api, vial)
    assert story.take_back().json()["state"] == "returned"
    put_away(api, vial)
    assert state_of(api, vial)["reserved_for"] is None
    assert story.outcome(result="not_administered").json()["state"] == "closed"
    assert story.request().status_code == 201


def test_the_other_vial_of_a_withdrawal_is_outstanding_until_it_came_back(api: Api) -> None:
    story = two_issued(api)
    into_quarantine(api, story.vials[1])
    given_the_first(story)
    assert api.quality.get(f"/withdrawals/{story.code}").json()["state"] == "delivered"
    refused(story.outcome(), 409, "tubes_outstanding")
    out_again(api, story.vials[1])
    assert story.take_back(tube=story.vials[1]).json()["state"] == "administered"
    assert story.outcome().json()["state"] == "closed"


def test_a_thawed_vial_in_quarantine_is_discarded_although_it_is_reserved(api: Api) -> None:
    story = a_story(api, 2).up_to("thaw")
    (vial,) = story.vials[:1]
    into_quarantine(api, vial)
    refused(story.outcome(result="not_administered"), 409, "tubes_outstanding")
    answer = discard(api, vial)
    assert answer.status_code == 200, answer.text
    assert state_of(api, vial)["state"] == "discarded"
    assert story.outcome(result="not_administered").json()["state"] == "closed"


def test_a_frozen_vial_that_came_back_is_discarded_by_the_rules_of_any_other(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    (vial,) = story.vials[:1]
    into_quarantine(api, vial)
    asked = {"reason": "surplus", "expected_seq": seq_of(api, vial)}
    answer = sign_and_post(api.quality, "decided", f"/specimens/{vial}/end", asked)
    assert answer.status_code == 200, answer.text


def test_a_missing_vial_keeps_its_withdrawal_open_until_it_is_found_or_given_up(api: Api) -> None:
    story = two_issued(api)
    observe(api.lab_tech, api, story.vials[1], "missing", reason="not_in_the_shipper")
    given_the_first(story)
    assert api.quality.get(f"/withdrawals/{story.code}").json()["state"] == "delivered"
    assert "missing" in refused(story.outcome(), 409, "tubes_outstanding")["detail"]
    answer = give_up(api, story.vials[1])
    assert answer.status_code == 200, answer.text
    assert story.outcome().json()["state"] == "closed"


@pytest.mark.parametrize("given_up", [True, False])
def test_what_is_found_after_all_comes_back_whatever_the_withdrawal_has_become(api: Api, given_up: bool) -> None:
    story = two_issued(api)
    vial = story.vials[1]
    observe(api.lab_tech, api, vial, "missing", reason="not_in_the_shipper")
    given_the_first(story)
    if given_up:
        assert give_up(api, vial).status_code == 200
        assert story.outcome().json()["state"] == "closed"
    observe(api.lab_tech, api, vial, "found", site="LAB")
    answer = story.take_back(tube=vial, quality="quarantined")
    assert (answer.status_code, answer.json()["state"]) == (200, "closed" if given_up else "administered"), answer.text
    assert state_of(api, vial)["reserved_for"] is None
    refused(story.take_back(tube=vial, quality="quarantined"), 409, "illegal_transition")


def test_a_vial_comes_back_to_the_withdrawal_it_left_for_and_to_no_earlier_one(api: Api) -> None:
    first = two_issued(api)
    back = first.take_back(tube=first.vials[0])
    assert back.status_code == 200, back.text
    put_away(api, first.vials[0])
    second = Story(api, first.donor, first.vials[:1]).up_to("issue")
    refused(first.take_back(), 409, "illegal_transition")
    assert second.take_back().status_code == 200


# --- coming back is no way round a verdict


def test_a_rejected_vial_comes_back_rejected(api: Api) -> None:
    story = a_story(api, 2).up_to("receive")
    decided = {"decision": "rejected", "reason": "dropped"}
    assert sign_and_post(api.quality, "rejected", f"/specimens/{story.vials[0]}/decision", decided).status_code == 200
    refused(story.take_back(), 409, "rejection_stands")
    refused(story.take_back(quality="quarantined"), 409, "rejection_stands")
    assert story.take_back(quality="rejected").status_code == 200


def test_who_had_a_hand_in_a_vial_does_not_release_it_as_it_comes_back(api: Api) -> None:
    story = a_story(api, 2)
    demand(api)
    counted = {
        "method": "trypan_blue",
        "live": 95,
        "dead": 5,
        "performed_by": [USERS["quality"].code],
        "expected_seq": seq_of(api, story.vials[0]),
    }
    answer = api.lab_tech.post(f"/specimens/{story.vials[0]}/viability-assays", json=counted)
    assert answer.status_code == 201, answer.text
    story.request()
    assert story.approve(api.quality2).status_code == 200
    for step in (story.pick, story.confirm, story.issue, story.receive):
        assert step().status_code in (200, 201)
    refused(story.take_back(), 403, "not_independent")
    assert story.take_back(quality="quarantined").status_code == 200


def test_a_conditional_release_does_not_become_a_full_one_on_the_way_back(api: Api) -> None:
    donor_story = a_story(api, 1)
    (vial,) = bank_vials(api, donor_story.donor, lot=True)
    story = Story(api, donor_story.donor, [vial]).up_to("receive")
    lot = api.quality.get(f"/specimens/{vial}").json()["lot"]
    pending = {"test": "sterility", "sampled_at": "2026-01-01T00:00:00Z", "result": "pending", "late_entry": True}
    assert api.lab_tech.post(f"/lots/{lot}/tests", json=pending).status_code in (201, 409, 422)
    code = story.take_back().json().get("code")
    assert code in ("lot_test_missing", "lot_test_pending")
    assert story.take_back(quality="quarantined", logger_sha256=journey_file(api, "-185.0")).status_code == 200


def test_the_page_offers_only_the_verdicts_that_a_return_accepts(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("receive")
    passed_tests_of(api, story.vials[0])
    address = f"/withdrawals/{story.code}/return"
    offered = visit("quality").get_page(address)
    assert all(f'value="{one}"' in offered for one in ("quarantined", "released_to_bank", "rejected"))
    decided = {"decision": "rejected", "reason": "dropped"}
    assert sign_and_post(api.quality, "rejected", f"/specimens/{story.vials[0]}/decision", decided).status_code == 200
    offered = visit("quality").get_page(address)
    assert 'value="rejected"' in offered
    assert 'value="quarantined"' not in offered and 'value="released_to_bank"' not in offered
