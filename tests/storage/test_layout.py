"""Laying out several containers at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging
from biobank.storage.layout import LayoutPlan, in_words, inner_names, lay_out, outer_names
from biobank.storage.queries import list_containers
from tests.conftest import TestBank


def plan(**changes: Any) -> LayoutPlan:
    body: dict[str, Any] = {"site": "LAB", "kind": "rack", "name": "Rack", "how_many": 4, "inner_kind": "box", "inner_count": 9}
    return LayoutPlan.model_validate(body | {"rows": 9, "cols": 9} | changes)


@given(st.integers(1, 20), st.integers(1, 900), st.integers(1, 15))
def test_names_are_as_many_as_the_plan_says_and_each_its_own(many: int, first: int, inner: int) -> None:
    made = plan(how_many=many, first_number=first, inner_count=inner, rows=2, cols=3)
    outer, inside = list(outer_names(made)), list(inner_names(made))
    assert (len(set(outer)), len(set(inside))) == (many, inner)
    assert made.containers == many * (1 + inner)
    assert made.positions == many * inner * 6
    assert outer == ["Rack"] if many == 1 else outer[0] == f"Rack {first}"


def test_a_plan_says_what_it_makes() -> None:
    assert in_words(plan()) == [
        "4 × rack: Rack 1, Rack 2, Rack 3, Rack 4",
        "in each 9 × box: Box 1, Box 2 … Box 9",
        "2916 places for tubes, 9 × 9 in each",
    ]
    assert in_words(plan(how_many=1, inner_kind=None, inner_count=None, rows=None, cols=None)) == ["1 × rack: Rack"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"inner_kind": None},
        {"inner_count": None},
        {"rows": None},
        {"how_many": 200},
        {"rows": 100, "cols": 100},
        {"how_many": 0},
        {"name": ""},
        {"kind": "cupboard"},
    ],
)
def test_half_a_plan_and_one_without_end_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plan(**wrong)


def test_everything_is_laid_out_or_nothing(bank: TestBank) -> None:
    act, admin = bank.act("admin"), bank.actor("admin")
    done = bank.write(lambda s: lay_out(s, act, plan(how_many=2, inner_count=3)))
    assert (done.containers, done.positions, [one.name for one in done.items]) == (8, 486, ["Rack 1", "Rack 2"])
    assert [one.positions for one in done.items] == [243, 243]
    before = bank.write(lambda s: len(list_containers(s, admin, paging=Paging(limit=500)).items))
    with pytest.raises(NotFound):
        bank.write(lambda s: lay_out(s, act, plan(site="NOWHERE")))
    assert bank.write(lambda s: len(list_containers(s, admin, paging=Paging(limit=500)).items)) == before
