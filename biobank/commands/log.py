"""The custody log as a transparency log: its policy, its tiles in files, its continuation after a loss."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import console, fail, open_bank, settings_or_exit

log = typer.Typer(no_args_is_help=True, help="The custody log: policy for verifiers, tiles in files, recovery.")


@log.command("policy")
def policy() -> None:
    """Print the policy a verifier needs: the log's keys with the sizes at which they count, witnesses, quorum."""
    from biobank.exports.log_keys import policy_text
    from biobank.transparency.keys import KeyFileError

    with open_bank() as bank:
        path = bank.settings.policy_path
        try:
            kept = path.read_text(encoding="utf-8") if path is not None and path.exists() else ""
            typer.echo(policy_text(bank, kept=kept), nl=False)
        except (KeyFileError, OSError) as error:
            raise fail(str(error)) from error


@log.command("tiles")
def tiles(
    place: Annotated[str, typer.Argument(help="Folder, or `s3://bucket/prefix`, in the C2SP tlog-tiles layout; extended.")],
) -> None:
    """Write the log as files, or what is new of it. Refused when another history is there."""
    import psycopg

    from biobank.exports.cut import address_of
    from biobank.exports.tile_mirror import mirror
    from biobank.foundation.file_store import StoreAway
    from biobank.transparency.stored_tiles import TileMissing

    with open_bank() as bank, psycopg.connect(address_of(bank), autocommit=True) as connection:
        try:
            done = mirror(lambda sql, values: connection.execute(sql, values, binary=True).fetchall(), bank.store_at(place))
        except TileMissing as error:
            raise fail(f"The stored log is damaged: {error}") from error
        except StoreAway as error:
            raise fail(str(error)) from error
    console.print(f"{done.size} entries, {done.files} files written.")


@log.command("recover")
def recover(
    new_origin: Annotated[str, typer.Option(help="Name of the new log; the old one is never used again.")],
    incident: Annotated[Path, typer.Option(help="Report of the incident; the log commits to its SHA-256.")],
    recovery_key: Annotated[Path, typer.Option(help="The private recovery key, from the safe.")],
    statement: Annotated[Path, typer.Option(help="Where the signed statement for verifiers goes.")],
    final_checkpoint: Annotated[
        Path | None, typer.Option(help="The newest checkpoint anybody holds; by default the register's.")
    ] = None,
) -> None:
    """Continue a log that halted for good under a new name. Its first entry commits to what the old one last signed."""
    from biobank.exports.log_recovery import carry_out, plan_recovery
    from biobank.transparency.keys import RECOVERY_SUFFIX, KeyFileError, load_signer
    from biobank.transparency.note import NoteError

    settings = settings_or_exit()
    with open_bank() as bank:
        try:
            signer = load_signer(recovery_key, settings.log_origin + RECOVERY_SUFFIX)
            note = (final_checkpoint or settings.register_file).read_text(encoding="utf-8")
            plan = plan_recovery(bank.settings, new_origin, incident.read_bytes(), signer, note)
            statement.write_text(plan.statement, encoding="utf-8")
            waiting = carry_out(bank, plan)
        except (KeyFileError, NoteError, OSError, UnicodeDecodeError) as error:
            raise fail(str(error)) from error
    console.print(
        f"{waiting} events wait to be sealed into {new_origin}. Set BIOBANK_LOG_ORIGIN={new_origin}, make its recovery key "
        "(`biobank keys recovery FILE`), start the bank, and give verifiers the statement and the new policy."
    )
