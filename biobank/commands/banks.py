"""Several banks in one service: made, listed, run, stopped and closed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import ALREADY_RUNNING, REFUSED, console, fail
from biobank.foundation.config import WeakSettings
from biobank.foundation.stopping import on_signals
from biobank.foundation.terms import counted, words
from biobank.operations import several_banks
from biobank.operations.several_banks import BankFault
from biobank.postgres.bank_databases import ServerRefused
from biobank.postgres.embedded import EmbeddedPostgresError

banks = typer.Typer(no_args_is_help=True, help="Several banks in one service, each with databases, a log and people of its own.")

BANKS = Annotated[Path, typer.Option("--banks", envvar="BIOBANK_BANKS", help="Folder of the banks, one in it for each.")]
Server = Annotated[
    str | None,
    typer.Option(
        envvar="BIOBANK_BANKS_SERVER",
        help="PostgreSQL, as a role that may create roles and databases. Default: embedded.",
    ),
]


@contextmanager
def _said(code: int = REFUSED) -> Iterator[None]:
    """End with a sentence and `code` when what is done inside is refused. Raises Exit."""
    try:
        yield
    except (BankFault, ServerRefused, WeakSettings, EmbeddedPostgresError) as fault:
        raise fail(str(fault), code) from fault


def use_bank(folder: Path, name: str, *, owner: bool) -> None:
    """Make the settings of one bank those of this process; nothing that was set before is left. Raises Exit."""
    with _said():
        environ = several_banks.environment_of(folder, name, owner=owner)
    for key in [key for key in os.environ if key.startswith("BIOBANK_")]:
        del os.environ[key]
    os.environ.update(environ)


@banks.command("create")
def create_bank(
    name: Annotated[str, typer.Argument(help="What it is called on this machine: small letters, digits, underscores.")],
    host_name: Annotated[str, typer.Option(help="Host of its pages and of the codes on its labels; no other bank's.")],
    log_origin: Annotated[str, typer.Option(help="Name of its custody log, like bank.example/custody; it never changes.")],
    server: Server = None,
    port: Annotated[int | None, typer.Option(help="Port of 127.0.0.1 that a proxy leads to; default the next.")] = None,
    folder: BANKS = Path("banks"),
) -> None:
    """Make a bank. What an interrupted try left is gone on with."""
    with _said():
        bank = several_banks.create_bank(folder, name, host_name, log_origin, server, port)
    console.print(f"The bank {bank.name} is made; it listens on 127.0.0.1:{bank.port} while the banks run.")
    console.print(f"Its first logins: biobank --bank {bank.name} users create …", markup=False)


@banks.command("list")
def list_banks(folder: BANKS = Path("banks")) -> None:
    """Show the banks there are."""
    with _said():
        found = several_banks.all_banks(folder)
    for bank in found:
        where = "a server that was named" if bank.on_server else "an embedded server of its own"
        console.print(f"{bank.name}: {words(bank.state).lower()}, {bank.host_name}, port {bank.port}, on {where}", markup=False)
    if not found:
        console.print("There are no banks yet: biobank banks create …")


@banks.command("serve")
def serve_banks(folder: BANKS = Path("banks")) -> None:
    """Run every open bank; one that is made, stopped or closed meanwhile is started or ended."""
    with _said(ALREADY_RUNNING):
        several_banks.run_banks(folder, on_signals())


@banks.command("stop")
def stop_bank(name: str, folder: BANKS = Path("banks")) -> None:
    """Stop running a bank for a time."""
    with _said():
        several_banks.change_state(folder, name, "stopped", of=("open",))
    console.print(f"{name} is stopped.")


@banks.command("start")
def start_bank(name: str, folder: BANKS = Path("banks")) -> None:
    """Run a stopped bank again."""
    with _said():
        several_banks.change_state(folder, name, "open", of=("stopped",))
    console.print(f"{name} is open.")


@banks.command("close")
def close_bank(name: str, server: Server = None, folder: BANKS = Path("banks")) -> None:
    """Close a bank that keeps nothing any more: it is not run, and its logins reach no database. Nothing is deleted."""
    with _said():
        bank = several_banks.close_bank(folder, name, server)
    console.print(f"{bank.name} is closed. All of it is kept: {folder / name} and its databases.", markup=False)


@banks.command("reopen")
def reopen_bank(name: str, server: Server = None, folder: BANKS = Path("banks")) -> None:
    """Open a closed bank again."""
    with _said():
        bank = several_banks.reopen_bank(folder, name, server)
    console.print(f"{bank.name} is open.")


@banks.command("check")
def check_banks(server: Server = None, folder: BANKS = Path("banks")) -> None:
    """Look whether a login of one bank may connect to a database of another; exit 1 if so."""
    with _said():
        found = several_banks.boundary_faults(folder, server)
    if found:
        raise fail("; ".join(found))
    console.print(f"{counted(len(several_banks.all_banks(folder)), 'bank')}: none reaches another's databases.")


@banks.command("proxy")
def print_proxy(folder: BANKS = Path("banks")) -> None:
    """Print what nginx includes to lead each host name to its bank; see docs/operations.md."""
    with _said():
        typer.echo(several_banks.proxy_map(several_banks.all_banks(folder)), nl=False)
