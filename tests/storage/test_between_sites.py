"""Between two sites material travels: nothing that is stored at one is stored at another in the same instant."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.granting import also
from tests.storage.test_every_way_of_placing import (
    Way,
    a_tube,
    placed_in_a_batch,
    put_back_after_a_check_out,
    recorded_from_a_scan_list,
    seq_of,
    stored,
    stored_with_the_slot_unknown,
)
from tests.storage.test_exposure import nothing
from tests.storage.test_storing import a_box
from tests.storage.test_undoing import undo
from tests.withdrawals.stories import ago, later

OPEN: dict[str, Any] = {"rows": None, "cols": None}
COLD: dict[str, Any] = OPEN | {"kind": "tank", "temperature_class": "ln2_vapour"}
STANDS: tuple[Way, ...] = (stored, stored_with_the_slot_unknown, placed_in_a_batch, recorded_from_a_scan_list)


def at_both(api: Api, **fields: Any) -> tuple[str, str]:
    """Let one person act at both sites; return a tank at the other one and a box in it."""
    also(api, "lab_tech", "lab_tech", "NORTH")
    tank = a_box(api, name="North tank", site="NORTH", **COLD | fields)
    return tank, a_box(api, parent=tank, site="NORTH")


def seen(api: Api, tube: str) -> tuple[str, int, bool]:
    """The site of a tube, its seconds out of the cold, and whether its clock runs."""
    told = api.lab_tech.get(f"/specimens/{tube}").json()
    return told["custody"]["site"], told["exposure"]["total_s"], told["exposure"]["running_since"] is not None


@pytest.mark.parametrize("way", STANDS, ids=lambda way: way.__name__)
def test_what_is_stored_at_one_site_comes_to_another_by_no_way_without_a_journey(api: Api, way: Way) -> None:
    tank, box = at_both(api)
    tube, start = a_tube(api), a_box(api, parent=a_box(api, name="Tank", **COLD))

    assert way(api, tube, tank, box, lambda: _put(api, tube, start)) == (409, "travels_between_sites")

    assert seen(api, tube)[0] == "LAB"


@pytest.mark.parametrize("lands_in", ["tank", "room"])
def test_nor_does_its_box_or_its_rack(api: Api, lands_in: str) -> None:
    tank, _box = at_both(api)
    target = tank if lands_in == "tank" else a_box(api, kind="room", name="North room", site="NORTH", **OPEN)
    rack = a_box(api, kind="rack", name="Rack", parent=a_box(api, name="Tank", **COLD), **OPEN)
    box, tube, empty = a_box(api, parent=rack), a_tube(api), a_box(api, name="Empty")
    _put(api, tube, box)

    for carried in (box, rack):
        answer = api.lab_tech.post(f"/storage-containers/{carried}/move", json={"to": target})
        expected = "travels_between_sites" if lands_in == "tank" else "wrong_temperature_class"
        assert (answer.status_code, answer.json()["code"]) == (409, expected), answer.text
    assert api.lab_tech.post(f"/storage-containers/{empty}/move", json={"to": target}).status_code == 200


def _put(api: Api, tube: str, box: str) -> None:
    assert stored(api, tube, "", box, nothing) == (201, None)


@pytest.mark.parametrize("stated", [{}, {"reason_text": "entered late", "late_entry": True}], ids=["now", "late"])
def test_nor_by_a_stated_time_nor_where_it_fits(api: Api, stated: dict[str, Any]) -> None:
    _tank, box = at_both(api)
    tube = a_tube(api)
    _put(api, tube, a_box(api, parent=a_box(api, name="Tank", **COLD)))
    later(api, minutes=20)
    when = stated | ({"occurred_at": ago(minutes=10)} if stated else {})

    one = {"specimen": tube, "expected_seq": seq_of(api, tube)}
    there = api.lab_tech.post(f"/specimens/{tube}/store", json={"container": box, "expected_seq": one["expected_seq"]} | when)
    fits = api.lab_tech.post("/placements", json={"site": "NORTH", "placements": [one]} | when)

    assert (there.status_code, there.json()["code"]) == (409, "travels_between_sites"), there.text
    assert (fits.status_code, fits.json()["code"]) == (409, "no_place_fits"), fits.text


def test_what_somebody_carries_there_has_the_time_out_of_the_cold(api: Api) -> None:
    tank, box = at_both(api)
    tube = a_tube(api)

    def carried() -> None:
        later(api, minutes=30)

    assert put_back_after_a_check_out(api, tube, tank, box, carried) == (201, None)

    site, seconds, runs = seen(api, tube)
    assert (site, seconds >= 1800, runs) == ("NORTH", True, False)


def test_a_rack_that_was_lifted_first_has_the_time_out_of_the_cold_for_all_that_is_in_it(api: Api) -> None:
    tank, _box = at_both(api)
    rack = a_box(api, kind="rack", name="Rack", parent=a_box(api, name="Tank", **COLD), **OPEN)
    box = a_box(api, parent=rack)
    frozen, fresh = a_tube(api), a_tube(api, frozen=False)
    _put(api, frozen, box)
    assert api.lab_tech.post(f"/storage-containers/{rack}/lift", json={}).status_code == 200
    later(api, minutes=40)

    answer = api.lab_tech.post(f"/storage-containers/{rack}/move", json={"to": tank})

    assert answer.status_code == 200, answer.text
    site, seconds, runs = seen(api, frozen)
    assert (site, seconds >= 2400, runs) == ("NORTH", True, False)
    assert seen(api, fresh)[0] == "LAB"


def test_a_tank_that_keeps_its_own_cold_goes_with_what_is_in_it(api: Api) -> None:
    also(api, "lab_tech", "lab_tech", "NORTH")
    room = a_box(api, kind="room", name="North room", site="NORTH", **OPEN)
    tank = a_box(api, name="Tank", **COLD)
    tube = a_tube(api)
    _put(api, tube, a_box(api, parent=tank))

    assert api.lab_tech.post(f"/storage-containers/{tank}/move", json={"to": room}).status_code == 200

    assert seen(api, tube)[0] == "NORTH"


def test_cold_first_takes_it_there_and_says_that_it_was_elsewhere(api: Api) -> None:
    tank, box = at_both(api, purpose="evacuation")
    single, boxed, start = a_tube(api), a_tube(api), a_box(api, parent=a_box(api, name="Tank", **COLD))
    for tube in (single, boxed):
        _put(api, tube, start)

    answer = api.lab_tech.post(f"/specimens/{single}/store", json={"container": box, "expected_seq": seq_of(api, single)})
    undo(api, single)  # What never happened is undone: the tube stands where it stood.
    along = api.lab_tech.post(f"/storage-containers/{tank}/evacuate", json={"scanned": [start]})

    assert answer.status_code == 201, answer.text
    assert "stored at LAB by the record" in answer.json()["items"][0]["warnings"][0]
    assert "stored at LAB by the record" in along.json()["containers"][0]["warnings"][0]
    assert [seen(api, tube)[0] for tube in (single, boxed)] == ["NORTH", "NORTH"]
