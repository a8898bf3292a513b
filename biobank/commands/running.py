"""Running the bank and its processes."""

from typing import Annotated

import typer

from biobank.commands.console import ALREADY_RUNNING, HALTED, console, fail, settings_or_exit
from biobank.foundation.collector import collector_paused
from biobank.foundation.config import Settings, WeakSettings
from biobank.foundation.stopping import Stop, on_signals
from biobank.operations.supervisor import (
    Children,
    adopt_rules_when_possible,
    prepare,
    refuse_shared_sessions,
    served_database,
    start_all,
)
from biobank.postgres.embedded import EmbeddedPostgresError


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
            refuse_shared_sessions(settings)
            # Web and worker wait for a database that does not answer, and say so: the web at /readyz.
            raise typer.Exit(run_until_stopped(settings, on_signals(), web_only=web_only))
    except (EmbeddedPostgresError, WeakSettings) as error:
        raise fail(str(error)) from error


def run_until_stopped(settings: Settings, stop: Stop, *, web_only: bool = False) -> int:
    """Start the children and wait; return the web server's exit code, 0 after a signal."""
    children = Children()
    if stop.is_set():
        return 0
    try:
        start_all(settings, children, web_only=web_only)
        return children.wait("web", stop)
    finally:
        children.stop()


def sealer() -> None:
    """Seal pending events into the log, one process at a time; needs the sealer's address and the log's key."""
    from biobank.transparency.attending import seal_and_attend
    from biobank.transparency.keys import KeyFileError
    from biobank.transparency.sealer import Log
    from biobank.transparency.sealing import LogHalted
    from biobank.transparency.verify import Unreadable
    from biobank.transparency.witnessing import peers_of

    settings = settings_or_exit()
    if settings.sealer_database_url is None:
        raise fail("Set BIOBANK_SEALER_DATABASE_URL.")
    register = settings.register_file
    register.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        peers = [] if settings.policy_path is None else peers_of(settings.policy_path, settings.log_origin)
        log = Log.open(settings.log_origin, settings.log_secrets, register, settings.log_keys_file)
        seal_and_attend(settings.sealer_database_url, on_signals(), log, peers)
    except LogHalted as halted:
        raise fail(f"The log is halted: {halted}", HALTED) from halted
    except (Unreadable, KeyFileError, OSError) as error:
        raise fail(str(error)) from error


def worker() -> None:
    """Run the timers: expiring hand-overs, forgetting old answers."""
    settings = settings_or_exit()
    with collector_paused():
        from biobank.acts.bank import Bank
        from biobank.operations import telemetry
        from biobank.operations.worker import run as run_worker

        stop = on_signals()
        try:
            adopt_rules_when_possible(settings, stop)
            bank = Bank.open(settings)
            telemetry.begin(bank)
        except WeakSettings as error:
            raise fail(str(error)) from error
    run_worker(bank, stop)
    telemetry.finish()


def migrate(
    although_others_work: Annotated[
        bool, typer.Option(help="Also take away what programs use that are connected now. They stop working.")
    ] = False,
) -> None:
    """Bring the schema and missing secrets to be. Safe to run twice, twice at once, and while the bank is at work."""
    from biobank.postgres.migrate import AnotherMigrates
    from biobank.postgres.rolling import OthersAtWork

    with served_database(settings_or_exit()) as settings:
        try:
            prepare(settings, although_others_work=although_others_work)
        except (OthersAtWork, AnotherMigrates) as refused:
            raise fail(str(refused)) from refused
    console.print("The schema is at its newest revision.")


def demo(
    port: Annotated[int | None, typer.Option(help="Port to listen on; another one is taken when it is busy.")] = None,
    prepare_only: Annotated[bool, typer.Option(help="Make the data and stop.")] = False,
) -> None:
    """Start a bank with believable example data; prints its address and one login per role."""
    from biobank.demo import command as demonstration

    settings = settings_or_exit(port=port, secure_cookies=False, own_witness=True)
    try:
        with demonstration.ready(settings, console) as running:
            if not prepare_only:
                raise typer.Exit(run_until_stopped(running, on_signals()))
    except demonstration.AlreadyRunning as error:
        raise fail(str(error), ALREADY_RUNNING) from error
    except EmbeddedPostgresError as error:
        raise fail(str(error)) from error
