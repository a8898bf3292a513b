"""Viability from the command line: how good the forecasts were, and making fits again."""

from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table

from biobank.commands.console import console, errors, fail, open_bank

viability = typer.Typer(no_args_is_help=True, help="Forecasts of viability: how good they were, and how they were made.")


@viability.command("report")
def report(
    alarm: Annotated[bool, typer.Option("--alarm", help="Exit with 1 while an alarm rings, for scripts.")] = False,
) -> None:
    """Print how often the forecasts held what was then counted, by stratum."""
    from biobank.auth.actor import READER
    from biobank.viability.calibration import WINDOW
    from biobank.viability.records import calibration

    with open_bank() as bank:
        found = bank.database.write_now(lambda session: calibration(session, READER))
    table = Table(
        "material",
        "procedure",
        "assay",
        "storage",
        "thaws",
        *(f"{p} %, newest {WINDOW}" for p in (50, 80, 90)),
        "90 %, all",
        "tenths of the forecast",
        "alarm",
    )
    for one in found.strata:
        held = [f"{c.held}/{c.of}" for c in [*one.coverage, one.whole[2]]]
        table.add_row(
            one.material,
            one.procedure_version,
            one.assay,
            one.storage,
            str(one.thaws),
            *held,
            " ".join(map(str, one.pit)),
            "ALARM" if one.alarm else "",
        )
    console.print(table)
    for reason, count in found.excluded.items():
        console.print(f"left out, {reason}: {count}", highlight=False)
    if alarm and found.alarms:
        raise fail(f"In {found.alarms} strata the 90 % interval held under 80 % of the newest {WINDOW} thaws.")


@viability.command("update")
def update() -> None:
    """Look at every waiting count now, instead of waiting for the worker."""
    from biobank.acts.timers import TIMERS
    from biobank.operations.worker import run_timer

    timer = TIMERS["look_at_viability_counts"]
    looked = 0
    with open_bank() as bank:
        while True:
            done = run_timer(bank, timer)
            if done is None:
                raise fail("A worker is at it; try again in a moment.")
            if done == 0:
                break
            looked += done
            errors.print(f"{looked} counts", highlight=False)
    console.print(f"{looked} new counts were looked at.", highlight=False)


@viability.command("check")
def check(fit: Annotated[UUID, typer.Argument(help="The fit that an estimate quoted.")]) -> None:
    """Make a stored fit again from its thaws and its parameter file; exit 1 when it does not come out the same."""
    from biobank.viability.fitting import same_again

    with open_bank() as bank:
        same = bank.database.write_now(lambda session: same_again(session, fit))
    if not same:
        raise fail("It does not come out the same. Compare `made_with` of the fit with the numpy and scipy installed here.")
    console.print("The same, to the last bit.", highlight=False)
