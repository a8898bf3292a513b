"""Two servers, the second taking over: what was answered is there, and what only the first had was answered to nobody."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from biobank.acts.bank import Bank
from biobank.postgres.embedded import EmbeddedPostgres
from tests.conftest import Api, make_templates, open_bank, release_now, serve_now
from tests.operations.second_node import second_node
from tests.operations.test_failover import as_superuser, post_scan, specimen, until, waiting_for_standby
from tests.scratch import reachable_folder
from tests.speed import made_quick


@pytest.mark.slow
def test_an_event_that_only_the_lost_server_had_was_answered_to_nobody(secrets_dir: Path, tmp_path: Path) -> None:
    with reachable_folder() as folder, EmbeddedPostgres(folder) as first, ThreadPoolExecutor(1) as pool:
        made_quick(first)
        make_templates(first)
        plain = open_bank(first, secrets_dir, tmp_path)
        with second_node(first, folder) as second:
            addresses = {
                name: second.both(str(getattr(plain.bank.settings, name))) for name in ("database_url", "keys_database_url")
            }
            bank = replace(plain, bank=Bank.open(plain.bank.settings.model_copy(update=addresses)))
            api = Api(serve_now(bank), bank)
            kept, lost = specimen(api), specimen(api)
            assert post_scan(api, kept, "kept").status_code == 201

            with psycopg.connect(first.dsn("owner", "postgres"), autocommit=True) as connection:
                senders = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_replication").fetchall()]
            for sender in senders:
                os.kill(sender, signal.SIGSTOP)
            pool.submit(post_scan, api, lost, "lost", 30)
            pids = until(lambda: waiting_for_standby(first))
            as_superuser(first, *(f"SELECT pg_terminate_backend({pid})" for pid in pids))
            until(lambda: not set(pids) & set(waiting_for_standby(first)))
            with psycopg.connect(bank.dsn(), autocommit=True) as connection:
                question = "SELECT count(*) FROM event WHERE stream_id = %s AND kind = 'specimen.received'"
                assert connection.execute(question, (lost,)).fetchall() == [(1,)]  # committed here, and nowhere else
            with pytest.raises(httpx.ReadTimeout):
                post_scan(api, lost, "lost", timeout=3)

            postmaster = int((folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            for process in (postmaster, *senders):
                os.kill(process, signal.SIGKILL)
            second.promote()
            again = until(lambda: answered(api, lost, "lost"), within_s=60)
            assert (again.status_code, again.json()["seq"], again.headers.get("Idempotent-Replayed")) == (201, 2, None)
            before = until(lambda: answered(api, kept, "kept"), within_s=60)
            assert (before.status_code, before.json()["seq"], before.headers.get("Idempotent-Replayed")) == (201, 2, "true")
            api.close()
            release_now(bank)


def answered(api: Api, code: str, key: str) -> httpx.Response | None:
    try:
        answer = post_scan(api, code, key, timeout=20)
    except httpx.ReadTimeout:
        return None
    return None if answer.status_code == 503 else answer
