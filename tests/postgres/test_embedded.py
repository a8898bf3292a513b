"""The PostgreSQL we start ourselves: first start, sharing, crashes. Real servers, real kills; as root and as nobody."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from biobank.postgres.cluster import Cluster
from biobank.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, Role
from biobank.postgres.programs import Account, usable_by
from biobank.postgres.programs import find as find_programs
from tests.scratch import reachable_folder

BIN_DIR = Path(os.environ["BIOBANK_TEST_PG_BIN"]) if "BIOBANK_TEST_PG_BIN" in os.environ else None
IDENTITIES = ["root", "nobody"] if os.geteuid() == 0 else [pwd.getpwuid(os.geteuid()).pw_name]

ROLES: tuple[Role, ...] = ("app", "sealer", "auditor")

# A process that starts the server, says what it got, and stops when its input ends. It becomes the other user only
# after its imports: the interpreter may lie where that user cannot read.
STARTER = """
import json, os, pwd, sys
from pathlib import Path
import psycopg
from biobank.postgres.embedded import EmbeddedPostgres

state, name, bin_dir = sys.argv[1:]
psycopg.conninfo.conninfo_to_dict("postgresql://warm@/up")
user = pwd.getpwnam(name)
if user.pw_uid != os.geteuid():
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
with EmbeddedPostgres(Path(state), bin_dir=Path(bin_dir) if bin_dir else None) as server:
    print(json.dumps({"owner": server.owns_server, "dsn": server.dsn("owner"), "uid": os.geteuid()}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory still to be made."""
    with reachable_folder() as folder:
        yield folder / "var"


def starter(state: Path, name: str | None = None, bin_dir: Path | None = BIN_DIR) -> subprocess.Popen[str]:
    """Run STARTER as the user `name` (default: ourselves)."""
    name = name or pwd.getpwuid(os.geteuid()).pw_name
    command = [sys.executable, "-c", STARTER, str(state), name, str(bin_dir or "")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a starter printed once it was ready."""
    assert process.stdout is not None
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def finish(process: subprocess.Popen[str]) -> None:
    """End a starter's input and wait for its clean exit."""
    process.communicate(timeout=90)
    assert process.returncode == 0


def server_pids(server: EmbeddedPostgres) -> list[int]:
    """The postmaster and all its children."""
    with psycopg.connect(server.dsn("owner")) as connection:
        children = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")]
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row is not None
    return [int(row[0].split("\n")[0]), *children]


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_first_start_makes_a_cluster_and_a_restart_keeps_its_data(state: Path, name: str) -> None:
    user = pwd.getpwnam(name)
    account = Account(user.pw_uid, user.pw_gid)
    state.mkdir()
    os.chown(state, *account)
    programs = usable_by(find_programs(state, BIN_DIR), account, state)
    first = starter(state, name, programs)
    answer = said(first)
    assert answer["owner"]
    assert answer["uid"] == user.pw_uid
    assert (state / "postgres" / "data").stat().st_uid != 0
    assert stat.S_IMODE((state / "credentials.json").stat().st_mode) == 0o600
    with psycopg.connect(answer["dsn"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    finish(first)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(answer["dsn"])
    second = starter(state, name, programs)
    with psycopg.connect(said(second)["dsn"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finish(second)


def test_eight_concurrent_cold_starts_have_one_owner_and_all_are_served(state: Path) -> None:
    processes = [starter(state) for _ in range(8)]
    answers = [said(process) for process in processes]
    assert sorted(answer["owner"] for answer in answers) == [False] * 7 + [True]
    assert len({answer["dsn"] for answer in answers}) == 1
    with psycopg.connect(answers[0]["dsn"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for _, process in sorted(zip(answers, processes, strict=True), key=lambda pair: pair[0]["owner"]):
        finish(process)


def test_killing_every_server_process_during_commits_loses_no_acknowledged_commit(state: Path) -> None:
    acknowledged: list[int] = []

    def commit_until_the_server_dies(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            number = 0
            while True:
                try:
                    connection.execute("INSERT INTO fact VALUES (%s)", [number])
                except psycopg.OperationalError:
                    return
                acknowledged.append(number)
                number += 1

    with EmbeddedPostgres(state, bin_dir=BIN_DIR) as server:
        with psycopg.connect(server.dsn("owner")) as connection:
            connection.execute("CREATE TABLE fact (number int)")
        writer = threading.Thread(target=commit_until_the_server_dies, args=[server.dsn("owner")])
        writer.start()
        while len(acknowledged) < 200:
            assert writer.is_alive()
            time.sleep(0.01)
        for pid in server_pids(server):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # a child that went with its parent
        writer.join(60)
        assert not server.alive()
        server.start()
        assert server.alive()
        with psycopg.connect(server.dsn("owner")) as connection:
            found = {number for (number,) in connection.execute("SELECT number FROM fact")}
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= found


def test_after_a_kill_of_the_owner_its_server_ends_and_the_next_start_has_the_data(state: Path) -> None:
    owner = starter(state)
    with psycopg.connect(said(owner)["dsn"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    attached = EmbeddedPostgres(state, bin_dir=BIN_DIR)
    attached.start()
    assert not attached.owns_server
    old_postmaster = server_pids(attached)[0]
    owner.kill()
    owner.wait()
    with EmbeddedPostgres(state, bin_dir=BIN_DIR) as server:
        assert server.owns_server
        assert server_pids(server)[0] != old_postmaster
        with psycopg.connect(server.dsn("owner")) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert "database system is shut down" in (state / "postgres" / "server.log.1").read_text()


def test_a_first_start_killed_half_way_is_finished_by_the_next(state: Path) -> None:
    victim = starter(state)
    deadline = time.monotonic() + 120
    while not (state / "postgres" / "data.new" / "PG_VERSION").exists():
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    victim.kill()
    victim.wait()
    assert not (state / "postgres" / "data").exists()
    with EmbeddedPostgres(state, bin_dir=BIN_DIR) as server:
        assert server.owns_server


def test_a_stale_pid_file_whose_number_a_stranger_has_now_hinders_nothing_and_harms_nobody(state: Path) -> None:
    pid_file = state / "postgres" / "data" / "postmaster.pid"
    with EmbeddedPostgres(state, bin_dir=BIN_DIR):
        left_behind = pid_file.read_text()
    status = pid_file.parent.stat()
    stranger = subprocess.Popen(["sleep", "60"], user=status.st_uid)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *left_behind.split("\n")[1:]]))
        os.chown(pid_file, status.st_uid, status.st_gid)
        with EmbeddedPostgres(state, bin_dir=BIN_DIR) as server:
            assert server.alive()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_cannot_work_is_refused_with_a_sentence(state: Path) -> None:
    server = EmbeddedPostgres(state, bin_dir=BIN_DIR)
    with pytest.raises(EmbeddedPostgresError, match="no address before start"):
        server.dsn("app")
    refusals: list[str] = []

    def start_elsewhere() -> None:
        with pytest.raises(EmbeddedPostgresError) as refusal:
            server.start()
        refusals.append(str(refusal.value))

    thread = threading.Thread(target=start_elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in refusals[0]
    assert not server.owns_server
    with server:
        pass
    credentials = state / "credentials.json"
    kept = credentials.read_text()
    credentials.unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"credentials\.json is missing"):
        server.start()
    credentials.write_text(json.dumps(dict.fromkeys(json.loads(kept), "guess")))
    with pytest.raises(EmbeddedPostgresError, match="does not fit the database"):
        server.start()
    credentials.write_text(kept)
    version = state / "postgres" / "data" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match=r"written by PostgreSQL 9; found here: 1\d in "):
        server.start()
    with pytest.raises(EmbeddedPostgresError, match="cannot be started"):
        EmbeddedPostgres(state, bin_dir=state).start()


def test_a_user_without_a_passwd_entry_is_told_so(state: Path) -> None:
    state.mkdir()
    cluster = Cluster(state, server_lock=0)
    cluster.account = Account(54321, 54321)
    with pytest.raises(EmbeddedPostgresError, match="user id 54321 is not in /etc/passwd"):
        cluster.create(state, 18, "owner", "secret")


def test_a_closed_and_deep_folder_works_without_being_opened_to_anybody(state: Path) -> None:
    closed = state / "closed"
    closed.mkdir(mode=0o700, parents=True)
    deep = closed / ("d" * 60) / ("e" * 60)
    with EmbeddedPostgres(deep, bin_dir=BIN_DIR) as server:
        with psycopg.connect(server.dsn("owner")) as connection:
            row = connection.execute("SHOW unix_socket_directories").fetchone()
        assert row is not None
        socket_dir = Path(row[0])
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((deep / "postgres" / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    shutil.rmtree(socket_dir, ignore_errors=True)


def test_each_login_has_its_group_its_databases_and_a_password_that_is_checked(state: Path) -> None:
    with EmbeddedPostgres(state, bin_dir=BIN_DIR) as server:
        for role in ROLES:
            with psycopg.connect(server.dsn(role)) as connection:
                member = connection.execute("SELECT pg_has_role(%s, 'member')", [f"biobank_{role}"])
                assert member.fetchone() == (True,)
                powers = connection.execute(
                    "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = user"
                )
                assert powers.fetchone() == (False,) * 4
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("CREATE TABLE public.mine (n int)")
        psycopg.connect(server.dsn("app", "biobank_keys")).close()
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(server.dsn("sealer", "biobank_keys"))
        password = json.loads((state / "credentials.json").read_text())["app"]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn("app").replace(password, password[::-1]))
        with psycopg.connect(server.dsn("owner")) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
                assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
            order = connection.execute("SELECT string_agg(x, '' ORDER BY x) FROM unnest('{a,B,_,é,Z}'::text[]) x")
            assert order.fetchone() == ("BZ_aé",)
