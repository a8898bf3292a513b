"""Verifying a bundle of a million events, beside loops that only hash the same bytes. Interleaved; prints ratios.

    python -m bench.verify [--entries 1000000] [--rounds 3] [--jobs 2] [--keep FOLDER] [--profile]

Floors, each one process reading the same file from the page cache:

tree    takes every entry out of the file, computes its leaf hash and all inner nodes up to the root, and compares that with the
        checkpoint: what is needed to hash a log, and nothing of what it says;
bytes   one SHA-256 over the file in blocks of 1 MiB: the least that can be called hashing the same bytes.

Both the wall clock and the processor's time are given: the verifier may use several processes, the floors do not.
"""

import argparse
import base64
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.long_log import write_long_bundle
from biobank.transparency import verify


def hash_tree(path: Path) -> None:
    """Hash every entry and every node, and compare the root with the checkpoint's."""
    sha256 = hashlib.sha256
    tree = verify.Range()
    root = b""
    with path.open("rb", buffering=1 << 20) as file:
        while (head := file.read(512)) != bytes(512):
            name, size = head[:100].rstrip(b"\0"), int(head[124:135], 8)
            data = file.read(size)
            file.read(-size % 512)
            if name == b"checkpoint":
                root = base64.b64decode(data.split(b"\n")[2])
            elif name.startswith(b"tile/entries/"):
                at, row = 0, []
                end = len(data)
                while at < end:
                    start = at + 2
                    at = start + (data[at] << 8 | data[at + 1])
                    row.append(sha256(b"\0" + data[start:at]).digest())
                if len(row) == verify.WIDTH:
                    tree.push(verify.fold(b"".join(row)), 8)
                else:
                    for leaf in row:
                        tree.push(leaf)
    assert tree.root() == root


def hash_bytes(path: Path) -> None:
    """Hash the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)


def verify_bundle(path: Path, jobs: int) -> None:
    """Verify the bundle under the keys it brings."""
    verdict = verify.verify(str(path), None, verify.Evidence(), jobs=jobs)
    assert verdict["exit_code"] == verify.UNVOUCHED, verdict


def measured(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of wall clock and of processor, children included, that `work` takes."""
    before, started = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, os.times()
    return wall, sum(after[:4]) - sum(before[:4])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder in which the bundle is made, or found from last time")
    parser.add_argument("--profile", action="store_true", help="only profile one pass")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = (given.keep or Path(scratch)) / f"log-{given.entries}.tar"
        if not path.exists():
            write_long_bundle(path, given.entries)
        if given.profile:
            import cProfile

            cProfile.runctx("verify_bundle(path, 1)", globals(), {"path": path}, sort="tottime")
            return
        compare(path, given.entries, given.rounds, given.jobs)


def compare(path: Path, entries: int, rounds: int, jobs: int) -> None:
    """Run everything in turn and print what it took, per entry, and the ratios of medians of paired rounds."""
    runs: dict[str, Callable[[], None]] = {
        "tree": lambda: hash_tree(path),
        "verify, 1 process": lambda: verify_bundle(path, 1),
        "bytes": lambda: hash_bytes(path),
        f"verify, {jobs} processes": lambda: verify_bundle(path, jobs),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(measured(run))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{entries} entries, {path.stat().st_size} bytes, {rounds} rounds, load {load:.1f}, {os.cpu_count()} processors")
    for name, pairs in times.items():
        wall, cpu = (statistics.median(p[i] for p in pairs) * 1e6 / entries for i in (0, 1))
        ratios = [
            statistics.median(floor[i] / pair[i] for floor, pair in zip(times[other], pairs, strict=True))
            for other in ("tree", "bytes")
            for i in (0, 1)
        ]
        print(
            f"{name:20} {wall:6.2f} us wall {cpu:6.2f} us cpu per entry"
            f"   tree/this: {ratios[0]:.2f} wall {ratios[1]:.2f} cpu   bytes/this: {ratios[2]:.2f} wall {ratios[3]:.2f} cpu"
        )


if __name__ == "__main__":
    main()
