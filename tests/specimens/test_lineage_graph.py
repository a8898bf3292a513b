"""The drawn family: everyone in it once, nothing on top of anything, children below their parents."""

from hypothesis import given
from hypothesis import strategies as st

from biobank.specimens.lineage_graph import BOX_HEIGHT, BOX_WIDTH, DrawnGraph, draw_lineage
from biobank.specimens.schemas import Lineage, LineageEdge, LineageNode


def node(number: int, lot: str | None = None) -> LineageNode:
    return LineageNode(
        code=f"AD26-{number:07d}", material="adsc", passage=1, lot=lot, generation=0, state="stored", amount=1, unit="cells"
    )


def family(parents: list[set[int]], lots: list[str | None], here: int = 0) -> Lineage:
    nodes = [node(n, lots[n]) for n in range(len(parents))]
    edges = [
        LineageEdge(parent=nodes[p].code, child=nodes[n].code, process=None) for n, of in enumerate(parents) for p in sorted(of)
    ]
    return Lineage(specimen=nodes[here].code, nodes=nodes, edges=edges)


@st.composite
def families(draw: st.DrawFn) -> Lineage:
    size = draw(st.integers(1, 14))
    parents = [draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set() for n in range(size)]
    lots = [draw(st.sampled_from([None, "LT-A", "LT-B"])) for _ in range(size)]
    return family(parents, lots, draw(st.integers(0, size - 1)))


@given(families())
def test_every_specimen_is_drawn_once_and_no_box_lies_on_another(lineage: Lineage) -> None:
    graph = draw_lineage(lineage)

    assert sum(box.units for box in graph.boxes) == len(lineage.nodes)
    assert sum(box.here for box in graph.boxes) == 1
    for i, one in enumerate(graph.boxes):
        assert one.x + BOX_WIDTH <= graph.width and one.y + BOX_HEIGHT <= graph.height
        for other in graph.boxes[i + 1 :]:
            assert abs(one.x - other.x) >= BOX_WIDTH or abs(one.y - other.y) >= BOX_HEIGHT


@given(families())
def test_every_child_stands_below_its_parents(lineage: Lineage) -> None:
    at = {box.code: box for box in draw_lineage(lineage).boxes}
    for edge in lineage.edges:
        if edge.parent in at and edge.child in at:
            assert at[edge.child].y > at[edge.parent].y


def drawn(vials: int, here: int) -> DrawnGraph:
    return draw_lineage(family([set(), *({0} for _ in range(vials))], [None, *("LT-A" for _ in range(vials))], here))


def test_forty_vials_of_a_lot_are_one_box_and_the_one_looked_at_has_its_own() -> None:
    assert sorted(box.units for box in drawn(40, 0).boxes) == [1, 40]
    assert sorted(box.units for box in drawn(40, 7).boxes) == [1, 1, 39]
    assert sorted(box.units for box in drawn(2, 0).boxes) == [1, 1, 1]


def test_a_circle_that_no_database_would_hold_still_ends() -> None:
    assert len(draw_lineage(family([{1}, {0}], [None, None])).boxes) == 2
