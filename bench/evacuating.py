"""Evacuating a tank with everything in it, in one act, beside the least that a database can do to hold what comes of it.

    python -m bench.evacuating [--tubes 20000]

An old inventory is imported into one tank; then the tank's code is scanned at an evacuation place, which moves its racks with
every tube: one event of each rack and one of each tube, judged in the place it comes to, in one transaction. The floor copies the
rows that the act made (events, pending) with `COPY` and writes the rows of custody with one `UPDATE`, in the same bank with the
same constraints and triggers; it judges nothing, hashes nothing and signs nothing. Prints the seconds of each, processor time
and their ratio, and the most memory. What was measured is written to `bench/results/evacuating-TUBES.json`.
"""

import argparse
import json
import os
import time
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import psycopg
from sqlmodel import Session

from bench.house import House, house
from bench.importing import PROFILE, RESULTS, columns, inventory, megabytes, run_import, session_seconds
from biobank.acts.act import Act
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.importing.plan import check_rows
from biobank.importing.reading import Rows
from biobank.storage.evacuation import evacuate
from biobank.storage.schemas import EvacuateAnswer, EvacuateRequest
from tests import seed
from tests.factories import make_box


def safe_place(session: Session, act: Act) -> str:
    """Lay out an evacuation tank of the same class and return its code."""
    fields: dict[str, Any] = {"kind": "tank", "name": "Evacuation", "purpose": "evacuation", "temperature_class": "ln2_vapour"}
    return str(make_box(session, act, rows=None, cols=None, **fields).code)


def scan_tank(session: Session, act: Act, *, safe: str, tank: str) -> EvacuateAnswer:
    """Bring the tank to safety."""
    return evacuate(session, act, safe, EvacuateRequest(scanned=[tank]))


TABLES = ("event", "pending", "custody")


class _Undone(Exception):
    """Raised to roll an act back when its rows have been read."""


def rows_made(h: House, tank: str, safe: str, since: int) -> dict[str, bytes]:
    """Evacuate, return what the act made in COPY's binary format, and roll it back. `since`: the last `qid` before."""
    found: dict[str, bytes] = {}

    def work(session: Session) -> None:
        scan_tank(session, an_act(h), safe=safe, tank=tank)
        connection: Any = session.connection().connection.driver_connection
        made = f"SELECT leaf_hash FROM pending WHERE qid > {since}"
        asked = {"event": f"leaf_hash IN ({made})", "pending": f"qid > {since}", "custody": "true"}
        for table in TABLES:
            named = columns(connection, table)
            statement = f"COPY (SELECT {named} FROM {table} WHERE {asked[table]}) TO STDOUT (FORMAT binary)"
            with connection.cursor().copy(statement) as copy:
                found[table] = b"".join(bytes(part) for part in copy)
        raise _Undone

    with suppress(_Undone):
        h.bank.database.write_now(work)
    return found


def least(dsn: str, rows: dict[str, bytes]) -> tuple[float, float]:
    """Write the rows in one transaction; return the seconds until it could be committed, and those of processors."""
    with psycopg.connect(dsn) as connection:
        named = {table: columns(connection, table) for table in TABLES}
        before, started, own = session_seconds(dsn), time.perf_counter(), time.process_time()
        connection.execute("CREATE TEMPORARY TABLE fresh (LIKE custody INCLUDING GENERATED) ON COMMIT DROP")
        for table, into in (("event", "event"), ("custody", "fresh"), ("pending", "pending")):
            with connection.cursor().copy(f"COPY {into} ({named[table]}) FROM STDIN (FORMAT binary)") as copy:
                copy.write(rows[table])
        changed = ", ".join(f"{name} = fresh.{name}" for name in named["custody"].split(", ") if name != '"code"')
        connection.execute(f"UPDATE custody SET {changed} FROM fresh WHERE fresh.code = custody.code")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        taken, work = time.perf_counter() - started, time.process_time() - own + session_seconds(dsn) - before
        connection.rollback()
        return taken, work


def an_act(h: House) -> Act:
    """Return an act of somebody who lays out storage and works in it."""
    grants = frozenset(RoleGrant(role, "LAB") for role in (Role.ADMIN, Role.LAB_TECH))
    return Act.of(Actor(seed.USERS["lab_tech"].code, grants), h.bank, path="bench")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tubes", type=int, default=20_000)
    tubes = parser.parse_args().tubes
    ready = check_rows(Rows(inventory(tubes, racks=-(-tubes // 810)), PROFILE), PROFILE, date(2026, 11, 29))
    with house() as h:
        run_import(h, ready)
        dsn = h.postgres.dsn("owner")
        safe = h.bank.database.write_now(lambda session: safe_place(session, an_act(h)))
        with psycopg.connect(dsn) as connection:
            asked = "SELECT code FROM storage_container WHERE kind = 'tank' AND purpose = 'storage'"
            ((tank,),) = connection.execute(asked).fetchall()
            ((since,),) = connection.execute("SELECT max(qid) FROM pending").fetchall()
        rows = rows_made(h, tank, safe, since)
        floor, floor_work = least(dsn, rows)
        before, started, own = session_seconds(dsn), time.perf_counter(), time.process_time()
        answer = h.bank.database.write_now(partial(scan_tank, act=an_act(h), safe=safe, tank=tank))
        taken, work = time.perf_counter() - started, time.process_time() - own + session_seconds(dsn) - before
    (moved,) = answer.containers
    assert (moved.tubes, moved.warnings) == (tubes, []), (moved.tubes, moved.warnings[:3])
    ratio, of_work = floor / taken, floor_work / work
    print(f"{tubes} tubes: act {taken:.1f} s, least {floor:.1f} s, ratio {ratio:.2f}; {megabytes()} MB at most")
    print(f"processor time: act {work:.1f} s, least {floor_work:.1f} s, ratio {of_work:.2f}")
    measured = {
        "tubes": tubes,
        "act": {"seconds": taken, "processor_seconds": work, "memory_mb": megabytes()},
        "least": {"seconds": floor, "processor_seconds": floor_work},
        "ratio_of_times": ratio,
        "ratio_of_processor_time": of_work,
        "load": os.getloadavg(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"evacuating-{tubes}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
