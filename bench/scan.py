"""Custody scans per second, beside the floor program, interleaved. Prints ratios; absolute numbers are the machine's.

    python -m bench.scan [--rounds 3] [--seconds 2] [--profile]

One web worker each, one PostgreSQL for both, the same durability, wrk as the load at 1, 8 and 32 connections.
Needs wrk (a Debian package).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from socket import socket

import httpx
import psycopg

from bench import floor
from bench.house import House, house

CLIENTS = (1, 8, 32)
SPECIMENS = 40_000
LUA = Path(__file__).with_name("scan.lua")


def free_port() -> int:
    """Ask the system for a free port."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_bank(h: House, port: int, extra: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start one web worker of the bank."""
    environ = dict(os.environ) | {
        f"BIOBANK_{name.upper()}": str(value)
        for name, value in h.settings.model_dump(exclude_none=True).items()
        if name.endswith(("_url", "_dir"))
    }
    environ |= extra or {}
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "biobank.asgi:app", "--port", str(port),
        "--log-level", "warning", "--no-access-log", "--loop", "uvloop", "--http", "httptools",
    ]  # fmt: skip
    return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, text=True)


def start_floor(h: House, port: int, token: str) -> "subprocess.Popen[str]":
    """Start the floor program."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.floor", h.postgres.dsn("app"), str(port)], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(token + "\n")
    process.stdin.flush()
    return process


def wait_for(port: int) -> None:
    """Wait until something answers on `port`."""
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


class Load:
    """Runs wrk and remembers at which sequence each target's specimens stand."""

    def __init__(self, h: House, codes: list[str], token: str) -> None:
        self.file = h.folder / "codes.txt"
        self.file.write_text("\n".join(codes))
        self.token = token
        self.codes = codes
        self.runs = 0

    def run(self, port: int, clients: int, seconds: int, first: int, start: int) -> dict[str, int]:
        """Load `port`; `start` is the first specimen used, so that runs never meet."""
        self.runs += 1
        part = self.file.with_name(f"codes-{self.runs}.txt")
        part.write_text("\n".join(self.codes[start:]))
        command = [
            "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(LUA), f"http://127.0.0.1:{port}", "--",
            str(part), self.token, str(first), "1", f"r{self.runs}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if done.stderr:
            sys.stderr.write(done.stderr)
        answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        return answer


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    arguments = parser.parse_args()
    with house() as h:
        token = h.token()
        need = sum(CLIENTS) and arguments.rounds * arguments.seconds * len(CLIENTS) * 4500
        codes = h.specimens(min(need, 150_000))
        with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
            connection.execute(floor.SCHEMA)
            connection.execute("INSERT INTO floor.custody SELECT code, seq, state FROM custody")
            connection.execute("VACUUM ANALYZE")
        load = Load(h, codes, token)
        ports = {"floor": free_port(), "bank": free_port()}
        processes = [start_floor(h, ports["floor"], token), start_bank(h, ports["bank"])]
        try:
            for port in ports.values():
                wait_for(port)
            table = measure(load, ports, arguments.rounds, arguments.seconds)
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=10)
    print(f"{'clients':>7} {'floor/s':>9} {'bank/s':>9} {'ratio':>6} {'bank p50 ms':>12} {'bank p99 ms':>12}")
    for clients, row in table.items():
        print(
            f"{clients:>7} {row['floor']:>9.0f} {row['bank']:>9.0f} {row['ratio']:>6.2f} {row['p50']:>12.1f} {row['p99']:>12.1f}"
        )


def measure(load: Load, ports: dict[str, int], rounds: int, seconds: int) -> dict[int, dict[str, float]]:
    """Interleave floor and bank; return medians per number of clients."""
    used = dict.fromkeys(ports, 0)
    for name, port in ports.items():
        used[name] += load.run(port, 8, 1, 1, used[name])["requests"] + 64
    table: dict[int, dict[str, float]] = {}
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {name: [] for name in ports}
        latencies: list[dict[str, int]] = []
        for _ in range(rounds):
            for name, port in ports.items():
                result = load.run(port, clients, seconds, 1, used[name])
                used[name] += result["requests"] + 64
                if result["bad"]:
                    sys.stderr.write(f"{name}: {result['bad']} refused\n")
                rates[name].append((result["requests"] - result["bad"]) / result["duration_us"] * 1e6)
                if name == "bank":
                    latencies.append(result)
        ratios = [b / f for b, f in zip(rates["bank"], rates["floor"], strict=True)]
        table[clients] = {
            "floor": statistics.median(rates["floor"]),
            "bank": statistics.median(rates["bank"]),
            "ratio": statistics.median(ratios),
            "p50": statistics.median(r["p50_us"] for r in latencies) / 1000,
            "p99": statistics.median(r["p99_us"] for r in latencies) / 1000,
        }
    return table


if __name__ == "__main__":
    main()
