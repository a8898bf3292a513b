"""How PRP and PRF were prepared: asked at the harvest, kept in the log, shown wherever the tube is, and never made up."""

from typing import Any

import pytest

from biobank.pages.specimens.harvests import typed_spins
from biobank.pages.ui.forms import FormFault
from biobank.specimens.preparations import GROWTH_FACTORS, preparation_in
from tests import seed
from tests.conftest import Api
from tests.specimens.stories import Json, donor, fat, harvest, made, output, prepared, received, refused, run, using

PRP = {"material": "prp", "unit": "ul", "amount": 4000}
PRF = {"material": "prf", "unit": "ul", "amount": 3000}


def of(api: Api, *containers: Json, **changes: Any) -> Json:
    """The first of the tubes of blood of a visit, at the laboratory."""
    taken = made(harvest(api.clinician, donor(api), *containers, fat(), **changes))["specimens"]
    return received(api.lab_tech, taken[0])


def shown(api: Api, code: str) -> list[Json]:
    found: list[Json] = api.lab_tech.get(f"/specimens/{code}").json()["preparations"]
    return found


def test_a_preparation_is_in_the_signed_entry_on_the_tube_and_on_what_is_filled_from_it(api: Api) -> None:
    plasma = of(api, PRP)
    (entry, *_) = api.lab_tech.get(f"/specimens/{plasma['code']}/custody").json()["items"]
    assert (entry["body"]["prepared_with"], entry["body"]["spin_forces_g"]) == (seed.EQUIPMENT, [160, 400])
    assert (entry["body"]["spin_minutes"], entry["body"]["product_platelets_per_ul"]) == ([10, 10], 1_070_000)
    (child, _) = made(run(api.lab_tech, "aliquoting", [using(plasma)], [output("prp", 2000, "ul", count=2)]))["specimens"]

    for code in (plasma["code"], child["code"]):
        (one,) = shown(api, code)
        assert (one["specimen"], one["platelets_tenths_of_blood"]) == (plasma["code"], 42)
        assert one["content"] == GROWTH_FACTORS
    listed = api.clinician.get(f"/harvests/{plasma['harvest']}").json()["containers"]
    assert [one["preparation"] and one["preparation"]["prepared_with"] for one in listed] == [seed.EQUIPMENT, None]


def test_a_pool_says_the_preparation_of_each_and_none_of_the_whole(api: Api) -> None:
    person = donor(api)
    tubes = []
    for count in (500_000, 900_000):
        said = [prepared("prp", product_platelets_per_ul=count)]
        taken = made(harvest(api.clinician, person, PRP, fat(), preparations=said))["specimens"][0]
        tubes.append(received(api.lab_tech, taken))
    (pool,) = made(run(api.lab_tech, "aliquoting", [using(one) for one in tubes], [output("prp", 8000, "ul")]))["specimens"]
    factors = {one["specimen"]: one["platelets_tenths_of_blood"] for one in shown(api, pool["code"])}
    assert factors == {tubes[0]["code"]: 20, tubes[1]["code"]: 36}


def test_a_clot_has_a_device_and_spins_and_fat_has_nothing(api: Api) -> None:
    clot = of(api, PRF)
    (one,) = shown(api, clot["code"])
    assert (one["recorded"], one["spins"][0]) == (True, {"force_g": 160, "minutes": 10})
    assert (one["blood_platelets_per_ul"], one["platelets_tenths_of_blood"]) == (None, None)
    raw = received(api.lab_tech, made(harvest(api.clinician, donor(api)))["specimens"][0])
    assert shown(api, raw["code"]) == []


@pytest.mark.parametrize("counted", [{"blood_platelets_per_ul": 250_000}, {"product_platelets_per_ul": 900_000}, {}])
def test_without_both_counts_no_factor_is_stated_and_the_reason_is(api: Api, counted: Json) -> None:
    none = {"blood_platelets_per_ul": None, "product_platelets_per_ul": None}
    said = prepared("prp", **none | counted, not_counted="platelets_clumped")
    (one,) = shown(api, of(api, PRP, preparations=[said])["code"])
    assert (one["platelets_tenths_of_blood"], one["not_counted"]) == (None, "platelets_clumped")
    said.pop("not_counted")
    assert refused(harvest(api.clinician, donor(api), PRP, fat(), preparations=[said])) == (409, "preparation_missing")


@pytest.mark.parametrize(
    ("containers", "stated", "code"),
    [
        ([PRP], [], "preparation_missing"),
        ([PRF], [], "preparation_missing"),
        ([PRP, PRF], [prepared("prp")], "preparation_missing"),
        ([PRF], [prepared("prp")], "preparation_of_something_else"),
        ([], [prepared("prp")], "preparation_of_something_else"),
        ([PRP], [prepared("prp"), prepared("prp")], "preparation_of_something_else"),
        ([PRP], [prepared("prp", not_counted="no_counter")], "preparation_of_something_else"),
        ([PRF], [prepared("prf", not_counted="no_counter")], "preparation_of_something_else"),
        ([PRF], [prepared("prf", product_platelets_per_ul=900_000)], "preparation_of_something_else"),
        ([PRP], [prepared("prp", prepared_with="EQ-226X30K")], "not_in_register"),
        ([PRP], [prepared("prp", prepared_with=seed.SHIPPER)], "not_in_register"),
    ],
)
def test_what_was_not_prepared_so_is_refused_and_nothing_is_kept(
    api: Api, containers: list[Json], stated: list[Json], code: str
) -> None:
    person = donor(api)
    for who in (api.clinician, api.clinician2):
        assert refused(harvest(who, person, *containers, fat(), preparations=stated)) == (409, code)
    assert api.clinician.get("/harvests", params={"donor": person}).json()["items"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"spins": []},
        {"spins": [{"force_g": 160, "minutes": 10}] * 5},
        *({"spins": [{"force_g": force, "minutes": 10}]} for force in (-1, 0, 9, 10_001, 1.5, "much", None)),
        *({"spins": [{"force_g": 160, "minutes": minutes}]} for minutes in (-1, 0, 121, 0.5, True, "10", None)),
        {"spins": [{"force_g": 160, "minutes": 10, "rpm": 1500}]},
        *({"blood_platelets_per_ul": count} for count in (-1, 0, 999, 20_000_001, 1e30, "250", 0.25)),
        {"product_platelets_per_ul": 0},
        {"not_counted": "the patient did not want it"},
        {"prepared_with": "Centrifuge 7"},
        {"prepared_with": seed.MEDIUM},
        {"prepared_with": None},
        {"material": "lipoaspirate"},
        {"growth_factors": "many"},
    ],
)
def test_numbers_and_words_that_cannot_be_are_malformed(api: Api, wrong: Json) -> None:
    answer = harvest(api.clinician, donor(api), PRP, fat(), preparations=[prepared("prp") | wrong])
    assert refused(answer) == (422, "malformed_request")


def test_a_run_says_nothing_of_a_preparation(api: Api) -> None:
    plasma = of(api, PRP)
    for process, out in (("aliquoting", output("prp", 4000, "ul")), ("wash", output("lipoaspirate", 1, "ul_washed"))):
        answer = run(api.lab_tech, process, [using(plasma)], [out], preparations=[prepared("prp")])
        assert refused(answer) == (422, "malformed_request")


def test_a_recall_of_the_device_finds_what_was_prepared_with_it(api: Api) -> None:
    plasma = of(api, PRP)
    found = made(api.quality.post("/look-backs", json={"entry": seed.EQUIPMENT}))["items"]
    assert plasma["code"] in {one["specimen"] for one in found}


def test_what_was_taken_over_without_it_says_so() -> None:
    one = preparation_in("HF26-KH0KJQL", {"material": "prp", "amount": 4000})
    assert (one.recorded, one.said, one.platelets_tenths_of_blood) == (False, "Not recorded", None)


@pytest.mark.parametrize("text", ["", "160", "160 g", "1500 rpm 10 min", "160 g 10 min, ", "-160 g 10 min", "1.5 g 10 min"])
def test_spins_that_do_not_read_as_force_and_minutes_are_asked_again(text: str) -> None:
    with pytest.raises(FormFault):
        typed_spins(text)
    assert typed_spins("160 g 10 min; 400 x g for 5 min")[1] == {"force_g": 400, "minutes": 5}
