"""What sealing costs a scan: scans per second with the sealer at work beside scans per second without it, interleaved.

    python -m bench.sealing [--rounds 12] [--seconds 2] [--clients 8]

One web worker, one PostgreSQL with the durability it ships with, wrk as the load. Before every run the sealer drains what is
pending, so that a run with it seals its own scans and no others; for a run without it, it is suspended between two batches.
The order within a pair of runs alternates. Prints each pair's ratio and their median; a ratio of 1 would be sealing for
nothing. Needs wrk (a Debian package).

Beside the rates stands the processor time of a scan with sealing, from the kernel's scheduler: web worker, sealer and every
process of PostgreSQL together, and what of it is not the sealer's or its session's. That share is what the rates would show on
a machine that does nothing else and whose every core is busy; unlike them it hardly depends on what else the machine does.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import psycopg

from bench.house import House, house
from bench.rig import free_port, start_bank, wait_for
from biobank.operations.supervisor import environment

LUA = Path(__file__).with_name("scan.lua")
RATE_AT_MOST = 4000
"""Scans per second for which specimens are made: each is scanned once, so that no two scans wait for each other."""


_SESSION = "FROM pg_stat_activity WHERE application_name LIKE 'biobank sealer%'"


class Bench:
    """One bank under load; every run takes specimens that no run has touched."""

    def __init__(self, h: House, codes: list[str], port: int, web: int) -> None:
        self._house = h
        self._codes = codes
        self._port = port
        self._web = web
        with psycopg.connect(h.postgres.dsn("owner")) as connection:
            ((pidfile,),) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchall()
        self._postmaster = int(pidfile.split("\n")[0])
        self._sealer = subprocess.Popen(
            [sys.executable, "-m", "biobank", "sealer"],
            env=environment(h.settings, "sealer_database_url"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._token = h.token()
        self._used = 0
        self._runs = 0

    def run(self, *, sealed: bool, clients: int, seconds: int) -> tuple[float, float, float]:
        """Load the bank once, with the sealer running or not; return scans per second, CPU ms per scan, and sealing's part."""
        self.drain()
        if sealed:
            return self._load(clients, seconds)
        self._suspend()
        try:
            return self._load(clients, seconds)
        finally:
            self._sealer.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the sealer."""
        self._sealer.terminate()
        self._sealer.wait(timeout=30)

    def pending(self) -> int:
        """How many events wait to be sealed."""
        with psycopg.connect(self._house.postgres.dsn("owner")) as connection:
            ((waiting,),) = connection.execute("SELECT count(*) FROM pending").fetchall()
        return int(waiting)

    def drain(self) -> None:
        """Wait until nothing is pending."""
        while self.pending():
            time.sleep(0.05)

    def _suspend(self) -> None:
        """Suspend the sealer where it holds nothing: while it waits for the next poll."""
        while True:
            self._sealer.send_signal(signal.SIGSTOP)
            with psycopg.connect(self._house.postgres.dsn("owner")) as connection:
                found = connection.execute(f"SELECT state {_SESSION}").fetchall()
            if found == [("idle",)]:
                return
            self._sealer.send_signal(signal.SIGCONT)
            time.sleep(0.05)

    def _load(self, clients: int, seconds: int) -> tuple[float, float, float]:
        self._runs += 1
        before = self._cpu_ms()
        part = self._house.folder / "codes.txt"
        part.write_text("\n".join(self._codes[self._used :]))
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{clients}",
                f"-d{seconds}s",
                "-s",
                str(LUA),
                f"http://127.0.0.1:{self._port}",
                "--",
                str(part),
                self._token,
                "1",
                "1",
                f"s{self._runs}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        used = {pid: ms - before.get(pid, 0) for pid, ms in self._cpu_ms().items()}
        answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        self._used += answer["requests"] + 2 * clients
        if answer["bad"]:
            raise RuntimeError(f"{answer['bad']} scans were refused: {done.stderr}")
        sealing = sum(used.get(pid, 0) for pid in (self._sealer.pid, self._session()))
        scans = answer["requests"]
        return scans / answer["duration_us"] * 1e6, sum(used.values()) / scans, sealing / scans

    def _session(self) -> int:
        """The process of PostgreSQL that serves the sealer."""
        with psycopg.connect(self._house.postgres.dsn("owner")) as connection:
            ((pid,),) = connection.execute(f"SELECT pid {_SESSION}").fetchall()
        return int(pid)

    def _cpu_ms(self) -> dict[int, float]:
        children = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children").read_text().split()
        return {pid: _cpu_ms(pid) for pid in [self._web, self._sealer.pid, self._postmaster, *map(int, children)]}


def _cpu_ms(pid: int) -> float:
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e6
    except (FileNotFoundError, ProcessLookupError):  # it has ended since
        return 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=2)
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
            bench = Bench(h, codes, port, web.pid)
            try:
                bench.run(sealed=True, clients=arguments.clients, seconds=1)  # warm both
                rates, shares = measure(bench, arguments.rounds, arguments.clients, arguments.seconds)
            finally:
                bench.stop()
        finally:
            web.terminate()
            web.wait(timeout=30)
    print(f"median of {len(rates)} pairs at {arguments.clients} clients: rates {median(rates):.2f}, rest {median(shares):.2f}")


def measure(bench: Bench, rounds: int, clients: int, seconds: int) -> tuple[list[float], list[float]]:
    """Run pairs; return the ratios of their rates, sealed to unsealed, and the shares of CPU time that is not sealing's."""
    print(f"{'sealed/s':>9} {'unsealed/s':>11} {'ratio':>6} {'CPU ms/scan':>12} {'of it sealing':>14} {'rest':>5}")
    rates: list[float] = []
    shares: list[float] = []
    for number in range(rounds):
        found: dict[bool, tuple[float, float, float]] = {}
        for sealed in (True, False) if number % 2 else (False, True):
            found[sealed] = bench.run(sealed=sealed, clients=clients, seconds=seconds)
        rate, cost, sealing = found[True]
        rates.append(rate / found[False][0])
        shares.append(1 - sealing / cost)
        row = f"{rate:>9.0f} {found[False][0]:>11.0f} {rates[-1]:>6.2f} {cost:>12.3f} {sealing:>14.3f} {shares[-1]:>5.2f}"
        print(row, flush=True)
    return rates, shares


if __name__ == "__main__":
    main()
