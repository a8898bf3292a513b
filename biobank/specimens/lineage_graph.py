"""A family of specimens as a drawing: generations from top to bottom, lines from parent to child. Pure.

Units that are alike (same parents, same lot) are drawn as one box with their number, because forty vials of one lot tell a reader
one thing; the specimen looked at always has a box of its own. Within a generation boxes stand below their parents as far as
order allows: each is placed by the mean column of its parents, which keeps lines short and crossings few (the barycentre
heuristic of layered graph drawing).
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from biobank.specimens.schemas import Lineage, LineageNode

BOX_WIDTH: Final = 176
BOX_HEIGHT: Final = 62
GAP_X: Final = 20
GAP_Y: Final = 44
MARGIN: Final = 6
ALIKE: Final = 3
"""From this many units of one lot on they are drawn as one."""


@dataclass(frozen=True)
class DrawnBox:
    """A box at (x, y), its upper left corner, in pixels. `units` > 1: that many alike, of which `code` is the first."""

    code: str
    material: str
    passage: int | None
    state: str | None
    lot: str | None
    units: int
    here: bool
    x: int
    y: int


@dataclass(frozen=True)
class DrawnLine:
    """A line from the lower edge of a parent to the upper edge of a child, as the data of an SVG path."""

    path: str


@dataclass(frozen=True)
class DrawnGraph:
    """The drawing, with its size in pixels."""

    width: int
    height: int
    boxes: tuple[DrawnBox, ...]
    lines: tuple[DrawnLine, ...]


def draw_lineage(lineage: Lineage) -> DrawnGraph:
    """Lay out a family. Every specimen of it is in exactly one box, and no two boxes overlap."""
    parents: dict[str, set[str]] = defaultdict(set)
    for edge in lineage.edges:
        parents[edge.child].add(edge.parent)
    groups = _groups(lineage, parents)
    group_of = {node.code: index for index, group in enumerate(groups) for node in group}
    links = sorted({(group_of[edge.parent], group_of[edge.child]) for edge in lineage.edges})
    depth = _depths(len(groups), links)
    columns = _columns(groups, links, depth)
    boxes = [_box(group, lineage.specimen, columns[i], depth[i]) for i, group in enumerate(groups)]
    lines = [DrawnLine(_path(boxes[above], boxes[below])) for above, below in links]
    width = max((box.x for box in boxes), default=0) + BOX_WIDTH + MARGIN
    height = max((box.y for box in boxes), default=0) + BOX_HEIGHT + MARGIN
    return DrawnGraph(width, height, tuple(boxes), tuple(lines))


def _groups(lineage: Lineage, parents: dict[str, set[str]]) -> list[list[LineageNode]]:
    """Put alike units together: same lot, same parents, no children of their own, and not the specimen looked at."""
    has_children = {edge.parent for edge in lineage.edges}
    alike: dict[tuple[object, ...], list[LineageNode]] = defaultdict(list)
    groups: list[list[LineageNode]] = []
    for node in lineage.nodes:
        if node.lot is None or node.code in has_children or node.code == lineage.specimen:
            groups.append([node])
        else:
            alike[(node.lot, node.material, node.passage, frozenset(parents[node.code]))].append(node)
    for units in alike.values():
        groups += [units] if len(units) >= ALIKE else [[unit] for unit in units]
    return groups


def _depths(count: int, links: list[tuple[int, int]]) -> list[int]:
    """Return how many generations below the oldest each group stands: one more than its deepest parent."""
    depth = [0] * count
    # A family is a few generations deep; each round settles one more. A circle (which the database forbids) ends the rounds.
    for _ in range(count):
        deeper = [max([depth[a] + 1 for a, b in links if b == i], default=0) for i in range(count)]
        if deeper == depth:
            break
        depth = deeper
    return depth


def _columns(groups: list[list[LineageNode]], links: list[tuple[int, int]], depth: list[int]) -> list[int]:
    """Return the column of each group: rows from the top, each ordered by the mean column of its parents."""
    column = [0] * len(groups)
    for row in range(max(depth, default=-1) + 1):
        here = [i for i in range(len(groups)) if depth[i] == row]
        wanted = {i: _mean([column[a] for a, b in links if b == i]) for i in here}
        here.sort(key=lambda i: (wanted[i], groups[i][0].code))
        free = 0
        for i in here:
            column[i] = max(free, round(wanted[i]))
            free = column[i] + 1
    return column


def _mean(numbers: list[int]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _box(group: list[LineageNode], looked_at: str, column: int, row: int) -> DrawnBox:
    first = group[0]
    states = {node.state for node in group}
    return DrawnBox(
        code=first.code,
        material=first.material,
        passage=first.passage,
        state=states.pop() if len(states) == 1 else None,
        lot=first.lot,
        units=len(group),
        here=first.code == looked_at,
        x=MARGIN + column * (BOX_WIDTH + GAP_X),
        y=MARGIN + row * (BOX_HEIGHT + GAP_Y),
    )


def _path(above: DrawnBox, below: DrawnBox) -> str:
    x1, y1 = above.x + BOX_WIDTH // 2, above.y + BOX_HEIGHT
    x2, y2 = below.x + BOX_WIDTH // 2, below.y
    middle = (y1 + y2) // 2
    return f"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"
