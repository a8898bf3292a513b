"""Point-in-time recovery, really done: a copy at a named time that proves itself, or says what is missing."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from biobank.operations import restore_drill
from biobank.operations.restore_drill import Drill, drill
from biobank.postgres.cluster import Cluster
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.postgres.scratch_copy import BaseAndArchive, RestoreFailed, restored_copy
from tests.conftest import TestBank, make_templates, open_bank
from tests.operations.second_node import BIN, as_account, base_backup, folder_for
from tests.scratch import reachable_folder
from tests.speed import made_quick
from tests.transparency.audited import Audited

BACKREST = shutil.which("pgbackrest")
DEBIAN = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.slow


@dataclass
class Archived:
    """A server that archives, a bank in it that has lived, and the times between its lives."""

    postgres: EmbeddedPostgres
    cluster: Cluster
    folder: Path
    audited: Audited

    @property
    def bank(self) -> TestBank:
        return self.audited.bank

    @property
    def source(self) -> BaseAndArchive:
        return BaseAndArchive(self.folder / "bases", self.folder / "archive")

    def settle(self) -> datetime:
        """A time that lies after everything so far and before everything to come."""
        time.sleep(0.1)
        at = datetime.now(UTC)
        time.sleep(0.1)
        return at

    def archive_all(self) -> None:
        """Wait until the archive has what was written until now."""
        with psycopg.connect(self.postgres.dsn("owner", "postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'test', 'something to switch away from')")
            ((current,),) = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchall()
            deadline = time.monotonic() + 60
            while (connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchall()[0][0] or "") < current:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def environment(self) -> dict[str, str]:
        """What a person at the console has set."""
        given = self.bank.bank.settings.model_dump(exclude_none=True) | {"register_path": self.register}
        other = {name: value for name, value in os.environ.items() if not name.startswith("BIOBANK_")}
        return other | {f"BIOBANK_{name.upper()}": str(value) for name, value in given.items()}

    @property
    def register(self) -> Path:
        return self.folder / "register" / "checkpoint"

    def command(self, at: datetime, *how: str) -> "subprocess.CompletedProcess[str]":
        """`biobank restore-drill`, as somebody types it."""
        words = [sys.executable, "-m", "biobank", "restore-drill", "--at", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", *how]
        return subprocess.run(words, env=self.environment(), capture_output=True, text=True, timeout=300, check=False)

    def look(self, restored_to: datetime, at: datetime | None = None) -> Drill:
        """Restore, and look at the copy as of `at`."""
        settings = self.bank.bank.settings.model_copy(update={"register_path": self.register})
        bin_dir = Path(BIN) if BIN else None
        with reachable_folder() as place, restored_copy(place, self.source, restored_to, bin_dir=bin_dir) as copy:
            return drill(settings, lambda url: copy.address(*login_of(url)), at or restored_to)


def login_of(url: str) -> tuple[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return str(parts["user"]), str(parts["dbname"])


def archiving(postgres: EmbeddedPostgres, command: str) -> None:
    """Let the server archive by this command from now on."""
    with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET archive_mode = on")
        connection.execute(f"ALTER SYSTEM SET archive_command = '{command}'")
    postgres.stop()
    postgres.start()


@pytest.fixture
def archived(secrets_dir: Path, tmp_path: Path) -> Iterator[Archived]:
    with reachable_folder() as folder, EmbeddedPostgres(folder / "server", bin_dir=Path(BIN) if BIN else None) as postgres:
        cluster = Cluster(folder / "server", -1)
        made_quick(postgres)
        archive = folder_for(cluster, folder / "archive")
        archiving(postgres, f"test ! -f {archive}/%f && cp %p {archive}/%f")
        make_templates(postgres)
        made = Archived(postgres, cluster, folder, Audited(open_bank(postgres, secrets_dir, tmp_path), folder).live())
        folder_for(cluster, folder / "bases")
        base_backup(cluster, postgres.dsn("owner", "postgres"), folder / "bases" / "first")
        yield made
        made.bank.bank.dispose_now()


def test_a_copy_at_a_named_time_is_the_whole_record_until_then_and_says_what_came_later(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_drill, "IN_FLIGHT", timedelta(0))
    archived.audited.live(3)
    at = archived.settle()
    archived.audited.live(2)
    archived.archive_all()

    found = archived.look(at)

    assert found.proves_itself, found
    assert found.verdict["verdict"] == "true"
    assert (found.record.specimens, found.later, found.missing) == (5, 4, [])
    assert found.compared and found.newest_at and found.newest_at < at

    # Held against a later time, the same copy lacks what was recorded in between.
    lacking = archived.look(at, at=datetime.now(UTC))
    assert not lacking.proves_itself
    assert len(lacking.missing) == 4

    done = archived.command(at, "--base", str(archived.source.bases), "--archive", str(archived.source.archive))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "5 specimens" in said and "4 later" in said and "The copy proves itself." in said
    assert not list(Path("/var/lib").glob("biobank-drill*"))


def test_a_hole_in_the_archive_is_told_with_the_time_until_which_it_reaches(archived: Archived) -> None:
    archived.archive_all()
    kept = sorted(archived.source.archive.iterdir())
    archived.audited.live(1)
    at = archived.settle()
    archived.audited.live(1)
    archived.archive_all()
    newer = sorted(set(archived.source.archive.iterdir()) - set(kept))
    newer[0].unlink()

    with pytest.raises(RestoreFailed, match=r"The archive ends before .* transactions until"):
        archived.look(at)
    done = archived.command(at, "--base", str(archived.source.bases), "--archive", str(archived.source.archive))
    assert done.returncode == 1
    assert "The archive ends before" in " ".join(done.stderr.split())


def test_a_time_before_the_first_backup_is_refused(archived: Archived) -> None:
    with pytest.raises(RestoreFailed, match="No base backup"):
        archived.look(datetime.now(UTC) - timedelta(days=1))


def test_a_record_that_was_changed_behind_the_bank_does_not_prove_itself(archived: Archived) -> None:
    code = archived.audited.codes[0]
    other = "convert_to(replace(convert_from(entry, 'UTF8'), 'LAB', 'BAL'), 'UTF8')"
    archived.audited.attack(
        f"UPDATE event SET entry = {other} WHERE stream_id = '{code}'",
        f"UPDATE custody SET amount = amount + 1 WHERE code = '{code}'",
    )
    at = archived.settle()
    archived.audited.live(1)
    archived.archive_all()

    found = archived.look(at)

    assert not found.proves_itself
    assert found.verdict["verdict"] == "untrue"
    assert list(found.record.differing) == [code]


@pytest.mark.skipif(BACKREST is None or not DEBIAN.is_dir(), reason="NOT TESTED: no pgbackrest here; `.ci/run` installs it")
def test_what_pgbackrest_keeps_is_restored_to_a_named_time_and_proves_itself(secrets_dir: Path, tmp_path: Path) -> None:
    with reachable_folder() as folder, EmbeddedPostgres(folder / "server", bin_dir=DEBIAN) as postgres:
        cluster = Cluster(folder / "server", -1)
        made_quick(postgres)
        for name in ("repo", "log", "spool", "lock"):
            folder_for(cluster, folder / name)
        login = psycopg.conninfo.conninfo_to_dict(postgres.dsn("owner", "postgres"))
        ini = folder / "pgbackrest.conf"
        ini.write_text(
            f"[global]\nrepo1-path={folder}/repo\nlog-path={folder}/log\nspool-path={folder}/spool\nlock-path={folder}/lock\n"
            f"log-level-console=warn\nstart-fast=y\narchive-timeout=60\n[bank]\npg1-path={cluster.data}\n"
            f"pg1-socket-path={login['host']}\npg1-port={login['port']}\npg1-user={login['user']}\n"
        )
        backrest = f"{BACKREST} --config={ini} --stanza=bank"

        def run(*words: str) -> None:
            environ = {"PATH": os.environ["PATH"], "PGPASSWORD": str(login["password"])}
            done = subprocess.run(
                [*backrest.split(), *words], env=environ, capture_output=True, text=True, cwd=folder, **as_account(cluster)
            )
            assert done.returncode == 0, done.stdout + done.stderr

        run("stanza-create")
        archiving(postgres, f"{backrest} archive-push %p")
        make_templates(postgres)
        audited = Audited(open_bank(postgres, secrets_dir, tmp_path), folder).live()
        login = psycopg.conninfo.conninfo_to_dict(postgres.dsn("owner", "postgres"))
        run("--type=full", "backup")
        made = Archived(postgres, cluster, folder, audited)
        audited.live(3)
        time.sleep(1.5)  # pgBackRest counts in seconds, and takes a backup that ended before the time
        at = made.settle()
        audited.live(2)
        made.archive_all()

        command = f"{backrest} --type=time '--target={{time}}' --pg1-path={{folder}} restore"
        done = made.command(at, "--with", command)

        assert done.returncode == 0, done.stdout + done.stderr
        said = " ".join(done.stdout.split())
        assert "5 specimens" in said and "4 later" in said and "The copy proves itself." in said
        made.bank.bank.dispose_now()
