"""A rack in XML or JSON as rows of cells: what stands within a well is of that well, however deep. Pure.

Makers say the well and its tube in one element, in two beside each other, or in one inside the other::

    <tube well="A1" barcode="…"/>    <well position="A1"><tube><barcode>…</barcode></tube></well>    {"A1": {"code": "…"}}
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from biobank.scanning.rack_wells import is_plate_well, well_of
from biobank.scanning.rack_words import meaning_of

_LONGEST_CELL: Final = 400
_PLACE: Final = frozenset({"well", "row", "column"})


@dataclass(frozen=True)
class Node:
    """A thing with what it says of itself, by name, and the things in it."""

    name: str
    said: dict[str, str]
    inner: Sequence["Node"]


def node_of_xml(root: Element) -> Node:
    """Return the tree of an XML file: attributes and plain children are what an element says."""
    made: dict[Element, Node] = {}
    for element in reversed(list(root.iter())):  # children stand after their parent
        name = _plain_name(element.tag)
        said = {_plain_name(one): value for one, value in element.attrib.items()}
        if element.text and element.text.strip() and said:
            said["code"] = element.text
        said |= {_plain_name(child.tag): child.text or "" for child in element if _is_plain(child)}
        inner = [made[child] for child in element if not _is_plain(child)]
        made[element] = Node(name, {_called(name, one, value): value for one, value in said.items()}, inner)
    return made[root]


def _is_plain(element: Element) -> bool:
    return len(element) == 0 and not element.attrib


def _plain_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _called(thing: str, name: str, value: str) -> str:
    """Return what a name means of this thing: the `id` of a well is its place, the `barcode` of a rack the rack's."""
    kind, meaning = meaning_of(thing), meaning_of(name)
    if kind == "rack" and meaning == "tube":
        return "rack"
    return "well" if kind == "well" and meaning in (None, "tube") and is_plate_well(value) else name


def nodes_of_json(whole: Any) -> tuple[list[list[str]], list[Node]]:
    """Return the lists of plain values of a JSON text as rows, and its outermost objects as trees."""
    plain: list[list[str]] = []
    outermost: list[Node] = []
    waiting: list[tuple[str, Any, list[Node]]] = [("", whole, outermost)]
    while waiting:
        name, one, into = waiting.pop()
        if isinstance(one, dict):
            inner: list[Node] = []
            said = {key: text_of(value) for key, value in one.items() if not isinstance(value, dict | list)}
            into.append(Node(name, {_called(name, key, value): value for key, value in said.items()}, inner))
            waiting += [(key, value, inner) for key, value in reversed(one.items()) if isinstance(value, dict | list)]
            continue
        values = [value for value in one if not isinstance(value, dict | list)]
        if one is whole:
            plain += [[text_of(value)] for value in values]  # a list of codes
        else:
            plain += [[text_of(value) for value in values]] if values else []
        waiting += [(name, value, into) for value in reversed(one) if isinstance(value, dict | list)]
    return plain, outermost


def text_of(value: Any) -> str:
    """Return a plain value of JSON as text."""
    return "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)[:_LONGEST_CELL]


def rows_of_nodes(outermost: Iterable[Node]) -> Iterator[list[str]]:
    """Yield a heading and a row for every thing that says several things at once, its place among them."""
    heading: list[str] = []
    for said in _told(outermost):
        wells = [name for name in said if is_plate_well(name)]
        yield from ([name, said[name][:_LONGEST_CELL]] for name in wells)
        said = {name: value for name, value in said.items() if name not in wells}
        if len(said) == 1 and meaning_of(next(iter(said))) != "well":
            yield [*said, *said.values()]  # such as the rack's own identifier
        if len(said) < 2:
            continue
        if list(said) != heading:
            heading = list(said)
            yield heading
        yield [value[:_LONGEST_CELL] for value in said.values()]


def _told(outermost: Iterable[Node]) -> Iterator[dict[str, str]]:
    """Yield what each thing says, in the order of the file: with the place of what it stands in, where it says none itself."""
    waiting: list[tuple[Node, dict[str, str]]] = [(one, {}) for one in reversed(list(outermost))]
    while waiting:
        node, around = waiting.pop()
        inner = list(node.inner)
        place = _place_of(node)
        said = _about(node, place)
        if not place and "tube" in _meanings(said):
            beside = next((one for one in inner if _place_of(one) and not one.inner and "tube" not in _meanings(one.said)), None)
            if beside is not None:  # <tube code="…"><position row="A" column="1"/></tube>
                inner.remove(beside)
                place = _place_of(beside)
                said = beside.said | said
        if not place and around and said:
            said = around | said
        handed = place or around
        if not (inner and place and "tube" not in _meanings(said) and any(_says(one) for one in inner)):
            yield said
        else:
            handed = said  # what is said of the well is said of what stands in it: a state, a remark
        waiting += [(one, handed) for one in reversed(inner)]


def _about(node: Node, place: dict[str, str]) -> dict[str, str]:
    """Return what a thing says, its own name among it where that is a well; where a rack stands is no well."""
    if meaning_of(node.name) == "rack" and not any(
        meaning_of(name) == "well" and well_of(value) for name, value in node.said.items()
    ):
        rack = next((value for name, value in node.said.items() if meaning_of(name) == "rack"), None)
        wells = {name: value for name, value in node.said.items() if is_plate_well(name)}
        return wells if rack is None else {"rack": rack} | wells
    return place | node.said


def _meanings(said: Iterable[str]) -> set[str | None]:
    return {meaning_of(name) for name in said}


def _says(node: Node) -> bool:
    """Say whether a thing, or one in it, may be the tube of a place: it says something, and no other place."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.said and not _place_of(one):
            return True
        waiting += [] if _place_of(one) else one.inner
    return False


def _place_of(node: Node) -> dict[str, str]:
    """Return what a thing says of where it stands in the rack; a rack stands in none."""
    if meaning_of(node.name) == "rack":
        return {}
    if is_plate_well(node.name):
        return {"well": node.name}
    found = {name: value for name, value in node.said.items() if meaning_of(name) in _PLACE and _may_be_place(value.strip())}
    return found if "well" in _meanings(found) or _PLACE - {"well"} <= _meanings(found) else {}


def _may_be_place(value: str) -> bool:
    """Say whether this may be a well, its row or its column: a room or a town is none."""
    return well_of(value) is not None or value.isdigit() or (value.isalpha() and len(value) < 3)
