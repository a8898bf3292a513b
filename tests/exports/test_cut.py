"""Where a copy of the log ends: at a sealed size that it names, and the same wherever it was read."""

import os
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from biobank.acts.bank import Bank
from biobank.exports import cut
from biobank.exports.log_queries import LogDamaged
from biobank.postgres.cluster import PORT, Cluster
from biobank.postgres.embedded import EmbeddedPostgres
from tests.conftest import Api, TestBank, make_templates, open_bank, release_now, serve_now
from tests.exports.test_custody_log import some_history
from tests.operations.second_node import SecondNode
from tests.operations.test_failover import until
from tests.scratch import reachable_folder
from tests.sealing import seal
from tests.speed import made_quick


def take(api: Api, fmt: str = "jsonl", **asked: str | int) -> httpx.Response:
    return api.auditor.get("/custody-log", params={"format": fmt, **asked})


def test_a_file_holds_what_is_sealed_and_says_how_much_that_is_and_under_which_root(api: Api) -> None:
    nothing = take(api)
    sealed = some_history(api, 2)
    seal(api.test_bank)
    (waiting,) = some_history(api, 1)
    answer = take(api, "csv")
    note = api.anonymous.get("/log/checkpoint").text.splitlines()

    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_sealed")
    assert answer.headers["X-Log-Size"] == note[1]
    assert bytes.fromhex(answer.headers["X-Log-Root"]) == b64decode(note[2])
    assert f"custody-log-{note[1]}-" in answer.headers["Content-Disposition"]
    assert all(code in answer.text for code in sealed) and waiting not in answer.text
    (started,) = api.auditor.get("/custody-log", params={"kind": "system.export_started"}).json()["items"]
    assert (started["body"]["size"], started["body"]["root"]) == (int(note[1]), answer.headers["X-Log-Root"])


@pytest.mark.parametrize("fmt", ["csv", "csvbom", "jsonl", "parquet"])
def test_a_file_of_one_size_is_the_same_when_the_log_has_grown(api: Api, fmt: str) -> None:
    some_history(api, 2)
    seal(api.test_bank)
    first = take(api, fmt)
    some_history(api, 2)
    seal(api.test_bank)
    size = first.headers["X-Log-Size"]

    again, newest = take(api, fmt, size=size), take(api, fmt)

    assert again.content == first.content != newest.content
    assert again.headers["X-Log-Root"] == first.headers["X-Log-Root"] != newest.headers["X-Log-Root"]
    never = take(api, fmt, size=int(newest.headers["X-Log-Size"]) + 1)
    assert (never.status_code, never.json()["code"]) == (409, "nothing_sealed")
    assert api.auditor.get("/custody-log", params={"size": size}).status_code == 422, "a page shows what there is now"


def test_a_place_that_has_another_log_is_found_out_before_anything_leaves_it(api: Api) -> None:
    some_history(api, 1)
    size = seal(api.test_bank)
    with psycopg.connect(api.test_bank.dsn(), autocommit=True) as connection:
        (note,) = connection.execute("SELECT note FROM checkpoint WHERE size = %s", (size,)).fetchall()[0]
        connection.execute("ALTER TABLE checkpoint DISABLE TRIGGER USER")
        lines = note.split("\n")
        lines[2] = "A" * 43 + "="
        connection.execute("UPDATE checkpoint SET note = %s WHERE size = %s", ("\n".join(lines), size))
    chosen = cut.Cut(size, cut.root_of(note))

    with pytest.raises(LogDamaged), cut.opened_at(api.test_bank.bank, chosen, longest="0"):
        pass


def test_a_place_that_does_not_answer_is_said_and_recorded_as_broken_off(api: Api, tmp_path: Path) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    away = f"{api.test_bank.dsn('auditor').partition('?')[0]}?host={tmp_path}"
    with elsewhere(api.test_bank, away) as other:
        answer = take(other)
        (ended,) = other.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (ended["body"]["complete"], ended["body"]["rows"]) == (False, 0)


@contextmanager
def elsewhere(bank: TestBank, auditor: str) -> Iterator[Api]:
    """The same bank, whose copies are read at another address."""
    settings = bank.bank.settings.model_copy(update={"auditor_database_url": auditor})
    moved = replace(bank, bank=Bank.open(settings))
    api = Api(serve_now(moved), moved)
    try:
        yield api
    finally:
        api.close()
        release_now(moved)


@contextmanager
def replica(first: EmbeddedPostgres, folder: Path) -> Iterator[SecondNode]:
    """A standby of the server in `folder` that follows it and that nobody waits for."""
    with reachable_folder() as place:
        of = Cluster(folder, -1)
        if of.account is not None:
            os.chown(place, of.account.uid, of.account.gid)
        node = SecondNode(first, of, place)
        try:
            until(lambda: answers(node), within_s=60)
            yield node
        finally:
            node.stop()


def answers(node: SecondNode) -> bool:
    try:
        return bool(node.ask("SELECT pg_is_in_recovery()"))
    except psycopg.OperationalError:
        return False


def auditor_at(bank: TestBank, node: SecondNode) -> str:
    return f"{bank.dsn('auditor').partition('?')[0]}?host={node.folder}&port={PORT}"


@pytest.mark.slow
def test_two_replicas_that_differ_give_the_same_file_of_one_size_and_one_that_lags_says_so(
    secrets_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reachable_folder() as folder, EmbeddedPostgres(folder) as first:
        made_quick(first)
        make_templates(first)
        bank = open_bank(first, secrets_dir, tmp_path)
        api = Api(serve_now(bank), bank)
        some_history(api, 2)
        seal(bank)
        with replica(first, folder) as near, replica(first, folder) as lagging:
            early = take(api)
            size = early.headers["X-Log-Size"]
            until(lambda: has(lagging, bank, size))
            lagging.ask("SELECT pg_wal_replay_pause()")
            until(lambda: lagging.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")
            some_history(api, 3)
            seal(bank)
            late = take(api)
            api.close()
            release_now(bank)

            with elsewhere(bank, auditor_at(bank, near)) as other:
                assert take(other, size=size).content == early.content
                assert take(other, size=late.headers["X-Log-Size"]).content == late.content
            with elsewhere(bank, auditor_at(bank, lagging)) as other:
                assert take(other, size=size).content == early.content
                with monkeypatch.context() as hurry:
                    hurry.setattr(cut, "WAITS_S", 0.3)
                    behind = [take(other), other.auditor.get("/custody-log/bundle")]
                for answer in behind:
                    assert (answer.status_code, answer.json()["code"]) == (503, "replica_behind")
                    assert answer.headers["Retry-After"] == "10"
                monkeypatch.setattr(cut, "WAITS_S", 60)
                with ThreadPoolExecutor(1) as pool:
                    waiting = pool.submit(take, other, size=late.headers["X-Log-Size"])
                    until(lambda: asking(lagging))
                    lagging.ask("SELECT pg_wal_replay_resume()")
                    assert waiting.result(timeout=60).content == late.content


def has(node: SecondNode, bank: TestBank, size: str) -> bool:
    with psycopg.connect(auditor_at(bank, node), autocommit=True) as connection:
        return bool(connection.execute("SELECT 1 FROM checkpoint WHERE size = %s", (size,)).fetchall())


def asking(node: SecondNode) -> bool:
    return bool(node.ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT note FROM checkpoint%'"))
