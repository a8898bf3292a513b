"""What the comparison with the log costs the worker and the database, in a bank of 10,000 specimens.

    python -m bench.comparing [--specimens 10000]

One round of every part is walked in the slices in which the worker walks it; of each slice the processor time of this process and
of its database session is taken from the kernel. A bank at rest walks one slice every ten seconds, so the share of a core is the
mean of a slice over ten seconds.
"""

import argparse
import statistics
import time
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session

from bench.house import house
from biobank.acts.act import Act
from biobank.reconciliation import walk
from biobank.registries import declarations
from biobank.transparency.sealer import Log, drain

assert declarations.MODULES
TICKS = 100
SLICE_S = 10


def session_s(session: Session) -> float:
    """Return the processor time that the session's server process has used, in seconds."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def one_slice(session: Session, act: Act) -> tuple[float, float]:
    """Walk one slice of every part; return the processor time of this process and of the database, in seconds."""
    server, own = session_s(session), time.process_time()
    walk.reconcile_with_the_log(session, act)
    session.flush()
    return time.process_time() - own, session_s(session) - server


def main() -> None:
    """Fill a bank, walk two rounds and print what they cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--specimens", type=int, default=10_000)
    asked = parser.parse_args()
    with house() as made:
        made.specimens(asked.specimens)
        of = made.settings
        drain(made.postgres.dsn("sealer"), Log.open(of.log_origin, of.log_secrets, of.register_file))
        act = Act.system(made.bank, path="bench")
        slices = -(-3 * asked.specimens // walk.AT_ONCE)
        costs = [made.bank.database.write_now(lambda s: one_slice(s, act)) for _ in range(slices + 1)]
    own, server = (statistics.fmean(column) for column in zip(*costs, strict=True))
    print(f"{asked.specimens} specimens, {len(costs)} slices of {len(walk.parts())} parts")
    for name, seconds in (("worker", own), ("database", server), ("both", own + server)):
        share = 100 * seconds / SLICE_S
        print(f"{name}: {1000 * seconds:.0f} ms a slice, {360 * seconds:.0f} s an hour, {share:.1f} % of a core")


if __name__ == "__main__":
    main()
