"""The `biobank` command: run the bank, set it up, and ask it for what a script needs. The verbs are in `biobank/commands/`.

Exit codes: 0 done · 1 refused or failed (the sentence is on standard error) · 2 wrong usage · 3 already running ·
4 the log is halted and needs a person · 5 a receipt is evidence against the bank.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from biobank import __version__
from biobank.commands import (
    custody_log,
    dumps,
    exchange,
    importing,
    inspecting,
    labelling,
    measuring,
    running,
    validation,
    witnessing,
)
from biobank.commands.banks import BANKS, banks, use_bank
from biobank.commands.console import console, fail
from biobank.commands.files import files
from biobank.commands.keys import keys
from biobank.commands.log import log
from biobank.commands.logins import users
from biobank.commands.receipts import receipt
from biobank.commands.viability import viability
from biobank.foundation.errors import Refusal

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A bank of people's own cells: inventory and chain of custody."
)
for verb in (
    running.serve,
    running.sealer,
    running.worker,
    running.migrate,
    running.demo,
    witnessing.witness,
    custody_log.export,
    custody_log.bundle,
    exchange.fhir,
    exchange.exchange,
    dumps.backup,
    dumps.restore,
    dumps.after_restore,
    dumps.restore_drill,
    inspecting.routes,
    labelling.label,
    validation.validation,
):
    app.command(verb.__name__.replace("_", "-"))(verb)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(
    custody_log.verify
)
app.command("import")(importing.import_)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(measuring.bench)
app.add_typer(banks, name="banks")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(log, name="log")
app.add_typer(files, name="files")
app.add_typer(receipt, name="receipt")
app.add_typer(viability, name="viability")


NEED_THE_OWNER = ("migrate",)
"""Verbs that get the addresses of the databases' owner, where several banks are run."""


def _print_version(value: bool) -> None:
    if value:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    bank: Annotated[str | None, typer.Option(help="Of several banks, the one that is meant.")] = None,
    folder: BANKS = Path("banks"),
) -> None:
    """Shared options."""
    if bank is not None:
        use_bank(folder, bank, owner=context.invoked_subcommand in NEED_THE_OWNER)


def main() -> None:
    """Run the command; a refusal is a sentence, never a trace."""
    try:
        app()
    except Refusal as refusal:
        sys.exit(fail(refusal.detail).exit_code)
