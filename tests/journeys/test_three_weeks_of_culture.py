"""Fat of one person grows for three weeks, is tested, frozen in two runs into two tanks, and one of the tanks warms up."""

import pytest

from tests.conftest import Api
from tests.monitoring.test_excursions import OPEN, a_tank, held, put
from tests.specimens.stories import Json, culture, donor, freeze, kinds, made, refused, run, svf, using, vials
from tests.specimens.test_lots import REPORT, report
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later

WEEK = 7


def grown_for_three_weeks(api: Api, person: str) -> Json:
    """A passage a week, each on the vessels of the one before."""
    cells: Json = made(run(api.lab_tech, "expansion", [using(svf(api, person))], [culture(9_000_000, 0)]))["specimens"][0]
    for passage, count in enumerate((30_000_000, 90_000_000, 270_000_000), start=1):
        later(api, days=WEEK)
        cells = made(run(api.lab_tech, "passage", [using(cells)], [culture(count, passage)]))["specimens"][0]
    return cells


@pytest.mark.slow
def test_three_weeks_of_culture_are_one_line_from_the_fat_to_the_tested_vials(api: Api) -> None:
    cells = grown_for_three_weeks(api, donor(api))
    assert (cells["passage"], cells["condition"]) == (3, "in_culture")
    filled = vials(api, cells, 6)
    banked = made(freeze(api.lab_tech, filled))["specimens"]
    assert {one["condition"] for one in banked} == {"frozen"}

    graph = api.lab_tech.get(f"/specimens/{banked[0]['code']}/lineage").json()
    assert sorted({node["generation"] for node in graph["nodes"]}) == list(range(-7, 1))
    for test in ("sterility", "endotoxin", "mycoplasma"):
        waits = made(report(api, filled[0]["lot"], test=test))["test"]
        assert waits["due_at"] is not None
    decided = api.quality.get(f"/lots/{filled[0]['lot']}").json()
    assert {one["result"] for one in decided["tests"]} == {"pending"}
    first = decided["tests"][0]
    grew = report(api, filled[0]["lot"], result="failed", completes=first["id"], test=first["test"], **REPORT)
    assert grew.status_code == 201, grew.text
    assert kinds(api, "specimen", filled[0]["code"])[-1] == "specimen.rejected_by_test"
    assert refused(run(api.lab_tech, "passage", [using(cells)], [culture(10**7, 4)]))[0] == 409, (
        "what was used up grows no further"
    )


@pytest.mark.slow
def test_a_split_freeze_loses_one_tank_and_keeps_the_other(api: Api) -> None:
    person = donor(api)
    cells = made(run(api.lab_tech, "expansion", [using(svf(api, person))], [culture(12_000_000, 0)]))["specimens"][0]
    filled = vials(api, cells, 4)
    halves = filled[:2], filled[2:]
    runs = [made(freeze(api.lab_tech, list(half))) for half in halves]
    assert runs[0]["processing"] != runs[1]["processing"]
    tanks = [a_tank(api, name) for name in ("Tank of the first run", "Tank of the second run")]
    for tank, half in zip(tanks, halves, strict=True):
        box = a_box(api, rows=5, cols=2, parent=a_box(api, kind="rack", name=f"Rack of {tank}", parent=tank, **OPEN))
        for vial in half:
            put(api, vial["code"], box)
    report_of = api.quality.get("/single-failure-report").json()["items"]
    assert not any(one.get("donor") == person and one.get("kind") == "tank" for one in report_of), "no tank has them all"

    warm = {"reading": "temperature_mc", "value": -90_000, "confirmed": True}
    assert api.lab_tech.post(f"/storage-containers/{tanks[0]}/readings", json=warm).status_code == 201

    assert [bool(held(api, vial["code"])) for vial in filled] == [True, True, False, False]
