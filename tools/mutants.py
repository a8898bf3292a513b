"""Break the rules one at a time and see a test fail: `make mutants`, or a part: `make mutants ARGS="custody/legality"`.

    python -m tools.mutants [PART…] [--list] [--match TEXT] [--tests PATH…] [--jobs N] [--minutes N]

A part is a module (`custody/legality`) or a package (`withdrawals`). None means every module in the table of rules below and
every one that `docs/architecture.md` names under "Where a rule lives". What is broken, and how: `tools/mutation.py`. Who survives
without a reason in `tools/mutants_explained.txt` makes the run fail; so does a reason for what is killed.

One process imports the program and starts one PostgreSQL with migrated templates. Each mutant is a fork of it in which one
function has other code or one table another value, so nothing on disk is ever changed. A first run notes which test calls
which function; a mutant is put before the tests that call what it broke, the quick ones first, until one fails.
Only a failed test kills; what takes too long or crashes the run is counted apart. Forks end with the run.

The part `database` drops the guards of the database one at a time, each in a template of its own, before the tests that name it
(`tools/traceability.py`); a guard that no test names is on that page, not here.
"""

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import mutant_runs
from tools.mutation import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = ROOT / "tools" / "mutants_explained.txt"

DATABASE = "database"
RULES: dict[str, tuple[str, ...]] = {
    "custody/legality": (
        "tests/custody",
        "tests/withdrawals/test_refusals.py",
        "tests/withdrawals/test_refusals_at_the_clinic.py",
        "tests/quality/test_holds.py",
        "tests/storage/test_no_way_around.py",
    ),
    "custody/states": ("tests/custody", "tests/quality", "tests/withdrawals"),
    "custody/events": ("tests/custody", "tests/quality"),
    "custody/recording": ("tests/custody", "tests/storage", "tests/shipping", "tests/specimens/test_runs.py"),
    "custody/ledger": ("tests/custody",),
    "custody/reversal": ("tests/custody",),
    "custody/performer_confirmations": ("tests/custody", "tests/pages/test_performer_confirmations.py"),
    "custody/hold_coverage": ("tests/quality/test_holds.py", "tests/quality", "tests/scanning"),
    "custody/holds": ("tests/custody", "tests/quality", "tests/scanning"),
    "auth/actor": ("tests/auth", "tests/people", "tests/custody", "tests/quality"),
    "auth/scope": ("tests/auth", "tests/people", "tests/custody", "tests/quality", "tests/exports"),
    "auth/permissions": ("tests/auth", "tests/people", "tests/custody", "tests/quality", "tests/withdrawals"),
    "auth/service": ("tests/auth", "tests/people"),
    "auth/sessions": ("tests/auth", "tests/people"),
    "auth/tokens": ("tests/auth", "tests/people"),
    "auth/passwords": ("tests/auth/test_passwords.py", "tests/auth/test_breaches.py"),
    "acts/signing": ("tests/acts", "tests/withdrawals/test_refusals.py"),
    "acts/two_person": ("tests/acts", "tests/people", "tests/quality"),
    "acts/answers_and_attempts": ("tests/acts", "tests/custody", "tests/quality"),
    "withdrawals/workflow": ("tests/withdrawals",),
    "withdrawals/gate": ("tests/withdrawals",),
    "withdrawals/step_rules": ("tests/withdrawals",),
    "withdrawals/checks": ("tests/withdrawals",),
    "withdrawals/case": ("tests/withdrawals",),
    "withdrawals/service": ("tests/withdrawals",),
    "withdrawals/picking": ("tests/withdrawals",),
    "withdrawals/bedside": ("tests/withdrawals",),
    "withdrawals/administering": ("tests/withdrawals",),
    "withdrawals/arrival": ("tests/withdrawals",),
    "withdrawals/closing": ("tests/withdrawals",),
    "withdrawals/review": ("tests/withdrawals",),
    "storage/placing": ("tests/storage", "tests/scanning"),
    "storage/rules": ("tests/storage", "tests/scanning"),
    "storage/service": ("tests/storage", "tests/scanning", "tests/specimens"),
    "storage/containers": ("tests/storage", "tests/specimens"),
    "storage/evacuation": ("tests/storage", "tests/specimens"),
    "storage/queries": ("tests/storage", "tests/scanning", "tests/specimens"),
    "quality/holds": ("tests/quality",),
    "quality/decisions": ("tests/quality",),
    "quality/deviations": ("tests/quality",),
    "quality/disposal": ("tests/quality",),
    "quality/identifying": ("tests/quality",),
    "donors/consents": ("tests/donors",),
    "donors/identification": ("tests/donors",),
    "donors/identifying": ("tests/donors",),
    "donors/visibility": ("tests/donors",),
    "donors/wristbands": ("tests/donors",),
    "donors/erasure": ("tests/donors",),
    "specimens/run_rules": ("tests/specimens",),
    "specimens/making": ("tests/specimens",),
    "specimens/creation": ("tests/specimens",),
    "specimens/scoping": ("tests/specimens",),
    "specimens/resolving": ("tests/specimens",),
    "specimens/kits": ("tests/specimens",),
    "specimens/kit_use": ("tests/specimens",),
    "shipping/handover_rules": ("tests/shipping",),
    "shipping/handovers": ("tests/shipping",),
    "shipping/shipments": ("tests/shipping",),
    "shipping/arrivals": ("tests/shipping",),
    "scanning/lists": ("tests/scanning",),
    "scanning/committing": ("tests/scanning",),
    "viability/rules": ("tests/viability",),
    "viability/refusals": ("tests/viability",),
    "viability/criteria": ("tests/viability",),
    "people/authority": ("tests/people",),
    "people/roles": ("tests/people",),
    "people/service": ("tests/people",),
    "exports/service": ("tests/exports",),
    "exports/selection": ("tests/exports",),
    "exports/log_queries": ("tests/exports",),
    "exports/bundling": ("tests/exports",),
}
"""Modules that hold rules → the tests that are about them; of any other it is the tests of its package."""

EVERYWHERE = ("tests/auth/test_two_sites.py",)
"""What tries every act and every list at two sites: it also says who asks for a right at the wrong place."""


@dataclass
class Tally:
    """What became of the mutants of a run."""

    killed: int = 0
    timed_out: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    survived: list[str] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)
    undecided: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def explanations() -> dict[str, str]:
    """Return the survivors that are known to be no different from the rule, with the reason: `id  # reason` a line."""
    lines = EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else []
    split = (line.rpartition("  # ") for line in lines if not line.startswith("#"))
    return {before.strip(): reason.strip() for before, mark, reason in split if mark}


def modules_with_rules() -> list[str]:
    """Return the modules of the table above, and those that the page of the architecture names for a rule."""
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## Where a rule lives")[2].partition("\n## ")[0]
    named = [match.removesuffix(".py") for match in re.findall(r"[a-z_]+(?:/[a-z_]+)+\.py", page)]
    return list(dict.fromkeys([*RULES, *(module for module in named if (ROOT / "biobank" / f"{module}.py").exists())]))


def modules_of(parts: Sequence[str]) -> list[str]:
    """Return the modules that the parts name; every module with rules when none is named. Raises SystemExit."""
    if not parts:
        return [*modules_with_rules(), DATABASE]
    found: list[str] = []
    for part in parts:
        if part == DATABASE:
            found.append(part)
            continue
        part = part.removeprefix("biobank/").removesuffix(".py").rstrip("/")
        inside = [m for m in modules_with_rules() if m == part or m.startswith(part + "/")]
        if not inside and (ROOT / "biobank" / f"{part}.py").exists():
            inside = [part]
        if not inside:
            raise SystemExit(f"There is no module of rules named {part}.")
        found += inside
    return list(dict.fromkeys(found))


def tests_of(module: str) -> tuple[str, ...]:
    """Return the test folders and files about a module; those of its package when the table does not name it."""
    about = RULES.get(module, (f"tests/{module.partition('/')[0]}",))
    return about if about[0].startswith("tests/auth") else (*about, *EVERYWHERE)


def listed(module: str, match: str) -> list[Mutant]:
    """Return the mutants of a module whose names contain `match`."""
    source = (ROOT / "biobank" / f"{module}.py").read_text()
    return [m for m in mutants_of("biobank." + module.replace("/", "."), source) if match in m.id]


def judge(runs: "mutant_runs.Runs", mutants: Sequence[Mutant], jobs: int, until: float, tally: Tally) -> None:
    """Run each mutant before its tests, `jobs` at a time, and write down who survives."""
    reasons, waiting, running = explanations(), list(mutants), dict[int, tuple[Mutant, float]]()
    while waiting or running:
        while waiting and len(running) < jobs and time.monotonic() < until:
            mutant = waiting.pop(0)
            tests = runs.tests_for(mutant)
            if not tests:
                _survivor(mutant, reasons, tally, "no test calls it")
                continue
            running[runs.fork(mutant, tests)] = (mutant, time.monotonic() + 60 + 5 * runs.seconds(tests))
        if not running:
            break
        for pid, (mutant, deadline) in list(running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del running[pid]
                tally.seen.add(mutant.id)
                tally.timed_out.append(mutant.id)
                continue
            if not done:
                continue
            del running[pid]
            code = os.waitstatus_to_exitcode(status)
            if code == mutant_runs.NOT_APPLIED:
                continue
            tally.seen.add(mutant.id)
            if code == 0:
                _survivor(mutant, reasons, tally, "every test passes")
            elif code == mutant_runs.A_TEST_FAILED:
                tally.killed += 1
            else:
                tally.crashed.append(mutant.id)
        time.sleep(0.02)
    tally.undecided += [m.id for m in waiting]


def judge_guards(match: str, until: float, tally: Tally) -> None:
    """Drop each constraint of a table that a test names, and run those tests."""
    reasons, before, guards = explanations(), tally.killed, mutant_runs.guards()
    chosen = [guard for guard in guards if match in guard.id]
    for guard in chosen:
        if time.monotonic() > until:
            tally.undecided.append(guard.id)
            continue
        code = mutant_runs.run_without(guard)
        tally.seen.add(guard.id)
        if code is None:
            tally.timed_out.append(guard.id)
        elif code == 0:
            _survivor(guard, reasons, tally, "every test passes")
        elif code == mutant_runs.A_TEST_FAILED:
            tally.killed += 1
        else:
            tally.crashed.append(guard.id)
    print(f"database: {tally.killed - before} of {len(chosen)} killed", flush=True)


def _survivor(mutant: "Mutant | mutant_runs.Guard", reasons: dict[str, str], tally: Tally, how: str) -> None:
    tally.seen.add(mutant.id)
    if mutant.id in reasons:
        tally.explained.add(mutant.id)
        return
    tally.survived.append(mutant.id)
    line = f" line {mutant.line}" if isinstance(mutant, Mutant) else ""
    print(f"  SURVIVED ({how}){line}: {mutant.id}", flush=True)


def slices(modules: Sequence[str]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Group modules with the same tests, so that the first run serves them all."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for module in modules:
        groups.setdefault(tests_of(module), []).append(module)
    yield from groups.items()


def main(arguments: list[str]) -> int:
    """Run; return 0 when every survivor is explained."""
    parser = argparse.ArgumentParser(description="Break the rules one at a time and see a test fail.")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--list", action="store_true", help="only print the mutants")
    parser.add_argument("--match", default="", help="only those whose name contains this")
    parser.add_argument("--tests", nargs="+", help="use these tests instead of those in the table")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=120, help="begin no mutant after that long; the rest is undecided")
    given = parser.parse_args(arguments)
    modules = modules_of(given.parts)
    if given.list:
        print("\n".join(m.id for module in modules if module != DATABASE for m in listed(module, given.match)))
        return 0
    tally, until = Tally(), time.monotonic() + given.minutes * 60
    with mutant_runs.prepared() as ready:
        if DATABASE in modules:
            modules.remove(DATABASE)
            judge_guards(given.match, until, tally)
        for tests, members in [(tuple(given.tests), modules)] if given.tests else slices(modules):
            print(f"{', '.join(members)}: noting which of {', '.join(tests)} calls what", flush=True)
            runs = ready.noted(tests)
            for module in members:
                mutants, before = listed(module, given.match), tally.killed
                judge(runs, mutants, given.jobs, until, tally)
                print(f"{module}: {tally.killed - before} of {len(mutants)} killed", flush=True)
    stale = [] if given.match else sorted(set(explanations()) & tally.seen - tally.explained)
    print(
        f"{tally.killed} killed, {len(tally.timed_out)} timed out, {len(tally.crashed)} crashed, "
        f"{len(tally.survived)} survived, {len(tally.explained)} survived and are explained, "
        f"{len(tally.undecided)} undecided for want of time."
    )
    for what, ids in (("Timed out (look whether a test would have said so)", tally.timed_out), ("Crashed", tally.crashed)):
        if ids:
            print(f"{what}:\n  " + "\n  ".join(ids))
    if stale:
        print("Explained and yet killed (take them out of the file):\n  " + "\n  ".join(stale))
    return 1 if tally.survived or tally.crashed or stale else 2 if tally.undecided else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
