"""Custody scans per second, beside the floor program, interleaved. Prints ratios; absolute numbers are the machine's.

    python -m bench.scan [--rounds 8] [--seconds 1] [--profile FILE]

One web worker each, one PostgreSQL for both, the same durability, wrk as the load at 1, 8 and 32 connections.
`cpu` is CPU time per request of the web process and of its database sessions: it hardly moves when the machine is shared,
while the rates do. Needs wrk (a Debian package).
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench import floor
from bench.house import House, house
from bench.rig import Load, Meter, Run, Server, both, free_port, start_bank, wait_for

CLIENTS = (1, 8, 32)
SPECIMENS_A_SECOND = 12_000
"""Faster than the floor has ever been; every request needs a specimen of its own."""


def main() -> None:
    """Measure and print the table, or profile the bank alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--profile", type=Path, help="write cProfile figures of the bank's worker at 8 clients, and stop")
    arguments = parser.parse_args()
    rounds = 3 if arguments.profile else arguments.rounds * len(CLIENTS) + 2
    with house() as h:
        token = h.token()
        codes = h.specimens(min(rounds * arguments.seconds * SPECIMENS_A_SECOND, 250_000))
        with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
            connection.execute(floor.SCHEMA)
            connection.execute("INSERT INTO floor.custody SELECT code, seq, state FROM custody")
            connection.execute("VACUUM ANALYZE")
        meter = Meter(h)
        load = Load(h, codes, token, meter)
        try:
            if arguments.profile:
                profile(h, load, arguments.profile)
                return
            with both(h, token) as servers:
                table = measure(load, servers, arguments.rounds, arguments.seconds)
        finally:
            meter.close()
    print_table(table)


def profile(h: House, load: Load, to: Path) -> None:
    """Load the bank alone under cProfile. Its rates mean nothing; who calls whom how often does."""
    port = free_port()
    server = Server("bank", port, start_bank(h, port, profile=to))
    try:
        wait_for(port)
        load.run(server, 8, 3)
    finally:
        server.process.terminate()
        server.process.wait(timeout=30)


def measure(load: Load, servers: list[Server], rounds: int, seconds: int) -> dict[int, dict[str, list[Run]]]:
    """Interleave the servers; return every run by number of clients and server."""
    for server in servers:
        load.run(server, 8, 2)
    table: dict[int, dict[str, list[Run]]] = {c: {s.name: [] for s in servers} for c in CLIENTS}
    for _ in range(rounds):
        for clients in CLIENTS:
            for server in servers:
                table[clients][server.name].append(load.run(server, clients, seconds))
    return table


def print_table(table: dict[int, dict[str, list[Run]]]) -> None:
    """Print medians; the ratio is the median of each round's own."""

    def median(runs: list[Run], of: Callable[[Run], float]) -> float:
        return statistics.median(of(r) for r in runs)

    print("clients  floor/s   bank/s  ratio (each round)    cpu ms web+database: floor    bank   ratio   bank p50/p99 ms")
    for clients, runs in table.items():
        floors, banks = runs["floor"], runs["bank"]
        ratios = sorted(b.per_second / f.per_second for b, f in zip(banks, floors, strict=True))
        cpu = {name: (median(r, lambda x: x.web_cpu_ms), median(r, lambda x: x.database_cpu_ms)) for name, r in runs.items()}
        print(
            f"{clients:>7} {median(floors, lambda r: r.per_second):>8.0f} {median(banks, lambda r: r.per_second):>8.0f} "
            f"{statistics.median(ratios):>6.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            f"{'':>14}{cpu['floor'][0]:.2f}+{cpu['floor'][1]:.2f}  {cpu['bank'][0]:.2f}+{cpu['bank'][1]:.2f}"
            f"{sum(cpu['floor']) / sum(cpu['bank']):>8.2f}"
            f"{median(banks, lambda r: r.p50_ms):>10.1f} / {median(banks, lambda r: r.p99_ms):.1f}"
        )
        refused = sum(r.refused for r in floors + banks)
        if refused:
            print(f"        {refused} requests were refused")


if __name__ == "__main__":
    main()
