"""A pooler in front of the database: sessions may be pooled, transactions may not."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx
import psycopg
import pytest

from biobank.acts.bank import Bank, ensure_secrets
from biobank.foundation.config import WeakSettings
from biobank.foundation.connections import require_own_sessions
from tests.conftest import TestBank, release_now, serve_now
from tests.scratch import reachable_folder

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="NOT TESTED: there is no pgbouncer here; `.ci/run` installs it")


@contextmanager
def pooled(bank: TestBank, mode: str, login: Literal["app", "sealer"] = "app") -> Iterator[str]:
    """The address of the bank through a pooler that pools sessions or transactions."""
    behind = psycopg.conninfo.conninfo_to_dict(bank.dsn(login))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with reachable_folder() as folder:
        (folder / "users").write_text(f'"{behind["user"]}" "{behind["password"]}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={behind['host']} port={behind['port']}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
            f"listen_port={port}\nauth_type=plain\nauth_file={folder}/users\npool_mode={mode}\nunix_socket_dir=\n"
            + (f"user={pwd.getpwuid(Path(str(behind['host'])).stat().st_uid).pw_name}\n" if os.getuid() == 0 else "")
        )
        server = subprocess.Popen([str(PROGRAM), "-q", str(folder / "pgbouncer.ini")])
        try:
            address = f"postgresql://{behind['user']}:{behind['password']}@127.0.0.1:{port}/{behind['dbname']}"
            for _ in range(100):
                try:
                    psycopg.connect(address, connect_timeout=3).close()
                    break
                except psycopg.OperationalError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=60)


@pytest.mark.parametrize(("mode", "status"), [("session", 200), ("transaction", 503)])
def test_a_bank_works_behind_pooled_sessions_and_refuses_pooled_transactions(bank: TestBank, mode: str, status: int) -> None:
    with pooled(bank, mode) as address:
        wired = replace(bank, bank=Bank.open(bank.bank.settings.model_copy(update={"database_url": address})))
        url = serve_now(wired)
        try:
            answer = httpx.get(f"{url}/api/v1/specimens")
            ready = httpx.get(f"{url}/readyz")
        finally:
            release_now(wired)

    assert (answer.status_code, ready.status_code) == (401 if status == 200 else 503, status), (answer.text, ready.text)
    if status == 503:
        assert "pooler in transaction mode" in answer.json()["detail"]


def ended(program: str, **addresses: str) -> "subprocess.CompletedProcess[str]":
    """A program of the bank, which ends by itself."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIOBANK_")} | addresses
    command = [sys.executable, "-m", "biobank", *program.split()]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_no_program_starts_behind_pooled_transactions(bank: TestBank, tmp_path: Path) -> None:
    keys = {"BIOBANK_STATE_DIR": str(tmp_path), "BIOBANK_KEYS_DATABASE_URL": bank.bank.settings.keys_database_url or ""}
    ensure_secrets(tmp_path / "secrets", bank.bank.settings.log_origin)
    with pooled(bank, "transaction") as address:
        refused = [ended(program, BIOBANK_DATABASE_URL=address, **keys) for program in ("serve --web-only", "worker")]
    with pooled(bank, "transaction", "sealer") as address:
        halted = ended("sealer", BIOBANK_SEALER_DATABASE_URL=address, **keys)

    assert [one.returncode for one in (*refused, halted)] == [1, 1, 4]
    for one in (*refused, halted):
        assert "pools sessions only" in " ".join(one.stderr.split()), one.stderr


def test_pooled_transactions_are_seen_when_the_pooler_has_several_sessions_to_lend(bank: TestBank) -> None:
    with pooled(bank, "transaction") as address, psycopg.connect(address) as one, psycopg.connect(address) as other:
        sessions = {of.execute("SELECT pg_backend_pid()").fetchall()[0][0] for of in (one, other)}
        one.commit()
        other.commit()
        assert len(sessions) == 2, "both were lent at once"
        with pytest.raises(WeakSettings, match="pools sessions only"):
            require_own_sessions(address)
    with pooled(bank, "session") as address:
        require_own_sessions(address)
