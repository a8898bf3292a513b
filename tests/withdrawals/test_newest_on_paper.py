"""The newest rules hold on paper too: units that are lost, approvals that stand, clocks in the act, harm that reaches up."""

from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.quality.test_missing import deviations, seq_of, told
from tests.withdrawals.stories import a_story, bank_vials, holds_of, later, refused, sealed
from tests.withdrawals.test_adverse import holds
from tests.withdrawals.test_approval_stands import lose, one_of_quality_approves
from tests.withdrawals.test_clocks_on_the_way import budget
from tests.withdrawals.test_from_paper import filed
from tests.withdrawals.test_harm_upwards import lot_of, made_of


@pytest.mark.parametrize("left", [0, 2])
def test_a_unit_that_was_missed_on_paper_is_told_as_one_that_is_missed_now(api: Api, left: int) -> None:
    story = a_story(api, left + 1)
    began = clock.now()
    later(api, hours=3)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    vial = story.vials[0]
    said = {"paper": form, "occurred_at": rfc3339(began + timedelta(minutes=5))}
    body = {"kind": "specimen.missing", "reason": "not_found", "expected_seq": seq_of(api, vial)} | said
    answer = api.lab_tech.post(f"/specimens/{vial}/events", json=body)
    assert answer.status_code == 201, answer.text
    assert ("unit_missing", "major" if left else "critical") in deviations(api)
    assert ("unit_missing", vial) in told(api, "lab_quality")
    assert (("unit_missing", vial) in told(api, "clinician")) == (left == 0)
    # What comes back by paper is held for its identity as well.
    found = {"kind": "specimen.found", "site": "LAB", "expected_seq": seq_of(api, vial)}
    found |= {"paper": form, "occurred_at": rfc3339(began + timedelta(minutes=20))}
    assert api.lab_tech.post(f"/specimens/{vial}/events", json=found).status_code == 201
    assert "identity" in {one["kind"] for one in holds_of(api, vial)}


def test_a_pick_on_paper_before_the_rest_was_lost_waits_for_quality_and_is_entered_then(api: Api) -> None:
    story = a_story(api, 2)
    story.request()
    one_of_quality_approves(api, story)
    began = clock.now()
    later(api, hours=1)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    lose(api, story.vials[1])
    sealed(api)
    picked: dict[str, Any] = {"paper": form, "occurred_at": rfc3339(began + timedelta(minutes=5))}
    refused(story.pick(**picked), 409, "approval_outdated")
    assert story.approve().json()["status"] == "done", "two of quality, for it is the last now"
    answer = story.pick(**picked)
    assert answer.status_code == 201, answer.text
    assert answer.json()["waits_for"] == [f"{story.vials[0]}: a second person's blind scan"]


def test_what_was_issued_on_paper_in_time_is_entered_and_its_clock_runs_on(api: Api) -> None:
    budget(api)
    story = a_story(api, 3).up_to("confirm")
    began = clock.now()
    later(api, hours=10)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    refused(story.issue(), 409, "out_of_the_cold_too_long")
    late: dict[str, Any] = {"paper": form, "occurred_at": rfc3339(began + timedelta(hours=2))}
    refused(story.issue(**late), 409, "out_of_the_cold_too_long")
    answer = story.issue(paper=form, occurred_at=rfc3339(began + timedelta(minutes=5)))
    assert answer.status_code == 200, answer.text
    # It left in its time; its clock runs on, and the arrival holds it.
    assert story.receive().status_code == 200
    assert [one["kind"] for one in holds_of(api, story.vials[0])] == ["temperature"]
    refused(story.thaw(), 409, "on_hold")


def test_a_harm_that_is_entered_from_paper_reaches_what_the_unit_was_made_of(api: Api) -> None:
    story = a_story(api, 2, lot=True)
    (earlier,) = bank_vials(api, story.donor, 1, lot=True)
    made_of(api, story.vials[0], earlier)
    story.up_to("administer")
    began = clock.now()
    later(api, hours=2)
    sealed(api)
    form = filed(api, began, "clinician", "clinic_staff", "CLINIC")
    at = rfc3339(began + timedelta(minutes=30))
    seen = {"kind": "reaction", "seriousness": "serious", "in_lot": True, "seen_at": at, "words": "Fever."}
    answer = api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=seen | {"paper": form, "occurred_at": at})
    assert answer.status_code == 201, answer.text
    assert holds(api) == {lot_of(api, story.vials[0]): "lot", lot_of(api, earlier): "lot"}
