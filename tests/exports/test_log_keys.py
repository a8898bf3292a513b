"""The verbs about the log's keys, each on a running bank: first key, rotation with overlap, cold key, policy, witness."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner, Result

from biobank.acts.bank import ensure_secrets
from biobank.cli import app
from biobank.exports.log_queries import read_checkpoint
from biobank.foundation.config import Settings
from biobank.transparency.attending import seal_and_attend
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.keys import create_key_file, load_signer
from biobank.transparency.sealer import Log, drain
from biobank.transparency.sealing import LogHalted
from biobank.transparency.verify import Policy, Untrue, open_checkpoint, open_note
from biobank.transparency.witnessing import Peer, peers_of
from tests.conftest import TestBank, hang_up
from tests.sealing import log_of, seal
from tests.transparency.conftest import record

ORIGIN = "bank.example/custody"


def environment(settings: Settings, **changes: Any) -> dict[str, str]:
    given = settings.model_dump(exclude_none=True) | changes
    return {f"BIOBANK_{name.upper()}": str(value) for name, value in given.items()}


@pytest.fixture
def own(make_bank: Any, tmp_path: Path) -> TestBank:
    """A bank with keys of its own, the log's in a folder that the web processes do not see: the other tests share theirs."""
    secrets, of_the_log = tmp_path / "secrets", tmp_path / "log-secrets"
    ensure_secrets(secrets, ORIGIN, of_the_log)
    bank: TestBank = make_bank(secrets_dir=secrets, log_secrets_dir=of_the_log)
    return bank


@pytest.fixture
def in_one_folder(make_bank: Any, tmp_path: Path) -> TestBank:
    """A bank whose keys all lie in one folder."""
    secrets = tmp_path / "secrets"
    ensure_secrets(secrets, ORIGIN)
    bank: TestBank = make_bank(secrets_dir=secrets)
    return bank


def command(bank: TestBank, *words: str | Path, **changes: Any) -> Result:
    settings = bank.bank.settings
    owner = {"owner_database_url": bank.dsn("owner")}
    return CliRunner().invoke(
        app, [str(w) for w in words], env=environment(settings, **(owner | changes)), catch_exceptions=False
    )


class Sealing:
    """The sealer of a bank in a thread, with the keys that lie in its folder."""

    def __init__(self, bank: TestBank, peers: list[Peer]) -> None:
        self.stop = threading.Event()
        self.fault: BaseException | None = None

        def work() -> None:
            try:
                seal_and_attend(bank.dsn("sealer"), self.stop, log_of(bank), peers, poll_seconds=0.02, allow_unsafe_database=True)
            except BaseException as exc:
                self.fault = exc

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


@pytest.fixture
def sealing(own: TestBank) -> Iterator[Sealing]:
    running = Sealing(own, [])
    yield running
    running.end()


def queue(bank: TestBank, events: int = 1) -> None:
    with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
        record(connection, events)


def has_begun(bank: TestBank) -> bool:
    """Whether the sealer has published the empty log."""
    with psycopg.connect(bank.dsn()) as connection:
        return connection.execute("SELECT count(*) FROM checkpoint").fetchall() != [(0,)]


def newest(bank: TestBank) -> tuple[int, bytes]:
    with psycopg.connect(bank.dsn()) as connection:
        size, note = connection.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchall()[0]
    return size, note.encode()


def wait_until(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.03)


def published(bank: TestBank, events: int = 1) -> bytes:
    """Record events and return the note that covers them."""
    before = newest(bank)[0] if events else 0
    queue(bank, events)
    wait_until(lambda: newest(bank)[0] >= before + events)
    return newest(bank)[1]


def test_keys_are_made_once_and_never_overwritten(tmp_path: Path) -> None:
    env = {"BIOBANK_SECRETS_DIR": str(tmp_path / "s"), "BIOBANK_LOG_ORIGIN": "new.example/log"}
    first = CliRunner().invoke(app, ["keys", "create"], env=env)
    assert first.exit_code == 0
    assert [line.split("+")[0] for line in first.stdout.split()] == ["new.example/log", "new.example/log/receipts"]
    assert CliRunner().invoke(app, ["keys", "create"], env=env).stdout == first.stdout
    assert (tmp_path / "s" / "log.skey").stat().st_mode & 0o077 == 0


def test_the_cold_key_is_made_on_the_first_day_and_its_private_half_does_not_stay(own: TestBank, tmp_path: Path) -> None:
    before = command(own, "log", "policy")
    inside = command(own, "keys", "recovery", own.bank.settings.secrets / "recovery.skey")
    made = command(own, "keys", "recovery", tmp_path / "stick" / "recovery.skey")
    again = command(own, "keys", "recovery", tmp_path / "stick" / "another.skey")

    assert (before.exit_code, inside.exit_code, made.exit_code, again.exit_code) == (0, 1, 0, 1)
    assert "\n# no recovery key yet: make it with `biobank keys recovery FILE`" in before.stdout
    assert Policy.read(before.stdout).recovery == []
    assert (tmp_path / "stick" / "recovery.skey").stat().st_mode & 0o077 == 0
    assert not (own.bank.settings.secrets / "recovery.skey").exists()
    policy = Policy.read(command(own, "log", "policy").stdout)
    assert [key.text for key in policy.recovery] == [made.stdout.split()[0]]
    assert policy.recovery[0] not in policy.note_keys


def test_a_rotation_overlaps_and_a_verifier_with_the_policy_never_notices(
    own: TestBank, sealing: Sealing, tmp_path: Path
) -> None:
    command(own, "keys", "recovery", tmp_path / "cold.skey")
    wait_until(lambda: has_begun(own))
    before = published(own, 3)
    assert command(own, "keys", "retire-log").exit_code == 1

    begun = command(own, "keys", "rotate-log")
    assert begun.exit_code == 0, begun.stderr
    during_policy = Policy.read(command(own, "log", "policy").stdout)
    assert command(own, "keys", "rotate-log").exit_code == 1
    wait_until(lambda: len(published(own).decode().partition("\n\n")[2].split("\n")) == 3)
    during = newest(own)[1]
    ended = command(own, "keys", "retire-log")
    assert ended.exit_code == 0, ended.stderr
    wait_until(lambda: len(published(own).decode().partition("\n\n")[2].split("\n")) == 2)
    after = newest(own)[1]

    policy = Policy.read(command(own, "log", "policy").stdout)
    announced = entry_index(own, "system.log_key_announced")
    assert [(start, end < 2**63) for _, start, end in policy.log] == [(0, True), (announced + 1, False)]
    for note in (before, during, after):
        open_checkpoint(note, policy, 0)
    assert len(open_checkpoint(during, policy, 0).log_keys) == 2
    open_checkpoint(during, during_policy, 0)
    kinds = [
        row[0]
        for row in own.write(
            lambda s: s.connection().exec_driver_sql("SELECT kind FROM event WHERE stream_id = 'LOG' ORDER BY seq").fetchall()
        )
    ]
    assert kinds == ["system.log_key_announced", "system.log_key_retired"]
    assert sealing.fault is None
    public, private = own.bank.settings.secrets, own.bank.settings.log_secrets
    assert not list(public.glob("log*.skey"))
    assert [path.name for path in private.glob("*.skey")] == ["log.skey"]
    for folder in (public, private):
        assert not (folder / "log.next.vkey").exists()
        assert len(list(folder.glob("log.*.retired.vkey"))) == 1
    assert (public / "log.vkey").read_text() == (private / "log.vkey").read_text()


def test_keys_in_one_folder_are_changed_there(in_one_folder: TestBank, tmp_path: Path) -> None:
    own = in_one_folder
    command(own, "keys", "recovery", tmp_path / "cold.skey")
    sealing = Sealing(own, [])
    try:
        wait_until(lambda: has_begun(own))
        folder = own.bank.settings.secrets
        old = (folder / "log.skey").read_text()
        assert command(own, "keys", "rotate-log").exit_code == 0
        wait_until(lambda: len(published(own).decode().partition("\n\n")[2].split("\n")) == 3)
        assert command(own, "keys", "retire-log").exit_code == 0
        wait_until(lambda: len(published(own).decode().partition("\n\n")[2].split("\n")) == 2)
    finally:
        sealing.end()

    assert sealing.fault is None
    assert (folder / "log.skey").read_text() != old
    assert not (folder / "log.next.skey").exists()
    assert len(list(folder.glob("log.*.retired.vkey"))) == 1


def test_the_retired_key_signs_nothing_that_counts(own: TestBank, sealing: Sealing, tmp_path: Path) -> None:
    """Whoever kept a copy of the old key forges a checkpoint with it after the rotation."""
    command(own, "keys", "recovery", tmp_path / "cold.skey")
    wait_until(lambda: has_begun(own))
    stolen = load_signer(own.bank.settings.log_secrets / "log.skey", ORIGIN)
    assert command(own, "keys", "rotate-log").exit_code == 0
    wait_until(lambda: len(published(own).decode().partition("\n\n")[2].split("\n")) == 3)
    assert command(own, "keys", "retire-log").exit_code == 0

    policy = Policy.read(command(own, "log", "policy").stdout)
    forged = Checkpoint(ORIGIN, newest(own)[0] + 50, bytes(32)).sign([stolen]).encode()
    with pytest.raises(Untrue):
        open_checkpoint(forged, policy, 0)


def test_without_a_sealer_a_rotation_says_so_and_no_key_is_put_in_place(own: TestBank) -> None:
    refused = command(own, "keys", "rotate-log", "--wait", "0.3")
    assert refused.exit_code == 1
    assert "Is `biobank sealer` running?" in " ".join(refused.stderr.split())
    assert not (own.bank.settings.secrets / "log.next.skey").exists()


def entry_index(bank: TestBank, kind: str) -> int:
    with psycopg.connect(bank.dsn()) as connection:
        found = connection.execute("SELECT log_index FROM leaf JOIN event USING (leaf_hash) WHERE kind = %s", (kind,)).fetchall()
    return int(found[0][0])


def backup_of(bank: TestBank) -> str:
    """Copy the bank's database as it is now, as a backup would."""
    name = f"{bank.database}_old"
    hang_up(bank)
    with psycopg.connect(bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {bank.database}")
    return name


def test_a_log_that_lost_what_it_published_is_continued_under_a_new_name(own: TestBank, tmp_path: Path) -> None:
    settings = own.bank.settings
    command(own, "keys", "recovery", tmp_path / "cold.skey")
    old_policy = Policy.read(command(own, "log", "policy").stdout)
    queue(own, 5)
    seal(own)
    backup, kept_entries = backup_of(own), newest(own)[0]
    queue(own, 4)
    seal(own)
    lost_at = kept_entries + 4
    final = settings.register_file.read_text()

    # The backup is brought back; two more events are recorded before anybody notices that the log has halted.
    restored = TestBank(own.bank, own.cluster, backup)
    queue(restored, 2)
    with pytest.raises(LogHalted) as halted:
        seal(restored)
    assert halted.value.reason == "rollback"

    incident = tmp_path / "incident.txt"
    incident.write_text("The database was restored from a backup; four events are lost.")
    urls = {
        f"{'database' if role == 'app' else f'{role}_database'}_url": restored.dsn(role) for role in ("app", "owner", "sealer")
    }
    words: tuple[str | Path, ...] = (
        "log",
        "recover",
        "--new-origin",
        "bank.example/custody-2",
        "--incident",
        incident,
        "--recovery-key",
        tmp_path / "cold.skey",
        "--statement",
        tmp_path / "statement",
    )
    with psycopg.connect(restored.dsn("sealer"), autocommit=True) as connection:
        connection.execute("INSERT INTO log_report (part, state, reported_at) VALUES ('sealer', 'running', now())")
        refused = command(own, *words, **urls)
        connection.execute("UPDATE log_report SET state = 'halted: rollback'")
    assert refused.exit_code == 1
    assert "Stop the bank first" in " ".join(refused.stderr.split())

    done = command(own, *words, **urls)
    assert done.exit_code == 0, done.stderr
    again = command(own, *words, **urls)

    # What verifiers get: the statement, by the key they have held since the first day.
    text, signed = open_note((tmp_path / "statement").read_bytes(), old_policy.recovery)
    assert list(signed) == [key.text for key in old_policy.recovery]
    assert text.split("\n")[:4] == [
        "bank.example/custody/recovery",
        "recover v1",
        f"old {lost_at} {final.splitlines()[2]}",
        "new bank.example/custody-2",
    ]

    # The new log seals everything that is left, after an entry that commits to the old log's end.
    new = Log.open("bank.example/custody-2", settings.log_secrets, settings.register_file)
    assert drain(restored.dsn("sealer"), new) == 1 + kept_entries + 2
    with psycopg.connect(restored.dsn()) as connection:
        first = connection.execute(
            "SELECT convert_from(entry, 'UTF8')::jsonb FROM event JOIN leaf USING (leaf_hash) ORDER BY log_index"
        )
        entries = [row[0] for row in first.fetchall()]
        aside = connection.execute("SELECT leaf_hash FROM retired_log_1.leaf ORDER BY log_index").fetchall()
        now = connection.execute("SELECT leaf_hash FROM leaf ORDER BY log_index").fetchall()
        kept = connection.execute("SELECT max(size) FROM retired_log_1.checkpoint").fetchall()
    assert entries[0]["kind"] == "system.log_recovered"
    assert entries[0]["body"]["old_size"] == lost_at
    assert (entries[0]["seq"], entries[0]["prev"]) == (1, None)
    assert now[1 : 1 + kept_entries] == aside
    assert kept == [(kept_entries,)]
    assert sorted(path.name for path in settings.register_file.parent.glob("checkpoint*")) == [
        "checkpoint",
        f"checkpoint.final-{lost_at}",
        "checkpoint.lock",
    ]
    assert restored.bank is not None
    assert again.exit_code == 1  # the old name is no longer this bank's
    assert not list(settings.secrets.rglob("log*.skey")), "the log's private keys, old and new, lie in their own folder only"
    assert len(list(settings.log_secrets.rglob("log.skey"))) == 2

    command(own, "keys", "recovery", tmp_path / "cold-2.skey", log_origin="bank.example/custody-2", **urls)
    policy = command(own, "log", "policy", log_origin="bank.example/custody-2", **urls).stdout
    assert policy.startswith(f"# continues bank.example/custody at {lost_at} entries")
    assert open_checkpoint(settings.register_file.read_bytes(), Policy.read(policy), 0).size == 3 + kept_entries
    with pytest.raises(Untrue):
        open_checkpoint(settings.register_file.read_bytes(), old_policy, 0)
    with psycopg.connect(own.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {backup} WITH (FORCE)")


def test_recovery_takes_the_cold_key_and_no_other(own: TestBank, tmp_path: Path) -> None:
    seal(own)
    command(own, "keys", "recovery", tmp_path / "cold.skey")
    create_key_file(tmp_path / "other.skey", f"{ORIGIN}/recovery")
    (tmp_path / "incident").write_text("x")

    def recover(*more: str | Path) -> str:
        words = ("log", "recover", "--incident", tmp_path / "incident", "--statement", tmp_path / "statement", *more)
        done = command(own, *words)
        assert done.exit_code == 1
        return " ".join(done.stderr.split())

    assert "not the recovery key" in recover("--new-origin", "new", "--recovery-key", tmp_path / "other.skey")
    assert "name of its own" in recover("--new-origin", ORIGIN, "--recovery-key", tmp_path / "cold.skey")
    assert "cannot be read" in recover("--new-origin", "new", "--recovery-key", tmp_path / "nothing")
    (tmp_path / "forged").write_text(own.bank.settings.register_file.read_text().replace("\n0\n", "\n7\n"))
    cold = ("--new-origin", "new", "--recovery-key", tmp_path / "cold.skey", "--final-checkpoint", tmp_path / "forged")
    assert "signature" in recover(*cold)
    assert not (tmp_path / "statement").exists()


def test_a_witness_program_cosigns_for_a_running_bank_and_a_policy_can_demand_it(own: TestBank, tmp_path: Path) -> None:
    settings = own.bank.settings
    (tmp_path / "logs").write_text((settings.secrets / "log.vkey").read_text())
    program = [
        sys.executable,
        "-m",
        "biobank",
        "witness",
        "--state",
        str(tmp_path / "w"),
        "--name",
        "auditor.example",
        "--logs",
        str(tmp_path / "logs"),
        "--port",
        "0",
    ]
    started = subprocess.Popen(
        program, stdout=subprocess.PIPE, text=True, env={k: v for k, v in os.environ.items() if "BIOBANK" not in k}
    )
    try:
        assert started.stdout is not None
        vkey = started.stdout.readline().strip()
        url = started.stdout.readline().split()[-1]
        command(own, "keys", "recovery", tmp_path / "cold.skey")
        witnesses = f"witness auditor {vkey} {url}\ngroup outside any auditor\nquorum outside\n"
        (tmp_path / "policy").write_text(f"origin {ORIGIN}\n{witnesses}")
        policy_text = command(own, "log", "policy", policy_path=tmp_path / "policy").stdout
        assert policy_text.endswith(witnesses)
        policy = Policy.read(policy_text)
        running = Sealing(own, peers_of(tmp_path / "policy", ORIGIN))
        queue(own, 4)
        wait_until(lambda: own.write(lambda s: s.connection().exec_driver_sql("SELECT max(size) FROM cosignature").scalar()) == 5)
        running.end()
        assert f"log {ORIGIN}: 5" in httpx.get(url).text
        bare = newest(own)[1]
        note = own.write(lambda s: read_checkpoint(s, size=None, cosigned=True)).encode()
        assert open_checkpoint(note, policy, time.time()).witnesses.keys() == {"auditor"}
        with pytest.raises(Untrue, match="quorum"):
            open_checkpoint(bare, policy, time.time())
        assert re.search(r"^— auditor\.example ", note.decode(), re.M)
    finally:
        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=60) == 0
