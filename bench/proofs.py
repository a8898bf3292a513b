"""Building a proof at ten million leaves beside ten thousand, in one interleaved run. The ratio should be 2 or less.

    python -m bench.proofs [--leaves 10000000] [--proofs 400]

Both logs lie in databases of one PostgreSQL that this starts, filled in bulk with synthetic leaves and their tiles. A proof is
what `GET /log/proofs/{leaf_hash}` does: find the index by leaf hash, read tiles, fold, and check the result. The ratio is of
medians, taken in turns of one proof each, so that both meet the same machine. Both begin with nothing kept in memory; the
first 20 turns are not counted.
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from biobank.postgres import migrate
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.transparency.sealing import Connection
from biobank.transparency.stored_log import Inclusion, index_of, prove_inclusion
from biobank.transparency.stored_tiles import Fetch
from biobank.transparency.tiles import TILE_WIDTH, UpperTiles
from biobank.transparency.tree import CompactRange, fold_perfect, verify_inclusion

SMALL = 10_000
CHUNK = TILE_WIDTH * 256


def leaf_hash(number: int) -> bytes:
    """The hash of a synthetic leaf."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


def fill(connection: Connection, count: int) -> None:
    """Write `count` leaves and every full tile above them."""
    connection.execute("ALTER TABLE leaf DROP CONSTRAINT uq_leaf_leaf_hash, DROP CONSTRAINT pk_leaf")
    peaks = CompactRange()
    level: list[bytes] = []
    with connection.cursor() as cursor:
        for start in range(0, count, CHUNK):
            hashes = [leaf_hash(n) for n in range(start, min(count, start + CHUNK))]
            with cursor.copy("COPY leaf (log_index, leaf_hash) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "bytea"])
                for index, value in enumerate(hashes, start):
                    copy.write_row((index, value))
            peaks.extend(hashes)
            level += tiles(connection, 0, start // TILE_WIDTH, hashes)
        number = 1
        while len(level) >= TILE_WIDTH:
            level = list(tiles(connection, number, 0, level))
            number += 1
    connection.execute("ALTER TABLE leaf ADD CONSTRAINT pk_leaf PRIMARY KEY (log_index)")
    connection.execute("ALTER TABLE leaf ADD CONSTRAINT uq_leaf_leaf_hash UNIQUE (leaf_hash)")
    head = (count, peaks.root(), peaks.to_bytes())
    connection.execute("INSERT INTO tree_head (size, root, range, sealed_at) VALUES (%s, %s, %s, now())", head)
    connection.execute("ANALYZE leaf, tile, tree_head")


def tiles(connection: Connection, level: int, first: int, hashes: list[bytes]) -> Iterator[bytes]:
    """Write the full tiles of a row of hashes and yield their roots."""
    rows = []
    for n in range(len(hashes) // TILE_WIDTH):
        row = hashes[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
        root = fold_perfect(row)
        rows.append((level, first + n, b"".join(row), root))
        yield root
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO tile (level, n, hashes, root) VALUES (%s, %s, %s, %s)", rows)


def proof(fetch: Fetch, upper: UpperTiles, size: int, number: int) -> Inclusion:
    """Do what the route does for one event."""
    index = index_of(fetch, leaf_hash(number))
    assert index is not None
    return prove_inclusion(fetch, index, size, upper)


def reader(connection: Connection) -> Fetch:
    """Read as the route does: text protocol, prepared statements."""
    return lambda sql, values: connection.execute(sql, values).fetchall()


def main() -> None:
    """Fill both logs, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=10_000_000)
    parser.add_argument("--proofs", type=int, default=400)
    given = parser.parse_args()
    sizes = (SMALL, given.leaves)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, EmbeddedPostgres(Path(folder)) as postgres:
        Path(folder).chmod(0o755)
        connections: dict[int, Connection] = {}
        with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as owner:
            owner.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
            owner.execute("SELECT pg_reload_conf()")
            for size in sizes:
                owner.execute(f"CREATE DATABASE proofs_{size}")
                owner.execute(f"CREATE DATABASE keys_{size}")
        for size in sizes:
            name = f"proofs_{size}"
            migrate.upgrade(postgres.dsn("owner", name), postgres.dsn("owner", f"keys_{size}"))
            started = time.perf_counter()
            with psycopg.connect(postgres.dsn("owner", name), autocommit=True) as owner:
                fill(owner, size)
            print(f"{size:>12,} leaves filled in {time.perf_counter() - started:.0f} s")
            connections[size] = psycopg.connect(postgres.dsn("owner", name), autocommit=True, prepare_threshold=1)
        measure(connections, given.proofs)
        for connection in connections.values():
            connection.close()


def measure(connections: dict[int, Connection], proofs: int) -> None:
    """Build proofs of random leaves in turns; check each; print medians and their ratio."""
    rng = random.Random(1)
    fetches = {size: reader(connection) for size, connection in connections.items()}
    uppers = {size: UpperTiles() for size in connections}
    times: dict[int, list[float]] = {size: [] for size in connections}
    for turn in range(proofs + 20):
        for size, fetch in fetches.items():
            number = rng.randrange(size)
            started = time.perf_counter()
            made = proof(fetch, uppers[size], size, number)
            taken = time.perf_counter() - started
            verify_inclusion(made.index, size, leaf_hash(number), made.path, made.root)
            if turn >= 20:
                times[size].append(taken)
    medians = {size: statistics.median(taken) for size, taken in times.items()}
    for size, median in medians.items():
        print(f"{size:>12,} leaves: {median * 1000:.2f} ms a proof (median of {proofs})")
    small, large = medians
    print(f"ratio {medians[large] / medians[small]:.2f}  (target: at most 2)")


if __name__ == "__main__":
    main()
