"""What counts as remaining for a donor is what a withdrawal could take: one question for both."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.withdrawals.stories import a_story, named, passed_tests_of, refused, sign_and_post


def inspect(api: Api, tube: str) -> None:
    """Somebody sees that the tube is broken."""
    seen = {"container_intact": False, "label_legible": True, "contents_as_expected": True}
    seq = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"]
    answer = api.lab_tech.post(f"/specimens/{tube}/events", json={"kind": "specimen.inspected", "expected_seq": seq} | seen)
    assert answer.status_code == 201, answer.text


def undercount(api: Api, tube: str) -> None:
    """Quality demands 80 %, and the tube shows 30."""
    demanded = {"site": "LAB", "material": "adsc", "minimum_bp": 8000}
    assert sign_and_post(api.quality, "decided", "/viability/criteria", demanded).status_code == 201
    seq = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"]
    counted = {"method": "trypan_blue", "live": 30, "dead": 70, "expected_seq": seq}
    answer = api.lab_tech.post(f"/specimens/{tube}/viability-assays", json=counted)
    assert answer.status_code == 201, answer.text


SPOILS: dict[str, Any] = {"broken": inspect, "under the criterion": undercount}


@pytest.mark.parametrize("how", SPOILS)
def test_a_vial_that_no_withdrawal_may_use_does_not_count_as_remaining(api: Api, how: str) -> None:
    story = a_story(api, 2)
    SPOILS[how](api, story.vials[1])
    story.request()
    picture = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]
    line = next(one for one in picture["units"] if one["specimen"] == story.vials[1])
    assert line["refusals"] and line["order"] is None
    remains = picture["remains"]
    assert (remains["units"], remains["takes_the_last"], remains["doubtful"]) == (0, True, 1)
    refused(
        sign_and_post(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(api.quality, story.code)),
        409,
        "remainder_unsaid",
    )
    (reserve,) = api.quality.get(f"/donors/{story.donor}/reserves").json()["items"]
    assert reserve["usable_units"] == 1


@pytest.mark.parametrize("how", SPOILS)
def test_the_last_usable_vial_is_not_surplus_beside_one_that_no_withdrawal_may_use(api: Api, how: str) -> None:
    story = a_story(api, 2)
    SPOILS[how](api, story.vials[1])
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    asked = {"reason": "surplus", "expected_seq": seq}
    refused(sign_and_post(api.quality, "decided", f"/specimens/{story.vials[0]}/end", asked), 409, "reason_not_on_record")


def test_a_count_of_which_nothing_was_demanded_is_no_way_past_quality(api: Api) -> None:
    story = a_story(api, 2)
    count_of(api, story.vials[0], live=60, dead=140)
    refused(story.request(), 409, "no_criterion_for_count")
    read = api.clinician.get("/withdrawals/feasibility", params={"donor": story.donor, "material": "adsc"}).json()
    assert read["usable"] == 1
    decided = {"decision": "released_to_bank", "reason": "reviewed"}
    passed_tests_of(api, story.vials[0])
    answer = sign_and_post(api.quality, "released", f"/specimens/{story.vials[0]}/decision", decided)
    assert answer.status_code in (200, 201), answer.text
    assert story.request().status_code == 201, "quality saw it and decided"


def count_of(api: Api, vial: str, *, live: int, dead: int) -> None:
    seq = api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
    body = {"method": "trypan_blue", "live": live, "dead": dead, "dilution_milli": 2000, "expected_seq": seq}
    answer = api.lab_tech.post(f"/specimens/{vial}/viability-assays", json=body)
    assert answer.status_code == 201, answer.text
