"""The `biobank` command: run the bank, set it up, and ask it for what a script needs.

Exit codes: 0 done · 1 refused or failed (the sentence is on standard error) · 2 wrong usage · 3 already running ·
4 the log is halted and needs a person.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from biobank import __version__
from biobank.auth.permissions import Role
from biobank.config import Settings, WeakSettings
from biobank.embedded import EmbeddedPostgresError
from biobank.errors import Refusal
from biobank.processes import Children, prepare, served_database, start_all

if TYPE_CHECKING:
    from biobank.bank import Bank

# Commands import what they need when they run: the parent of a running bank and its sealer need little of it, and a bank
# should be back seconds after a power cut.

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A bank of people's own cells: inventory and chain of custody."
)
users = typer.Typer(no_args_is_help=True, help="Logins, from the console of the machine.")
keys = typer.Typer(no_args_is_help=True, help="Keys of the bank.")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
errors = Console(stderr=True)
console = Console()

REFUSED, WRONG_USAGE, ALREADY_RUNNING, HALTED = 1, 2, 3, 4


def settings_or_exit(**changes: object) -> Settings:
    """Read the settings from the environment, with what the command line changes."""
    try:
        settings = Settings.from_environment()
        return Settings.model_validate(settings.model_dump() | {k: v for k, v in changes.items() if v is not None})
    except (WeakSettings, ValueError) as error:
        raise _fail(str(error)) from error


def _fail(sentence: str, code: int = REFUSED) -> typer.Exit:
    errors.print(f"biobank: {sentence}", style="red", highlight=False, markup=False)
    return typer.Exit(code)


@contextmanager
def open_bank() -> "Iterator[Bank]":
    """Open the bank for one command: on the given server, or on the embedded one (started, or attached to)."""
    from biobank import kinds, tables
    from biobank.bank import Bank

    assert kinds.MODULES
    assert tables.MODULES
    try:
        with served_database(settings_or_exit()) as settings:
            yield Bank.open(settings)
    except (WeakSettings, EmbeddedPostgresError) as error:
        raise _fail(str(error)) from error
    except Refusal as refusal:
        raise _fail(refusal.detail) from refusal


def _stop_event() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Web processes.")] = None,
    web_only: Annotated[bool, typer.Option(help="Only the web processes: sealer and worker run elsewhere.")] = False,
) -> None:
    """Run the bank: web, sealer and worker; on the embedded PostgreSQL too when no address is set."""
    changes = settings_or_exit(host=host, port=port, workers=workers)
    try:
        with served_database(changes) as settings:
            if changes.database_url is None:
                prepare(settings)
            raise typer.Exit(run_until_stopped(settings, web_only=web_only))
    except EmbeddedPostgresError as error:
        raise _fail(str(error)) from error


def run_until_stopped(settings: Settings, *, web_only: bool = False) -> int:
    """Start the children and wait; return the web server's exit code, 0 after a signal."""
    children = Children()
    stop = _stop_event()
    try:
        start_all(settings, children, web_only=web_only)
        return children.wait("web", stop)
    finally:
        children.stop()


@app.command()
def sealer() -> None:
    """Seal pending events into the log, one process at a time; needs the sealer's address and the log's key."""
    from biobank.transparency.sealer import Log
    from biobank.transparency.sealer import run as run_sealer
    from biobank.transparency.sealing import LogHalted

    settings = settings_or_exit()
    if settings.sealer_database_url is None:
        raise _fail("Set BIOBANK_SEALER_DATABASE_URL.")
    register = settings.register_file
    register.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        run_sealer(settings.sealer_database_url, _stop_event(), Log.open(settings.log_origin, settings.secrets, register))
    except LogHalted as halted:
        raise _fail(f"The log is halted: {halted}", HALTED) from halted


@app.command()
def worker() -> None:
    """Run the timers: expiring hand-overs, forgetting old answers."""
    from biobank import kinds, tables
    from biobank.bank import Bank
    from biobank.worker import run as run_worker

    assert kinds.MODULES
    assert tables.MODULES
    run_worker(Bank.open(settings_or_exit()), _stop_event())


@app.command()
def migrate() -> None:
    """Bring the schema and missing secrets to be. Safe to run twice, and twice at once."""
    with served_database(settings_or_exit()) as settings:
        prepare(settings)
    console.print("The schema is at its newest revision.")


@app.command()
def demo(
    port: Annotated[int | None, typer.Option(help="Port to listen on; another one is taken when it is busy.")] = None,
    prepare_only: Annotated[bool, typer.Option(help="Make the data and stop.")] = False,
) -> None:
    """Start a bank with believable example data; prints its address and one login per role."""
    from biobank import demo as demonstration

    settings = settings_or_exit(port=port, secure_cookies=False)
    try:
        with demonstration.ready(settings, console) as running:
            if not prepare_only:
                raise typer.Exit(run_until_stopped(running))
    except demonstration.AlreadyRunning as error:
        raise _fail(str(error), ALREADY_RUNNING) from error
    except EmbeddedPostgresError as error:
        raise _fail(str(error)) from error


@users.command("create")
def create_user(
    username: str,
    name: Annotated[str, typer.Option(help="Printed name; kept in the vault.", prompt=True)],
    role: Annotated[list[Role], typer.Option(help="A role; repeat for more.")],
    site: Annotated[str | None, typer.Option(help="Site of the roles; everywhere when left out.")] = None,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="First password.")] = "",
) -> None:
    """Make a login as the bank itself. For the first administrator and the first quality person; later ones need two people."""
    from biobank.acts.act import Act
    from biobank.auth.actor import RoleGrant
    from biobank.auth.passwords import hash_now
    from biobank.people.bootstrap import set_up_user

    with open_bank() as bank:
        hashed = hash_now(password)
        act = Act.system(bank, path="cli/users/create")
        code = bank.database.write_now(
            lambda s: set_up_user(
                s,
                act,
                username=username,
                printed_name=name,
                password=password,
                password_hash=hashed,
                grants=[RoleGrant(r, site) for r in role],
            )
        )
    console.print(f"{username} is {code}. The password must be changed at the first sign-in.")


@users.command("reset-password")
def reset_password(
    username: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
) -> None:
    """Set a first password again, as the bank itself; ends every session of the login."""
    from biobank.acts.act import Act
    from biobank.auth.passwords import hash_now
    from biobank.people.bootstrap import set_first_password

    with open_bank() as bank:
        hashed = hash_now(password)
        act = Act.system(bank, path="cli/users/reset-password")
        code = bank.database.write_now(
            lambda s: set_first_password(s, act, username=username, password=password, password_hash=hashed)
        )
    console.print(f"{username} ({code}) signs in with the new password and must change it.")


@keys.command("rotate-token")
def rotate_token_key() -> None:
    """Make a new key for access tokens. Tokens under older keys stay valid until they expire."""
    from biobank.auth import tokens

    settings = settings_or_exit()
    console.print(f"New signing key {tokens.rotate(settings.secrets)}. Running processes use it within a minute.")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write; `-` is standard output.")],
    fmt: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    specimen: Annotated[str | None, typer.Option(help="Only this specimen.")] = None,
    donor: Annotated[str | None, typer.Option(help="Only this donor.")] = None,
) -> None:
    """Write the custody log to a file, with its SHA-256; the export is an event of the log."""
    from biobank.exports.command import export_to_file

    with open_bank() as bank:
        written = export_to_file(bank, output, fmt, specimen=specimen, donor=donor, progress=errors)
    errors.print(f"{written.rows} rows, {written.size} bytes, SHA-256 {written.sha256}", highlight=False)


@app.command()
def backup(folder: Annotated[Path, typer.Argument(help="Folder to write the dumps to; made when missing.")]) -> None:
    """Dump the bank and, apart from it, the donor keys. Keep the keys' dump for days, not years (docs/operations.md)."""
    from biobank.backup import dump_all

    with served_database(settings_or_exit()) as settings:
        for path in dump_all(settings, folder):
            console.print(str(path))


@app.command()
def restore(
    bank_dump: Annotated[Path | None, typer.Option("--bank", help="Dump of the bank, into its empty database.")] = None,
    keys_dump: Annotated[Path | None, typer.Option("--keys", help="Dump of the donor keys; only when those were lost.")] = None,
) -> None:
    """Restore dumps into empty databases. Then run `biobank after-restore`."""
    from biobank.backup import restore_bank, restore_keys

    if bank_dump is None and keys_dump is None:
        raise _fail("Say what to restore: --bank FILE, --keys FILE or both.", WRONG_USAGE)
    try:
        with served_database(settings_or_exit()) as settings:
            if bank_dump is not None:
                restore_bank(settings, bank_dump)
            if keys_dump is not None:
                restore_keys(settings, keys_dump)
    except (WeakSettings, EmbeddedPostgresError) as error:
        raise _fail(str(error)) from error
    console.print("Restored. Run `biobank after-restore` before serving.")


@app.command("after-restore")
def after_restore() -> None:
    """Run after restoring a dump, before serving: forget again who was forgotten since, and compare custody with its log."""
    from biobank.restored import look_after_restore

    with open_bank() as bank:
        found = look_after_restore(bank)
    for code in found.erased_again:
        console.print(f"{code} was erased after the dump was made; erased again.")
    console.print(f"{found.specimens} specimens, {found.events} events of specimens folded and compared.")
    for code, columns in found.differing.items():
        console.print(f"{code} is not what its events say: {', '.join(columns)}")
    for leaf in found.unaccounted:
        console.print(f"Neither sealed nor waiting to be sealed: event {leaf}")
    if not found.sound:
        raise _fail("The record does not agree with itself. Do not serve from this database.")


@app.command()
def routes() -> None:
    """List every route with its method, for operators who write firewall rules."""
    from biobank.app import create_app
    from biobank.bank import Bank

    with served_database(settings_or_exit()) as settings:
        made = create_app(Bank.open(settings))
    table = Table("method", "path")
    for path, operations in sorted(made.openapi()["paths"].items()):
        for method in sorted(operations):
            table.add_row(method.upper(), path)
    console.print(table)


def _version(value: bool) -> None:
    if value:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Shared options."""


def main() -> None:
    """Run the command; a refusal is a sentence, never a trace."""
    try:
        app()
    except Refusal as refusal:
        sys.exit(_fail(refusal.detail).exit_code)
