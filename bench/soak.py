"""About an hour of mixed load with kills: what was answered, what memory and disk did meanwhile.

    python -m bench.soak [--seconds 3500] [--clients 4] [--kill-every 60]

One bank as it is run: a web worker, a sealer, a worker, PostgreSQL with the durability it ships with. Clients scan, look a code
up, read a specimen, its history, a list, a proof and a label, draw pages, and export now and then. Every `--kill-every` seconds
one of the three processes is killed and started again; clients repeat under the same key until they are answered.

Every tenth of the time the memory of each program (proportional set size: shared pages are shared out) and the size of the
database are taken. Memory of a process that was killed begins anew, so the last one to be killed says least; `--kill-every 0`
kills nobody. Prints the table and ends with 1 when something was lost or left unsealed, or an answer was none that is expected.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg

from bench.house import House, house
from bench.rig import free_port, start_bank, wait_for
from biobank.auth.sessions import create_page_session
from biobank.foundation import clock
from biobank.operations.supervisor import environment
from biobank.pages.ui.session import cookie_name
from tests import seed

RESULTS = Path(__file__).with_name("results")
SCAN = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}
READS = {
    "specimen": (10, "technician", "/api/v1/specimens/{code}"),
    "history": (8, "technician", "/api/v1/specimens/{code}/custody"),
    "list": (6, "technician", "/api/v1/specimens?limit=50"),
    "label": (4, "technician", "/api/v1/specimens/{code}/label"),
    "specimen page": (6, "browser", "/specimens/{code}"),
    "list page": (6, "browser", "/specimens"),
    "today": (4, "browser", "/"),
    "export": (1, "auditor", "/api/v1/custody-log?format=csv&specimen={code}"),
}
"""By name: how often among a hundred, who asks, what."""
AWAY = {502, 503, 504}
"""What a bank may answer while a part of it is being started again."""


@dataclass
class Soaked:
    """What happened. `lost`, `unsealed` and `unexpected` must be nothing."""

    answers: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    samples: list[dict[str, float]] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    unsealed: int = 0


class Programs:
    """The bank's processes, by name."""

    def __init__(self, h: House, port: int) -> None:
        spared = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        work = environment(h.settings, "database_url", "keys_database_url")
        seal = environment(h.settings, "sealer_database_url")

        def started(part: str, environ: dict[str, str]) -> Callable[[], "subprocess.Popen[str]"]:
            command = [sys.executable, "-m", "biobank", part]
            return lambda: subprocess.Popen(command, env=environ, text=True, **spared)  # type: ignore[call-overload]

        self._starts: dict[str, Callable[[], subprocess.Popen[str]]] = {
            "web": lambda: start_bank(h, port),
            "sealer": started("sealer", seal),
            "worker": started("worker", work),
        }
        self._running = {name: start() for name, start in self._starts.items()}

    def kill(self, name: str) -> None:
        """Kill one and start its successor."""
        self._end(name, signal.SIGKILL)
        self._running[name] = self._starts[name]()

    def stop(self) -> None:
        """End all."""
        for name in self._running:
            self._end(name, signal.SIGTERM)

    def _end(self, name: str, how: int) -> None:
        self._running[name].send_signal(how)
        self._running[name].wait(timeout=60)

    def memory_mb(self) -> dict[str, float]:
        """Proportional set size of each, in megabytes."""
        return {name: _pss_mb(process.pid) for name, process in self._running.items()}


def _pss_mb(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return round(next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024, 1)


class Client(threading.Thread):
    """One person or device at work. Only its own specimens are scanned, so that no scan is stale."""

    def __init__(self, url: str, headers: dict[str, dict[str, str]], codes: list[str], soaked: Soaked, stop: threading.Event):
        super().__init__(daemon=True)
        self._as = {who: httpx.Client(base_url=url, headers=h, timeout=20) for who, h in headers.items()}
        self._codes, self._soaked, self._stopped = codes, soaked, stop
        self._at = dict.fromkeys(codes, 1)
        self.leaves: list[str] = []
        self._rng = random.Random(codes[0])
        self._jobs: dict[str, tuple[int, Callable[[], None]]] = {"scan": (40, self._scan), "look-up": (15, self._look_up)}
        self._jobs |= {"proof": (4, self._proof)}
        self._jobs |= {name: (weight, partial(self._read, name, who, address)) for name, (weight, who, address) in READS.items()}

    def run(self) -> None:
        """Work until told to stop; what was begun is finished."""
        names, weights = list(self._jobs), [weight for weight, _ in self._jobs.values()]
        while not self._stopped.is_set():
            (name,) = self._rng.choices(names, weights)
            try:
                self._jobs[name][1]()
            except Exception as fault:  # told at the end, with what it was
                self._soaked.unexpected.append(f"{name}: {fault!r}")

    def _asked(self, name: str, send: Callable[[], httpx.Response], fine: set[int]) -> httpx.Response:
        while True:
            try:
                answer = send()
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            # The first exports of a bank begin one log: the second of two at once is told to look again.
            if answer.status_code in AWAY or (name == "export" and answer.status_code == 409):
                time.sleep(0.2)
                continue
            self._soaked.answers[name] = self._soaked.answers.get(name, 0) + 1
            if answer.status_code not in fine:
                self._soaked.unexpected.append(f"{name}: {answer.status_code} {answer.text[:200]}")
            return answer

    def _read(self, name: str, who: str, address: str) -> None:
        code = self._rng.choice(self._codes)
        self._asked(name, lambda: self._as[who].get(address.format(code=code)), {200})

    def _scan(self) -> None:
        code = self._rng.choice(self._codes)
        key = {"Idempotency-Key": uuid4().hex}
        body = SCAN | {"expected_seq": self._at[code]}
        address = f"/api/v1/specimens/{code}/events"
        answer = self._asked("scan", lambda: self._as["technician"].post(address, json=body, headers=key), {201})
        if answer.status_code == 201:
            said = answer.json()
            self._at[code] = said["seq"]
            self.leaves.append(said["events"][0]["leaf_hash"])

    def _look_up(self) -> None:
        key, body = {"Idempotency-Key": uuid4().hex}, {"text": self._rng.choice(self._codes)}
        self._asked("look-up", lambda: self._as["technician"].post("/api/v1/scans", json=body, headers=key), {200, 201})

    def _proof(self) -> None:
        if self.leaves:  # one made a moment ago may not be sealed yet
            self._asked(
                "proof", lambda: self._as["technician"].get(f"/api/v1/log/proofs/{self._rng.choice(self.leaves)}"), {200, 404}
            )


def soak(h: House, *, seconds: float, clients: int, kill_every: float, specimens: int) -> Soaked:
    """Run the load and the kills, let everything come to rest, and count."""
    soaked, stop, port = Soaked(), threading.Event(), free_port()
    codes = h.specimens(specimens)
    lifetime = int(seconds) + 3600
    cookie, _ = h.bank.database.write_now(lambda s: create_page_session(s, seed.USERS["lab_tech"].code, clock.now(), lifetime))
    programs = Programs(h, port)
    try:
        wait_for(port)
        bearers = {"technician": h.token(), "auditor": h.token("auditor")}
        headers = {who: {"Authorization": f"Bearer {token}"} for who, token in bearers.items()} | {
            "browser": {"Cookie": f"{cookie_name(h.settings)}={cookie}"}
        }
        people = [Client(f"http://127.0.0.1:{port}", headers, codes[n::clients], soaked, stop) for n in range(clients)]
        for one in people:
            one.start()
        _watch(h, programs, soaked, seconds, kill_every)
        stop.set()
        for one in people:
            one.join(timeout=120)
        leaves = {leaf for one in people for leaf in one.leaves}
        _judge(h, soaked, leaves)
    finally:
        stop.set()
        programs.stop()
    return soaked


def _watch(h: House, programs: Programs, soaked: Soaked, seconds: float, kill_every: float) -> None:
    began, rng = time.monotonic(), random.Random(1)
    kills, sample = began + (kill_every or seconds + 1), began
    while (now := time.monotonic()) < began + seconds:
        if now >= sample:
            soaked.samples.append({"s": round(now - began)} | programs.memory_mb() | _database(h))
            sample += seconds / 10
        if now >= kills:
            name = rng.choice(["web", "sealer", "worker"])
            programs.kill(name)
            soaked.kills[name] = soaked.kills.get(name, 0) + 1
            kills += kill_every
        time.sleep(0.2)
    soaked.samples.append({"s": round(seconds)} | programs.memory_mb() | _database(h))


def _database(h: House) -> dict[str, float]:
    with psycopg.connect(h.postgres.dsn("owner")) as connection:
        ((size, events, pending),) = connection.execute(
            "SELECT pg_database_size(current_database()), (SELECT count(*) FROM event), pg_total_relation_size('pending')"
        ).fetchall()
    return {"database_mb": round(size / 1e6, 1), "events": events, "pending_mb": round(pending / 1e6, 1)}


def _judge(h: House, soaked: Soaked, leaves: set[str]) -> None:
    with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
        until = time.monotonic() + 120
        while True:
            ((soaked.unsealed,),) = connection.execute("SELECT count(*) FROM pending").fetchall()
            if not soaked.unsealed or time.monotonic() > until:
                break
            time.sleep(0.5)
        there = {bytes(leaf).hex() for (leaf,) in connection.execute("SELECT leaf_hash FROM leaf")}
    soaked.acknowledged, soaked.lost = len(leaves), len(leaves - there)


def main() -> None:
    """Soak, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3500)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--kill-every", type=float, default=60)
    parser.add_argument("--specimens", type=int, default=20_000)
    arguments = parser.parse_args()
    with house(access_token_s=3600, on_disk=True) as h:
        soaked = soak(
            h,
            seconds=arguments.seconds,
            clients=arguments.clients,
            kill_every=arguments.kill_every,
            specimens=arguments.specimens,
        )
    text = json.dumps(asdict(soaked), indent=1)
    (RESULTS / "soak.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")
    sys.exit(bool(soaked.lost or soaked.unsealed or soaked.unexpected))


if __name__ == "__main__":
    main()
