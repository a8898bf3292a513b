"""What every benchmark needs: the two servers, the load, and the CPU time that a process tree has used."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import httpx
import psycopg

from bench.house import House

LUA = Path(__file__).with_name("scan.lua")
APPLICATIONS = {"bank": "biobank", "floor": "floor"}
"""The name under which each program's sessions stand in pg_stat_activity."""


def free_port() -> int:
    """Ask the system for a free port."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something answers on `port`."""
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def environment(h: House) -> dict[str, str]:
    """Return the environment of a web worker of the bank."""
    return dict(os.environ) | {
        f"BIOBANK_{name.upper()}": str(value)
        for name, value in h.settings.model_dump(exclude_none=True).items()
        if name.endswith(("_url", "_dir"))
    }


def start_bank(h: House, port: int, *, profile: Path | None = None) -> "subprocess.Popen[str]":
    """Start one web worker of the bank, under cProfile when `profile` names where its figures go."""
    module = ["uvicorn"] if profile is None else ["bench.profiled", str(profile)]
    command = [
        sys.executable,
        "-m",
        *module,
        "--factory",
        "biobank.asgi:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
        "--no-access-log",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    ]
    return subprocess.Popen(command, env=environment(h), stdin=subprocess.DEVNULL, text=True)


def start_floor(h: House, port: int, token: str) -> "subprocess.Popen[str]":
    """Start the floor program."""
    dsn = h.postgres.dsn("app")
    dsn += ("&" if "?" in dsn else "?") + f"application_name={APPLICATIONS['floor']}"
    process = subprocess.Popen([sys.executable, "-m", "bench.floor", dsn, str(port)], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(token + "\n")
    process.stdin.flush()
    return process


@dataclass
class Server:
    """A program under load: its port, its process, and its sessions in the database."""

    name: str
    port: int
    process: "subprocess.Popen[str]"


@contextmanager
def both(h: House, token: str) -> Iterator[list[Server]]:
    """Serve floor and bank side by side."""
    ports = free_port(), free_port()
    servers = [
        Server("floor", ports[0], start_floor(h, ports[0], token)),
        Server("bank", ports[1], start_bank(h, ports[1])),
    ]
    try:
        for server in servers:
            wait_for(server.port)
        yield servers
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait(timeout=30)


class Meter:
    """CPU time of the servers, from the kernel's scheduler: nanoseconds on a processor, whatever else the machine does."""

    def __init__(self, h: House) -> None:
        self._connection = psycopg.connect(h.postgres.dsn("owner"), autocommit=True)

    def close(self) -> None:
        """Close the observer's own connection."""
        self._connection.close()

    def read(self, server: Server) -> tuple[float, float]:
        """Return (web process, its database sessions) in CPU milliseconds so far."""
        found = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (APPLICATIONS[server.name],)
        ).fetchall()
        return _cpu_ms(server.process.pid), sum(_cpu_ms(pid) for (pid,) in found)


def _cpu_ms(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


@dataclass(frozen=True)
class Run:
    """One load on one server. Times in milliseconds; CPU is per answered request."""

    per_second: float
    refused: int
    p50_ms: float
    p99_ms: float
    web_cpu_ms: float
    database_cpu_ms: float


class Load:
    """Runs wrk over specimens, each used once per server, so that every request is a scan of a fresh one."""

    def __init__(self, h: House, codes: list[str], token: str, meter: Meter) -> None:
        self._folder = h.folder
        self._codes = codes
        self._token = token
        self._meter = meter
        self._used: dict[str, int] = {}
        self._runs = 0

    def run(self, server: Server, clients: int, seconds: float) -> Run:
        """Load `server` with `clients` connections for `seconds`."""
        self._runs += 1
        start = self._used.get(server.name, 0)
        part = self._folder / f"codes-{self._runs}.txt"
        part.write_text("\n".join(self._codes[start:]))
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds}s",
            "-s",
            str(LUA),
            f"http://127.0.0.1:{server.port}",
            "--",
            str(part),
            self._token,
            "1",
            "1",
            f"r{self._runs}",
        ]
        before = self._meter.read(server)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = self._meter.read(server)
        part.unlink()
        if done.stderr:
            sys.stderr.write(f"{server.name}: {done.stderr}")
        answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        self._used[server.name] = start + answer["requests"] + 64 + 2 * clients
        good = max(1, answer["requests"] - answer["bad"])
        return Run(
            per_second=good / answer["duration_us"] * 1e6,
            refused=answer["bad"],
            p50_ms=answer["p50_us"] / 1000,
            p99_ms=answer["p99_us"] / 1000,
            web_cpu_ms=(after[0] - before[0]) / good,
            database_cpu_ms=(after[1] - before[1]) / good,
        )
