"""What every session with the database is told before it works, whichever way it was opened."""

import asyncio

from sqlalchemy import text
from sqlmodel import Session

from tests.conftest import TestBank

TOLD = {"TimeZone": "UTC", "jit": "off"}
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name IN ('TimeZone', 'jit')"


def told(session: Session) -> dict[str, str]:
    return {row.name: row.setting for row in session.execute(text(SETTINGS))}


def test_every_session_counts_in_utc_and_compiles_no_plans(bank: TestBank) -> None:
    async def ask() -> list[dict[str, str]]:
        database = bank.bank.database
        async with database.direct.cursor() as cursor:
            directly = dict(await (await cursor.execute(SETTINGS)).fetchall())
        answers = [directly, await database.read(told), await database.write(told)]
        await bank.bank.dispose()
        return answers

    assert [*asyncio.run(ask()), bank.write(told)] == [TOLD] * 4
