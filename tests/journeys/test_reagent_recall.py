"""A reagent lot turns out bad: one lot fails, its neighbour waits for judgement, and a recall freezes what it touched."""

import pytest

from tests import seed
from tests.conftest import Api
from tests.journeys.test_from_harvest_to_administration import BEN
from tests.specimens.stories import culture, donor, made, refused, run, svf, using
from tests.specimens.test_lots import REPORT, report


@pytest.mark.slow
def test_a_reagent_that_spoiled_one_lot_freezes_what_it_touched_and_no_more(api: Api) -> None:
    mary, ben = donor(api), donor(api, **BEN)
    touched = [
        made(run(api.lab_tech, "expansion", [using(svf(api, of))], [culture(30_000_000, 0)], reagent_lots=[seed.REAGENT]))
        for of in (mary, ben)
    ]
    marys, bens = (one["specimens"][0] for one in touched)
    apart = svf(api, ben)

    assert report(api, marys["lot"], result="failed", **REPORT).status_code == 201
    (waits,) = api.quality.get("/holds", params={"scope": bens["lot"], "active": True}).json()["items"]
    assert waits["reason"] == "shares_with_failed_lot"
    assert refused(run(api.lab_tech, "passage", [using(bens)], [culture(10**7, 1)])) == (409, "on_hold")

    asked = {"criteria": {"entry": seed.REAGENT}, "reason": "reagent_failed", "site": "LAB", "description": "Growth in two lots."}
    recall = made(api.quality.post("/recalls", json=asked))
    shown = api.quality.get(f"/recalls/{recall['id']}").json()
    frozen = {one["specimen"] for one in shown["items"] if one["held"]}
    assert {marys["code"], bens["code"]} <= frozen
    assert apart["code"] not in frozen
    assert {one["told"] for one in shown["notices"]} == {seed.USERS["lab_tech"].code}

    (notice,) = (one for one in api.lab_tech.get("/notices").json()["items"] if one["reason"] == "recall")
    assert api.lab_tech.post(f"/notices/{notice['id']}/acknowledge", json={}).status_code == 200
    shown = api.quality.get(f"/recalls/{recall['id']}").json()
    assert all(one["acknowledged_at"] is not None for one in shown["notices"])
