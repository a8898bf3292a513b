"""The rules of a run, one refusal after another, and what must hold of every run that is let through."""

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import Condition
from biobank.specimens.materials import MATERIALS, MaterialName, Unit
from biobank.specimens.processes import PROCESSES, Balance, ProcessName
from biobank.specimens.run_rules import Making, Use, condition_after, made_total, refusal_of_run, used_total


def tube(material: str = "adsc", unit: str = "cells", amount: int = 100, **changes: Any) -> Snapshot:
    projection = Projection(state="in_process", amount=amount, condition=changes.pop("condition", "fresh"))
    passage = changes.pop("passage", 1 if material == "adsc" else None)
    fields = {"code": "AD26-KH0KJQL", "donor_code": "DN-SQF5SS9", "seq": 3, "head_hash": b"", "passage": passage}
    return Snapshot(material=material, unit=unit, projection=projection, **(fields | changes))


def all_of(specimen: Snapshot) -> Use:
    return Use(specimen, specimen.projection.amount, consumed=True)


def cells(amount: int = 100, count: int = 1, **changes: Any) -> Making:
    fields: dict[str, Any] = {"material": MaterialName.ADSC, "unit": Unit.CELLS, "passage": 1} | changes
    return Making(amount=amount, count=count, **fields)


def verdict(process: ProcessName, uses: list[Use], makings: list[Making], loss: int = 0) -> str | None:
    refusal = refusal_of_run(PROCESSES[process], uses, makings, loss)
    return None if refusal is None else refusal.code


def test_splitting_keeps_what_went_in() -> None:
    assert verdict(ProcessName.ALIQUOTING, [all_of(tube())], [cells(30, 3)], loss=10) is None
    assert verdict(ProcessName.ALIQUOTING, [all_of(tube())], [cells(30, 3)]) == "out_of_balance"
    assert verdict(ProcessName.ALIQUOTING, [all_of(tube())], [cells(30, 4)]) == "out_of_balance"


def test_a_loss_is_stated_only_where_amounts_are_conserved() -> None:
    grown = cells(300, passage=2, vessel_count=3)

    assert verdict(ProcessName.PASSAGE, [all_of(tube())], [grown]) is None
    assert verdict(ProcessName.PASSAGE, [all_of(tube())], [grown], loss=1) == "out_of_balance"


def test_washing_never_makes_more_than_went_in() -> None:
    raw = all_of(tube("lipoaspirate", "ul_raw"))
    washed: dict[str, Any] = {"material": MaterialName.LIPOASPIRATE, "unit": Unit.UL_WASHED, "passage": None}

    assert verdict(ProcessName.WASH, [raw], [cells(100, **washed)]) is None
    assert verdict(ProcessName.WASH, [raw], [cells(101, **washed)]) == "out_of_balance"


def test_raw_and_washed_volumes_are_never_mixed_up() -> None:
    raw, washed = tube("lipoaspirate", "ul_raw"), tube("lipoaspirate", "ul_washed")
    still_raw = cells(90, material=MaterialName.LIPOASPIRATE, unit=Unit.UL_RAW, passage=None)
    svf = cells(90, material=MaterialName.SVF, passage=None)

    assert verdict(ProcessName.WASH, [all_of(washed)], [still_raw]) == "unit_not_of_material"
    assert verdict(ProcessName.WASH, [all_of(raw)], [still_raw]) == "unit_not_of_material"
    assert verdict(ProcessName.SVF_ISOLATION, [all_of(raw), all_of(washed)], [svf]) == "out_of_balance"


@pytest.mark.parametrize("sent, due", [(None, 2), (1, 2), (3, 2)])
def test_a_passage_adds_exactly_one(sent: int | None, due: int) -> None:
    refusal = refusal_of_run(PROCESSES[ProcessName.PASSAGE], [all_of(tube())], [cells(passage=sent, vessel_count=1)], 0)

    assert refusal is not None
    assert (refusal.code, refusal.members["passage_due"]) == ("passage_out_of_step", due)


def test_the_first_culture_is_p0_and_a_primary_isolate_has_no_passage() -> None:
    svf, washed = tube("svf"), tube("lipoaspirate", "ul_washed")
    isolate: dict[str, Any] = {"material": MaterialName.SVF}

    assert verdict(ProcessName.EXPANSION, [all_of(svf)], [cells(passage=0, vessel_count=1)]) is None
    assert verdict(ProcessName.EXPANSION, [all_of(svf)], [cells(passage=1, vessel_count=1)]) == "passage_out_of_step"
    assert verdict(ProcessName.SVF_ISOLATION, [all_of(washed)], [cells(passage=None, **isolate)]) is None
    assert verdict(ProcessName.SVF_ISOLATION, [all_of(washed)], [cells(passage=0, **isolate)]) == "passage_out_of_step"


def test_cultures_of_different_passages_are_not_run_together() -> None:
    uses = [all_of(tube(passage=1)), all_of(tube(passage=2))]

    assert verdict(ProcessName.ALIQUOTING, uses, [cells(200, passage=2)]) == "passage_out_of_step"


def test_a_culture_is_one_specimen_with_its_vessels_and_nothing_else_has_vessels() -> None:
    assert verdict(ProcessName.PASSAGE, [all_of(tube())], [cells(passage=2)]) == "vessels_not_stated"
    assert verdict(ProcessName.PASSAGE, [all_of(tube())], [cells(50, 2, passage=2, vessel_count=4)]) == "vessels_not_stated"
    assert verdict(ProcessName.ALIQUOTING, [all_of(tube())], [cells(vessel_count=1)]) == "vessels_not_stated"


def test_a_process_takes_and_makes_only_its_own_materials() -> None:
    follicles = tube("intact_follicles", "follicles", code="HF26-MC061ET")

    assert verdict(ProcessName.WASH, [all_of(tube())], [cells()]) == "material_not_taken"
    assert verdict(ProcessName.PASSAGE, [all_of(follicles)], [cells(passage=0, vessel_count=1)]) == "material_not_taken"
    assert verdict(ProcessName.FOLLICLE_OUTGROWTH, [all_of(follicles)], [cells(passage=0, vessel_count=1)]) == "material_not_made"


def test_nothing_is_made_of_two_peoples_cells() -> None:
    uses = [all_of(tube()), all_of(tube(donor_code="DN-0000000"))]

    assert verdict(ProcessName.ALIQUOTING, uses, [cells(200)]) == "several_donors"


@pytest.mark.parametrize("condition", ["frozen", "freezing"])
def test_a_frozen_tube_is_thawed_first(condition: str) -> None:
    assert verdict(ProcessName.ALIQUOTING, [all_of(tube(condition=condition))], [cells()]) == "thaw_first"


def test_no_run_uses_more_than_there_is_or_nothing_or_hides_a_rest() -> None:
    assert verdict(ProcessName.ALIQUOTING, [Use(tube(), 101, consumed=False)], [cells(101)]) == "not_enough_left"
    assert verdict(ProcessName.ALIQUOTING, [Use(tube(), 0, consumed=False)], [cells()]) == "out_of_balance"
    assert verdict(ProcessName.ALIQUOTING, [Use(tube(), 60, consumed=True)], [cells(60)]) == "out_of_balance"


def test_medium_is_taken_from_a_culture_without_using_cells() -> None:
    particles = cells(10**9, material=MaterialName.EXOSOME_PREPARATION, unit=Unit.PARTICLES, passage=None)

    assert verdict(ProcessName.EXOSOME_ISOLATION, [Use(tube(), 0, consumed=False)], [particles]) is None


@pytest.mark.parametrize("purpose", ["qc", "retained"])
def test_what_was_set_aside_never_becomes_therapeutic(purpose: str) -> None:
    aside = all_of(tube(purpose=purpose))

    assert verdict(ProcessName.ALIQUOTING, [aside], [cells()]) == "not_for_therapy"
    assert verdict(ProcessName.ALIQUOTING, [aside], [cells(purpose=purpose)]) is None
    assert verdict(ProcessName.QC_SAMPLING, [all_of(tube())], [cells()]) == "not_for_therapy"


def test_thawed_stays_thawed_unless_it_grows() -> None:
    thawed = [all_of(tube(condition="thawed"))]

    assert condition_after(PROCESSES[ProcessName.ALIQUOTING], thawed) is Condition.THAWED
    assert condition_after(PROCESSES[ProcessName.PASSAGE], thawed) is Condition.IN_CULTURE
    assert condition_after(PROCESSES[ProcessName.ALIQUOTING], [all_of(tube(condition="in_culture"))]) is Condition.FRESH
    assert condition_after(PROCESSES[ProcessName.EXOSOME_ISOLATION], thawed) is Condition.FRESH


@st.composite
def plausible_runs(draw: st.DrawFn) -> tuple[ProcessName, list[Use], list[Making], int]:
    """Runs of ADSC as a tired technician might type them: often right, sometimes off by one thing."""
    name = draw(st.sampled_from([ProcessName.ALIQUOTING, ProcessName.QC_SAMPLING, ProcessName.PASSAGE]))
    passage = draw(st.integers(0, 3))
    uses = []
    for _ in range(draw(st.integers(1, 2))):
        left = draw(st.integers(1, 60))
        used = draw(st.integers(1, left + 1))
        condition = draw(st.sampled_from(["fresh", "fresh", "in_culture", "thawed", "frozen"]))
        uses.append(Use(tube(amount=left, passage=passage, condition=condition), used, used == left))
    step = 1 if name is ProcessName.PASSAGE else 0
    makings = [
        cells(
            draw(st.integers(1, 30)),
            1 if step else draw(st.integers(1, 2)),
            passage=passage + step + draw(st.sampled_from([0, 0, 0, 1])),
            vessel_count=4 if step else None,
            purpose="qc" if name is ProcessName.QC_SAMPLING else draw(st.sampled_from(["therapeutic", "qc"])),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    missing = used_total(uses) - made_total(makings)
    loss = 0 if step or missing < 0 else draw(st.sampled_from([missing, missing, missing + 1]))
    return name, uses, makings, loss


@given(plausible_runs())
@settings(max_examples=400)
def test_whatever_run_is_let_through_balances_and_steps(run: tuple[ProcessName, list[Use], list[Making], int]) -> None:
    name, uses, makings, loss = run
    process = PROCESSES[name]
    refused = refusal_of_run(process, uses, makings, loss) is not None
    event("refused" if refused else "let through")
    if refused:
        return

    assert all(use.amount <= use.specimen.projection.amount for use in uses)
    assert all(use.specimen.projection.condition != "frozen" for use in uses)
    if process.balance is Balance.CONSERVED:
        assert used_total(uses) == made_total(makings) + loss
    else:
        assert loss == 0
    (passage,) = {use.specimen.passage for use in uses}
    step = 1 if name is ProcessName.PASSAGE else 0
    assert all(m.passage == (passage or 0) + step for m in makings if MATERIALS[m.material].passaged)
