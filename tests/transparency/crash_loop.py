"""A crash loop: scans go on while web workers, sealers and PostgreSQL are killed at random; then everything is counted.

    python -m tests.transparency.crash_loop [--seconds 180] [--writers 6] [--seed N]

Writers record observations over HTTP, each under an idempotency key, and send a request again until it is answered. Nothing
is softened: the server flushes its commits as shipped, the cluster lies on a disk, and a kill is SIGKILL, or SIGQUIT to the
postmaster, which is PostgreSQL's immediate stop. Afterwards every acknowledgement is looked up in the log by leaf hash, every
tree head is computed again, every checkpoint that was ever in the register or the table is held against that tree, and every
row of custody is rebuilt from its events.

A killed process is not a power cut: the kernel keeps what was written. What a power cut can do is in `model.py`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from socket import socket
from typing import Any
from uuid import uuid4

import httpx
import orjson
import psycopg

from bench.house import House, house
from biobank.custody.rebuild import Rebuilt, projection_of
from biobank.custody.snapshots import load
from biobank.operations.supervisor import environment
from biobank.transparency.checkpoint import open_checkpoint
from biobank.transparency.keys import load_log_signers, load_receipt_signer
from biobank.transparency.receipt import verify_acknowledgement
from biobank.transparency.tree import CompactRange, hash_leaf

START_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 120
POSTGRES_CRASHES = ("postgres child killed", "postgres stopped immediately", "postmaster killed")
OBSERVATION = {
    "kind": "specimen.inspected",
    "container_intact": True,
    "label_legible": True,
    "contents_as_expected": True,
}


@dataclass
class Figures:
    """What happened, and what was found afterwards. `lost`, `doubled`, `replayed_wrongly`, `forked` and `astray` must be 0."""

    acknowledged: int = 0
    refused_as_stale: int = 0
    sent_again: int = 0
    replayed: int = 0
    unavailable: dict[int, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    sealed: int = 0
    heads: int = 0
    checkpoints: int = 0
    lost: int = 0
    doubled: int = 0
    replayed_wrongly: int = 0
    forked: int = 0
    astray: int = 0
    quarantined: int = 0

    @property
    def broken(self) -> dict[str, int]:
        """The promises that were broken, with how often."""
        promises = ("lost", "doubled", "replayed_wrongly", "forked", "astray", "quarantined")
        return {name: count for name in promises if (count := getattr(self, name))}


class Web:
    """Two web workers on ports of their own. The address of a killed one is that of its successor."""

    def __init__(self, h: House) -> None:
        self._house = h
        self.ports = [_free_port() for _ in range(2)]
        self._processes = [self._start(port) for port in self.ports]

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            "biobank.asgi:app",
            "--port",
            str(port),
            "--log-level",
            "critical",
            "--no-access-log",
            "--loop",
            "uvloop",
            "--http",
            "httptools",
        ]
        addresses = ("database_url", "keys_database_url", "auditor_database_url")
        return _quietly(command, environment(self._house.settings, *addresses))

    def kill(self, chosen: int) -> None:
        """Kill one and start its successor."""
        end(self._processes[chosen], signal.SIGKILL)
        self._processes[chosen] = self._start(self.ports[chosen])

    def stop(self) -> None:
        """End both."""
        for process in self._processes:
            end(process, signal.SIGKILL)


class Sealers:
    """The sealer, and for moments a second one beside it, while the first is stopped in its tracks."""

    def __init__(self, h: House) -> None:
        self._house = h
        self._running = [self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        return _quietly([sys.executable, "-m", "biobank", "sealer"], environment(self._house.settings, "sealer_database_url"))

    def kill(self) -> None:
        """Kill all there are and start one."""
        self.stop()
        self._running = [self._start()]

    def suspend(self) -> None:
        """Suspend the oldest wherever it is and start another; the suspended one wakes believing it holds the log."""
        oldest = self._running[-1]
        oldest.send_signal(signal.SIGSTOP)
        self._running.append(self._start())
        time.sleep(0.7)
        oldest.send_signal(signal.SIGCONT)
        while len(self._running) > 2:
            end(self._running.pop(0), signal.SIGKILL)

    def halted(self) -> list[int]:
        """Exit codes of sealers that ended by themselves: none should."""
        return [code for process in self._running if (code := process.poll()) is not None]

    def stop(self) -> None:
        """Kill all."""
        for process in self._running:
            end(process, signal.SIGKILL)


class Writers:
    """Threads that record observations and remember every answer."""

    def __init__(self, urls: list[str], token: str, codes: list[str], count: int, seed: int) -> None:
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.figures = Counter[str]()
        self.statuses = Counter[int]()
        self._urls = urls
        self._token = token
        self._codes = codes
        self._stop = threading.Event()
        self._abandoned = False
        self._faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed + n),)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def abandon(self) -> None:
        """Give up whatever is under way. After `finish` there is nothing left to give up."""
        self._stop.set()
        self._abandoned = True

    def finish(self) -> None:
        """Let every request under way get its answer, and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def _run(self, rng: random.Random) -> None:
        try:
            with httpx.Client(headers={"Authorization": f"Bearer {self._token}"}, timeout=5) as client:
                standing: dict[str, int] = {}
                while not self._stop.is_set():
                    self._scan(client, rng, standing)
        except BaseException as fault:
            self._faults.append(fault)

    def _scan(self, client: httpx.Client, rng: random.Random, standing: dict[str, int]) -> None:
        code = rng.choice(self._codes)  # all writers choose among the same: some will be stale
        key, body = uuid4().hex, OBSERVATION | {"expected_seq": standing.get(code, 1)}
        answer = self._until_answered(client, rng, code, key, body)
        if answer.status_code == 409:
            standing[code] = int(answer.json()["head"])
            self.figures["refused_as_stale"] += 1
            return
        assert answer.status_code == 201, answer.text
        said = answer.json()
        standing[code] = said["seq"]
        self.answers.append((key, said))
        self.figures["replayed"] += "idempotent-replayed" in answer.headers
        if rng.random() < 0.05:  # a device that did not believe it
            again = self._until_answered(client, rng, code, key, body)
            self.figures["replayed"] += 1
            self.figures["replayed_wrongly"] += again.json() != said

    def _until_answered(self, client: httpx.Client, rng: random.Random, code: str, key: str, body: Any) -> httpx.Response:
        attempt = 0
        while not self._abandoned:
            with suppress(httpx.TransportError):
                answer = client.post(
                    f"{rng.choice(self._urls)}/api/v1/specimens/{code}/events", json=body, headers={"Idempotency-Key": key}
                )
                if answer.status_code < 500:
                    self.figures["sent_again"] += attempt
                    return answer
                self.statuses[answer.status_code] += 1
            attempt += 1
            time.sleep(0.05)
        raise TimeoutError("no answer before the writers were told to give up")


class Observer(threading.Thread):
    """An auditor who keeps every checkpoint that was ever to be seen in the register."""

    def __init__(self, h: House) -> None:
        super().__init__()
        self._file = h.settings.register_file
        self._stop_event = threading.Event()
        self.notes: set[str] = set()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._stop_event.wait(0.01):
            with suppress(FileNotFoundError):
                self.notes.add(self._file.read_text())

    def finish(self) -> set[str]:
        """Stop and return the notes."""
        self._stop_event.set()
        self.join()
        return self.notes


def crash_postgres(h: House, rng: random.Random, how: str) -> None:
    """Kill the server or one of its children, and bring it back. From the main thread only."""
    with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
        children = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
        ((pidfile,),) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchall()
    postmaster = int(pidfile.split("\n")[0])
    with suppress(ProcessLookupError):
        match how:
            case "postgres child killed":
                os.kill(rng.choice(children), signal.SIGKILL)
            case "postgres stopped immediately":
                os.kill(postmaster, signal.SIGQUIT)
            case "postmaster killed":
                os.kill(postmaster, signal.SIGKILL)
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        time.sleep(0.2)
        h.postgres.start()  # attaches to a server that recovers by itself, starts one that is gone
        if h.postgres.alive():
            return
        if time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL did not come back")


def loop(h: House, figures: Figures, *, seconds: float, writers: int, specimens: int, seed: int) -> None:
    """Run scans and kill things for `seconds`, then let everything come to rest and count into `figures`."""
    rng = random.Random(seed)
    codes = h.specimens(specimens)
    token = h.token()
    web, sealers, observer = Web(h), Sealers(h), Observer(h)
    observer.start()
    at_work: Writers | None = None
    try:
        urls = [f"http://127.0.0.1:{port}" for port in web.ports]
        _wait(lambda: all(map(_answers, urls)), START_TIMEOUT_S, "the web workers to start")
        at_work = Writers(urls, token, codes, writers, seed)
        kinds: dict[str, Callable[[], None]] = {
            "web worker killed": lambda: web.kill(rng.randrange(2)),
            "sealer killed": sealers.kill,
            "sealer suspended beside another": sealers.suspend,
            **{how: partial(crash_postgres, h, rng, how) for how in POSTGRES_CRASHES},
        }
        kills = Counter[str]()
        deadline = time.monotonic() + seconds
        order: list[str] = []
        while time.monotonic() < deadline:
            time.sleep(rng.uniform(0.2, 1.5))
            order = order or rng.sample(list(kinds), len(kinds))  # each kind as often as the others
            how = order.pop()
            kinds[how]()
            kills[how] += 1
            assert not sealers.halted(), f"a sealer gave up after: {how}"
        figures.kills = dict(sorted(kills.items()))
        at_work.finish()
        _wait(lambda: _nothing_pending(h), DRAIN_TIMEOUT_S, "the sealer to seal what is pending")
        _wait(lambda: _all_published(h), DRAIN_TIMEOUT_S, "the sealer to publish what is sealed")
    finally:
        if at_work is not None:
            at_work.abandon()
        web.stop()
        sealers.stop()
        seen = observer.finish()
    for name, count in at_work.figures.items():
        setattr(figures, name, count)
    figures.unavailable = dict(at_work.statuses)
    _count(h, figures, at_work.answers, seen, specimens)


def _count(h: House, figures: Figures, answers: list[tuple[str, dict[str, Any]]], seen: set[str], specimens: int) -> None:
    figures.acknowledged = len(answers)
    with psycopg.connect(h.postgres.dsn("owner")) as connection:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        leaves = rows("SELECT log_index, leaf_hash FROM leaf ORDER BY log_index")
        events = dict(rows("SELECT leaf_hash, entry FROM event"))
        observed = rows("SELECT leaf_hash FROM event WHERE stream_kind = 'specimen' AND kind = 'specimen.inspected'")
        kept = rows("SELECT key, answer FROM idempotency WHERE status = 201")
        heads = rows("SELECT size, root FROM tree_head ORDER BY size")
        stored = {note for (note,) in rows("SELECT note FROM checkpoint")}
        ((figures.quarantined,),) = rows("SELECT count(*) FROM log_quarantine")
    hashes = [leaf_hash for _, leaf_hash in leaves]
    figures.sealed = len(hashes)
    figures.heads = len(heads)
    figures.lost = sum(1 for _, answer in answers if not _holds(h, answer, events, set(hashes)))
    figures.doubled = (len(hashes) - len(set(hashes))) + abs(len(observed) - len(answers)) + abs(len(kept) - len(answers))
    figures.forked = _forked(h, leaves, dict(heads), stored | seen)
    figures.checkpoints = len(stored | seen)
    h.bank.database.sync_engine.dispose()  # its connections are as dead as the servers they led to
    figures.astray = h.bank.database.write_now(_astray) + sum(1 for leaf, entry in events.items() if hash_leaf(entry) != leaf)
    figures.astray += len(events) - len(hashes) + (specimens <= 0)


def _holds(h: House, answer: dict[str, Any], events: dict[bytes, bytes], sealed: set[bytes]) -> bool:
    """Whether the log contains, under a genuine receipt, exactly what was acknowledged."""
    key = load_receipt_signer(h.settings.secrets, h.settings.log_origin).verifier
    receipt = verify_acknowledgement([key], answer["receipt"])
    named = [event.leaf_hash for event in receipt.events]
    told = [bytes.fromhex(event["leaf_hash"]) for event in answer["events"]]
    if named != told or not all(leaf in sealed and leaf in events for leaf in named):
        return False
    entry = orjson.loads(events[named[-1]])
    return bool((entry["id"], entry["seq"]) == (answer["specimen"], answer["seq"]))


def _forked(h: House, leaves: list[tuple[int, bytes]], heads: dict[int, bytes], notes: set[str]) -> int:
    """How many heads and checkpoints are not the root of the log's beginning of their size."""
    keys = [signer.verifier for signer in load_log_signers(h.settings.secrets, h.settings.log_origin)]
    checkpoints = [open_checkpoint(note, h.settings.log_origin, keys) for note in notes]
    tree, roots = CompactRange(), {}
    wanted = {checkpoint.size for checkpoint in checkpoints} | set(heads)
    roots[0] = tree.root()
    for index, leaf_hash in leaves:
        tree.append(leaf_hash)
        if index + 1 in wanted:
            roots[index + 1] = tree.root()
    gaps = sum(1 for (a, _), (b, _) in pairwise(leaves) if b != a + 1)
    wrong = sum(1 for size, root in heads.items() if roots.get(size) != root)
    unknown = sum(1 for each in checkpoints if roots.get(each.size) != each.root or heads.get(each.size) != each.root)
    return gaps + wrong + unknown


def _astray(session: Any) -> int:
    """How many rows of custody differ from what their events say."""
    wrong = 0
    for (code,) in session.connection().exec_driver_sql("SELECT code FROM custody").all():
        row = load(session, [code])[code]
        expected = Rebuilt(row.projection, row.seq, row.state_seq)
        wrong += projection_of(session, code) != expected
    return wrong


def _nothing_pending(h: House) -> bool:
    with psycopg.connect(h.postgres.dsn("owner")) as connection:
        return connection.execute("SELECT count(*) FROM pending").fetchone() == (0,)


def _all_published(h: House) -> bool:
    with psycopg.connect(h.postgres.dsn("owner")) as connection:
        newest = "SELECT (SELECT max(size) FROM tree_head) = (SELECT max(size) FROM checkpoint)"
        return connection.execute(newest).fetchone() == (True,)


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", timeout=1).status_code < 500
    return False


def _wait(done: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(psycopg.OperationalError):
            if done():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _quietly(command: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes], with_signal: int) -> None:
    """Send a signal and wait for the end."""
    process.send_signal(with_signal)
    process.wait(timeout=30)


@contextmanager
def crashed_house(*, on_disk: bool) -> Iterator[House]:
    """A bank to be mistreated."""
    with house(on_disk=on_disk, access_token_s=3600, pool_size=5) as h:
        yield h


def main() -> None:
    """Run the loop as long as asked and print the figures; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--specimens", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}\n")
    figures = Figures()
    with crashed_house(on_disk=True) as h:
        loop(h, figures, **vars(arguments))
    sys.stdout.write(orjson.dumps(asdict(figures), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.exit(1 if figures.broken else 0)


if __name__ == "__main__":
    main()
