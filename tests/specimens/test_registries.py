"""The registries say nothing that contradicts itself, and nothing that the rest of the bank does not know."""

from typing import get_args

import pytest
from pydantic import ValidationError

from biobank.custody.states import Condition
from biobank.donors.events import Tissue as ConsentTissue
from biobank.foundation.codes import SPECIMENS, Prefix
from biobank.specimens.events import Collected
from biobank.specimens.label_facts import storage_words
from biobank.specimens.materials import (
    MATERIALS,
    NITROGEN,
    UNDETERMINED,
    Assay,
    Estimand,
    MaterialName,
    TemperatureClass,
    Tissue,
    amount_text,
    material_of,
    tissue_of,
)
from biobank.specimens.processes import PROCESSES, Balance, PassageRule, ProcessName
from biobank.storage.schemas import TemperatureClass as PlaceClass

MATERIAL_NAMES = list(MaterialName)
PROCESS_NAMES = list(ProcessName)


@pytest.mark.parametrize("name", MATERIAL_NAMES)
def test_every_material_has_codes_units_and_a_basis_that_is_never_released(name: MaterialName) -> None:
    entry = MATERIALS[name]

    assert entry.name is name
    assert set(entry.prefixes) <= SPECIMENS
    assert entry.units
    assert entry.default_basis == UNDETERMINED


@pytest.mark.parametrize("name", [n for n in MATERIAL_NAMES if n is not MaterialName.UNIDENTIFIED])
def test_every_material_is_taken_from_a_person_or_made_by_a_process_from_its_parents(name: MaterialName) -> None:
    entry = MATERIALS[name]
    makers = {
        parent
        for process in PROCESSES.values()
        for parent, made in process.makes.items()
        if name in made and process.name not in (ProcessName.ALIQUOTING, ProcessName.QC_SAMPLING)
    }

    assert entry.harvested or makers
    assert makers <= entry.parents


@pytest.mark.parametrize("name", MATERIAL_NAMES)
def test_an_assay_of_a_material_measures_its_estimand(name: MaterialName) -> None:
    entry = MATERIALS[name]

    assert bool(entry.assays) == (entry.estimand is not None)
    assert (Assay.OUTGROWTH in entry.assays) == (entry.estimand is Estimand.FOLLICLE_OUTGROWTH)


@pytest.mark.parametrize("name", [n for n in MATERIAL_NAMES if n is not MaterialName.UNIDENTIFIED])
def test_nothing_that_lives_is_kept_at_minus_twenty(name: MaterialName) -> None:
    entry = MATERIALS[name]

    assert TemperatureClass.MINUS_20 not in entry.fresh | entry.frozen
    if entry.freezable:
        assert entry.frozen >= NITROGEN


def test_a_culture_is_kept_in_an_incubator_and_nowhere_else() -> None:
    assert material_of("adsc").classes_for(Condition.IN_CULTURE) == {TemperatureClass.INCUBATOR}
    assert material_of("adsc").classes_for(Condition.THAWED) == material_of("adsc").fresh
    assert material_of("adsc").classes_for(Condition.FROZEN) == material_of("adsc").frozen


def test_temperature_classes_are_those_of_places() -> None:
    assert {one.value for one in TemperatureClass} == set(get_args(PlaceClass))


def test_tissues_are_those_of_consents() -> None:
    assert {one.value for one in Tissue} == set(get_args(ConsentTissue))
    assert tissue_of("adsc", Prefix.ADIPOSE) is Tissue.ADIPOSE
    assert tissue_of("exosome_preparation", Prefix.HAIR_FOLLICLE) is Tissue.HAIR_FOLLICLE
    assert tissue_of("prp", Prefix.HAIR_FOLLICLE) is Tissue.BLOOD


@pytest.mark.parametrize("name", PROCESS_NAMES)
def test_every_process_makes_what_may_come_from_what_it_takes(name: ProcessName) -> None:
    process = PROCESSES[name]
    same = name in (ProcessName.ALIQUOTING, ProcessName.QC_SAMPLING)

    assert process.makes
    assert MaterialName.UNIDENTIFIED not in process.makes
    for taken, makes in process.makes.items():
        for made in makes:
            assert same or taken in MATERIALS[made].parents
            assert set(MATERIALS[made].prefixes) & set(MATERIALS[taken].prefixes)


@pytest.mark.parametrize("name", PROCESS_NAMES)
def test_cultures_and_only_cultures_set_a_passage(name: ProcessName) -> None:
    process = PROCESSES[name]
    made = {one for makes in process.makes.values() for one in makes}

    assert process.culture == (process.passage in (PassageRule.FIRST, PassageRule.NEXT))
    if process.culture:
        assert all(MATERIALS[one].passaged for one in made)
    if process.passage is PassageRule.NONE:
        assert not any(MATERIALS[one].passaged for one in made)


def test_only_what_is_conserved_may_state_a_loss() -> None:
    conserved = {name for name, process in PROCESSES.items() if process.balance is Balance.CONSERVED}

    assert conserved == {ProcessName.ALIQUOTING, ProcessName.QC_SAMPLING}


@pytest.mark.parametrize(
    "amount, unit, words",
    [
        (1000, "ul_washed", "1.0 mL washed"),
        (50_000, "ul_raw", "50.0 mL raw"),
        (250, "ul", "250 µL"),
        (1_299_999, "cells", "1.2 M cells"),
        (4_000, "cells", "4000 cells"),
        (3_000_000_000, "particles", "3.0 G particles"),
        (36, "follicular_units", "36 follicular units"),
        (1, "item", "1 item"),
    ],
)
def test_amounts_are_written_for_people_and_never_rounded_up(amount: int, unit: str, words: str) -> None:
    assert amount_text(amount, unit) == words


@pytest.mark.parametrize(
    "name, condition, words",
    [
        ("adsc", Condition.FROZEN, "below -130 °C"),
        ("exosome_preparation", Condition.FROZEN, "-80 °C or colder"),
        ("adsc", Condition.IN_CULTURE, "37 °C"),
        ("prp", Condition.FRESH, "room temperature"),
        ("exosome_preparation", Condition.FRESH, "2 to 8 °C"),
        ("lipoaspirate", Condition.FRESH, "2 to 25 °C"),
    ],
)
def test_a_label_says_at_what_temperature_to_keep_it(name: str, condition: Condition, words: str) -> None:
    assert storage_words(material_of(name), condition) == words


def test_a_collection_carries_coded_words_only() -> None:
    with pytest.raises(ValidationError):
        Collected(
            donor="DN-SQF5SS9",
            material="lipoaspirate",
            unit="ul_raw",
            amount=1,
            site="CLINIC",
            harvest="KT-0000000",
            home_site="LAB",
            method="lipoaspiration of Mary Smith",
            anatomical_site="abdomen",
            started_at="2026-01-01T00:00:00.000Z",
        )
