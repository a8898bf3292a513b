"""What a harvest gives: which material by which method, from where, in which amounts and at which time."""

from datetime import datetime, timedelta

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.specimens.stories import (
    Json,
    donor,
    fat,
    follicles,
    harvest,
    in_a_while,
    kit,
    made,
    refused,
)
from tests.specimens.test_harvests import labels


def test_a_hair_label_does_not_go_on_fat(api: Api) -> None:
    person = donor(api)
    prepared = kit(api, hair_labels=1, adipose_labels=0)
    (label,) = labels(prepared)

    answer = harvest(api.clinician, person, fat(specimen=label), kit=prepared["kit"])

    assert refused(answer) == (409, "label_of_another_material")


def test_with_a_kit_every_container_names_its_label_and_without_one_none_does(api: Api) -> None:
    person = donor(api)
    prepared = kit(api)

    unnamed = harvest(api.clinician, person, fat(), kit=prepared["kit"], unused=labels(prepared))
    named = harvest(api.clinician, person, fat(specimen=labels(prepared)[0]))

    assert refused(unnamed) == (422, "malformed_request")
    assert refused(named) == (422, "malformed_request")


@pytest.mark.parametrize(
    "container, code",
    [
        ({"material": "adsc", "unit": "cells", "amount": 5}, "not_harvested"),
        (fat(unit="follicles"), "unit_not_of_material"),
        (fat(follicles=3, follicular_units=2, transected=0), "counts_differ"),
        (follicles(transected=None), "counts_differ"),
        (follicles(transected=41), "counts_differ"),
        (follicles(follicular_units=41), "counts_differ"),
        (follicles(amount=39), "counts_differ"),
        (follicles(unit="follicular_units"), "counts_differ"),
    ],
)
def test_a_container_with_an_impossible_content_is_refused(api: Api, container: Json, code: str) -> None:
    person = donor(api)

    assert refused(harvest(api.clinician, person, container)) == (409, code)


def test_follicular_units_and_follicles_are_kept_apart(api: Api) -> None:
    person = donor(api)
    container = follicles(unit="follicular_units", amount=20)

    (specimen,) = made(harvest(api.clinician, person, container))["specimens"]

    detail = api.clinician.get(f"/specimens/{specimen['code']}").json()
    assert specimen["code"].startswith("HF")
    assert (detail["follicular_units"], detail["follicles"], detail["transected"]) == (20, 40, 3)
    assert (detail["unit"], detail["custody"]["amount"]) == ("follicular_units", 20)


def test_blood_takes_the_programme_of_its_visit_and_alone_it_needs_a_kit(api: Api) -> None:
    person = donor(api)
    blood = {"material": "prp", "unit": "ul", "amount": 4000}

    with_fat = made(harvest(api.clinician, person, blood, fat()))
    alone = harvest(api.clinician, person, blood)

    assert [one["code"][:2] for one in with_fat["specimens"]] == ["AD", "AD"]
    assert refused(alone) == (409, "kit_needed")


def test_the_clock_out_of_the_body_runs_forwards_and_not_for_days(api: Api) -> None:
    person = donor(api)

    assert refused(harvest(api.clinician, person, started_at="2020-01-01T00:00:00Z")) == (409, "implausible_time")
    ahead = rfc3339(clock.now() + timedelta(minutes=10))
    assert refused(harvest(api.clinician, person, started_at=ahead)) == (409, "implausible_time")


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
def test_a_time_out_of_reach_is_malformed_with_or_without_a_reason(api: Api, when: str) -> None:
    person = donor(api)

    assert refused(harvest(api.clinician, person, occurred_at=when)) == (422, "malformed_request")
    assert refused(harvest(api.clinician, person, occurred_at=when, reason_text="found on paper")) == (422, "malformed_request")
    assert refused(harvest(api.clinician, person, started_at=when)) == (422, "malformed_request")


@pytest.mark.parametrize(
    "container, sentence",
    [
        (fat(method="follicular_unit_excision", anatomical_site="occipital_scalp"), "only by lipoaspiration or excision"),
        (fat(anatomical_site="occipital_scalp"), "only from abdomen, flank"),
        (follicles(method="lipoaspiration", anatomical_site="abdomen"), "not taken by lipoaspiration"),
        (
            {"material": "prp", "unit": "ul", "amount": 4000, "method": "lipoaspiration", "anatomical_site": "abdomen"},
            "venepuncture",
        ),
    ],
)
def test_no_material_is_taken_by_a_method_or_from_a_place_that_does_not_give_it(api: Api, container: Json, sentence: str) -> None:
    person = donor(api)

    answer = harvest(api.clinician, person, fat(), container)

    assert refused(answer) == (409, "not_taken_so")
    assert sentence in answer.json()["detail"]
    assert api.clinician.get("/harvests", params={"donor": person}).json()["items"] == []


def test_one_visit_gives_hair_fat_and_blood_each_taken_in_its_own_way_and_time(api: Api) -> None:
    person = donor(api)
    prepared = kit(api, hair_labels=1, adipose_labels=2)
    began, later = rfc3339(clock.now()), rfc3339(clock.now() + timedelta(minutes=4))
    in_a_while(8)
    adipose, blood, hair = labels(prepared)
    containers = [
        follicles(specimen=hair, side="midline"),
        fat(specimen=adipose, anatomical_site="flank", side="left", started_at=later),
        {"specimen": blood, "material": "prp", "unit": "ul", "amount": 4000},
    ]

    answer = made(harvest(api.clinician, person, *containers, kit=prepared["kit"], started_at=began))
    early = harvest(api.clinician, person, fat(started_at=began), started_at=later)

    shown = api.clinician.get(f"/harvests/{answer['harvest']}").json()
    assert (shown["method"], shown["anatomical_site"]) == (None, None)
    assert {one["specimen"]: (one["method"], one["anatomical_site"], one["side"]) for one in shown["containers"]} == {
        hair: ("follicular_unit_excision", "scalp", "midline"),
        adipose: ("lipoaspiration", "flank", "left"),
        blood: ("venepuncture", "forearm", None),
    }
    left = {one["specimen"]: rfc3339(datetime.fromisoformat(one["started_at"])) for one in shown["containers"]}
    assert (left[hair], left[adipose]) == (began, later)
    assert refused(early) == (409, "implausible_time")


def test_a_visit_says_once_how_everything_was_taken_or_each_container_does(api: Api) -> None:
    person = donor(api)
    plain = {"material": "lipoaspirate", "unit": "ul_raw", "amount": 50_000}
    body: Json = {"donor": person, "site": "CLINIC", "home_site": "LAB", "containers": [plain]}

    once = api.clinician.post("/harvests", json=body | {"method": "lipoaspiration", "anatomical_site": "hip"})
    never = api.clinician.post("/harvests", json=body)

    assert api.clinician.get(f"/harvests/{made(once)['harvest']}").json()["anatomical_site"] == "hip"
    assert refused(never) == (422, "malformed_request")


def test_a_correction_cannot_say_what_a_harvest_could_not_have(api: Api) -> None:
    (specimen,) = made(harvest(api.clinician, donor(api)))["specimens"]
    (event,) = api.clinician.get(f"/specimens/{specimen['code']}/custody").json()["items"]
    body = {"corrects": event["leaf_hash"], "expected_seq": 1, "field": "anatomical_site", "reason": "wrong_word"}

    wrong = api.clinician.post(f"/specimens/{specimen['code']}/amend", json=body | {"value": "scalp"})
    right = api.clinician.post(f"/specimens/{specimen['code']}/amend", json=body | {"value": "thigh"})

    assert refused(wrong) == (409, "not_taken_so")
    made(right)
    (container,) = api.clinician.get(f"/harvests/{specimen['harvest']}").json()["containers"]
    assert container["anatomical_site"] == "thigh"
