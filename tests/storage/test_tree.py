"""The storage tree: every place once, under its parent, in the order people count."""

from hypothesis import given
from hypothesis import strategies as st

from biobank.storage.schemas import ContainerPublic
from biobank.storage.tree import Branch, tree_of


def place(code: str, parent: str | None = None, name: str = "", **fields: object) -> ContainerPublic:
    base: dict[str, object] = {
        "code": code,
        "site": "LAB",
        "parent": parent,
        "kind": "rack",
        "name": name or code,
        "purpose": "storage",
        "temperature_class": None,
        "highest_mc": None,
        "rows": None,
        "cols": None,
        "isolated": False,
        "active": True,
    }
    return ContainerPublic.model_validate(base | fields)


def codes(branches: list[Branch]) -> list[str]:
    return [code for one in branches for code in [one.place.code, *codes(one.inside)]]


@given(st.lists(st.integers(0, 30), max_size=30))
def test_every_place_stands_in_the_tree_once_and_below_its_parent(parents: list[int]) -> None:
    """Place n has some earlier place as its parent, or none: any forest."""
    places = [place(f"P{n}", f"P{p % n}" if n and p < 25 else None) for n, p in enumerate(parents)]

    roots = tree_of(places[::-1])

    assert sorted(codes(roots)) == sorted(one.code for one in places)

    def check(branch: Branch) -> None:
        for child in branch.inside:
            assert child.place.parent == branch.place.code
            check(child)

    for root in roots:
        assert root.place.parent is None
        check(root)


def test_a_place_whose_parent_is_not_shown_is_a_root() -> None:
    assert codes(tree_of([place("A", "HIDDEN"), place("B", "A")])) == ["A", "B"]


def test_racks_stand_in_the_order_people_count() -> None:
    names = ["Rack 10", "rack 2", "Rack 1", "Annex", "Rack 1b"]

    assert [one.place.name for one in tree_of([place(n, name=n) for n in names])] == [
        "Annex",
        "Rack 1",
        "Rack 1b",
        "rack 2",
        "Rack 10",
    ]


def test_a_branch_counts_the_boxes_below_it_and_its_free_places() -> None:
    (tank,) = tree_of(
        [
            place("T", positions=18, occupied=5),
            place("R", "T"),
            place("B1", "R", rows=3, cols=3),
            place("B2", "R", rows=3, cols=3),
        ]
    )

    assert (tank.boxes, tank.free) == (2, 13)
