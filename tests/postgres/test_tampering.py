"""docs/tampering.md: every login of the database, every table, every act, asked of a real database; and what finds a change."""

import re
from collections import defaultdict
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from biobank.registries.tables import metadata
from tests.conftest import Api, TestBank
from tests.reconciliation.test_walk import go_round
from tests.sealing import seal
from tests.test_docs import names_in
from tests.test_evidence import NAMED, ROOT
from tests.withdrawals.stories import a_story
from tools import tampering

ACTS = {
    "insert": "INSERT INTO {table} SELECT * FROM {table} WHERE false",
    "change": "UPDATE {table} SET {column} = {column} WHERE false",
    "delete": "DELETE FROM {table} WHERE false",
    "empty": "TRUNCATE {table} CASCADE",
}


def test_the_page_is_what_the_database_says(bank: TestBank) -> None:
    with psycopg.connect(bank.dsn("owner")) as connection:
        made = tampering.page(tampering.rows(connection))

    assert tampering.PAGE.read_text() == made, "python -m tools.tampering"


def test_every_table_has_its_line_and_every_way_of_finding_is_shown_by_tests_that_are_there() -> None:
    listed = [*(table for tables in tampering.FOUND.values() for table in tables), *tampering.UNCOMPARED]
    assert sorted(listed) == sorted(metadata.tables), "each table stands in exactly one list"
    assert {tampering.how_found(table) for table in metadata.tables} == set(tampering.WORDS)
    for how, words in tampering.WORDS.items():
        named = NAMED.findall(words)
        assert named or how in ("no record", "not compared"), how
        assert [name for file, name in named if name not in names_in(ROOT / "tests" / file)] == []


@pytest.mark.parametrize("login", tampering.LOGINS)
def test_a_login_that_tries_is_refused_exactly_what_the_page_says(bank: TestBank, login: str) -> None:
    with psycopg.connect(bank.dsn("owner")) as connection:
        said = {row[0]: dict(zip(tampering.LOGINS, row[1:4], strict=True))[login] for row in tampering.rows(connection)}
    wrong = []
    with psycopg.connect(bank.dsn(login), autocommit=True) as connection:
        for name, table in metadata.tables.items():
            for act, statement in ACTS.items():
                allowed = said[name].split(", ")
                try:
                    connection.execute("BEGIN")
                    connection.execute(statement.format(table=name, column=next(iter(table.c)).name))
                    refused = False
                except psycopg.errors.InsufficientPrivilege:
                    refused = True
                except psycopg.Error:
                    continue  # a column that the database computes: what may be inserted is asked of its grants only
                finally:
                    connection.execute("ROLLBACK")
                if refused != (act not in allowed) and f"{act} some columns" not in allowed:
                    wrong.append((name, act, refused))
    assert wrong == []


def test_what_the_page_calls_compared_is_what_the_worker_reads(api: Api) -> None:
    a_story(api).up_to("approve")
    seal(api.test_bank)
    read: dict[str, int] = defaultdict(int)

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        for table in re.findall(r"\b(?:FROM|JOIN)\s+(?:public\.)?(\w+)", statement):
            read[table] += table in metadata.tables

    def work(session: Any) -> None:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", note)
        go_round(session, api.test_bank)
        event.remove(engine, "before_cursor_execute", note)

    api.test_bank.write(work)
    compared = {table for how in ("log", "compared", "folded", "followed", "repeated") for table in tampering.FOUND[how]}
    # The units of a recall are read where there is one.
    assert {table for table, times in read.items() if times} - {"log_walk", "log_difference"} | {"recall_item"} == compared
