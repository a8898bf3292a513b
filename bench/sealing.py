"""What sealing costs a scan: scans per second with the sealer at work beside scans per second without it, interleaved.

    python -m bench.sealing [--rounds 8] [--seconds 3] [--clients 8]

One web worker, one PostgreSQL with the durability it ships with, wrk as the load. Before every run the sealer drains what is
pending, so that a run with it seals its own scans and no others. The order within a pair of runs alternates. Prints each
pair's ratio and their median; a ratio of 1 would be sealing for nothing. Needs wrk (a Debian package).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.house import House, house
from bench.scan import free_port, start_bank, wait_for
from biobank.processes import environment

LUA = Path(__file__).with_name("scan.lua")
RATE_AT_MOST = 4000
"""Scans per second for which specimens are made: each is scanned once, so that no two scans wait for each other."""


class Bench:
    """One bank under load; every run takes specimens that no run has touched."""

    def __init__(self, h: House, codes: list[str], port: int) -> None:
        self._house = h
        self._codes = codes
        self._port = port
        self._token = h.token()
        self._used = 0
        self._runs = 0

    def scans_per_second(self, *, sealed: bool, clients: int, seconds: int) -> float:
        """Load the bank once, with the sealer running or not."""
        with self._sealer():
            self._drain()
            if sealed:
                return self._load(clients, seconds)
        return self._load(clients, seconds)

    def pending(self) -> int:
        """How many events wait to be sealed."""
        with psycopg.connect(self._house.postgres.dsn("owner")) as connection:
            ((waiting,),) = connection.execute("SELECT count(*) FROM pending").fetchall()
        return int(waiting)

    def _drain(self) -> None:
        while self.pending():
            time.sleep(0.05)

    @contextmanager
    def _sealer(self) -> Iterator[None]:
        process = subprocess.Popen(
            [sys.executable, "-m", "biobank", "sealer"],
            env=environment(self._house.settings, "sealer_database_url"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    def _load(self, clients: int, seconds: int) -> float:
        self._runs += 1
        part = self._house.folder / "codes.txt"
        part.write_text("\n".join(self._codes[self._used :]))
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(LUA), f"http://127.0.0.1:{self._port}", "--",
             str(part), self._token, "1", "1", f"s{self._runs}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        self._used += answer["requests"] + 2 * clients
        if answer["bad"]:
            raise RuntimeError(f"{answer['bad']} scans were refused: {done.stderr}")
        return answer["requests"] / answer["duration_us"] * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    with house(access_token_s=3600) as h:
        codes = h.specimens(min(150_000, (2 * arguments.rounds + 1) * arguments.seconds * RATE_AT_MOST))
        with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        port = free_port()
        web = start_bank(h, port)
        try:
            wait_for(port)
            bench = Bench(h, codes, port)
            bench.scans_per_second(sealed=True, clients=arguments.clients, seconds=1)  # warm both
            ratios = measure(bench, arguments.rounds, arguments.clients, arguments.seconds)
        finally:
            web.terminate()
            web.wait(timeout=30)
    print(f"median ratio {statistics.median(ratios):.2f} of {len(ratios)}, {arguments.clients} clients")


def measure(bench: Bench, rounds: int, clients: int, seconds: int) -> list[float]:
    """Run pairs and return their ratios, sealed to unsealed."""
    print(f"{'sealed/s':>9} {'unsealed/s':>11} {'ratio':>6}")
    ratios: list[float] = []
    for number in range(rounds):
        rates: dict[bool, float] = {}
        for sealed in (True, False) if number % 2 else (False, True):
            rates[sealed] = bench.scans_per_second(sealed=sealed, clients=clients, seconds=seconds)
        ratios.append(rates[True] / rates[False])
        print(f"{rates[True]:>9.0f} {rates[False]:>11.0f} {ratios[-1]:>6.2f}", flush=True)
    return ratios


if __name__ == "__main__":
    main()
