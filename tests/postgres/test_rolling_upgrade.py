"""An upgrade while the bank is at work: versions of the program side by side on one schema, and nobody's is taken away."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from alembic import command
from biobank.acts.bank import Bank
from biobank.foundation.schema_version import THIS, Schema, revision_in
from biobank.postgres import migrate
from biobank.postgres.rolling import OthersAtWork, schema_of, served_by
from tests.conftest import Api, TestBank, release_now, start_web
from tests.operations.test_failover import post_scan, specimen, until
from tests.postgres.next_versions import BUILD, CONTRACT, EXPAND, MIGRATIONS, program_of_expand, written
from tests.washing import keys_of


def said(dsn: str) -> tuple[Any, ...]:
    """The revision of a bank's schema and whom it serves."""
    with psycopg.connect(dsn) as connection:
        (row,) = connection.execute("SELECT version_num, serves FROM alembic_version").fetchall()
    return tuple(row)


def to(made: Config, revision: str, bank: TestBank) -> None:
    made.attributes["url"] = bank.dsn()
    command.upgrade(made, revision)


class Scanning:
    """Somebody who scans one tube after another at a web process, as long as it lasts; every answer is kept."""

    def __init__(self, api: Api) -> None:
        self._api, self._stop = api, threading.Event()
        self.answers: list[tuple[str, str, int]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            code, key = specimen(self._api), uuid4().hex
            self.answers.append((code, key, post_scan(self._api, code, key).status_code))

    def some_more(self) -> None:
        """Wait for five answers more."""
        before = len(self.answers)
        until(lambda: len(self.answers) >= before + 5, within_s=60)

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


def migrating(bank: TestBank, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """`biobank migrate` of the newer version."""
    owners = {"owner_database_url": bank.dsn(), "keys_owner_database_url": bank.cluster.dsn("owner", keys_of(bank.database))}
    given = bank.bank.settings.model_copy(update=owners).model_dump(exclude_none=True)
    environ = dict(os.environ) | {f"BIOBANK_{k.upper()}": str(v) for k, v in given.items()}
    return subprocess.run(
        [sys.executable, "-m", "biobank", "migrate", *more],
        env=environ | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def readiness(url: str) -> int:
    return httpx.get(f"{url}/readyz").status_code


def test_versions_work_side_by_side_while_the_schema_grows_and_none_loses_what_it_uses(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], tmp_path: Path
) -> None:
    bank = make_bank(pool_size=4)
    made = written(tmp_path)
    program_of_expand(tmp_path)
    url = serve(bank)
    api = Api(url, bank)
    scanning = Scanning(api)
    with scanning.meanwhile():
        scanning.some_more()
        to(made, EXPAND, bank)
        assert said(bank.dsn()) == (EXPAND, [EXPAND, THIS.newest])
        scanning.some_more()
        assert readiness(url) == 200

        given = bank.bank.settings.model_dump(exclude_none=True)
        environ = dict(os.environ) | {f"BIOBANK_{k.upper()}": str(v) for k, v in given.items()} | {"PYTHONPATH": str(tmp_path)}
        process, newer = start_web(environ, "--app-dir", str(tmp_path))
        try:
            assert readiness(newer) == 200  # it has read the new column
            beside = Api(newer, bank)
            code = specimen(api)
            assert post_scan(beside, code, "beside").status_code == 201
            assert post_scan(api, code, "beside").headers["Idempotent-Replayed"] == "true"
            beside.close()

            refused = migrating(bank, tmp_path)
            sentence = " ".join(refused.stderr.split())
            assert (refused.returncode, "programs are at work" in sentence) == (1, True), refused
            assert f"biobank on {THIS.newest} (" in sentence and f"biobank on {EXPAND} (" in sentence
            assert said(bank.dsn()) == (BUILD, [BUILD, EXPAND, THIS.newest])  # the index stands, the column too
            scanning.some_more()
            assert (readiness(url), readiness(newer)) == (200, 200)
        finally:
            process.terminate()
            process.wait(60)
    api.close()
    assert {status for _, _, status in scanning.answers} == {201}
    with psycopg.connect(bank.dsn()) as connection:
        kept = connection.execute("SELECT stream_id FROM event WHERE kind = 'specimen.received'").fetchall()
    assert sorted(row[0] for row in kept) == sorted([code, *(code for code, _, _ in scanning.answers)])

    # This program is older than the contraction serves: it is in the way too, and then not ready any more.
    with pytest.raises(OthersAtWork, match=f"biobank on {THIS.newest}"):
        to(made, CONTRACT, bank)
    release_now(bank)
    bank.bank.dispose_now()
    assert migrating(bank, tmp_path).returncode == 0
    assert said(bank.dsn()) == (CONTRACT, [CONTRACT, BUILD])
    assert readiness(serve(bank)) == 503
    last = TestBank(
        Bank.open(bank.bank.settings, schema_of(ScriptDirectory.from_config(made), CONTRACT)), bank.cluster, bank.database
    )
    release_now(bank)
    assert readiness(serve(last)) == 200


def test_a_program_is_ready_on_the_schema_before_a_contraction_and_not_before_an_expansion(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], tmp_path: Path
) -> None:
    bank = make_bank(pool_size=4)
    made = written(tmp_path)
    script = ScriptDirectory.from_config(made)
    to(made, EXPAND, bank)

    def ready(revision: str) -> int:
        other = TestBank(Bank.open(bank.bank.settings, schema_of(script, revision)), bank.cluster, bank.database)
        try:
            return readiness(serve(other))
        finally:
            release_now(other)

    assert [ready(revision) for revision in (THIS.newest, EXPAND, BUILD, CONTRACT)] == [200, 200, 503, 503]
    to(made, BUILD, bank)
    assert [ready(revision) for revision in (THIS.newest, EXPAND, BUILD, CONTRACT)] == [200, 200, 200, 200]


def test_a_way_down_that_would_take_the_schema_from_those_at_work_is_refused_too(
    make_bank: Callable[..., TestBank], tmp_path: Path
) -> None:
    bank = make_bank(pool_size=4)
    made = written(tmp_path)
    to(made, EXPAND, bank)
    with psycopg.connect(bank.dsn("app"), application_name=f"biobank sealer on {EXPAND}"):
        with pytest.raises(OthersAtWork, match="biobank sealer"):
            command.downgrade(made, THIS.newest)
        assert said(bank.dsn()) == (EXPAND, [EXPAND, THIS.newest])
        made.attributes["although_others_work"] = True
        command.downgrade(made, THIS.newest)
    assert said(bank.dsn()) == (THIS.newest, [THIS.newest])


def test_an_index_waits_for_who_works_and_a_broken_try_is_made_good(make_bank: Callable[..., TestBank], tmp_path: Path) -> None:
    bank = make_bank(pool_size=4)
    made = written(tmp_path)
    to(made, EXPAND, bank)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    broken_off = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY ix_event%'"
    with (
        psycopg.connect(bank.dsn()) as at_work,
        psycopg.connect(bank.dsn(), autocommit=True) as looking,
        ThreadPoolExecutor(1) as pool,
    ):
        at_work.execute("LOCK TABLE event IN ROW EXCLUSIVE MODE")
        building = pool.submit(to, made, BUILD, bank)
        until(lambda: looking.execute(invalid).fetchone() == (1,))
        with psycopg.connect(bank.dsn()) as writer:  # who writes meanwhile waits for nothing
            writer.execute("SET lock_timeout = '1ms'")
            writer.execute("LOCK TABLE event IN ROW EXCLUSIVE MODE")
        assert looking.execute(broken_off).fetchall() == [(True,)]
        with pytest.raises(OperationalError):
            building.result()
        assert (looking.execute(invalid).fetchone(), said(bank.dsn())[0]) == ((1,), EXPAND)
        at_work.rollback()
        to(made, BUILD, bank)
        assert (looking.execute(invalid).fetchone(), said(bank.dsn())[0]) == ((0,), BUILD)


def test_the_chain_says_whom_each_schema_serves_and_what_each_program_works_on(tmp_path: Path) -> None:
    newest, expand, build, contract = THIS.newest, EXPAND, BUILD, CONTRACT
    later = (
        ("later", contract, None, "pass", "pass"),
        ("break_", "later", "break_", "pass", "pass"),
    )
    script = ScriptDirectory.from_config(written(tmp_path, (*MIGRATIONS, *later)))

    assert served_by(script, None) == []
    assert served_by(script, build) == [build, expand, newest]
    assert served_by(script, contract) == [contract, build]
    assert served_by(script, "later") == ["later", contract, build]
    assert served_by(script, "break_") == ["break_"]
    assert schema_of(script, build) == Schema(build, frozenset({build}))
    assert schema_of(script, contract) == Schema(contract, frozenset({contract, build}))
    assert schema_of(script, "later").works_on == {"later"}


def test_this_program_says_the_revision_that_its_migrations_end_with() -> None:
    script = ScriptDirectory.from_config(migrate.config("postgresql://"))

    assert schema_of(script, str(script.get_current_head())) == THIS


def test_a_connection_says_whose_it_is() -> None:
    assert revision_in(THIS.connection_name()) == revision_in(THIS.connection_name("sealer")) == THIS.newest
    assert revision_in("biobank") is revision_in("psql") is revision_in("biobank on ") is None


def test_the_store_of_donor_keys_is_expanded_only() -> None:
    script = ScriptDirectory.from_config(migrate.config("postgresql://", keys=True))
    first, *others = [found.module.serves_from for found in script.walk_revisions()][::-1]

    assert (first, set(others) <= {None}) == ("keys", True)
