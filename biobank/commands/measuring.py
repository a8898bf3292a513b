"""Benchmarks, which live beside the package in a checkout and never travel in the wheel."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import WRONG_USAGE, fail

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which benchmark: a module of bench/.")] = "scan",
) -> None:
    """Measure beside the floor program, in a checkout; further words go to the benchmark (try --help after its name)."""
    programs = sorted(p.stem for p in (CHECKOUT / "bench").glob("*.py") if "__main__" in p.read_text(encoding="utf-8"))
    if not programs:
        raise fail("The benchmarks are not installed with the package. Run this from a checkout.", WRONG_USAGE)
    if name not in programs:
        raise fail(f"There is no benchmark '{name}'. There are: {', '.join(programs)}.", WRONG_USAGE)
    done = subprocess.run([sys.executable, "-m", f"bench.{name}", *context.args], cwd=CHECKOUT, check=False)  # noqa: S603 - our own module
    raise typer.Exit(done.returncode)
