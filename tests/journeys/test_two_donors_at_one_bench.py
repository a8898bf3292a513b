"""Two donors' fat at one bench: the second is stopped by every hand, and a doubt afterwards holds what was handled there."""

from typing import Any

import pytest

from tests.benches.stories import closing, opened, opening, scanning, session_of, workstation
from tests.benches.test_doubt import doubt, held
from tests.conftest import Api
from tests.journeys.test_from_harvest_to_administration import BEN
from tests.specimens.stories import donor, freeze, made, output, raw_fat, refused, run, using
from tests.withdrawals.stories import by_two, sign_and_post

WASHED = [output("lipoaspirate", 40_000, "ul_washed")]
STOP = (409, "another_persons_material")


@pytest.mark.slow
def test_two_donors_fat_at_one_bench_is_stopped_and_doubt_holds_the_sessions_material(api: Api) -> None:
    mary, ben = donor(api), donor(api, **BEN)
    bench = workstation(api)
    hers, his = [raw_fat(api, mary), raw_fat(api, mary)], raw_fat(api, ben)

    # The morning is Mary's. Ben's syringe lies beside it: it is washed there by nobody.
    morning = opened(api, bench, specimen=hers[0]["code"])
    washed = [made(run(api.lab_tech, "wash", [using(one)], WASHED, workstation=bench))["specimens"][0] for one in hers]
    for tried in (
        run(api.lab_tech, "wash", [using(his)], WASHED, workstation=bench),
        scanning(api.lab_tech, morning, his["code"]),
        opening(api.lab_tech, bench, specimen=his["code"]),
    ):
        assert refused(tried) in {STOP, (409, "bench_is_open")}
    label = {"specimens": [washed[0]["code"]], "template": "cryovial-38x19", "workstation": bench}
    batch = made(api.lab_tech.post("/label-sheets", json=label))["items"][0]["batch"]
    assert refused(closing(api.lab_tech, morning, bench)) == (409, "labels_of_bench_open")
    counted = by_two(
        api.lab_tech, api.lab_tech2, f"/label-batches/{batch}/reconciliation", {"applied": 1, "destroyed": []}, "witnessed"
    )
    assert counted.status_code == 200, counted.text
    assert closing(api.lab_tech, morning, bench).json()["state"] == "closed"
    misses = api.quality.get("/attempt-counts", params={"days": 1}).json()["items"]
    assert sum(one["times"] for one in misses if one["why"] == "another_persons_material") == 2

    # The line is clear: now it is Ben's.
    afternoon = opened(api, bench, specimen=his["code"])
    bens = made(run(api.lab_tech, "wash", [using(his)], WASHED, workstation=bench))["specimens"][0]
    assert closing(api.lab_tech, afternoon, bench).status_code == 200

    # In the evening somebody doubts the label of one of Mary's: all of her morning is held, and nothing of Ben's.
    doubt(api, washed[0]["code"])
    found = session_of(api, morning)
    assert {washed[0]["code"], washed[1]["code"]} <= set(found["held"])
    assert [one["reason"] for one in found["holds"]] == ["handled_with_one_in_doubt"]
    assert refused(run(api.lab_tech, "svf_isolation", [using(washed[1])], [output("svf", 10**7)])) == (409, "on_hold")
    assert (held(api, bens["code"]), session_of(api, afternoon)["holds"]) == ([], [])
    made(run(api.lab_tech, "svf_isolation", [using(bens)], [output("svf", 10**7)]))

    # Quality compares the labels and lets the rest go on; the tube itself stays held for a decision of its own.
    lifted: Any = sign_and_post(
        api.quality, "hold_lifted", f"/holds/{found['holds'][0]['id']}/lift", {"reason": "labels_compared"}
    )
    assert lifted.status_code == 200, lifted.text
    cells = made(run(api.lab_tech, "svf_isolation", [using(washed[1])], [output("svf", 10**7)]))["specimens"]
    made(freeze(api.lab_tech, cells))
    assert held(api, washed[0]["code"]) == ["specimen"]
