"""A step from paper sent twice, by both people of the form and at one moment, and the steps of a form in the wrong order."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import httpx

from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.withdrawals.stories import (
    Story,
    a_box,
    a_story,
    journey_file,
    kinds_of,
    place_of,
    refused,
    sign_and_post,
    state_of,
)
from tests.withdrawals.test_from_paper import a_way, filed
from tests.withdrawals.test_paper_check import given_on_paper, on_paper
from tests.withdrawals.test_races import at_once


class OnPaper(NamedTuple):
    """A step of a form: where it goes, whose it is, who else stands on the form, and what it says."""

    path: str
    first: Client
    other: Client
    said: dict[str, Any]


def steps_of(api: Api, story: Story, bank: str, clinic: str) -> dict[str, OnPaper]:
    vial, here, there = story.vials[0], (api.lab_tech, api.lab_tech2), (api.clinic_staff, api.clinician)
    arrived = {"tubes": [vial], "container_intact": True, "label_legible": True, "temperature_mc": -150_000}
    return {
        "pick": OnPaper("picks", *here, {"tube": vial, "place": place_of(api, vial), "paper": bank}),
        "confirm": OnPaper("picks", *here[::-1], {"tube": vial, "confirm": True, "paper": bank}),
        "issue": OnPaper("issue", *here, {"paper": bank}),
        "receive": OnPaper("receive", *there, arrived | {"paper": clinic}),
        "thaw": OnPaper("thaw", *there, {"tube": vial, "method": "water bath 37 C", "duration_s": 90, "paper": clinic}),
    }


def sent(story: Story, step: OnPaper, at: datetime, client: Client | None = None) -> httpx.Response:
    body = step.said | {"occurred_at": rfc3339(at)}
    return (client or step.first).post(f"/withdrawals/{story.code}/{step.path}", json=body)


def written(api: Api, story: Story) -> int:
    return len(kinds_of(api, "withdrawal", story.code)) + len(kinds_of(api, "specimen", story.vials[0]))


LATER_FIRST = {"wrong_step", "wrong_specimen", "pick_unconfirmed", "not_permitted"}
AGAIN = {
    "pick": "already_picked",
    "confirm": "wrong_specimen",
    "issue": "wrong_step",
    "receive": "illegal_transition",
    "thaw": "illegal_transition",
}


def test_a_step_from_paper_happens_once_whoever_of_the_form_sends_it_and_no_later_step_goes_before_it(api: Api) -> None:
    story, began, bank, clinic = a_way(api)
    steps = steps_of(api, story, bank, clinic)
    for number, (name, step) in enumerate(steps.items(), start=1):
        at = began + timedelta(minutes=10 * number)
        for later in list(steps.values())[number:]:
            early = sent(story, later, at).json()
            assert early.get("code") in LATER_FIRST, (name, early)

        answers = at_once(partial(sent, story, step, at), partial(sent, story, step, at, step.other))
        done = [one for one in answers if one.status_code in (200, 201)]
        assert len(done) == 1, (name, [one.text for one in answers])
        (left_over,) = (one for one in answers if one not in done)
        # Whoever took the tube out is not the second person, though their name is on the same form.
        asked = {"second_person_must_differ", AGAIN[name]} if name == "confirm" else {AGAIN[name]}
        assert left_over.status_code in (403, 409) and left_over.json()["code"] in asked, (name, left_over.text)

        before = written(api, story)
        for client in (step.first, step.other):
            assert sent(story, step, at, client).json()["code"] in asked, name
        assert sent(story, step, at + timedelta(minutes=1)).json()["code"] == AGAIN[name], "another minute makes it no other act"
        assert written(api, story) == before


def test_a_step_from_paper_is_not_dated_before_the_one_that_it_follows(api: Api) -> None:
    story, began, bank, clinic = a_way(api)
    steps = steps_of(api, story, bank, clinic)
    for number, (name, step) in enumerate(steps.items(), start=1):
        at = began + timedelta(minutes=10 * number)
        if name != "pick":
            answer = sent(story, step, at - timedelta(minutes=15))
            assert answer.status_code == 409, (name, answer.text)
            assert answer.json()["code"] in ("before_its_authority", "out_of_order"), (name, answer.text)
        answer = sent(story, step, at)
        assert answer.status_code in (200, 201), (name, answer.text)


def test_a_form_that_both_of_its_people_file_makes_no_second_pick_and_nobody_their_own_second(api: Api) -> None:
    story, began, bank, _clinic = a_way(api)
    again = filed(api, began, "lab_tech2", "lab_tech", "LAB")
    steps, at = steps_of(api, story, bank, bank), began + timedelta(minutes=10)
    assert sent(story, steps["pick"], at).status_code == 201
    other = {"paper": again}
    twice = sent(story, steps["pick"]._replace(said=steps["pick"].said | other), at, api.lab_tech2)
    refused(twice, 409, "already_picked")
    own = sent(story, steps["confirm"]._replace(said=steps["confirm"].said | other), at, api.lab_tech)
    refused(own, 403, "second_person_must_differ")


def test_a_check_on_paper_by_both_at_one_moment_releases_once_and_is_given_once(api: Api) -> None:
    story, form, then = given_on_paper(api)
    halves = (partial(story.check, **on_paper(form, then)), partial(story.check, api.clinic_staff, **on_paper(form, then)))
    answers = at_once(*halves)
    released = [one.json()["release"] for one in answers if one.json().get("release")]
    assert [one.status_code for one in answers] == [201, 201] and len(released) == 1, [one.text for one in answers]
    (story.release,) = released
    at = then + timedelta(minutes=3)
    give = partial(story.administer, paper=form, occurred_at=rfc3339(at), started_at=rfc3339(at))
    given = at_once(partial(give, api.clinician), partial(give, api.clinic_staff))
    assert sorted(one.status_code for one in given) == [200, 409], [one.text for one in given]
    refused(give(api.clinician), 409, "wrong_step")
    assert kinds_of(api, "specimen", story.vials[0]).count("specimen.administered") == 1


def test_a_tube_that_comes_back_rejected_is_kept_and_used_for_nothing_and_only_quality_says_so(api: Api) -> None:
    story = a_story(api, vials=2, lot=True).up_to("receive")
    vial, path = story.vials[0], f"/withdrawals/{story.code}/return"
    said = {"tube": vial, "site": "LAB", "reason": "postponed", "logger_sha256": journey_file(api, "-185.0")}
    for quality in ("rejected", "released_to_bank"):
        for client in (api.lab_tech, api.clinician, api.clinic_staff, api.auditor):
            refused(client.post(path, json=said | {"quality": quality}), 403, "not_permitted")
        refused(api.other_clinician.post(path, json=said | {"quality": quality}), 404, "not_found")
    released = sign_and_post(api.quality, "decided", path, said | {"quality": "released_to_bank"})
    refused(released, 409, "lot_test_missing")
    answer = sign_and_post(api.quality, "decided", path, said | {"quality": "rejected"})
    assert answer.status_code == 200 and answer.json()["state"] == "returned", answer.text
    assert (state_of(api, vial)["quality"], state_of(api, vial)["reserved_for"]) == ("rejected", None)

    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    stored = api.lab_tech.post(f"/specimens/{vial}/store", json={"container": a_box(api), "expected_seq": seq})
    assert stored.status_code == 201, stored.text
    refused(Story(api, story.donor, [vial]).request(), 409, "not_released")
    change = {"decision": "released_to_bank", "reason": "looks_fine"}
    refused(sign_and_post(api.quality, "released", f"/specimens/{vial}/decision", change), 409, "rejection_stands")
