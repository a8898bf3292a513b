"""What was seen in a place was there, whatever its record says: an excursion of that place reaches it."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, frozen, held, put, read
from tests.storage.test_every_way_of_placing import seq_of
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later


def act(api: Api, tube: str, kind: str, **body: Any) -> None:
    said = {"kind": kind, "expected_seq": seq_of(api, tube)} | body
    answer = api.lab_tech.post(f"/specimens/{tube}/events", json=said)
    assert answer.status_code == 201, answer.text


def seen_by_a_count(api: Api, box: str, tube: str) -> None:
    answer = api.lab_tech.post("/counts", json={"container": box, "scanned": [tube]})
    assert answer.json()["misplaced"] == [tube], answer.text


def test_a_tube_that_a_count_saw_in_a_tank_is_in_its_excursion_until_it_is_put_elsewhere(api: Api) -> None:
    tank, other = a_tank(api), a_box(api, name="Other", temperature_class="ln2_vapour")
    box, (tube, gone) = a_box(api, parent=tank), frozen(api, 2)
    for one in (tube, gone):
        put(api, one, other)
    later(api, minutes=5)
    for one in (tube, gone):
        seen_by_a_count(api, box, one)
    later(api, minutes=5)
    put(api, gone, other)
    later(api, minutes=5)

    read(api, tank, -15_000)

    assert (held(api, tube), held(api, gone)) == (["excursion"], [])


def test_a_count_during_an_excursion_holds_what_it_saw(api: Api) -> None:
    tank, other = a_tank(api), a_box(api, name="Other", temperature_class="ln2_vapour")
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, other)
    later(api, minutes=5)
    read(api, tank, -15_000)
    later(api, minutes=5)

    seen_by_a_count(api, box, tube)
    later(api, minutes=5)
    read(api, tank, -15_000)

    assert held(api, tube) == ["excursion"]


@pytest.mark.parametrize("slot", [True, False])
def test_what_is_found_in_its_box_was_there_since_it_was_reported_missing(api: Api, slot: bool) -> None:
    tank = a_tank(api)
    box, (tube,) = a_box(api, parent=tank), frozen(api)
    put(api, tube, box)
    where = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["position"]
    later(api, minutes=5)
    act(api, tube, "specimen.missing", reason="not_in_its_slot")
    later(api, minutes=10)
    read(api, tank, -15_000)
    later(api, minutes=60)
    read(api, tank, -190_000)
    later(api, minutes=5)

    act(api, tube, "specimen.found", site="LAB", place=where if slot else box)

    assert sorted(held(api, tube)) == ["excursion", "specimen", "specimen"], "and what nobody knows: what it is, where it was"
