"""Lists and searches in a bank of twenty thousand specimens: none reads a table, throws rows away, or sorts more than a page.

Each address is asked; every statement that it sent is then explained and run once more, and its plan looked through.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, event

from bench.house import House, house
from bench.pages import grow
from biobank.app import create_app

MANY = 2000
"""Rows that no answer of one page needs to touch, in tables of ten times as many."""
LARGE = {"specimen", "custody", "event"}
LISTS = {
    "specimens": "/specimens",
    "of a donor": "/specimens?donor={donor}",
    "of a material": "/specimens?material=lipoaspirate",
    "of a state": "/specimens?state=collected",
    "of a state that nothing has": "/specimens?state=administered",
    "in a box": "/specimens?container=BX26-0000000",
    "under a hold": "/specimens?hold=any",
    "by the start of a code": "/specimens?text={start}",
    "by a code without its prefix": "/specimens?text={number}",
    "by words that nothing has": "/specimens?text=ZZ",
    "the log": "/custody-log",
    "the log of a specimen": "/custody-log?specimen={code}",
    "the log of a donor": "/custody-log?donor={donor}",
    "the log of a kind": "/custody-log?kind=specimen.collected",
    "the log of a person": "/custody-log?actor=SYSTEM",
    "the log of a site": "/custody-log?site=CLINIC",
    "what came late": "/custody-log?entered=late",
    "what came from paper": "/custody-log?entered=paper",
    "attempts": "/attempts",
    "one specimen": "/specimens/{code}",
    "history": "/specimens/{code}/custody",
}

Sent = list[tuple[str, Any]]


async def sent_by(h: House, addresses: dict[str, str]) -> dict[str, Sent]:
    """Ask each address as quality and return the questions that it put to the database."""
    app, token, caught = create_app(h.bank), h.token("quality"), Sent()

    def catch(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            caught.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", catch)
    found = {}
    try:
        async with app.router.lifespan_context(app):
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers
            ) as client:
                for name, address in addresses.items():
                    caught.clear()
                    answer = await client.get(f"/api/v1{address}")
                    assert answer.status_code == 200, (address, answer.text)
                    found[name] = list(caught)
    finally:
        event.remove(Engine, "before_cursor_execute", catch)
    return found


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from steps(part)


def too_much(plan: dict[str, Any]) -> list[str]:
    """Return the steps of a plan that touch many rows, in words. Steps that were not run do not count."""
    found = []
    for step in steps(plan):
        times, kind = step["Actual Loops"], step["Node Type"]
        thrown = step.get("Rows Removed by Filter", 0) * times
        if kind == "Seq Scan" and step["Relation Name"] in LARGE and times:
            found.append(f"reads all of {step['Relation Name']}")
        if thrown > MANY:
            found.append(f"{kind} throws {thrown} rows away: {step.get('Filter')}")
        if kind == "Sort" and step["Actual Rows"] * times > MANY:
            found.append(f"sorts {step['Actual Rows']} rows by {step['Sort Key']}")
    return found


@pytest.fixture(scope="module")
def plans() -> dict[str, list[dict[str, Any]]]:
    with house(merge_delay_s=3600) as h:
        code = grow(h, 10 * MANY)
        with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
            ((donor,),) = connection.execute("SELECT donor_code FROM specimen WHERE code = %s", (code,)).fetchall()
            filled = {"code": code, "start": code[:8], "number": code.split("-")[1][:5], "donor": donor}
            asked = {name: address.format(**filled) for name, address in LISTS.items()}
            return {
                name: [
                    connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).fetchall()[0][0][0]["Plan"]
                    for statement, parameters in sent
                ]
                for name, sent in asyncio.run(sent_by(h, asked)).items()
            }


@pytest.mark.parametrize("name", LISTS)
def test_a_list_touches_no_more_than_what_it_shows(plans: dict[str, list[dict[str, Any]]], name: str) -> None:
    assert plans[name], "it asked nothing"
    assert [found for plan in plans[name] for found in too_much(plan)] == []
