"""Whoever reads or writes another package's table does it through that package, and only ever downwards.

An import contract cannot see a table's name inside SQL text. This reads every string of the source as SQL would.
"""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Mapper
from sqlmodel import SQLModel

from biobank.foundation.from_above import FromAbove
from biobank.registries import answers, tables

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(p for p in (ROOT / "biobank").rglob("*.py") if len(p.relative_to(ROOT).parts) > 2)

_READS = re.compile(r"\b(?:FROM|JOIN|USING|COPY|LOCK TABLE|TABLE)\s+(?:ONLY\s+)?([a-z_]+)\b")
_ALSO = re.compile(r"\bFROM\s+[a-z_]+(?:\s+(?:AS\s+)?[a-z]+)?\s*,\s*(?:LATERAL\s+)?([a-z_]+)\b")
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\s+(?:ONLY\s+)?([a-z_]+)\b")
_SQL = re.compile(r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN|COPY|LOCK TABLE)\s")

APPENDING = "custody, event, pending and the kept answer are one statement, so that none can stand without the others"
WRITTEN_BY_OTHERS = {
    ("custody/statement.py", "event"): APPENDING,
    ("custody/statement.py", "stream_head"): APPENDING,
    ("custody/statement.py", "pending"): APPENDING,
    ("custody/statement.py", "idempotency"): APPENDING,
    ("exports/log_recovery.py", "log_report"): "a recovered log has no findings of the lost one",
    ("exports/log_recovery.py", "pending"): "a recovered log queues again the events that lost their place",
}
"""The only writes outside the owner, with the reason."""


class Named(NamedTuple):
    """A table named inside SQL text."""

    path: str
    line: int
    package: str
    table: str
    writes: bool


def _mappers(cls: type[SQLModel] = SQLModel) -> Iterator[tuple[str, str]]:
    for model in cls.__subclasses__():
        mapper = getattr(model, "__mapper__", None)
        if isinstance(mapper, Mapper):
            yield str(model.__tablename__), model.__module__.split(".")[1]
        yield from _mappers(model)


OWNER = {table: package for table, package in _mappers() if table in tables.metadata.tables}


def _floors() -> dict[str, int]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    return {name.strip(): -floor for floor, layer in enumerate(layers) for name in layer.split("|")}


FLOOR = _floors()


def named_in(source: str, path: str) -> Iterator[Named]:
    """Yield the tables that the SQL strings of a module name."""
    package = path.split("/")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value):
            written = {t for t in _WRITES.findall(node.value) if t in OWNER}
            read = {t for pattern in (_READS, _ALSO) for t in pattern.findall(node.value) if t in OWNER}
            for table in sorted(read | written):
                yield Named(path, node.lineno, package, table, table in written)


def everywhere() -> list[Named]:
    return [
        one
        for path in SOURCES
        for one in named_in(path.read_text(), path.relative_to(ROOT / "biobank").as_posix())
        if OWNER[one.table] != one.package
    ]


def lies_below(table: str, package: str) -> bool:
    return FLOOR[OWNER[table]] < FLOOR[package]


def test_every_table_has_one_owner() -> None:
    assert set(OWNER) == set(tables.metadata.tables)


def test_no_sql_text_names_a_table_of_a_package_above_or_beside() -> None:
    """What lies below must be understood, tested and replaced without what is built on it."""
    assert [one for one in everywhere() if not lies_below(one.table, one.package)] == []


def test_only_the_owner_writes_a_table_in_sql_text() -> None:
    found = {(one.path, one.table) for one in everywhere() if one.writes}

    assert found == set(WRITTEN_BY_OTHERS)


def test_no_table_is_fetched_by_its_name() -> None:
    """`metadata.tables["donor"]` needs no import, so no contract sees it; a model's table does."""
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path.relative_to(ROOT).as_posix() != "biobank/foundation/db.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "tables"
        and not isinstance(getattr(node.slice, "value", None), int)
    ]

    assert offenders == []


def test_a_table_is_bound_to_a_name_once() -> None:
    """The second module that needs a table imports its name; the first moves the name beside the model for it."""
    bound: dict[str, list[str]] = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        named = {a.asname or a.name: a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "table_of":
                model = ast.unparse(node.args[0])
                bound.setdefault(named.get(model, model), []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
        offenders = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "__table__"]
        assert offenders == [], path

    assert {model: places for model, places in bound.items() if len(places) > 1} == {}


def test_every_question_to_a_package_above_is_answered_by_the_package_it_names() -> None:
    assert FromAbove.missing == []
    assert {module.__name__.split(".")[1] for module in answers.MODULES} == {
        path.parent.name for path in SOURCES if path.name == "answers.py" and path.parent.name != "registries"
    }


@pytest.mark.parametrize(
    ("path", "sql", "found"),
    [
        ("quality/x.py", "UPDATE bedside_release SET ended_at = now()", [("bedside_release", True)]),
        ("custody/x.py", "SELECT 1 FROM custody c, specimen s", [("custody", False), ("specimen", False)]),
        ("donors/x.py", "DELETE FROM specimen_alias a USING specimen s", [("specimen", False), ("specimen_alias", True)]),
    ],
)
def test_a_name_inside_sql_is_seen(path: str, sql: str, found: list[tuple[str, bool]]) -> None:
    assert [(one.table, one.writes) for one in named_in(f"X = {sql!r}", path)] == found


MOST_DOWNWARD = 122
"""Names of lower packages' tables in SQL text. A new question is a select of the owner's; this number only falls.

It rose once: who was where when (`monitoring/presence.py`) and what an excursion covers are recursive statements over the log."""


def test_sql_text_names_no_more_tables_of_other_packages_than_it_did() -> None:
    found = everywhere()

    assert len(found) <= MOST_DOWNWARD, Counter(one.path for one in found).most_common(12)
