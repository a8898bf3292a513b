"""The schema keeps to the plan for a distributed engine (`docs/scaling.md`): nothing stops being local to a node in silence."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.schema import ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint

from biobank.custody import statement
from biobank.registries import tables

PLAN = (Path(__file__).resolve().parent.parent / "docs" / "scaling.md").read_text()
COPIED = {"site", "app_user"}
"""Small tables that every node has whole."""
STREAMS = {"custody": ["code"], "event": ["stream_kind", "stream_id", "seq"], "stream_head": ["stream_kind", "stream_id"]}


def rows_under(title: str) -> list[list[str]]:
    """Return the cells of the table under a heading of the plan, without its head."""
    section = PLAN.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")]
    return rows[1:]


CUT = {table.strip("`"): column.strip("`") for table, column, _ in rows_under("Which table is cut by what")}
SAID = {name.strip("`") for name, *_ in rows_under("What each constraint of the hot path would become")}


def table_named(name: str) -> Table:
    return tables.metadata.tables[name]


def not_local(table: str) -> set[str]:
    """Return the constraints and sequences of a table that one node could not keep alone, by the plan's names for them."""
    by, found, of = CUT[table], set(), table_named(table)
    for one in of.constraints:
        if isinstance(one, UniqueConstraint):
            columns = [c.name for c in one.columns]
            if by not in columns:
                found.add(f"{table}.{columns[0] if str(one.name).startswith('uq_') else one.name}")
        elif isinstance(one, PrimaryKeyConstraint) and by not in one.columns:
            found.add(f"{table}.{next(iter(one.columns)).name}")
        elif isinstance(one, ForeignKeyConstraint) and one.referred_table.name not in COPIED:
            beside = CUT.get(one.referred_table.name)
            if beside is None or (by, beside) not in {(e.parent.name, e.column.name) for e in one.elements}:
                found.add(f"{table}.{one.name if len(one.elements) > 1 else one.column_keys[0]}")
    found |= {f"{table}.{next(iter(i.columns)).name}" for i in of.indexes if i.unique and by not in {c.name for c in i.columns}}
    return found | {f"{table}.{c.name}" for c in of.columns if c.identity is not None}


def test_every_table_that_an_append_writes_has_its_line_in_the_plan() -> None:
    text = statement._one(("state",), True) + "".join(statement._ALL.values())
    written = set(re.findall(r"(?:INSERT INTO|UPDATE) ([a-z_]+)(?: |$)", text)) - {"SET"}
    assert {"custody", "event", "pending", "idempotency", "stream_head"} <= written
    assert written <= set(CUT)


@pytest.mark.parametrize("name", sorted(CUT))
def test_a_table_of_the_hot_path_is_cut_by_a_column_of_its_own(name: str) -> None:
    assert CUT[name] in table_named(name).columns


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_table_of_streams_leads_with_its_stream(name: str) -> None:
    key = next(one for one in table_named(name).constraints if isinstance(one, PrimaryKeyConstraint))
    assert [column.name for column in key.columns] == STREAMS[name]


@pytest.mark.parametrize("name", sorted(CUT))
def test_the_plan_says_of_each_constraint_that_is_not_local_what_it_becomes(name: str) -> None:
    assert not_local(name) == {said for said in SAID if said.startswith(f"{name}.")}
