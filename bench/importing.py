"""Importing an old inventory beside `COPY` of the rows that come of it.

    python -m bench.importing [--tubes 20000] [--profile]

A CSV file of invented people is read, checked and imported by the importer's own functions into an empty bank. Then the rows
that it made (events, custody, specimens, donors, vault, places, identifiers, keys) are copied, table by table in one transaction,
into a second empty bank with the same constraints and triggers. `COPY` reads no file, checks nothing, encrypts and hashes
nothing: it is the least that a bank can do to hold these rows. Prints tubes per second of each and their ratio, what reading and
checking take, and the most memory the program has used after a tenth of the portions and at the end. `--profile` prints where
the import's own processor time goes. What was measured is written to `bench/results/importing-TUBES.json`.
"""

import argparse
import cProfile
import io
import json
import os
import pstats
import resource
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench.house import House, house
from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.profile import FIELDS, Profile
from biobank.importing.reading import Rows
from biobank.importing.service import at_console, import_ready
from biobank.storage.grid import label_of

TABLES = (
    "donor",
    "vault_document",
    "donor_document",
    "donor_index",
    "storage_container",
    "storage_position",
    "specimen",
    "custody",
    "event",
    "pending",
    "stream_head",
    "specimen_alias",
)
"""In an order that foreign keys allow. Keys of donors lie in a database of their own and are copied there."""
RESULTS = Path(__file__).parent / "results"
TUBES_OF_ONE = 6
COLUMNS = [name for name in FIELDS if name not in ("identifier", "material")]


def inventory(tubes: int, racks: int = 20) -> bytes:
    """Return a CSV file of so many tubes, six of each person, in tanks of so many racks of ten boxes."""
    lines = [";".join(COLUMNS)]
    start = date(1950, 1, 1)
    for n in range(tubes):
        person, box = n // TUBES_OF_ONE, n // 81
        row, col = divmod(n % 81, 9)
        values: dict[str, Any] = {
            "patient": f"P{person:06}",
            "family_name": f"Family{person % 4999}",
            "given_names": f"Given{person % 997}",
            "date_of_birth": (start + timedelta(days=person % 18_000)).isoformat(),
            "sex": "F" if person % 2 else "M",
            "collected": "2018-11-15",
            "frozen": "2018-11-17",
            "expires": "2038-11-17",
            "vial": n % TUBES_OF_ONE + 1,
            "tank": f"LN2-{box // (10 * racks) + 1}",
            "rack": f"R{box // 10 % racks + 1}",
            "box": f"B{box % 10 + 1}",
            "position": label_of(row + 1, col + 1),
            "amount": 5,
            "unit": "M",
            "passage": "P3",
            "viability": "92.5%",
            "status": "Stored",
            "remarks": "see paper file",
        }
        lines.append(";".join(str(values[name]) for name in COLUMNS))
    return "\n".join(lines).encode()


PROFILE = Profile.of(
    {
        "issuer": "OLD_BANK",
        "clinic_site": "CLINIC",
        "bank_site": "LAB",
        "room": "Old cryo room",
        "box_rows": 9,
        "box_cols": 9,
        "temperature_class": "ln2_vapour",
        "columns": {name: name for name in COLUMNS},
        "units": {"M": {"unit": "cells", "factor": 1_000_000}},
        "status": {"Stored": "stored"},
        "sheets": [{"name": "CSV", "material": "adsc", "alias": "AD-{patient}-{vial}"}],
    }
)


def megabytes() -> int:
    """Return the most memory this program has used, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def session_seconds(dsn: str) -> float:
    """Return the processor time that the sessions of the bank and of this program have used in the database."""
    with psycopg.connect(dsn) as connection:
        pids = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")]
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a session that ended since it was listed
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def run_import(h: House, ready: list[CheckedRow]) -> tuple[float, float, list[int]]:
    """Import and return the seconds it took, those of processors, and the most memory at each telling; print them."""
    started, own = time.perf_counter(), time.process_time()
    told, memory = len(ready) // 10, list[int]()

    def tick(done: int, of: int) -> None:
        nonlocal told
        if done >= told:
            memory.append(megabytes())
            print(f"  {done} of {of} after {time.perf_counter() - started:.1f} s, {memory[-1]} MB at most", flush=True)
            told += max(1, of // 3)

    outcomes = [result.outcome for some in import_ready(at_console(h.bank), ready, PROFILE, tick) for result in some]
    assert outcomes == ["imported"] * len(ready), set(outcomes)
    taken, own = time.perf_counter() - started, time.process_time() - own
    print(f"  processor time: program {own:.1f} s, its sessions {(there := session_seconds(h.postgres.dsn('owner'))):.1f} s")
    return taken, own + there, memory


def columns(connection: "psycopg.Connection[Any]", table: str) -> str:
    """Return the columns of a table that are not computed by the database."""
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public' "
        "AND is_generated = 'NEVER' AND coalesce(is_identity, 'NO') = 'NO' ORDER BY ordinal_position",
        [table],
    )
    return ", ".join(f'"{name}"' for (name,) in rows)


def copied_out(dsn: str, tables: tuple[str, ...]) -> dict[str, bytes]:
    """Return the rows of each table in COPY's binary format, with the statement that takes them."""
    found = {}
    with psycopg.connect(dsn) as connection:
        for table in tables:
            with connection.cursor().copy(f"COPY {table} ({columns(connection, table)}) TO STDOUT (FORMAT binary)") as copy:
                found[table] = b"".join(bytes(part) for part in copy)
    return found


def copied_in(dsn: str, rows: dict[str, bytes], before: dict[str, bytes]) -> tuple[float, float]:
    """Copy the rows in one transaction and return the seconds, and those of processors; tables that did not change are left."""
    with psycopg.connect(dsn) as connection:
        named = {table: columns(connection, table) for table in rows}
        started, own = time.perf_counter(), time.process_time()
        for table, data in rows.items():
            if data == before.get(table):
                continue
            with connection.cursor().copy(f"COPY {table} ({named[table]}) FROM STDIN (FORMAT binary)") as copy:
                copy.write(data)
        connection.commit()
        return time.perf_counter() - started, time.process_time() - own + session_seconds(dsn)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tubes", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    started, own = time.perf_counter(), time.process_time()
    ready = check_rows(Rows(inventory(given.tubes), PROFILE), PROFILE, date(2026, 11, 29))
    assert all(one.outcome == "ready" for one in ready), next(one.reasons for one in ready if one.reasons)
    checking, checking_work = time.perf_counter() - started, time.process_time() - own
    print(
        f"{given.tubes} tubes: read and checked in {checking:.1f} s, {checking_work / given.tubes * 1000:.2f} ms of processor "
        f"time each, {megabytes()} MB at most",
        flush=True,
    )
    with house() as h:
        owner, keys = h.postgres.dsn("owner"), h.postgres.dsn("owner", "biobank_keys")
        before = copied_out(owner, TABLES)
        profiler = cProfile.Profile(time.process_time)
        if given.profile:
            profiler.enable()
        taken, work, memory = run_import(h, ready)
        profiler.disable()
        rows, kept = copied_out(owner, TABLES), copied_out(keys, ("subject_key",))
    with house() as h:
        least, least_work = copied_in(h.postgres.dsn("owner"), rows, before)
        least += copied_in(h.postgres.dsn("owner", "biobank_keys"), kept, {})[0]
    rate, floor = given.tubes / taken, given.tubes / least
    print(f"import {taken:.1f} s, {rate:.0f}/s · COPY {least:.1f} s, {floor:.0f}/s · ratio {rate / floor:.2f}")
    print(
        f"processor time a tube: import {work / given.tubes * 1000:.2f} ms · COPY {least_work / given.tubes * 1000:.2f} ms · "
        f"ratio {least_work / work:.2f}"
    )
    measured = {
        "tubes": given.tubes,
        "checking": {"seconds": checking, "processor_seconds": checking_work},
        "import": {"seconds": taken, "processor_seconds": work, "memory_mb": memory},
        "copy": {"seconds": least, "processor_seconds": least_work},
        "ratio_of_rates": rate / floor,
        "ratio_of_processor_time": least_work / work,
        "load": os.getloadavg(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"importing-{given.tubes}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if given.profile:
        text = io.StringIO()
        pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(30)
        print(text.getvalue())


if __name__ == "__main__":
    main()
