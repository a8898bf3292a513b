"""Which place keeps which condition, said a second time: the table is short, and a wrong entry spoils cells."""

from types import SimpleNamespace

import pytest

from biobank.custody.states import Condition
from biobank.specimens.materials import TemperatureClass
from biobank.storage.rules import Standing, standing_of, suits

DEEP = {"ln2_vapour", "ln2_liquid", "minus_150", "minus_80"}
COOL = {"fridge", "ambient", "incubator"}


@pytest.mark.parametrize(
    ("condition", "kept_in"),
    [
        ("frozen", DEEP),
        ("freezing", DEEP | {"minus_20"}),
        ("fresh", COOL),
        ("thawed", COOL),
        ("in_culture", {"incubator"}),
    ],
)
def test_a_condition_is_kept_in_these_classes_and_in_no_other(condition: str, kept_in: set[str]) -> None:
    assert {t.value for t in TemperatureClass if suits(condition, t.value)} == kept_in


def test_what_is_frozen_is_not_cold_where_nobody_knows_how_cold_it_is() -> None:
    unknown = Standing("BX-1")
    assert {one for one in Condition if not unknown.keeps(one.value)} == {Condition.FROZEN}


def test_every_condition_has_its_classes_and_a_place_without_a_class_takes_each() -> None:
    assert all(suits(condition.value, None) for condition in Condition)


@pytest.mark.parametrize(
    ("chain", "temperature", "unclassed"),
    [
        ("box, tank, room ambient", None, "tank"),
        ("box, rack, freezer, room ambient", None, "freezer"),
        ("box, tank ln2_vapour, room ambient", "ln2_vapour", None),
        ("box, room minus_20", "minus_20", None),
        ("box, room", "ambient", None),
        ("box, shelf fridge, room ambient", "ambient", None),
        ("box, rack minus_80, tank, room ambient", None, "tank"),
        ("box, rack ln2_vapour, room", "ambient", None),
        ("box ln2_vapour, room", "ambient", None),
        ("box", None, "box"),
        ("box, rack", None, "rack"),
        ("box ln2_vapour, rack ln2_vapour, room", "ambient", None),
        ("box, rack ln2_vapour", "ln2_vapour", None),
    ],
)
def test_a_room_says_nothing_of_a_tank_that_nobody_gave_a_class(
    chain: str, temperature: str | None, unclassed: str | None
) -> None:
    rows = []
    for one in chain.split(", "):
        kind, _, given = one.partition(" ")
        said = {"purpose": "storage", "isolated": False, "lifted_at": None, "site_code": "LAB", "site_kind": "bank"}
        rows.append(SimpleNamespace(code=kind, kind=kind, temperature_class=given or None, **said))

    standing = standing_of(rows)

    assert (standing.temperature, standing.unclassed) == (temperature, unclassed)
