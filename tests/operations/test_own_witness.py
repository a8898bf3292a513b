"""A witness that is run with the bank: it is introduced by itself, and a database and a register set back together are seen."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from biobank.operations.supervisor import Children, with_witness
from biobank.transparency.attending import seal_and_attend
from biobank.transparency.sealer import Log
from biobank.transparency.sealing import LogHalted
from biobank.transparency.witnessing import peers_of
from tests.conftest import TestBank, drop_bank, hang_up, open_bank
from tests.transparency.conftest import record


class _AfterwardsStop:
    """Lets a sealer work until something is so, for two minutes at most."""

    def __init__(self, is_so: Any) -> None:
        self._is_so, self._until = is_so, time.monotonic() + 120

    def is_set(self) -> bool:
        assert time.monotonic() < self._until, "it never came to be so"
        return bool(self._is_so())

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(min(timeout or 0.05, 0.05))
        return self.is_set()


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.stop()


def rows(bank: TestBank, sql: str) -> list[Any]:
    with psycopg.connect(bank.dsn()) as connection:
        return connection.execute(sql).fetchall()


def test_a_database_and_its_register_set_back_together_are_seen(
    bank: TestBank, children: Children, tmp_path: Path, template: Any, secrets_dir: Path
) -> None:
    settings = with_witness(bank.bank.settings.model_copy(update={"state_dir": tmp_path / "own"}), children)
    assert settings.policy_path is not None
    (peer,) = peers_of(settings.policy_path, settings.log_origin)
    wait_until_it_answers(peer.url)

    def seal_until(bank: TestBank, size: int) -> None:
        log = Log.open(settings.log_origin, settings.log_secrets, settings.register_file, settings.log_keys_file)
        cosigned = lambda: rows(bank, "SELECT max(size) FROM cosignature") == [(size,)]  # noqa: E731
        seal_and_attend(bank.dsn("sealer"), _AfterwardsStop(cosigned), log, [peer], poll_seconds=0.02, allow_unsafe_database=True)

    with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
        record(connection, 3)
    seal_until(bank, 3)
    hang_up(bank)
    earlier = open_bank(template, secrets_dir, tmp_path / "earlier", copy_of=bank.database)
    kept = shutil.copy(settings.register_file, tmp_path / "register")
    try:
        with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
            record(connection, 2)
        seal_until(bank, 5)

        shutil.copy(kept, settings.register_file)
        with pytest.raises(LogHalted, match="has cosigned more of this log than the database and the register hold"):
            seal_until(earlier, 99)

        assert ("sealer", "halted: witness_ahead") in rows(earlier, "SELECT part, state FROM log_report")
    finally:
        drop_bank(earlier)


def wait_until_it_answers(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            assert "log " not in httpx.get(url).text
            return
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.1)
