"""Which place keeps which condition, said a second time: the table is short, and a wrong entry spoils cells."""

import pytest

from biobank.custody.states import Condition
from biobank.specimens.materials import TemperatureClass
from biobank.storage.rules import suits

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


def test_every_condition_has_its_classes_and_a_place_without_a_class_takes_each() -> None:
    assert all(suits(condition.value, None) for condition in Condition)
