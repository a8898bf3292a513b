"""Scans while parts of a cluster fail: what was acknowledged and lost, what doubled, how long nobody was answered.

    deploy/ha/run FOLDER                                   # in another terminal, or --start
    python -m bench.failover FOLDER [--clients 4] [--rest 12]
    python -m bench.failover FOLDER --start --until 1000000 --minutes 600

One bank on the cluster of `deploy/ha`. Every client sends one scan at a time and repeats it under its key until it is answered
with 201. Faults come one after the other: between them all nodes are whole again, and `--rest` seconds of quiet pass. A full
disk is tried where the nodes' folders are file systems of their own (mount small ones before `deploy/ha/run`). Prints a table and
ends with 1 when something was lost, doubled or left unsealed.

With `--until`, faults come in a random order, again and again, until so many scans were acknowledged in this FOLDER or the
minutes are over; run again on the same FOLDER, it goes on from there. Every acknowledgement of all runs is in
FOLDER/acknowledged and is looked up at the end of each; the sums stand in bench/results/failover.json.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
import psycopg
from sqlalchemy.exc import OperationalError

from bench.failover_sums import Kept
from bench.house import House
from bench.rig import free_port
from biobank.acts.bank import Bank, ensure_secrets
from biobank.foundation.config import Settings
from biobank.postgres import migrate
from tests import factories, seed

T = TypeVar("T")
WELL = {"running", "streaming"}
SCAN = {"kind": "specimen.received", "site": "LAB", "expected_seq": 1}


@dataclass
class Scanning:
    """Clients at work. `answered`: when; `laid_out`: how many tubes there are to scan in this run."""

    url: str
    token: str
    codes: Iterator[str]
    kept: Kept
    laid_out: int = 50_000
    answered: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> None:
        """Scan until told to stop; what was begun is finished."""
        with httpx.Client(timeout=8) as http:
            while not self.stop.is_set():
                with self._lock:
                    code = next(self.codes)
                self._scan(http, code, {"Authorization": f"Bearer {self.token}", "Idempotency-Key": uuid4().hex})

    def _scan(self, http: httpx.Client, code: str, headers: dict[str, str]) -> None:
        while True:
            try:
                answer = http.post(f"{self.url}/api/v1/specimens/{code}/events", json=SCAN, headers=headers)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code == 201:
                self.answered.append(time.monotonic())
                self.kept.add(code, answer.json()["events"][0]["leaf_hash"])
                time.sleep(0.02)
                return
            self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1
            time.sleep(0.3)

    def gap(self, since: float, until: float) -> float:
        """The longest time without an answer between two instants."""
        times = [since, *(at for at in self.answered if since <= at <= until), until]
        return max(later - earlier for earlier, later in pairwise(times))


class Cluster:
    """The processes that `deploy/ha/run` started, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pids = {name: int(pid) for name, pid in (line.split() for line in (folder / "pids").read_text().splitlines())}
        found = (re.search(r"^restapi:.*?:(\d+)", (folder / f"node{n}.yml").read_text(), re.MULTILINE) for n in (1, 2, 3))
        self._rests = [int(port[1]) for port in found if port]

    def whole(self) -> dict[str, str]:
        """Wait until one node leads, one is waited for by COMMIT and one follows, none of them behind; return node by role."""
        until = time.monotonic() + 180
        while time.monotonic() < until:
            for port in self._rests:
                try:
                    members = httpx.get(f"http://127.0.0.1:{port}/cluster", timeout=3).json()["members"]
                except httpx.HTTPError:
                    continue
                roles = {m["role"]: m["name"] for m in members if m["state"] in WELL and not m.get("lag")}
                if roles.keys() == {"leader", "sync_standby", "replica"}:
                    return roles
            time.sleep(0.5)
        raise TimeoutError("the cluster did not become whole")

    def filled(self, name: str) -> Path | None:
        """A file to fill the disk of a node with; None when its folder is no file system of its own."""
        folder = self._folder / name
        return folder / "filler" if folder.stat().st_dev != self._folder.stat().st_dev else None

    def processes(self, name: str) -> list[int]:
        """The process of a part; of a node Patroni's and all of its PostgreSQL's."""
        own = [self._pids[name]]
        postmaster = self._folder / name / "data" / "postmaster.pid"
        if postmaster.exists():
            first = int(postmaster.read_text().split()[0])
            children = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True, check=False).stdout.split()
            own += [first, *map(int, children)]
        return own

    def signal(self, processes: list[int], number: int) -> None:
        """Send it to those that are still there."""
        for process in processes:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    @contextmanager
    def away(self, name: str, seconds: float) -> Iterator[None]:
        """Kill a part, and start it again later."""
        command = Path(f"/proc/{self._pids[name]}/cmdline").read_bytes().decode().split("\0")[:-1]
        status = Path(f"/proc/{self._pids[name]}").stat()
        self.signal(self.processes(name), signal.SIGKILL)
        yield
        time.sleep(seconds)
        with (self._folder / f"{name}.log").open("ab") as log:
            environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
            as_before: dict[str, Any] = (
                {"user": status.st_uid, "group": status.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
            )
            self._pids[name] = subprocess.Popen(command, env=environ, stdout=log, stderr=log, **as_before).pid
        lines = "".join(f"{part} {pid}\n" for part, pid in self._pids.items())
        (self._folder / "pids").write_text(lines)


@contextmanager
def full(disk: Path, seconds: float) -> Iterator[None]:
    """Leave no byte on a disk for a time."""
    with disk.open("wb") as filler, suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
            filler.flush()
    yield
    time.sleep(seconds)
    disk.unlink()


@contextmanager
def suspended(cluster: Cluster, processes: list[int], seconds: float) -> Iterator[None]:
    """Suspend processes for a time."""
    cluster.signal(processes, signal.SIGSTOP)
    yield
    time.sleep(seconds)
    cluster.signal(processes, signal.SIGCONT)


def main() -> None:
    """Run the trial and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rest", type=float, default=12)
    parser.add_argument("--start", action="store_true", help="start deploy/ha/run, and end it afterwards")
    parser.add_argument("--until", type=int, default=0, help="acknowledged scans of all runs on this folder")
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    with started(arguments.folder.absolute()) if arguments.start else nullcontext():
        sys.exit(run(arguments))


@contextmanager
def started(folder: Path) -> Iterator[None]:
    """Run the cluster of `deploy/ha` meanwhile."""
    (folder / "environment").unlink(missing_ok=True)
    process = subprocess.Popen([Path(__file__).parents[1] / "deploy" / "ha" / "run", folder], stdout=subprocess.DEVNULL)
    try:
        while not (folder / "environment").exists():
            if process.poll() is not None:
                raise SystemExit("deploy/ha/run ended; it says why above.")
            time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


def run(arguments: argparse.Namespace) -> int:
    """Run the trial, print its table and keep its sums; return the exit code."""
    folder, port = arguments.folder.absolute(), free_port()
    given = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines())
    given |= {"BIOBANK_PORT": str(port), "BIOBANK_ACCESS_TOKEN_S": "3600", "BIOBANK_SECURE_COOKIES": "false"}
    settings = Settings.from_environment(given)
    assert settings.owner_database_url is not None
    assert settings.keys_owner_database_url is not None
    migrate.upgrade(settings.owner_database_url, settings.keys_owner_database_url)
    with psycopg.connect(settings.owner_database_url) as connection:
        if connection.execute("SELECT FROM site").fetchone() is None:
            seed.sites_and_users(connection)
    ensure_secrets(settings.secrets, settings.log_origin)
    bank = Bank.open(settings)
    house = House(cast(Any, None), settings, bank, folder)
    cluster = Cluster(folder)
    cluster.whole()
    began = time.monotonic()
    kept = Kept(folder)
    # A run before this one made donors and harvests in this bank, too.
    factories._numbers = iter(range(random.randrange(6_000_000, 800_000_000), 900_000_000))
    scanning = Scanning(f"http://127.0.0.1:{port}", house.token(), iter(house.specimens(50_000)), kept)

    def enough() -> bool:
        return not arguments.until or kept.count >= arguments.until or time.monotonic() > began + 60 * arguments.minutes

    def more() -> None:
        """Lay out tubes for the next faults: between them all nodes are whole. A token is good for an hour."""
        scanning.token = repeated(house.token)
        if kept.taken > scanning.laid_out - 25_000:
            scanning.codes = chain(scanning.codes, repeated(lambda: house.specimens(25_000)))
            scanning.laid_out += 25_000

    with served(given, folder) as server:
        rows = trial(scanning, cluster, server, arguments.clients, arguments.rest, enough, more)
    lost, doubled, pending = judged(settings.owner_database_url, kept)
    for name, gap in rows:
        print(f"| {name} | {gap:.1f} s |")
    print(f"{kept.count} acknowledged, {lost} lost, {doubled} doubled, {pending} unsealed")
    print(f"Answers that were no 201, by status: {scanning.refused}")
    if arguments.until:
        found = {"acknowledged": kept.count, "lost": lost, "doubled": doubled, "unsealed": pending}
        kept.add_up(rows, scanning.refused, found, time.monotonic() - began)
    return int(bool(lost or doubled or pending))


@contextmanager
def served(given: dict[str, str], folder: Path) -> Iterator[Callable[[str], None]]:
    """Run the bank; yield what kills one of its parts."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIOBANK_")} | given
    with (folder / "bank.log").open("ab") as log:
        parent = subprocess.Popen([sys.executable, "-m", "biobank", "serve"], env=environ, stdout=log, stderr=log)

        def kill(part: str) -> None:
            subprocess.run(["pkill", "-KILL", "-P", str(parent.pid), "-f", f"biobank {part}"], check=False)

        try:
            yield kill
            time.sleep(10)  # what waits to be sealed is sealed
        finally:
            parent.terminate()
            parent.wait(timeout=30)


def trial(
    scanning: Scanning,
    cluster: Cluster,
    kill: Callable[[str], None],
    clients: int,
    rest: float,
    enough: Callable[[], bool],
    more: Callable[[], None],
) -> list[tuple[str, float]]:
    """Scan through every fault, in another order again and again until it is `enough`; return the longest gap of each."""
    threads = [threading.Thread(target=scanning.client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while not scanning.answered:
        time.sleep(0.2)

    def node(role: str) -> str:
        return cluster.whole()[role]

    @contextmanager
    def killed(part: str) -> Iterator[None]:
        kill(part)
        yield

    faults: list[tuple[str, Callable[[], Any]]] = [
        ("none", lambda: suspended(cluster, [], 5)),
        ("a leader's PostgreSQL killed", lambda: suspended(cluster, killed_server(cluster, node("leader")), 0)),
        ("a leader and its Patroni killed", lambda: cluster.away(node("leader"), 20)),
        ("a leader suspended with its Patroni", lambda: suspended(cluster, cluster.processes(node("leader")), 40)),
        ("the standby that COMMIT waits for suspended", lambda: suspended(cluster, cluster.processes(node("sync_standby")), 20)),
        ("the other standby suspended", lambda: suspended(cluster, cluster.processes(node("replica")), 20)),
        ("an etcd member killed", lambda: cluster.away("etcd1", 10)),
        ("the proxy killed", lambda: cluster.away("haproxy", 3)),
        ("the proxy suspended", lambda: suspended(cluster, cluster.processes("haproxy"), 12)),
        ("the sealer killed", lambda: killed("sealer")),
        ("the worker killed", lambda: killed("worker")),
    ]
    disk = cluster.filled(node("leader"))
    if disk is not None:
        faults.append(("the leader's disk full", lambda: full(cast(Path, cluster.filled(node("leader"))), 40)))
    rows = []
    for name, fault in rounds(faults, enough):
        cluster.whole()
        more()
        began = time.monotonic()
        with fault():
            pass
        before = len(scanning.answered)
        while len(scanning.answered) < before + 20 and time.monotonic() < began + 120:
            time.sleep(0.2)
        time.sleep(rest)
        rows.append((name, scanning.gap(began, time.monotonic())))
        print(f"{name}: {rows[-1][1]:.1f} s", file=sys.stderr, flush=True)
    scanning.stop.set()
    for thread in threads:
        thread.join(timeout=60)
    return rows


def rounds(faults: list[T], enough: Callable[[], bool]) -> Iterator[T]:
    """Yield them in their order once, then in any order until it is enough."""
    yield from faults
    while not enough():
        yield random.choice(faults)


def killed_server(cluster: Cluster, leader: str) -> list[int]:
    """Kill the leader's PostgreSQL and leave its Patroni."""
    _, *server = cluster.processes(leader)
    cluster.signal(server, signal.SIGKILL)
    return []


def repeated(work: Callable[[], T]) -> T:
    """Do it until the leader answers: the trial's own connections lead to servers that were killed, too."""
    while True:
        try:
            return work()
        except OperationalError:
            time.sleep(0.5)


def judged(owner: str, kept: Kept) -> tuple[int, int, int]:
    """Return how many acknowledged events are not there, how many specimens were received twice, how many events wait."""
    with psycopg.connect(owner) as connection:
        events = connection.execute("SELECT stream_id, leaf_hash FROM event WHERE kind = 'specimen.received'").fetchall()
        ((pending,),) = connection.execute("SELECT count(*) FROM pending").fetchall()
    present = {bytes(leaf) for _, leaf in events}
    lost = sum(bytes.fromhex(leaf) not in present for leaf in kept.leaves())
    return lost, len(events) - len({code for code, _ in events}), int(pending)


if __name__ == "__main__":
    main()
