"""Material × legal basis × act: what may be done with what, read from the registries, pinned cell by cell, each no with its why.

The rows come from the registries, so a new material, basis or process makes a test fail until somebody says what may be done.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import Condition
from biobank.foundation.errors import Refusal
from biobank.quality.decisions import release_refusals
from biobank.quality.events import Decision, RegulatoryBasis
from biobank.quality.findings import Findings
from biobank.quality.legal_bases import basis_refusals
from biobank.quality.lot_tests import NO_TESTS, LotTests
from biobank.quality.usable import unfit_refusals
from biobank.specimens.freezing import freezing_refusal
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.processes import PROCESSES

NOW = datetime(2026, 11, 29, tzinfo=UTC)
KNOWN = [name for name in MATERIALS if name is not MaterialName.UNIDENTIFIED]
BASES = (
    *("us_361", "us_351_ind", "us_351_bla", "us_same_surgical_procedure", "us_blood_preparation", "us_state_exception"),
    *(
        "eu_tissue_cell",
        "eu_soho",
        "eu_atmp_trial",
        "eu_atmp_hospital_exemption",
        "named_patient",
        "research_only",
        "undetermined",
    ),
)
LETTERS = {
    "basis_not_for_material": "m",
    "basis_not_in_force": "d",
    "regulatory_basis_undetermined": "u",
    "research_only": "r",
    "lot_test_missing": "t",
}
"""What each letter of the table stands for; a dot: it may be done. The first reason counts."""


def tube(material: MaterialName, basis: str, condition: Condition) -> Snapshot:
    """A released tube, kept for treatment, fresh or frozen once."""
    frozen = condition is Condition.FROZEN
    row = Projection(
        state="stored", quality="released_to_bank", amount=1, condition=condition.value, freeze_count=1 if frozen else 0
    )
    return Snapshot("AD26-1", "DN-A", 1, b"", row, material=material.value, regulatory_basis=basis)


def passed(material: MaterialName) -> LotTests:
    """Every test that the material is asked for, passed."""
    return LotTests(passed=tuple(MATERIALS[material].release_tests))


def determined(one: Snapshot, _tests: LotTests) -> list[Refusal]:
    """What stands against determining the basis, with what it asks for named."""
    return basis_refusals(one.regulatory_basis, one, NOW, authorised=True)


def released(one: Snapshot, tests: LotTests) -> list[Refusal]:
    """What stands against a release to the bank."""
    return release_refusals(Decision.RELEASED_TO_BANK, one, tests, NOW, planned=False, accepted=False)


def given(one: Snapshot, tests: LotTests) -> list[Refusal]:
    """What stands against issuing and giving it."""
    return unfit_refusals(one, replace(Findings(), tests=tests), NOW)


ACTS = {"determine": determined, "release": released, "give": given}
CONDITIONS = (Condition.FRESH, Condition.FROZEN)


def cell(found: list[Refusal]) -> str:
    """A letter of the table; whatever is refused is refused with a sentence that names the tube."""
    for refusal in found:
        assert refusal.detail.endswith("."), refusal.detail
        assert "AD26-1" in refusal.detail or "“" in refusal.detail, refusal.detail
    return LETTERS[found[0].code] if found else "."


def row(act: str, material: MaterialName, condition: Condition, tests: LotTests | None = None) -> str:
    """The cells of one act, in the order of `BASES`."""
    found = [ACTS[act](tube(material, basis, condition), passed(material) if tests is None else tests) for basis in BASES]
    return "".join(cell(one) for one in found)


def test_the_table_has_a_column_for_every_basis() -> None:
    assert set(BASES) == {basis.value for basis in RegulatoryBasis}


PINNED = {
    ("intact_follicles", "determine", "fresh"): "....mm.dmm..u",
    ("intact_follicles", "determine", "frozen"): "...mmm.dmm..u",
    ("intact_follicles", "release", "fresh"): "....mm.dmm..u",
    ("intact_follicles", "release", "frozen"): "...mmm.dmm..u",
    ("intact_follicles", "give", "fresh"): "....mm.dmm.ru",
    ("intact_follicles", "give", "frozen"): "...mmm.dmm.ru",
    ("hf_stem_cells", "determine", "fresh"): "m..mm.mm....u",
    ("hf_stem_cells", "determine", "frozen"): "m..mm.mm....u",
    ("hf_stem_cells", "release", "fresh"): "m..mm.mm....u",
    ("hf_stem_cells", "release", "frozen"): "m..mm.mm....u",
    ("hf_stem_cells", "give", "fresh"): "m..mm.mm...ru",
    ("hf_stem_cells", "give", "frozen"): "m..mm.mm...ru",
    ("dermal_papilla_cells", "determine", "fresh"): "m..mm.mm....u",
    ("dermal_papilla_cells", "determine", "frozen"): "m..mm.mm....u",
    ("dermal_papilla_cells", "release", "fresh"): "m..mm.mm....u",
    ("dermal_papilla_cells", "release", "frozen"): "m..mm.mm....u",
    ("dermal_papilla_cells", "give", "fresh"): "m..mm.mm...ru",
    ("dermal_papilla_cells", "give", "frozen"): "m..mm.mm...ru",
    ("lipoaspirate", "determine", "fresh"): "....mm.dmm..u",
    ("lipoaspirate", "determine", "frozen"): "...mmm.dmm..u",
    ("lipoaspirate", "release", "fresh"): "....mm.dmm..u",
    ("lipoaspirate", "release", "frozen"): "...mmm.dmm..u",
    ("lipoaspirate", "give", "fresh"): "....mm.dmm.ru",
    ("lipoaspirate", "give", "frozen"): "...mmm.dmm.ru",
    ("micro_nanofat", "determine", "fresh"): "...mmm.d....u",
    ("micro_nanofat", "determine", "frozen"): "...mmm.d....u",
    ("micro_nanofat", "release", "fresh"): "...mmm.d....u",
    ("micro_nanofat", "release", "frozen"): "...mmm.d....u",
    ("micro_nanofat", "give", "fresh"): "...mmm.d...ru",
    ("micro_nanofat", "give", "frozen"): "...mmm.d...ru",
    ("svf", "determine", "fresh"): "m..mm.mm....u",
    ("svf", "determine", "frozen"): "m..mm.mm....u",
    ("svf", "release", "fresh"): "m..mm.mm....u",
    ("svf", "release", "frozen"): "m..mm.mm....u",
    ("svf", "give", "fresh"): "m..mm.mm...ru",
    ("svf", "give", "frozen"): "m..mm.mm...ru",
    ("adsc", "determine", "fresh"): "m..mm.mm....u",
    ("adsc", "determine", "frozen"): "m..mm.mm....u",
    ("adsc", "release", "fresh"): "m..mm.mm....u",
    ("adsc", "release", "frozen"): "m..mm.mm....u",
    ("adsc", "give", "fresh"): "m..mm.mm...ru",
    ("adsc", "give", "frozen"): "m..mm.mm...ru",
    ("prp", "determine", "fresh"): "m.mm.mmdmm..u",
    ("prp", "determine", "frozen"): "m.mmmmmdmm..u",
    ("prp", "release", "fresh"): "m.mm.mmdmm..u",
    ("prp", "release", "frozen"): "m.mmmmmdmm..u",
    ("prp", "give", "fresh"): "m.mm.mmdmm.ru",
    ("prp", "give", "frozen"): "m.mmmmmdmm.ru",
    ("prf", "determine", "fresh"): "m.mm.mmdmm..u",
    ("prf", "determine", "frozen"): "m.mmmmmdmm..u",
    ("prf", "release", "fresh"): "m.mm.mmdmm..u",
    ("prf", "release", "frozen"): "m.mmmmmdmm..u",
    ("prf", "give", "fresh"): "m.mm.mmdmm.ru",
    ("prf", "give", "frozen"): "m.mmmmmdmm.ru",
    ("exosome_preparation", "determine", "fresh"): "m.mmmmmm.m..u",
    ("exosome_preparation", "determine", "frozen"): "m.mmmmmm.m..u",
    ("exosome_preparation", "release", "fresh"): "m.mmmmmm.m..u",
    ("exosome_preparation", "release", "frozen"): "m.mmmmmm.m..u",
    ("exosome_preparation", "give", "fresh"): "m.mmmmmm.m.ru",
    ("exosome_preparation", "give", "frozen"): "m.mmmmmm.m.ru",
}
"""Material, act, condition → a letter for each of `BASES`."""


@pytest.mark.parametrize("material", KNOWN)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_cell_is_as_pinned(material: MaterialName, act: str, condition: Condition) -> None:
    assert row(act, material, condition) == PINNED[material.value, act, condition.value]


@pytest.mark.parametrize("material", KNOWN)
def test_whatever_is_asked_for_tests_is_not_released_without_them(material: MaterialName) -> None:
    may, without = row("release", material, Condition.FRESH), row("release", material, Condition.FRESH, NO_TESTS)
    asked = bool(MATERIALS[material].release_tests)
    assert without == (may.replace(".", "t") if asked else may)


PROCESSED = {
    "intact_follicles": ["aliquoting", "follicle_outgrowth", "qc_sampling"],
    "hf_stem_cells": ["aliquoting", "exosome_isolation", "passage", "qc_sampling"],
    "dermal_papilla_cells": ["aliquoting", "exosome_isolation", "passage", "qc_sampling"],
    "lipoaspirate": ["aliquoting", "microfat", "qc_sampling", "svf_isolation", "wash"],
    "micro_nanofat": ["aliquoting", "qc_sampling", "svf_isolation"],
    "svf": ["aliquoting", "expansion", "qc_sampling"],
    "adsc": ["aliquoting", "exosome_isolation", "passage", "qc_sampling"],
    "prp": ["aliquoting", "qc_sampling"],
    "prf": ["aliquoting", "qc_sampling"],
    "exosome_preparation": ["aliquoting", "qc_sampling"],
}
"""Material → the processes that take it. No process asks for a basis: what is not determined yet is worked up and kept."""


@pytest.mark.parametrize("material", KNOWN)
def test_every_process_takes_what_is_pinned(material: MaterialName) -> None:
    assert sorted(name.value for name, process in PROCESSES.items() if material in process.makes) == PROCESSED[material.value]


FREEZABLE = {
    "adsc",
    "dermal_papilla_cells",
    "exosome_preparation",
    "hf_stem_cells",
    "intact_follicles",
    "lipoaspirate",
    "micro_nanofat",
    "prp",
    "svf",
}


def test_what_is_frozen_and_what_is_kept_fresh_only() -> None:
    found = {name.value: freezing_refusal(tube(name, "undetermined", Condition.FRESH)) for name in KNOWN}
    assert {name for name, refusal in found.items() if refusal is None} == FREEZABLE
    assert {refusal.code for refusal in found.values() if refusal is not None} == {"not_freezable"}


@pytest.mark.parametrize("material", KNOWN)
def test_everything_is_stored_fresh_and_frozen_only_where_it_is_frozen(material: MaterialName) -> None:
    entry = MATERIALS[material]
    assert entry.classes_for(Condition.FRESH)
    assert bool(entry.classes_for(Condition.FROZEN)) == (material.value in FREEZABLE)
