"""What a scan leaves on disk, by table and index, in bytes per event: the log, the projection and what is kept for replays.

    python -m bench.disk [--specimens 20000] [--seconds 20]

Specimens are made, then each is scanned once over HTTP by wrk with the sealer at work, until `seconds` are over. Every table
is measured before and after with `pg_table_size` and `pg_indexes_size`, each time after VACUUM, so that what counts is what
stays. The write-ahead log that the scans made is said beside it; it is archived or thrown away and no part of the sum.
Specimens themselves are measured the same way, from nothing to all of them. Needs wrk (a Debian package).
"""

import argparse
import json
import sys
from pathlib import Path

import psycopg

from bench.house import House, house
from bench.rig import free_port, start_bank, wait_for
from bench.sealing import Bench

RESULTS = Path(__file__).with_name("results")

_SIZES = """
    SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'public'
"""

Sizes = dict[str, tuple[int, int]]


def sizes(h: House) -> tuple[Sizes, int, int]:
    """Return table and index bytes by table, the number of events, and the position in the write-ahead log in bytes."""
    with psycopg.connect(h.postgres.dsn("owner"), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        rows = connection.execute(_SIZES).fetchall()
        ((events, wal),) = connection.execute(
            "SELECT (SELECT count(*) FROM event), pg_current_wal_lsn() - '0/0'::pg_lsn"
        ).fetchall()
    return {name: (table, index) for name, table, index in rows}, events, int(wal)


def between(before: tuple[Sizes, int, int], after: tuple[Sizes, int, int]) -> dict[str, object]:
    """Return what each event added: bytes by table (rows, indexes), their sum, and bytes of write-ahead log."""
    events = after[1] - before[1]
    grown = {
        name: tuple(round((new - old) / events) for new, old in zip(after[0][name], before[0][name], strict=True))
        for name in after[0]
    }
    total = sum(sum(after[0][name]) - sum(before[0][name]) for name in after[0])
    return {
        "events": events,
        "bytes_per_event": round(total / events),
        "wal_bytes_per_event": round((after[2] - before[2]) / events),
        "by_table": {name: both for name, both in sorted(grown.items(), key=lambda one: -sum(one[1])) if sum(both) >= 1},
    }


def measure(specimens: int, seconds: int) -> dict[str, object]:
    """Measure one bank: specimens that are made, then scans of them."""
    with house(access_token_s=3600, on_disk=True) as h:
        empty = sizes(h)
        port = free_port()
        web = start_bank(h, port)
        try:
            wait_for(port)
            codes = h.specimens(specimens)
            bench = Bench(h, codes, port, web.pid)
            try:
                bench.drain()
                made = sizes(h)
                bench.run(sealed=True, clients=8, seconds=seconds)
                bench.drain()
                scanned = sizes(h)
            finally:
                bench.stop()
        finally:
            web.terminate()
            web.wait(timeout=30)
    return {"specimens": specimens, "specimen_made": between(empty, made), "scan": between(made, scanned)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=20)
    arguments = parser.parse_args()
    found = measure(arguments.specimens, arguments.seconds)
    text = json.dumps(found, indent=1)
    (RESULTS / "disk.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
