"""Many rows in one statement whose text does not grow with them.

They travel as one parameter, a JSON list. A statement with a parameter for every value costs the driver more than writing its
rows costs the database, and is another text, which nobody has prepared, for every number of rows.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import JSON, Column, Table, TableValuedAlias, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlmodel import Session

GIVEN = "given_rows"
"""The parameter that the rows travel in."""


def json_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the JSON that PostgreSQL reads: bytes as `\\x` and hexadecimal, times in RFC 3339."""
    return orjson.dumps(rows, default=_bytea).decode()


def _bytea(data: bytes) -> str:
    return "\\x" + data.hex()


def given(*columns: Column[Any]) -> TableValuedAlias:
    """Return the rows of the parameter as a table with these columns."""
    named = [column(c.name, c.type) for c in columns]
    return (
        func.json_to_recordset(cast(bindparam(GIVEN, type_=Text), JSON)).table_valued(*named).render_derived("x", with_types=True)
    )


@cache
def insert_given(table: Table, names: tuple[str, ...]) -> Insert:
    """Return the INSERT of given rows with the columns `names`; the others get the database's own defaults."""
    left_out = [c.name for c in table.columns if c.name not in names and c.default is not None]
    assert not left_out, f"{left_out} of {table.name} have defaults that this statement does not know"
    rows = given(*(table.c[name] for name in names))
    return insert(table).from_select(list(names), select(*rows.c), include_defaults=False)


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns, in their order; none for no rows."""
    if rows:
        session.execute(insert_given(table, tuple(rows[0])), {GIVEN: json_of(rows)})
