"""Limits of places: of the class, stricter by site and container, inherited down the tree; what can hardly be right is asked."""

from typing import Any

import pytest

from biobank.storage.limits import CLASSES, NAMES, PlaceLimits
from tests.conftest import Api
from tests.exports.taking import taken_log
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post

LN2 = {"temperature_class": "ln2_vapour"}
OPEN = {"rows": None, "cols": None}


def read(api: Api, place: str, value: int, reading: str = "temperature_mc", **more: Any) -> Any:
    return api.lab_tech.post(f"/storage-containers/{place}/readings", json={"reading": reading, "value": value} | more)


def a_rack_in_a_tank(api: Api, **tank: Any) -> tuple[str, str]:
    outer = a_box(api, kind="tank", name="Tank", **OPEN, **(LN2 | tank))
    return outer, a_box(api, kind="rack", name="Rack", parent=outer, **OPEN)


@pytest.mark.parametrize(
    ("place", "reading", "value", "outside"),
    [
        ({"kind": "tank"} | LN2, "temperature_mc", -185_000, None),
        ({"kind": "tank"} | LN2, "temperature_mc", -129_999, "too_warm"),
        ({"kind": "tank", "purpose": "evacuation"}, "temperature_mc", -50_000, "too_warm"),
        ({"kind": "freezer", "temperature_class": "fridge"}, "temperature_mc", 25_000, "too_warm"),
        ({"kind": "freezer", "temperature_class": "fridge"}, "temperature_mc", -5_000, "too_cold"),
        ({"kind": "freezer", "temperature_class": "minus_80"}, "temperature_mc", -40_000, "too_warm"),
        ({"kind": "box"}, "temperature_mc", 45_000, "too_warm"),
        ({"kind": "tank"} | LN2, "level_ppm", 0, "level_too_low"),
        ({"kind": "tank"} | LN2, "level_ppm", 20_000, "level_too_low"),
        ({"kind": "tank"} | LN2, "level_ppm", 820_000, None),
        ({"kind": "tank", "temperature_class": "minus_150"}, "level_ppm", 0, "level_too_low"),
        ({"kind": "tank"}, "level_ppm", 190_000, "level_too_low"),
    ],
)
def test_every_place_has_limits(api: Api, place: dict[str, Any], reading: str, value: int, outside: str | None) -> None:
    answer = read(api, a_box(api, name="Place", **OPEN, **place), value, reading, confirmed=True)

    assert answer.status_code == 201, answer.text
    assert (answer.json()["excursion"], answer.json()["outside"]) == (outside is not None, outside)


def test_a_rack_is_judged_by_the_tank_it_stands_in(api: Api) -> None:
    tank, rack = a_rack_in_a_tank(api)

    assert read(api, rack, 20_000).json()["outside"] == "too_warm"
    body = {"container": tank, "highest_mc": -150_000}
    assert sign_and_post(api.quality, "decided", "/place-limits", body).status_code == 200
    assert read(api, rack, -140_000, confirmed=True).json()["outside"] == "too_warm"
    assert api.lab_tech.get(f"/storage-containers/{rack}/limits").json()["highest_mc"] == -150_000


def test_a_site_may_be_stricter_than_the_class_and_a_container_stricter_than_the_site_never_looser(api: Api) -> None:
    tank, _rack = a_rack_in_a_tank(api)
    of_class = {"site": "LAB", "temperature_class": "ln2_vapour"}

    looser = sign_and_post(api.quality, "decided", "/place-limits", of_class | {"highest_mc": -120_000})
    stricter = sign_and_post(api.quality, "decided", "/place-limits", of_class | {"highest_mc": -150_000})
    of_tank = sign_and_post(api.quality, "decided", "/place-limits", {"container": tank, "highest_mc": -140_000})
    unsigned = api.quality.post("/place-limits", json=of_class)

    assert (looser.status_code, looser.json()["code"]) == (409, "looser_than_above")
    assert stricter.status_code == 200, stricter.text
    assert (of_tank.status_code, of_tank.json()["code"]) == (409, "looser_than_above")
    assert unsigned.status_code == 428
    assert read(api, tank, -145_000).json()["outside"] == "too_warm"
    container = {"container": tank, "highest_mc": -160_000}
    assert sign_and_post(api.quality, "decided", "/place-limits", container).status_code == 200
    kinds = {"container.limits_set", "system.class_limits_set"}
    logged = taken_log(api)
    assert all(f'"{kind}"' in logged for kind in kinds)
    # Whoever lays out storage sets none: quality decides.
    assert api.admin.post("/place-limits", json=of_class).status_code == 403


def test_two_of_quality_loosen_a_limit_and_one_makes_it_stricter(api: Api) -> None:
    """By one of its limits or by leaving them out, of a container and of a class; and nobody completes it alone."""
    tank, _rack = a_rack_in_a_tank(api)
    for about in ({"container": tank}, {"site": "LAB", "temperature_class": "ln2_vapour"}):
        for strict in (
            {"highest_mc": -150_000, "lowest_level_ppm": 300_000},
            {"highest_mc": -160_000, "lowest_level_ppm": 300_000},
        ):
            assert sign_and_post(api.quality, "decided", "/place-limits", about | strict).json()["status"] == "done"
        looser: tuple[dict[str, int], ...] = (
            {"highest_mc": -159_000, "lowest_level_ppm": 300_000},
            {"highest_mc": -170_000, "lowest_level_ppm": 299_000},
            {"highest_mc": -160_000},
            {},
        )
        for wanted in looser:
            first = sign_and_post(api.quality, "decided", "/place-limits", about | wanted)
            assert (first.status_code, first.json()["status"]) == (200, "pending"), first.text
            pending = {"pending_act": first.json()["pending_act"]}
            alone = sign_and_post(api.quality, "decided", "/place-limits", about | wanted | pending)
            assert (alone.status_code, alone.json()["code"]) == (403, "second_person_must_differ")
            other = sign_and_post(api.quality2, "decided", "/place-limits", about | wanted | pending | {"lowest_mc": -200_000})
            assert other.status_code == 409, other.text
            assert api.lab_tech.get(f"/storage-containers/{tank}/limits").json()["highest_mc"] == -160_000
        done = sign_and_post(api.quality2, "decided", "/place-limits", about | wanted | pending)
        assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
        assert sign_and_post(api.quality, "decided", "/place-limits", about).json()["status"] == "done", "nothing is loosened"


def test_a_value_in_another_unit_is_asked_back_before_it_acts_and_both_are_kept(api: Api) -> None:
    tank, _rack = a_rack_in_a_tank(api)
    body = {"reading": "temperature_mc", "value": -150}

    asked = api.lab_tech.post(f"/storage-containers/{tank}/readings", json=body)

    assert (asked.status_code, asked.json()["code"], asked.json()["doubt"]) == (409, "implausible_reading", "another_unit")
    assert api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"] == []
    said = api.lab_tech.post(f"/storage-containers/{tank}/readings", json=body | {"confirmed": True})
    assert (said.status_code, said.json()["excursion"], said.json()["confirmed"]) == (201, True, True)
    attempts = api.auditor.get("/attempts", params={"subject": tank}).json()["items"]
    assert [one["code"] for one in attempts] == ["implausible_reading"]


def test_a_jump_that_no_tank_makes_is_asked_back(api: Api) -> None:
    tank, _rack = a_rack_in_a_tank(api)
    assert read(api, tank, -185_000).status_code == 201
    assert read(api, tank, 800_000, "level_ppm").status_code == 201
    later(api, minutes=3)

    for value, measure in ((-20_000, "temperature_mc"), (5_000, "level_ppm")):
        asked = read(api, tank, value, measure)
        assert (asked.status_code, asked.json()["doubt"]) == (409, "impossible_jump"), asked.text


def test_warming_and_a_falling_level_are_judged_by_their_pace(api: Api) -> None:
    tank, _rack = a_rack_in_a_tank(api)
    assert read(api, tank, -190_000).json()["outside"] is None
    assert read(api, tank, 900_000, "level_ppm").json()["outside"] is None
    later(api, minutes=5)
    assert read(api, tank, -160_000).json()["outside"] == "warming_too_fast"
    later(api, minutes=25)

    assert read(api, tank, 800_000, "level_ppm").json()["outside"] == "level_falling_too_fast"


def test_every_class_has_a_warmest_temperature_and_nitrogen_has_a_level() -> None:
    for name, entry in CLASSES.items():
        assert entry.limits.highest_mc is not None and entry.source, name
        assert (entry.limits.lowest_level_ppm is not None) == name.startswith("ln2"), name


def test_the_stricter_of_two_limits_is_the_stricter_in_everything() -> None:
    loose, strict = PlaceLimits(1, 10, 1, 10, 10), PlaceLimits(5, 6, 5, 6, 6)

    assert loose.with_stricter(strict) == strict == strict.with_stricter(loose)
    assert loose.looser_than(strict) == list(NAMES)
    assert strict.looser_than(loose) == [] == strict.looser_than(strict)


def test_limits_of_a_room_say_nothing_of_a_tank_in_it(api: Api) -> None:
    room = a_box(api, kind="room", name="Room", temperature_class="ambient", **OPEN)
    for tank in ({"kind": "tank"}, {"kind": "tank"} | LN2):
        inside = a_box(api, name="Tank", parent=room, **OPEN, **tank)
        body = {"container": room, "lowest_mc": 18_000}
        assert sign_and_post(api.quality, "decided", "/place-limits", body).status_code == 200
        limits = api.lab_tech.get(f"/storage-containers/{inside}/limits").json()
        assert (limits["lowest_mc"], limits["highest_mc"]) == (None, -130_000)


def test_a_level_is_of_a_tank_and_of_nothing_else_whoever_reads_it(api: Api) -> None:
    freezer = a_box(api, kind="freezer", name="Freezer", **OPEN, temperature_class="minus_80")
    in_a_tank = a_box(api, kind="rack", name="Rack", parent=a_box(api, kind="tank", name="Tank", **OPEN, **LN2), **OPEN)

    by_hand = read(api, freezer, 0, "level_ppm")
    sensor = api.admin.post(
        "/sensors", json={"name": "Probe", "containers": [freezer], "measures": ["level_ppm"], "silent_after_min": 60}
    )

    for answer in (by_hand, sensor):
        assert (answer.status_code, answer.json()["code"]) == (409, "no_level_here"), answer.text
    assert api.lab_tech.get(f"/storage-containers/{freezer}/readings").json()["items"] == []
    assert read(api, in_a_tank, 100_000, "level_ppm", confirmed=True).json()["outside"] == "level_too_low"


def test_no_container_is_made_with_limits_that_nobody_signed(api: Api) -> None:
    body = {"site": "LAB", "kind": "tank", "name": "T9", "temperature_class": "ln2_vapour", "highest_mc": -200_000}

    assert api.admin.post("/storage-containers", json=body).status_code == 422
