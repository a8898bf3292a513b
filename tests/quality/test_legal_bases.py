"""Which legal basis can carry which material, asked by the table, by HTTP and at the use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.quality.events import RegulatoryBasis
from biobank.quality.legal_bases import LEGAL_BASES, basis_refusals
from biobank.specimens.materials import MATERIALS, MaterialName
from tests.conftest import Api
from tests.quality.test_decisions import basis, decide, fresh
from tests.withdrawals.stories import kinds_of, refused

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TRIALS = {"us_351_ind", "eu_atmp_trial", "named_patient"}
TABLE = {
    "intact_follicles": {"us_361", "us_351_ind", "us_351_bla", "us_same_surgical_procedure", "eu_tissue_cell", "named_patient"},
    "lipoaspirate": {"us_361", "us_351_ind", "us_351_bla", "us_same_surgical_procedure", "eu_tissue_cell", "named_patient"},
    "micro_nanofat": TRIALS | {"us_361", "us_351_bla", "eu_tissue_cell", "eu_atmp_hospital_exemption"},
    "svf": TRIALS | {"us_351_bla", "us_state_exception", "eu_atmp_hospital_exemption"},
    "adsc": TRIALS | {"us_351_bla", "us_state_exception", "eu_atmp_hospital_exemption"},
    "hf_stem_cells": TRIALS | {"us_351_bla", "us_state_exception", "eu_atmp_hospital_exemption"},
    "dermal_papilla_cells": TRIALS | {"us_351_bla", "us_state_exception", "eu_atmp_hospital_exemption"},
    "prp": {"us_351_ind", "us_blood_preparation", "named_patient"},
    "prf": {"us_351_ind", "us_blood_preparation", "named_patient"},
    "exosome_preparation": TRIALS,
}


def tube(material: str, **projection: object) -> Snapshot:
    """A fresh tube of a material."""
    return Snapshot("AD26-1", "DN-A", 1, b"", replace(Projection(state="stored"), **projection), material=material)  # type: ignore[arg-type]


@pytest.mark.parametrize("material", [name for name in MATERIALS if name is not MaterialName.UNIDENTIFIED])
def test_each_material_is_carried_by_its_bases_and_no_other(material: MaterialName) -> None:
    fitting = {basis.value for basis in LEGAL_BASES if not basis_refusals(basis, tube(material), NOW)}
    assert fitting == TABLE[material.value] | {"research_only"}


def test_every_basis_but_none_stands_in_the_table_with_its_source() -> None:
    assert set(LEGAL_BASES) == set(RegulatoryBasis) - {RegulatoryBasis.UNDETERMINED}
    assert all(entry.source and entry.known in ("read", "background") for entry in LEGAL_BASES.values())


@pytest.mark.parametrize("kept", [{"condition": "frozen"}, {"condition": "thawed"}, {"freeze_count": 1}])
def test_what_was_frozen_is_of_no_single_visit(kept: dict[str, object]) -> None:
    (refusal,) = basis_refusals("us_same_surgical_procedure", tube("lipoaspirate", **kept), NOW)
    assert refusal.code == "basis_not_for_material"
    assert basis_refusals("us_same_surgical_procedure", tube("lipoaspirate"), NOW) == []


def test_the_law_for_substances_of_human_origin_takes_over_on_its_day() -> None:
    day = datetime(2027, 8, 7, tzinfo=UTC)
    before = day - timedelta(seconds=1)
    found = {
        (basis, at): [refusal.code for refusal in basis_refusals(basis, tube("lipoaspirate"), at)]
        for basis in ("eu_soho", "eu_tissue_cell")
        for at in (before, day)
    }
    assert [key for key, codes in found.items() if codes == []] == [("eu_soho", day), ("eu_tissue_cell", before)]
    assert {code for codes in found.values() for code in codes} == {"basis_not_in_force"}


def test_nanofat_is_tissue_only_by_a_named_determination() -> None:
    (refusal,) = basis_refusals("us_361", tube("micro_nanofat"), NOW, authorised=False)
    assert refusal.code == "authorisation_required"
    assert basis_refusals("us_361", tube("micro_nanofat"), NOW, authorised=True) == []
    assert basis_refusals("us_361", tube("lipoaspirate"), NOW, authorised=False) == []


@pytest.mark.parametrize(
    ("material", "unit", "passage"),
    [("adsc", "cells", 2), ("svf", "cells", None), ("prp", "ul", None), ("prf", "ul", None), ("exosome_preparation", "ul", None)],
)
def test_what_is_no_tissue_is_never_determined_as_tissue(api: Api, material: str, unit: str, passage: int | None) -> None:
    (code,) = fresh(api, material=material, unit=unit, passage=passage, frozen=False)
    problem = refused(basis(api, f"/specimens/{code}/basis", "us_361", authorisation=None), 409, "basis_not_for_material")
    assert ("none is approved" in problem["detail"]) == (material == "exosome_preparation")
    assert "specimen.basis_decided" not in kinds_of(api, "specimen", code)


def test_a_basis_that_was_stored_before_the_table_does_not_release(api: Api) -> None:
    (code,) = fresh(api, basis="us_361")
    refused(decide(api, f"/specimens/{code}/decision", "released_to_bank"), 409, "basis_not_for_material")


def test_cultured_cells_are_not_released_without_their_tests(api: Api) -> None:
    (code,) = fresh(api, basis="us_351_ind", lot=True)
    problem = refused(decide(api, f"/specimens/{code}/decision", "released_to_bank"), 409, "lot_test_missing")
    assert problem["tests"] == ["endotoxin", "mycoplasma", "sterility"]
