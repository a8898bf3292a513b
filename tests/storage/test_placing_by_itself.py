"""What the bank places by itself stands where a person could place it; into a rack that is out, by every way, its time runs."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.storage.test_every_way_of_placing import RULES, WAYS, Way, a_tube, keep_apart, seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import refused

Json = dict[str, Any]


def placed(api: Api, tube: str) -> Any:
    body = {"site": "LAB", "placements": [{"specimen": tube, "expected_seq": seq_of(api, tube)}]}
    return api.lab_tech.post("/placements", json=body)


def suggested(api: Api, tube: str) -> Any:
    return api.lab_tech.get("/placing-suggestions", params={"site": "LAB", "specimen": tube})


@pytest.mark.parametrize("purpose", ["storage", "evacuation"])
@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_placed_by_itself_where_a_person_may_not_put_it_nor_in_a_place_of_safety(
    api: Api, rule: str, purpose: str
) -> None:
    fields, place, apart, _code = RULES[rule]
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, purpose=purpose, **place)
    a_box(api, parent=tank)
    tube = a_tube(api, **fields)
    if apart:
        keep_apart(api, tube)

    for answer in (suggested(api, tube), placed(api, tube)):
        refused(answer, 409, "no_place_fits")


def exposure(api: Api, tube: str) -> Json:
    found: Json = api.lab_tech.get(f"/specimens/{tube}").json()["exposure"]
    return found


def a_lifted_rack(api: Api) -> tuple[str, str]:
    """A rack of nitrogen that stands on the bench, and a box in it."""
    tank = a_box(api, kind="tank", name="Tank", rows=None, cols=None, temperature_class="ln2_vapour")
    rack = a_box(api, kind="rack", name="Rack of it", rows=None, cols=None, parent=tank)
    box = a_box(api, parent=rack, name="Box of it")
    assert api.lab_tech.post(f"/storage-containers/{rack}/lift", json={}).status_code == 200
    return rack, box


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_time_of_a_tube_that_comes_into_a_lifted_rack_runs_by_every_way_and_ends_with_the_lift(api: Api, way: Way) -> None:
    rack, box = a_lifted_rack(api)
    tube = a_tube(api)

    status, code = way(api, tube, rack, box, lambda: None)

    assert status in (200, 201), code
    assert exposure(api, tube)["running_since"] is not None
    assert api.lab_tech.post(f"/storage-containers/{rack}/put-back", json={}).status_code == 200
    assert exposure(api, tube)["running_since"] is None


def test_nothing_is_placed_by_itself_into_a_rack_that_is_out(api: Api) -> None:
    rack, _box = a_lifted_rack(api)
    tube = a_tube(api)

    for answer in (suggested(api, tube), placed(api, tube)):
        refused(answer, 409, "no_place_fits")
    assert api.lab_tech.post(f"/storage-containers/{rack}/put-back", json={}).status_code == 200
    assert placed(api, tube).status_code == 201
