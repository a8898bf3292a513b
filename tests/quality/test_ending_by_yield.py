"""A run of which almost nothing comes out ends cells as a bin does: one person alone records it of no process, two people do."""

from typing import Any

import pytest

from biobank.specimens.materials import MaterialName
from biobank.specimens.processes import PROCESSES, ProcessName
from tests.conftest import Api
from tests.specimens.stories import adsc, culture, donor, made, output, raw_fat, received, refused, run, svf, using, washed_fat
from tests.specimens.stories import follicles as follicle_container
from tests.specimens.stories import harvest as taken_at_the_clinic
from tests.withdrawals.stories import by_two

Json = dict[str, Any]
ENDS = (409, "ends_material")


def follicles(api: Api, whose: str) -> Json:
    return received(api.lab_tech, made(taken_at_the_clinic(api.clinician, whose, follicle_container()))["specimens"][0])


def grown_out(cells: int) -> Json:
    return output("hf_stem_cells", cells, passage=0, vessel_count=2)


RUNS: dict[str, tuple[Any, Any, int, int]] = {
    "wash": (raw_fat, lambda n: output("lipoaspirate", n, "ul_washed"), 4_999, 5_000),
    "microfat": (washed_fat, lambda n: output("micro_nanofat", n, "ul"), 3_999, 4_000),
    "svf_isolation": (washed_fat, lambda n: output("svf", n), 39_999, 40_000),
    "follicle_outgrowth": (follicles, grown_out, 399, 400),
    "expansion": (svf, lambda n: culture(n, 0), 199_999, 200_000),
    "passage": (adsc, lambda n: culture(n, 1), 2_999_999, 3_000_000),
}
"""Process → what goes in whole, what comes out, and how much of it is too little and is just enough."""


def test_every_process_that_does_not_conserve_says_what_is_next_to_nothing() -> None:
    for process in PROCESSES.values():
        assert process.balance == "conserved" or process.leaves_input or process.least is not None, process.name
    without = {name.value for name, process in PROCESSES.items() if process.balance != "conserved" and not process.leaves_input}
    assert set(RUNS) == without, "each is tried below"


@pytest.mark.parametrize("process", RUNS)
def test_one_person_alone_makes_next_to_nothing_of_what_is_kept_for_treatment(api: Api, process: str) -> None:
    begin, out, too_little, enough = RUNS[process]
    whole = begin(api, donor(api))

    for little in (1, too_little):
        assert refused(run(api.lab_tech, process, [using(whole)], [out(little)])) == ENDS, little
        assert refused(run(api.quality, process, [using(whole)], [out(little)])) in (ENDS, (403, "not_permitted"))
    assert run(api.lab_tech, process, [using(whole)], [out(enough)]).status_code == 201


def test_two_people_record_that_a_run_came_to_nothing(api: Api) -> None:
    fat = washed_fat(api, donor(api))
    nothing = run(api.lab_tech, "svf_isolation", [using(fat)], [output("svf", 10)])
    assert refused(nothing) == ENDS

    said = {"use": "further_processing", "expected_seq": fat["seq"]}
    allowed = by_two(api.lab_tech, api.quality, f"/specimens/{fat['code']}/use-up", said)

    assert allowed.status_code in (200, 201), allowed.text
    fat |= {"seq": fat["seq"] + 1}
    assert run(api.lab_tech2, "svf_isolation", [using(fat)], [output("svf", 10)]).status_code == 201


def test_passages_of_which_little_is_left_are_counted_together(api: Api) -> None:
    whole = adsc(api, donor(api))
    third = made(run(api.lab_tech, "passage", [using(whole)], [culture(whole["amount"] // 3, 1)]))["specimens"][0]

    again = run(api.lab_tech, "passage", [using(third)], [culture(third["amount"] // 4, 2)])

    assert refused(again) == ENDS, "a twelfth of what there was, however many passages it took"
    grown = made(run(api.lab_tech, "passage", [using(third)], [culture(whole["amount"] * 2, 2)]))["specimens"][0]
    assert run(api.lab_tech, "passage", [using(grown)], [culture(whole["amount"] // 2, 3)]).status_code == 201, (
        "it grew meanwhile"
    )


def test_exosomes_are_made_of_the_medium_and_never_use_up_the_cells_of_one_person_alone(api: Api) -> None:
    cells = adsc(api, donor(api))
    out = [output("exosome_preparation", 10**9, "particles")]

    assert refused(run(api.lab_tech, "exosome_isolation", [using(cells)], out)) == ENDS
    medium = using(cells, amount=0, consumed=False)
    assert run(api.lab_tech, "exosome_isolation", [medium], out).status_code == 201


def test_the_registry_refuses_nothing_that_is_usual() -> None:
    """A hundred thousand cells of a millilitre, a thousand of a follicle, one in twenty that settles: all far above the least."""
    usual = {
        ProcessName.SVF_ISOLATION: (100_000, 1_000),
        ProcessName.FOLLICLE_OUTGROWTH: (1_000, 1),
        ProcessName.EXPANSION: (5, 100),
        ProcessName.WASH: (4, 10),
        ProcessName.MICROFAT: (5, 10),
    }
    assert {name for name, (out, of) in usual.items() if PROCESSES[name].yields_almost_nothing(out, of)} == set()
    assert MaterialName.SVF in PROCESSES[ProcessName.EXPANSION].makes
