"""Allergies of the donor and residues of the lot meet before cells go back."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from biobank.donors.allergies import Substance
from biobank.specimens.residues import WORDS, AllergyMet, ResiduesUnknown, allergies_met, residues_of
from tests.conftest import Api
from tests.specimens.stories import donor, freeze, harvest, kinds, made, output, received, refused, run, using


def allergy(api: Api, person: str, substance: str, **changes: Any) -> Any:
    return api.clinician.post(f"/donors/{person}/allergies", json={"substance": substance} | changes)


def test_a_donor_allergic_to_dmso_meets_it_in_a_tube_frozen_in_it_and_not_in_one_that_never_was(api: Api) -> None:
    person = donor(api)
    fresh, tube = (received(api.lab_tech, made(harvest(api.clinician, person))["specimens"][0]) for _ in range(2))
    made(freeze(api.lab_tech, [tube], cryoprotectant="DMSO 5 % in FBS"))
    tubes = {tube["code"]: person, fresh["code"]: person}
    assert api.test_bank.write(lambda s: allergies_met(s, tubes)) == []

    answer = made(allergy(api, person, "dmso"))

    assert answer["substances"] == ["dmso"]
    met, unknown = api.test_bank.write(lambda s: allergies_met(s, tubes))
    assert isinstance(met, AllergyMet)
    assert unknown == ResiduesUnknown(tube["code"])
    assert (met.tube, met.sentence.count("DMSO")) == (tube["code"], 1)
    left = api.test_bank.write(lambda s: residues_of(s, [tube["code"]]))[tube["code"]]
    assert (sorted(left.substances), left.unknown) == (["bovine_serum", "dmso"], True)
    assert kinds(api, "donor", person)[-1] == "donor.allergy_recorded"
    assert refused(allergy(api, person, "dmso")) == (409, "allergy_known")
    assert api.clinician.get("/withdrawals/feasibility", params={"donor": person}).json()["allergies"] == [
        met.sentence,
        unknown.sentence,
    ]
    made(allergy(api, person, "dmso", stands=False))
    assert api.test_bank.write(lambda s: allergies_met(s, tubes)) == []
    assert api.lab_tech.get(f"/donors/{person}/allergies").json()["items"] == []


@pytest.mark.parametrize("substance", list(Substance))
def test_what_the_register_says_of_a_reagent_meets_the_allergy_all_the_way_down_the_line(api: Api, substance: Substance) -> None:
    medium = {"kind": "reagent_lot", "name": "Culture medium 7", "supplier_lot": "M-7", "contains": [substance.value]}
    named = made(api.lab_tech.post("/registers", json=medium | {"site": "LAB"}))["entry"]["entry"]
    person = donor(api)
    syringe = received(api.lab_tech, made(harvest(api.clinician, person))["specimens"][0])
    washed = [output("lipoaspirate", 40_000, "ul_washed")]
    fat = made(run(api.lab_tech, "wash", [using(syringe)], washed, reagent_lots=[named]))["specimens"][0]
    cells = made(run(api.lab_tech, "svf_isolation", [using(fat)], [output("svf", 10**7)], reagent_lots=[named]))["specimens"][0]
    made(allergy(api, person, substance.value))

    met = api.test_bank.write(lambda s: allergies_met(s, {cells["code"]: person}))

    assert met == [AllergyMet(cells["code"], substance)]
    shown = api.clinician.get("/withdrawals/feasibility", params={"donor": person}).json()["allergies"]
    assert met[0].sentence in shown


def test_the_words_of_a_run_name_every_substance() -> None:
    assert set(WORDS) == set(Substance)


def test_the_database_keeps_an_allergy_once(api: Api) -> None:
    made(allergy(api, donor(api), "heparin"))
    again = "INSERT INTO donor_allergy SELECT gen_random_uuid(), donor_code, substance, recorded_at, recorded_by, event_hash"

    with pytest.raises(IntegrityError, match="an_allergy_stands_once"):
        api.test_bank.write(lambda s: s.execute(text(f"{again} FROM donor_allergy")))
