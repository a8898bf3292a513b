"""A place is judged for cells by what it is judged for its readings; what has a temperature of its own stands in a room."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, read
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.storage.test_exposure import exposure
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, refused

OPEN: dict[str, Any] = {"rows": None, "cols": None}


def put(api: Api, tube: str, box: str) -> Any:
    return api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": seq_of(api, tube)})


@pytest.mark.parametrize("kind", ["tank", "freezer"])
def test_fresh_cells_go_into_no_tank_or_freezer_that_nobody_gave_a_class(api: Api, kind: str) -> None:
    box = a_box(api, parent=a_box(api, kind=kind, name="Nobody said", **OPEN))

    said = refused(put(api, a_tube(api, frozen=False), box), 409, "wrong_temperature_class")

    assert "nobody gave" in said["detail"]
    frozen = a_tube(api)
    assert put(api, frozen, box).status_code == 201
    assert exposure(api, frozen)["running_since"] is not None, "nobody knows how cold it is"


def test_frozen_follicles_go_into_no_freezer_that_nobody_gave_a_class(api: Api) -> None:
    box = a_box(api, parent=a_box(api, kind="freezer", name="Nobody said", **OPEN))
    refused(put(api, a_tube(api, material="intact_follicles", unit="follicles"), box), 409, "material_not_kept_there")


@pytest.mark.parametrize("kind", ["room", "tank", "freezer"])
def test_what_has_a_temperature_of_its_own_stands_in_no_rack_and_in_no_tank(api: Api, kind: str) -> None:
    warm = a_box(api, kind="room", name="Warm room", **OPEN)
    rack = a_box(api, kind="rack", name="Rack", parent=warm, **OPEN)
    tank = a_tank(api)
    cold = {"site": "LAB", "kind": kind, "name": "Cold", "temperature_class": "ln2_vapour"}
    for parent in (rack, tank):
        refused(api.admin.post("/storage-containers", json=cold | {"parent": parent}), 409, "stands_in_a_room")
    made = api.admin.post("/storage-containers", json=cold | {"parent": warm})
    assert made.status_code == 201, made.text
    for target in (rack, tank):
        there = api.lab_tech.post(f"/storage-containers/{made.json()['code']}/move", json={"to": target})
        refused(there, 409, "stands_in_a_room")


def test_a_room_that_is_brought_to_safety_into_a_tank_empties_the_tanks_in_it(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    failing = a_box(api, kind="tank", name="Failing", parent=room, temperature_class="ln2_vapour", **OPEN)
    box = a_box(api, parent=failing)
    tube = a_tube(api)
    assert put(api, tube, box).status_code == 201
    safe = a_box(api, kind="tank", name="Safe", purpose="evacuation", temperature_class="ln2_vapour", **OPEN)

    done = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [room]})

    assert done.status_code == 200, done.text
    assert done.json()["containers"][0]["moved"] == [box]
    assert [one["code"] for one in api.lab_tech.get(f"/specimens?container={safe}").json()["items"]] == [tube]


@pytest.mark.parametrize(
    ("place", "said", "condition", "runs"),
    [
        ({"temperature_class": "ln2_vapour"}, None, "frozen", False),
        ({}, None, "frozen", True),
        ({"kind": "freezer", "temperature_class": "fridge"}, None, "fresh", False),
        ({"kind": "freezer", "temperature_class": "fridge"}, "frozen", "frozen", True),
        ({"temperature_class": "ln2_vapour"}, "frozen", "frozen", False),
    ],
)
def test_what_nobody_can_name_is_as_somebody_said_or_as_the_log_says_that_the_place_suggests(
    api: Api, place: dict[str, Any], said: str | None, condition: str, runs: bool
) -> None:
    safe = a_box(api, **({"kind": "tank", "name": "Safe", "purpose": "evacuation"} | OPEN | place))
    body = {"scanned": ["no code of ours"]} | ({} if said is None else {"condition": said})

    (item,) = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json=body).json()["items"]

    later(api, hours=1)
    found = api.lab_tech.get(f"/specimens/{item['specimen']}").json()
    assert found["custody"]["condition"] == condition
    assert (found["exposure"]["running_since"] is not None) == runs
    assert any("Nobody said whether it is frozen" in one for one in item["warnings"]) == (said is None)
    (first, *_rest) = api.lab_tech.get(f"/specimens/{item['specimen']}/custody").json()["items"]
    assert first["kind"] == "specimen.unidentified_found"


def test_nothing_is_put_by_itself_into_a_tank_that_is_outside_its_limits(api: Api) -> None:
    warm, sound = a_tank(api, "A warm one"), a_tank(api, "B sound")
    a_box(api, name="Box", parent=warm)
    box, tube = a_box(api, name="Box", parent=sound), a_tube(api)
    read(api, warm, -15_000)
    asked = {"site": "LAB", "specimen": tube}

    assert api.lab_tech.get("/placing-suggestions", params=asked).json()["items"][0]["container"] == box
    read(api, sound, -15_000)
    one = {"specimen": tube, "expected_seq": seq_of(api, tube)}
    refused(api.lab_tech.post("/placements", json={"site": "LAB", "placements": [one]}), 409, "no_place_fits")


def test_what_is_not_known_to_keep_a_tube_is_chosen_last(api: Api) -> None:
    a_box(api, name="Box", parent=a_box(api, kind="tank", name="A unknown", **OPEN))
    box, tube = a_box(api, name="Box", parent=a_tank(api, "B known")), a_tube(api)
    asked = {"site": "LAB", "specimen": tube}
    assert api.lab_tech.get("/placing-suggestions", params=asked).json()["items"][0]["container"] == box
