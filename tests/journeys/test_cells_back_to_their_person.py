"""A person's cells on their way back, once for each thing that may go wrong with that, through the HTTP client of each role.

What is asked of a withdrawal, and the journey that shows it:

1, 2. one picture for feasibility and approval, the last vial: `…asks_for_the_last_vial…` here;
3. doubt about identity: `test_two_donors_at_one_bench.py`, and `…somebody_elses_band…` here;
4. pick and replacement: `…broken_vial…` here;
5. routes and returns: `…thawed_at_the_bank…` and `…comes_back…` here;
6. the bedside, with and without network: `test_from_harvest_to_administration.py`, and `…network_is_down…` here;
7. what follows: `test_late_positive.py`, `test_reagent_recall.py`, and `…reaction…` here;
8. near misses, compliance, dossiers: `browser/test_afterwards.py: …counted_by_step…`; watchdog: `unfinished/test_open_acts.py`;
9. a label to its end: `browser/test_afterwards.py: …label_is_replaced…`;
10. who waits is told, and it leaves: `…not_needed…` here; when it stands still, `withdrawals/test_stands_still.py`.

The table of checks and steps is `docs/withdrawal-steps.md`. What was seen to get through, and the test that stops it:

- broken and 30 % viable: `withdrawals/test_final_label.py`, `…broken_vial…` here;
- thaw while the courier has it: `withdrawals/test_on_the_way.py`;
- what the approver sees: `withdrawals/test_picture.py`, `withdrawals/test_harm_before.py`;
- all vials with one signature: `withdrawals/test_last_vial.py`;
- nine hours after the thaw: `withdrawals/test_who_decides.py`;
- a pick after consent was revoked: `withdrawals/test_hostile.py`; a failed reserved vial: `withdrawals/test_replacing.py`;
- reactions: `withdrawals/test_adverse.py`, `withdrawals/test_harm_at_hand.py`, `withdrawals/test_judged_by_two.py`;
- recalls and deviations with a disposition: `quality/test_recall_ending.py`, `quality/test_deviation_ending.py`;
- an omission at identification: `donors/test_identification.py`.
"""

from datetime import timedelta

from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.viability.test_reports import demand
from tests.withdrawals.stories import (
    Story,
    a_story,
    holds_of,
    journey_file,
    kinds_of,
    named,
    refused,
    sign_and_post,
    state_of,
)
from tests.withdrawals.test_final_label import count
from tests.withdrawals.test_on_the_way import broken
from tests.withdrawals.test_paper_check import checked_on_paper, given_on_paper, on_paper
from tests.withdrawals.test_replacing import replaced
from tests.withdrawals.test_told import told


def test_a_clinician_asks_for_the_last_vial_and_two_of_quality_read_the_same_picture(api: Api) -> None:
    story = a_story(api, 1)
    found = api.clinician.get("/withdrawals/feasibility", params={"donor": story.donor, "material": "adsc"}).json()
    assert (found["usable"], [one["usable"] for one in found["items"]]) == (1, [True])
    assert story.request(indication="Thinning hair at the crown.").status_code == 201
    picture = api.quality.get(f"/withdrawals/{story.code}/picture").json()
    assert picture["picture"]["remains"]["takes_the_last"] and picture["picture"]["request"]["indication"]
    assert "Thinning" in api.quality.get(f"/withdrawals/{story.code}/indication").json()["indication"]
    path = f"/withdrawals/{story.code}/approve"
    assert refused(sign_and_post(api.quality, "approved", path, named(api.quality, story.code)), 409, "remainder_unsaid")
    assert story.approve().json()["status"] == "done"
    assert kinds_of(api, "withdrawal", story.code)[-2:] == ["withdrawal.remainder_accepted", "withdrawal.approved"]
    assert told(api.clinician, story) == ["withdrawal_approved"]


def test_a_broken_vial_is_replaced_and_the_wrong_tube_at_the_pick_is_a_full_stop(api: Api) -> None:
    story = a_story(api, 3).up_to("confirm")
    broken(api, story)
    refused(story.issue(), 409, "on_hold")
    other: Story = replaced(story, story.vials[1])
    assert other.approve().status_code == 200
    wrong = other.pick(tube=story.vials[2])
    assert "nearest quarantine" in refused(wrong, 409, "wrong_specimen")["where_now"]
    for step in (other.pick, other.confirm, other.issue, other.receive):
        assert step().status_code in (200, 201)
    assert state_of(api, other.vials[0])["state"] == "delivered"


def test_a_vial_thawed_at_the_bank_is_counted_labelled_and_never_comes_back(api: Api) -> None:
    demand(api)
    story = a_story(api, 2)
    assert story.request(route="thaw_and_ship").status_code == 201
    for step in (story.approve, story.pick, story.confirm):
        assert step().status_code in (200, 201)
    assert story.thaw(api.lab_tech).status_code == 200
    refused(story.issue(), 409, "count_after_thaw_missing")
    count(api, story)
    refused(story.issue(), 409, "final_label_missing")
    assert story.label().status_code == 200 and story.issue().status_code == 200
    assert story.receive(temperature_mc=5_000).status_code == 200
    refused(story.take_back(quality="quarantined", logger_sha256=None), 409, "illegal_transition")
    assert story.check().status_code == 201 and story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200


def test_a_vial_that_was_not_needed_comes_back_on_the_record_of_its_journey(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    assert told(api.clinician, story) == ["withdrawal_issued"]
    assert story.receive(api.clinician).status_code == 200
    assert told(api.clinician, story) == []
    assert story.take_back().status_code == 200
    other = a_story(api, 2).up_to("receive")
    assert other.take_back(logger_sha256=journey_file(api, "-185.0", "-20.0"), quality="quarantined").status_code == 200
    assert [one["reason"] for one in holds_of(api, other.vials[0])] == ["arrived_too_warm"]
    assert (state_of(api, story.vials[0])["state"], state_of(api, story.vials[0])["reserved_for"]) == ("received", None)
    assert story.outcome(result="not_administered").json()["state"] == "closed"


def test_somebody_elses_band_at_the_bedside_stops_both_and_each_is_checked_anew(api: Api) -> None:
    story, other = (a_story(api, 2).up_to("check") for _ in range(2))
    refused(story.check(wristband=other.band), 409, "wrong_recipient")
    assert [one.administer().status_code for one in (story, other)] == [409, 409]
    assert [one["kind"] for one in holds_of(api, story.vials[0])] == ["identity"]
    assert other.check().status_code == 201 and other.check(api.clinic_staff).status_code == 201
    assert other.administer().status_code == 200


def test_the_network_is_down_at_the_bedside_and_a_hold_comes_before_it_is_entered(api: Api) -> None:
    story, form, then = given_on_paper(api)
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    checked_on_paper(story, form, then)
    said = on_paper(form, then + timedelta(minutes=8), started_at=rfc3339(then + timedelta(minutes=3)))
    refused(story.administer(**said), 409, "entered_by_two")
    assert story.given_before(**said).json()["came_after"] == ["on_hold"]
    last = api.auditor.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert (last["kind"], last["source"]) == ("specimen.administered", "paper")


def test_a_reaction_holds_the_lot_until_quality_that_gave_nothing_judged_it(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("check")
    assert story.administer(reaction=True).status_code == 200
    other = Story(api, story.donor, story.vials[1:])
    refused(other.request(), 409, "on_hold")
    (event,) = api.quality.get("/adverse-events").json()["items"]
    assert (event["kind"], event["causality"]) == ("reaction", "not_assessed")
    assert story.outcome(result="adverse_event", close=False).status_code == 200
